package source

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/netguard"
)

// hasty does not wait between tries.
var hasty = patience{pause: func(ctx context.Context, _ int) error { return ctx.Err() }}

func checksum(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// site is an https server on loopback and an Opener that may read from it.
type site struct {
	Opener
	*httptest.Server
	requests atomic.Int64
}

// serve starts a site; sources below /open/ and /TEAM/ are allowed.
func serve(t *testing.T, handler http.HandlerFunc) *site {
	t.Helper()
	return serveOver(t, true, handler)
}

func serveOver(t *testing.T, http2 bool, handler http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		handler(w, r)
	}))
	s.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Server.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(s.Server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	s.Opener = Opener{
		Allow:  []string{s.Server.URL + "/open/", s.Server.URL + "/{teamId}/"},
		Web:    guard(t, netguard.Options{RootCAs: pool, Allow: []string{s.Listener.Addr().String()}}),
		resume: hasty,
	}
	return s
}

func guard(t *testing.T, opts netguard.Options) *netguard.Guard {
	t.Helper()
	g, err := netguard.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func (s *site) source(path string) waybill.Source { return waybill.Source{URI: s.Server.URL + path} }

// served serves content as a file server does: with ETag, parts and If-Range.
func served(content []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
	}
}

func TestReadURL(t *testing.T) {
	etag := `"v1"`
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("sig") != "hunter2" || r.Header.Get("X-Api-Key") != "" || r.Header.Get("Referer") != "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		served([]byte(records), etag)(w, r)
	})
	src := s.source("/team-1/run%20a+b.jsonl?sig=hunter2")
	r := open(t, s.Opener, src)
	text, err := io.ReadAll(r)
	if err != nil || string(text) != records || r.ETag() != etag || r.Size() != int64(len(records)) || r.BytesRead() != r.Size() {
		t.Errorf("read %q, %v, tag %q, size %d", text, err, r.ETag(), r.Size())
	}
	if text, err := read(t, s.Opener, src, etag); err != nil || text != records {
		t.Errorf("pinned: %q, %v", text, err)
	}
	etag = `"v2"`
	_, err = read(t, s.Opener, src, `"v1"`)
	wantFailure(t, err, waybill.Permanent, "source.changed", "hand the run in again with replace")
	src.Checksum = checksum([]byte(records))
	if text, err := read(t, s.Opener, src, ""); err != nil || text != records {
		t.Errorf("with a checksum: %q, %v", text, err)
	}
}

// What a source is pinned to where it has no strong ETag.
func TestPinOfAURL(t *testing.T) {
	header := http.Header{}
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		_, _ = io.WriteString(w, records)
	})
	const day, next = "Wed, 15 Jan 2025 10:30:00 GMT", "Thu, 16 Jan 2025 10:30:00 GMT"
	for name, c := range map[string]struct {
		header, other http.Header
		pin           string
		noticed       bool
	}{
		"a weak tag": {http.Header{"Etag": {`W/"a"`}}, http.Header{"Etag": {`W/"b"`}}, `W/"a"`, true},
		"a time":     {http.Header{"Last-Modified": {day}}, http.Header{"Last-Modified": {next}}, day + ", 16 bytes", true},
		"nothing":    {http.Header{}, http.Header{"Etag": {`"b"`}}, "", false},
		"tag gone":   {http.Header{"Etag": {`"a"`}}, http.Header{}, `"a"`, true},
	} {
		header = c.header
		r := open(t, s.Opener, s.source("/open/x"))
		if r.ETag() != c.pin {
			t.Errorf("%s: pinned to %q", name, r.ETag())
		}
		if text, err := read(t, s.Opener, s.source("/open/x"), r.ETag()); err != nil || text != records {
			t.Errorf("%s: read again: %q, %v", name, text, err)
		}
		header = c.other
		if _, err := read(t, s.Opener, s.source("/open/x"), r.ETag()); c.noticed {
			wantFailure(t, err, waybill.Permanent, "source.changed", "hand the run in again")
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestContentCodings(t *testing.T) {
	packed := gz(t, records)
	for name, c := range map[string]struct {
		path, compression, checksum string
		body                        []byte
		coding, asked               string // Content-Encoding, Accept-Encoding
		code                        string // empty: the records come out
	}{
		"plain":                                    {"a.jsonl", "", "", []byte(records), "", "gzip", ""},
		"packed on the way":                        {"a.jsonl", "", "", packed, "gzip", "gzip", ""},
		"packed on the way, old name":              {"a.jsonl", "", "", packed, "X-GZIP", "gzip", ""},
		"declared plain, packed on the way":        {"a.jsonl", "none", "", packed, "gzip", "gzip", ""},
		"a gzip file":                              {"a.jsonl.gz", "", "", packed, "", "identity", ""},
		"a gzip file that is called a coding":      {"a.jsonl.gz", "", "", packed, "gzip", "identity", ""},
		"declared gzip that is called a coding":    {"a", "gzip", "", packed, "gzip", "identity", ""},
		"a gzip file packed on the way":            {"a.jsonl.gz", "", "", gz(t, string(packed)), "gzip", "identity", ""},
		"declared gzip packed on the way":          {"a", "gzip", "", gz(t, string(packed)), "gzip", "identity", ""},
		"a zstd file packed on the way":            {"a.zst", "", "", gz(t, string(zst(t, records))), "gzip", "identity", ""},
		"called packed, unpacked by a proxy":       {"a.jsonl", "", "", []byte(records), "gzip", "gzip", ""},
		"identity":                                 {"a.jsonl", "", "", []byte(records), "identity", "gzip", ""},
		"checksum of what is at the URI":           {"a.jsonl", "", checksum([]byte(records)), []byte(records), "", "identity", ""},
		"checksum of a gzip file":                  {"a.gz", "", checksum(packed), packed, "gzip", "identity", ""},
		"a coding nobody asked for":                {"a.jsonl", "", "", []byte(records), "br", "gzip", "source.unsupported_encoding"},
		"two codings":                              {"a.jsonl", "", "", packed, "gzip, gzip", "gzip", "source.unsupported_encoding"},
		"declared zstd, packed on the way as gzip": {"a", "zstd", "", packed, "gzip", "identity", "source.corrupt"},
		"damaged on the way":                       {"a.jsonl", "", "", packed[:len(packed)-6], "gzip", "gzip", "source.truncated"},
		"a damaged gzip file":                      {"a.gz", "", "", packed[:12], "", "identity", "source.truncated"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := ""
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked = r.Header.Get("Accept-Encoding")
				if c.coding != "" {
					w.Header().Set("Content-Encoding", c.coding)
				}
				_, _ = w.Write(c.body)
			})
			src := s.source("/open/" + c.path)
			src.Compression, src.Checksum = c.compression, c.checksum
			text, err := read(t, s.Opener, src, "")
			if c.code != "" {
				wantFailure(t, err, waybill.Permanent, c.code, "hand the run in again")
			} else if err != nil || text != records {
				t.Errorf("read %q, %v", text, err)
			}
			if asked != c.asked {
				t.Errorf("asked for %q, want %q", asked, c.asked)
			}
		})
	}
}

func TestExpansionOfAURLIsBounded(t *testing.T) {
	text := strings.Repeat("0", 8<<20)
	for name, body := range map[string][]byte{"bomb.gz": gz(t, text), "bomb.zst": zst(t, text), "coded": gz(t, text), "twice.gz": gz(t, string(gz(t, text)))} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if name == "coded" || name == "twice.gz" {
				w.Header().Set("Content-Encoding", "gzip")
			}
			w.(http.Flusher).Flush() // no Content-Length
			_, _ = w.Write(body)
		})
		s.Expansion, s.ExpansionFloor = 10, 1<<20
		r := open(t, s.Opener, s.source("/open/"+name))
		n, err := io.Copy(io.Discard, r)
		wantFailure(t, err, waybill.Permanent, "source.too_large", "far larger")
		if n > 1<<20 || r.Size() != unknownSize {
			t.Errorf("%s: %d bytes, size %d", name, n, r.Size())
		}
		s.Expansion, s.ExpansionFloor = 1_000_000, 1 // of what was read so far, where nobody says how much will come
		if got, err := read(t, s.Opener, s.source("/open/"+name), ""); err != nil || len(got) != len(text) {
			t.Errorf("%s: below the limit: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestStatuses(t *testing.T) {
	status, after := 0, ""
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "vendor text")
	})
	for code, want := range map[int]struct {
		verdict waybill.Verdict
		code    string
	}{
		401: {waybill.Blocked, "source.access_denied"}, 403: {waybill.Blocked, "source.access_denied"},
		404: {waybill.Permanent, "source.not_found"}, 410: {waybill.Permanent, "source.not_found"},
		408: {waybill.Throttled, "source.throttled"}, 429: {waybill.Throttled, "source.throttled"}, 503: {waybill.Throttled, "source.throttled"},
		421: {waybill.Transient, "source.unavailable"}, 425: {waybill.Transient, "source.unavailable"},
		500: {waybill.Transient, "source.unavailable"}, 502: {waybill.Transient, "source.unavailable"}, 504: {waybill.Transient, "source.unavailable"}, 599: {waybill.Transient, "source.unavailable"},
		204: {waybill.Permanent, "source.refused"}, 206: {waybill.Permanent, "source.refused"}, 304: {waybill.Permanent, "source.refused"}, 400: {waybill.Permanent, "source.refused"}, 451: {waybill.Permanent, "source.refused"},
		412: {waybill.Permanent, "source.changed"},
	} {
		status, after = code, "30"
		_, err := read(t, s.Opener, s.source("/open/run.jsonl?sig=hunter2"), "")
		wantFailure(t, err, want.verdict, want.code, " ")
		f, ok := errors.AsType[*waybill.Failure](err)
		if !ok || (f.Verdict == waybill.Throttled) != (f.After == 30*time.Second) || f.Action == "" {
			t.Errorf("%d: %+v", code, f)
		}
		if text := err.Error() + f.Action; strings.Contains(text, "hunter2") || strings.Contains(text, "vendor text") {
			t.Errorf("%d: %s", code, text)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 5 * time.Second, "soon": 5 * time.Second, "-3": 5 * time.Second, "0": time.Second, "7": 7 * time.Second, "99999": time.Hour, "99999999999999999999": 5 * time.Second,
		"Wed, 15 Jan 2025 10:31:00 GMT": time.Minute, "Wed, 15 Jan 2025 10:29:00 GMT": time.Second, "Fri, 15 Jan 2055 10:29:00 GMT": time.Hour,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestPagesAreNoRecords(t *testing.T) {
	const page = "<!doctype html><title>Sign in</title>"
	for name, c := range map[string]struct{ kind, coding, body string }{
		"by its type":             {"text/html; charset=utf-8", "", page},
		"by its type alone":       {"text/html", "", records},
		"XHTML":                   {"application/xhtml+xml", "", page},
		"by its bytes":            {"application/json", "", "\ufeff \n" + page},
		"packed":                  {"application/octet-stream", "gzip", page},
		"an error in XML":         {"application/xml", "", `<?xml version="1.0"?><Error/>`},
		"a type nobody can parse": {"text/html;;=", "", page},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				body := []byte(c.body)
				if c.coding != "" {
					w.Header().Set("Content-Encoding", c.coding)
					body = gz(t, c.body)
				}
				_, _ = w.Write(body)
			})
			_, err := read(t, s.Opener, s.source("/open/run.jsonl"), "")
			wantFailure(t, err, waybill.Permanent, "source.not_records", "web page where records were announced")
		})
	}
}

func TestAHugeHeader(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s := serveOver(t, http2, func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				w.Header().Add("X-Huge", strings.Repeat("x", 1<<10))
			}
		})
		_, err := read(t, s.Opener, s.source("/open/x"), "")
		wantFailure(t, err, waybill.Blocked, "source.header_too_large", "far too large")
	}
}

// A body that goes on for ever ends with the work's own time.
func TestAnEndlessBodyEndsWithTheContext(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		gone := make(chan struct{})
		s := serveOver(t, http2, func(w http.ResponseWriter, r *http.Request) {
			defer close(gone)
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "{}\n")
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(time.Millisecond):
				}
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		r, err := s.Open(ctx, "team-1", s.source("/open/x"), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		_ = r.Close()
		<-gone
	}
}
