package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// cutting cuts the nth answer of a handler after cuts[n] bytes; answers beyond
// the list are whole.
func cutting(handler http.HandlerFunc, cuts ...int) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if i := int(n.Add(1)) - 1; i < len(cuts) {
			w = &cutWriter{w, cuts[i]}
		}
		handler(w, r)
	}
}

type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) < w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	w.Flush()
	panic(http.ErrAbortHandler) // closes the connection without an end
}

func (w *cutWriter) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

var (
	longText = strings.Repeat(records, 10_000)
	longAgo  = time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)
)

// tagged serves content with parts; etag and modified may be empty.
func tagged(content []byte, etag string, modified time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		http.ServeContent(w, r, "x.bin", modified, strings.NewReader(string(content)))
	}
}

// whole serves content as a server that gives no parts.
func whole(content []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content)
	}
}

func coded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		next(w, r)
	}
}

func TestResumedAfterACut(t *testing.T) {
	text, packed := []byte(longText), gz(t, incompressible(1<<20))
	for name, c := range map[string]struct {
		handler  func(content []byte) http.HandlerFunc // a fresh one for each protocol: it counts
		content  []byte
		requests int64
	}{
		"by a strong tag":              {func(c []byte) http.HandlerFunc { return cutting(tagged(c, `"v1"`, time.Time{}), 5000) }, text, 2},
		"several times":                {func(c []byte) http.HandlerFunc { return cutting(tagged(c, `"v1"`, time.Time{}), 50_000, 1, 0, 30_000) }, text, 5},
		"before the first byte":        {func(c []byte) http.HandlerFunc { return cutting(tagged(c, `"v1"`, time.Time{}), 0) }, text, 2},
		"by the time of last change":   {func(c []byte) http.HandlerFunc { return cutting(tagged(c, "", longAgo), 5000) }, text, 2},
		"by a tag beside a time":       {func(c []byte) http.HandlerFunc { return cutting(tagged(c, `"v1"`, longAgo), 5000) }, text, 2},
		"where no parts are given":     {func(c []byte) http.HandlerFunc { return cutting(whole(c, `"v1"`), 5000, 6000) }, text, 3},
		"packed":                       {func(c []byte) http.HandlerFunc { return cutting(coded(tagged(c, `"v1"`, time.Time{})), 5000, 70_000) }, packed, 3},
		"behind the last byte":         {func(c []byte) http.HandlerFunc { return cutting(coded(tagged(c, `"v1"`, time.Time{})), len(c)) }, packed, 2},
		"at a server with a bad day":   {func(c []byte) http.HandlerFunc { return badDay(tagged(c, `"v1"`, time.Time{}), 5000) }, text, 4},
		"not at all, but in one piece": {func(c []byte) http.HandlerFunc { return tagged(c, "", time.Time{}) }, text, 1},
	} {
		for proto, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
			t.Run(name+" over "+proto, func(t *testing.T) {
				s := serveOver(t, http2, c.handler(c.content))
				src := s.source("/open/x")
				src.Checksum = checksum(c.content) // nothing twice, nothing missing
				if _, err := read(t, s.Opener, src, ""); err != nil || s.requests.Load() != c.requests {
					t.Errorf("%v after %d requests, want %d", err, s.requests.Load(), c.requests)
				}
			})
		}
	}
}

// badDay is cut once, and answers twice with an error of its own before it
// gives the rest.
func badDay(handler http.HandlerFunc, cut int) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) {
		case 1:
			handler(&cutWriter{w, cut}, r)
		case 2:
			w.WriteHeader(http.StatusBadGateway)
		case 3:
			panic(http.ErrAbortHandler)
		default:
			handler(w, r)
		}
	}
}

func TestNotResumed(t *testing.T) {
	text := []byte(longText)
	for name, c := range map[string]struct {
		handler  http.HandlerFunc
		requests int64
	}{
		"nothing tells the version":         {tagged(text, "", time.Time{}), 1},
		"a weak tag":                        {tagged(text, `W/"v1"`, longAgo), 1},
		"a time of last change of just now": {tagged(text, "", time.Now()), 1},
		"a time, and packed":                {coded(tagged(gz(t, longText), "", longAgo)), 1},
		"cut and cut again":                 {tagged(text, `"v1"`, time.Time{}), 6},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, cutting(c.handler, 100, 0, 10, 0, 10, 0, 0, 0))
			_, err := read(t, s.Opener, s.source("/open/x?sig=hunter2"), "")
			wantFailure(t, err, waybill.Transient, "source.cut", "tried again by itself")
			if got := s.requests.Load(); got != c.requests || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%d requests, want %d: %v", got, c.requests, err)
			}
		})
	}
}

// Whatever a server gives for the rest: bytes of another version are never
// put behind those of the first.
func TestVersionsAreNeverMixed(t *testing.T) {
	text, other := []byte(longText), []byte(strings.ToUpper(longText))
	part := func(status int, etag, span string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if etag != "" {
				w.Header().Set("ETag", etag)
			}
			w.Header().Set("Content-Range", span)
			w.WriteHeader(status)
			_, _ = w.Write(other[5000:])
		}
	}
	right := fmt.Sprintf("bytes 5000-%d/%d", len(text)-1, len(text))
	for name, c := range map[string]struct {
		rest    http.HandlerFunc
		verdict waybill.Verdict
		code    string
	}{
		"another version, whole":             {tagged(other, `"v2"`, time.Time{}), waybill.Permanent, "source.changed"},
		"another version, without a tag":     {tagged(other, "", time.Time{}), waybill.Permanent, "source.changed"},
		"another size under one tag":         {whole(text[:6000], `"v1"`), waybill.Permanent, "source.changed"},
		"a part of another version":          {part(206, `"v2"`, right), waybill.Permanent, "source.changed"},
		"a part of an unnamed version":       {part(206, "", right), waybill.Permanent, "source.changed"},
		"a part that begins before":          {part(206, `"v1"`, strings.Replace(right, "5000-", "4999-", 1)), waybill.Permanent, "source.changed"},
		"a part that begins behind":          {part(206, `"v1"`, strings.Replace(right, "5000-", "5001-", 1)), waybill.Permanent, "source.changed"},
		"a part of another size":             {part(206, `"v1"`, right+"0"), waybill.Permanent, "source.changed"},
		"a part of nowhere":                  {part(206, `"v1"`, "bytes"), waybill.Permanent, "source.changed"},
		"a shorter one":                      {part(416, `"v1"`, "bytes */10"), waybill.Permanent, "source.changed"},
		"a precondition that does not hold":  {part(412, "", ""), waybill.Permanent, "source.changed"},
		"nothing any more":                   {part(404, "", ""), waybill.Permanent, "source.not_found"},
		"no permission any more":             {part(403, "", ""), waybill.Blocked, "source.access_denied"},
		"patience":                           {part(503, "", ""), waybill.Throttled, "source.throttled"},
		"a part with another coding":         {coded(tagged(other, `"v2"`, time.Time{})), waybill.Permanent, "source.changed"},
		"a redirect out of what is allowed":  {http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP, waybill.Permanent, "source.redirect_refused"},
		"a redirect to the metadata service": {http.RedirectHandler("https://169.254.169.254/", http.StatusFound).ServeHTTP, waybill.Permanent, "source.redirect_refused"},
	} {
		t.Run(name, func(t *testing.T) {
			first := cutting(tagged(text, `"v1"`, time.Time{}), 5000)
			var n atomic.Int64
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) == 1 {
					first(w, r)
					return
				}
				if r.Header.Get("Range") != "bytes=5000-" || r.Header.Get("If-Range") != `"v1"` {
					t.Errorf("asked for %v", r.Header)
				}
				c.rest(w, r)
			})
			got, err := read(t, s.Opener, s.source("/open/x"), "")
			wantFailure(t, err, c.verdict, c.code, " ")
			if got != longText[:5000] || n.Load() != 2 {
				t.Errorf("%d bytes after %d requests", len(got), n.Load())
			}
		})
	}
}

// flaky is a store whose nth Get is cut after cuts[n] bytes.
type flaky struct {
	storage.Store
	cuts []int64
	gets []storage.GetOptions
	cut  error
}

func (f *flaky) Get(ctx context.Context, key string, opts storage.GetOptions) (io.ReadCloser, storage.Object, error) {
	f.gets = append(f.gets, opts)
	body, object, err := f.Store.Get(ctx, key, opts)
	if n := len(f.gets) - 1; err == nil && n < len(f.cuts) {
		body = &cutBody{body, f.cuts[n], f.cut}
	}
	return body, object, err
}

type cutBody struct {
	io.ReadCloser
	left int64
	err  error
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// object is an Opener whose stores of every scheme are one folder with the
// text at team-1/run.jsonl.
func object(t *testing.T, text string, cuts ...int64) (Opener, *flaky) {
	t.Helper()
	store, err := storage.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &flaky{Store: store, cuts: cuts, cut: waybill.Failf(waybill.Transient, "storage.unreachable", "It is repeated.", "connection reset")}
	put(t, f, text)
	return Opener{
		Allow:  []string{"gs://runs/{teamId}/", "azblob://runs/{teamId}/"},
		Store:  func(context.Context, string) (storage.Store, error) { return f, nil },
		resume: hasty,
	}, f
}

func put(t *testing.T, store storage.Store, text string) {
	t.Helper()
	if _, err := store.Put(t.Context(), "team-1/run.jsonl", strings.NewReader(text), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestObjectsOfEveryScheme(t *testing.T) {
	for _, scheme := range []string{"gs", "azblob"} {
		o, f := object(t, longText, 5000, 0, 7)
		src := waybill.Source{URI: scheme + "://runs/team-1/run.jsonl", Checksum: checksum([]byte(longText))}
		asked := ""
		store := o.Store
		o.Store = func(ctx context.Context, location string) (storage.Store, error) {
			asked = location
			return store(ctx, location)
		}
		r := open(t, o, src)
		if text, err := io.ReadAll(r); err != nil || string(text) != longText || asked != scheme+"://runs" {
			t.Errorf("%s: %d bytes, %v, from %q", scheme, len(text), err, asked)
		}
		want := []storage.GetOptions{{}, {Offset: 5000, IfMatch: r.ETag()}, {Offset: 5000, IfMatch: r.ETag()}, {Offset: 5007, IfMatch: r.ETag()}}
		if fmt.Sprint(f.gets) != fmt.Sprint(want) || r.ETag() == "" {
			t.Errorf("%s: asked for %v, want %v", scheme, f.gets, want)
		}
		if _, err := read(t, o, src, r.ETag()); err != nil {
			t.Errorf("%s: pinned: %v", scheme, err)
		}
		put(t, f, records)
		_, err := read(t, o, src, r.ETag())
		wantFailure(t, err, waybill.Permanent, "source.changed", "hand the run in again with replace")
	}
	_, err := read(t, Opener{Allow: []string{"gs://runs/{teamId}/"}}, waybill.Source{URI: "gs://runs/team-1/run.jsonl"}, "")
	wantFailure(t, err, waybill.Permanent, "source.not_allowed", "reads no objects")
}

func TestObjectChangedBetweenParts(t *testing.T) {
	o, f := object(t, longText, 5000)
	o.resume.pause = func(context.Context, int) error { put(t, f, strings.ToUpper(longText)); return nil }
	text, err := read(t, o, waybill.Source{URI: "gs://runs/team-1/run.jsonl"}, "")
	wantFailure(t, err, waybill.Permanent, "source.changed", "hand the run in again with replace")
	if text != longText[:5000] || len(f.gets) != 2 {
		t.Errorf("read %d bytes by %v", len(text), f.gets)
	}
}

func TestObjectGoneBetweenParts(t *testing.T) {
	o, f := object(t, longText, 5000)
	o.resume.pause = func(ctx context.Context, _ int) error { return f.Delete(ctx, "team-1/run.jsonl") }
	_, err := read(t, o, waybill.Source{URI: "gs://runs/team-1/run.jsonl"}, "")
	wantFailure(t, err, waybill.Permanent, "source.not_found", "are not at gs://runs/team-1/run.jsonl")
	if len(f.gets) != 2 {
		t.Errorf("asked for %v", f.gets)
	}
}

func TestObjectFailuresThatNoReadingAgainMends(t *testing.T) {
	for name, c := range map[string]struct {
		cut   int64
		cause error
		code  string
		gets  int
	}{
		"no permission":                 {100, waybill.Failf(waybill.Blocked, "storage.access_denied", "Allow it.", "denied"), "source.access_denied", 1},
		"a wrong checksum at the end":   {int64(len(longText)), waybill.Failf(waybill.Transient, "storage.corrupted", "It is repeated.", "checksum"), "source.corrupted", 1},
		"throttled":                     {100, waybill.Failf(waybill.Throttled, "storage.throttled", "Waits.", "slow down"), "source.throttled", 1},
		"a body that is simply shorter": {100, io.EOF, "source.cut", 6},
	} {
		t.Run(name, func(t *testing.T) {
			o, f := object(t, longText, c.cut, 0, 0, 0, 0, 0, 0)
			f.cut = c.cause
			_, err := read(t, o, waybill.Source{URI: "gs://runs/team-1/run.jsonl"}, "")
			failure, ok := err.(*waybill.Failure)
			if !ok || failure.Code != c.code || len(f.gets) != c.gets {
				t.Errorf("%v after %d reads, want %s after %d", err, len(f.gets), c.code, c.gets)
			}
		})
	}
}

// A long source may be cut more often than a short one, as long as it gets on.
func TestPatienceIsRenewedByProgress(t *testing.T) {
	cuts := make([]int64, 1000)
	for i := range cuts {
		cuts[i] = 999
	}
	for renew, whole := range map[int64]bool{999: true, 1000: false} {
		o, f := object(t, longText, cuts...)
		o.resume = patience{tries: 1, renew: renew, pause: hasty.pause}
		text, err := read(t, o, waybill.Source{URI: "gs://runs/team-1/run.jsonl"}, "")
		if (err == nil) != whole || (len(text) == len(longText)) != whole {
			t.Errorf("renewed after %d: %d bytes after %d reads, %v", renew, len(text), len(f.gets), err)
		}
	}
}

func TestCancelledWhileWaitingToResume(t *testing.T) {
	o, _ := object(t, longText, 100)
	o.resume = patience{}
	ctx, cancel := context.WithCancel(t.Context())
	o.resume.pause = func(ctx context.Context, try int) error { cancel(); return pause(ctx, try) }
	r, err := o.Open(ctx, "team-1", waybill.Source{URI: "gs://runs/team-1/run.jsonl"}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("read on: %v", err)
	}
}
