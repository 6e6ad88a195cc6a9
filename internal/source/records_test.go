package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
)

// convert reads a source and writes it as JSONL.
func convert(t *testing.T, o Opener, src waybill.Source) (string, waybill.Conversion, error) {
	t.Helper()
	r, err := o.Open(t.Context(), "team-1", src, "")
	if err != nil {
		return "", waybill.Conversion{}, err
	}
	defer r.Close()
	var out strings.Builder
	report, err := formats.Convert(t.Context(), r, map[formats.Format]formats.Output{formats.JSONL: formats.To(&out)}, formats.Options{
		Schema: waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String}, {Name: "Year", DataType: waybill.Number}}}, Framing: src.Format,
	})
	return out.String(), report.Conversion, err
}

// platform streams a run's data as the platform's API does.
func platform(rows int, key string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v4/workflows/wf_movies/data" || r.URL.Query().Get("runId") != "job_1" || r.Header.Get("X-Api-Key") != key {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, `{"workflowId":"wf_movies","runId":"job_1","executedAt":"2025-01-15T10:30:00Z","data":[`)
		for i := range rows {
			_, _ = fmt.Fprintf(w, `%s{"Title":"Movie \"%d\"","Year":%d,"_sourceIndex":%d}`, strings.Repeat(",", min(i, 1)), i, 1900+i%100, i)
			w.(http.Flusher).Flush()
		}
		_, _ = io.WriteString(w, `],"pagination":{"totalCount":3,"page":1,"data":[]}}`)
	}
}

func TestARunOfThePlatform(t *testing.T) {
	const rows = 500
	plain := platform(rows, "key-1")
	for name, handler := range map[string]http.HandlerFunc{
		"plain": plain,
		"packed": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				t.Errorf("accepts %q", r.Header.Get("Accept-Encoding"))
			}
			w.Header().Set("Content-Encoding", "gzip")
			packing := &gzipWriter{ResponseWriter: w}
			plain(packing, r)
			_, _ = w.Write(gz(t, packing.text.String()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, handler)
			s.Allow = []string{s.Server.URL + "/v4/workflows/"}
			s.Platform = Platform{URL: s.Server.URL, Key: func(context.Context) (string, error) { return "key-1", nil }}
			src := s.source("/v4/workflows/wf_movies/data?runId=job_1&limit=0")
			src.Format = "envelope"
			out, report, err := convert(t, s.Opener, src)
			if err != nil || report.Rows != rows || report.Quarantined != 0 || strings.Contains(out, "_sourceIndex") {
				t.Fatalf("%d rows, %d quarantined, %v", report.Rows, report.Quarantined, err)
			}
			if first, _, _ := strings.Cut(out, "\n"); first != `{"Title":"Movie \"0\"","Year":1900}` || strings.Count(out, "\n") != rows {
				t.Errorf("%d lines, the first %s", strings.Count(out, "\n"), first)
			}
		})
	}
}

// gzipWriter keeps what a handler writes.
type gzipWriter struct {
	http.ResponseWriter
	text strings.Builder
}

func (w *gzipWriter) Write(p []byte) (int, error) { return w.text.Write(p) }
func (w *gzipWriter) Flush()                      {}

// A stream that is cut, and cannot be resumed because the platform names no
// version, is a cut one: neither a shorter run nor a malformed one.
func TestARunOfThePlatformThatIsCut(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s := serveOver(t, http2, cutting(platform(500, ""), 10_000))
		s.Allow = []string{s.Server.URL + "/v4/workflows/"}
		src := s.source("/v4/workflows/wf_movies/data?runId=job_1")
		for _, src.Format = range []string{"envelope", ""} {
			_, _, err := convert(t, s.Opener, src)
			f, ok := errors.AsType[*waybill.Failure](err)
			if src.Format == "" { // the second request is whole
				if err != nil {
					t.Error(err)
				}
			} else if !ok || f.Verdict != waybill.Transient || f.Code != "source.cut" {
				t.Errorf("%v", err)
			}
		}
	}
}

// Bytes that are all there and end in the middle of a record are handed on as
// they are: what is malformed is for the converter to say, and it says so.
func TestASourceThatEndsInTheMiddleOfARecord(t *testing.T) {
	const lines = `{"Title":"A","Year":1}` + "\n" + `{"Title":"B","Ye`
	for name, c := range map[string]struct {
		body        string
		format      string
		quarantined int64
		input       bool // no list of records at all
	}{
		"lines":    {lines, "jsonl", 1, false},
		"array":    {`[{"Title":"A","Year":1},{"Title":"B","Ye`, "array", 0, true},
		"envelope": {`{"workflowId":"w","data":[{"Title":"A","Year":1}`, "envelope", 0, true},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.body) })
		src := s.source("/open/x")
		if text, err := read(t, s.Opener, src, ""); err != nil || text != c.body {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		src.Format = c.format
		_, report, err := convert(t, s.Opener, src)
		if _, input := errors.AsType[*formats.InputError](err); input != c.input || report.Quarantined != c.quarantined && !c.input {
			t.Errorf("%s: %d quarantined, %v", name, report.Quarantined, err)
		}
	}
}
