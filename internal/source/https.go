package source

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
)

// web is a source at a URL.
type web struct {
	opener Opener
	team   string
	url    *url.URL
	// coding is the Accept-Encoding of every request for it. All must ask for
	// the same, for each coding is a representation with bytes of its own.
	coding string
	keyed  bool // the platform's key is sent
}

func (o Opener) openWeb(ctx context.Context, team string, src waybill.Source, u *url.URL, pin string) (rawObject, error) {
	if o.Web == nil {
		return rawObject{}, notAllowed("this fleet reads no https sources; hand in records as an object", "no client is configured")
	}
	if err := o.allowedURL(team, u); err != nil {
		return rawObject{}, err
	}
	w := &web{opener: o, team: team, url: u, coding: acceptEncoding(src), keyed: o.Platform.owns(u)}
	resp, err := w.get(ctx, 0, version{})
	if err != nil {
		return rawObject{}, err
	}
	v, err := w.first(resp, pin)
	if err != nil {
		_ = resp.Body.Close()
		return rawObject{}, err
	}
	r := &resumed{ctx: ctx, body: resp.Body, size: v.size, patience: o.resume.withDefaults()}
	if v.validator != "" {
		r.reopen = func(ctx context.Context, offset int64) (io.ReadCloser, error) { return w.rest(ctx, offset, v) }
	}
	return rawObject{ReadCloser: r, etag: v.pin(), size: v.size, coding: v.coding, web: true}, nil
}

// acceptEncoding asks a server to compress what is not compressed, unless the
// bytes at the URI themselves are wanted: their checksum was announced.
func acceptEncoding(src waybill.Source) string {
	packed := src.Compression == string(gzipped) || src.Compression == string(zstdized) || byName(src.URI) != none
	if packed || src.Checksum != "" {
		return "identity"
	}
	return "gzip"
}

// owns reports whether u is the platform's, so that the key is for it.
func (p Platform) owns(u *url.URL) bool {
	own, err := url.Parse(p.URL)
	return p.Key != nil && err == nil && below(own, u)
}

// get asks for the bytes from offset on, if they are still those of v.
func (w *web) get(ctx context.Context, offset int64, v version) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url.String(), http.NoBody)
	if err != nil {
		return nil, notAllowed("name the run's records by an absolute URI", "source is not a URL")
	}
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Accept-Encoding", w.coding)
	req.Header.Set("User-Agent", "waybill")
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		req.Header.Set("If-Range", v.validator)
	}
	if w.keyed {
		key, err := w.opener.Platform.headerKey(ctx)
		if err != nil {
			return nil, err
		}
		req.Header.Set("X-Api-Key", key)
	}
	return w.opener.Web.Follow(req, w.mayRedirect)
}

// mayRedirect holds a redirect to the prefixes that hold for the source itself:
// who may redirect could else read with our eyes whatever is reachable.
func (w *web) mayRedirect(to *url.URL) error {
	if err := w.opener.allowedURL(w.team, to); err != nil {
		return waybill.Failf(waybill.Permanent, "source.redirect_refused",
			"The server of the run's records redirects to a place that sources.allow does not name for this team; hand the run in again with an address that is allowed, or have the operator allow that one.",
			"redirect to %.300q: %w", to.Host, err)
	}
	return nil
}

// version is what tells the bytes of a URL from other bytes of the same URL.
type version struct {
	etag      string // weak or strong
	modified  string // Last-Modified, as sent
	size      int64  // bytes as they are sent; unknownSize
	coding    string // Content-Encoding; empty: none
	validator string // for If-Range; empty: nothing proves that bytes are the same
}

// first looks at the answer to the first request.
func (w *web) first(resp *http.Response, pin string) (version, error) {
	if resp.StatusCode != http.StatusOK {
		return version{}, statusFailure(resp, w.keyed)
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/html" || kind == "application/xhtml+xml" {
		return version{}, notRecords("server answers with %s", kind)
	}
	v := versionOf(resp)
	if v.coding != "" && v.coding != "gzip" {
		return version{}, waybill.Failf(waybill.Permanent, "source.unsupported_encoding",
			"The server of the run's records compresses them in a way that was not asked for; have it send them plain or as gzip, and hand the run in again with replace.",
			"Content-Encoding is %.100q", v.coding)
	}
	if pin != "" && v.pin() != pin {
		return version{}, changed(fmt.Errorf("source is %q, the first read saw %q", v.pin(), pin))
	}
	return v, nil
}

func versionOf(resp *http.Response) version {
	h := resp.Header
	v := version{etag: h.Get("ETag"), modified: h.Get("Last-Modified"), size: resp.ContentLength, coding: coding(h.Get("Content-Encoding"))}
	switch {
	case v.etag != "" && !strings.HasPrefix(v.etag, "W/"):
		v.validator = v.etag
	case v.etag == "" && v.coding == "" && isOld(v.modified, h.Get("Date")):
		v.validator = v.modified
	}
	return v
}

func coding(header string) string {
	switch c := strings.ToLower(strings.TrimSpace(header)); c {
	case "identity":
		return ""
	case "x-gzip":
		return "gzip"
	default:
		return c
	}
}

// isOld reports whether a time of last change proves anything: within its own
// second, or by a clock that is a little off, a file can change twice.
// https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.2
func isOld(modified, date string) bool {
	at, err := http.ParseTime(modified)
	now, err2 := http.ParseTime(date)
	return err == nil && err2 == nil && now.Sub(at) >= time.Minute
}

// pin is what a later attempt holds the source to.
func (v version) pin() string {
	switch {
	case v.etag != "":
		return v.etag
	case v.modified != "":
		return fmt.Sprintf("%s, %d bytes", v.modified, v.size)
	}
	return ""
}

// rest opens version v from offset on.
func (w *web) rest(ctx context.Context, offset int64, v version) (io.ReadCloser, error) {
	resp, err := w.get(ctx, offset, v)
	if err != nil {
		return nil, err
	}
	body, err := w.restOf(resp, offset, v)
	if err != nil {
		_ = resp.Body.Close()
	}
	return body, err
}

func (w *web) restOf(resp *http.Response, offset int64, v version) (io.ReadCloser, error) {
	now := versionOf(resp)
	same := now.etag == v.etag && now.coding == v.coding && (v.etag != "" || now.modified == v.modified)
	switch resp.StatusCode {
	case http.StatusOK: // the server gives no parts, or another version
		if !same || v.size >= 0 && now.size >= 0 && now.size != v.size {
			return nil, changed(fmt.Errorf("source is %q, what was read before was %q", now.pin(), v.pin()))
		}
		_, err := io.CopyN(io.Discard, resp.Body, offset)
		return resp.Body, err
	case http.StatusPartialContent:
		// A server repeats the ETag; the time of last change it may leave out.
		if now.etag != v.etag || now.modified != "" && now.modified != v.modified || !isRest(resp.Header.Get("Content-Range"), offset, v.size) {
			return nil, changed(fmt.Errorf("part %.100q of %q, what was read before was %q", resp.Header.Get("Content-Range"), now.etag, v.pin()))
		}
		return resp.Body, nil
	case http.StatusRequestedRangeNotSatisfiable:
		if resp.Header.Get("Content-Range") == fmt.Sprintf("bytes */%d", offset) && v.size < 0 {
			_ = resp.Body.Close()
			return http.NoBody, nil // the cut was behind the last byte
		}
		return nil, changed(fmt.Errorf("source has no byte %d any more", offset))
	}
	return nil, classifyOpen(location(w.url.String()), statusFailure(resp, w.keyed))
}

// isRest reports whether a Content-Range begins where we left off, in a whole
// of the same size. https://www.rfc-editor.org/rfc/rfc9110#section-14.4
func isRest(header string, offset, size int64) bool {
	part, ok := strings.CutPrefix(header, "bytes ")
	span, total, ok2 := strings.Cut(part, "/")
	first, _, ok3 := strings.Cut(span, "-")
	at, err := strconv.ParseInt(first, 10, 64)
	return ok && ok2 && ok3 && err == nil && at == offset && (size < 0 || total == "*" || total == strconv.FormatInt(size, 10))
}
