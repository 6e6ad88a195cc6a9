package netguard

import (
	"net/http"
	"net/url"
	"slices"
)

// MaxRedirects is how many redirects are followed.
const MaxRedirects = 3

// guarded is the transport that every request passes, each hop of a redirect too.
type guarded struct{ g *Guard }

// RoundTrip checks what one request says of itself, and sends it. Its errors
// are a [waybill.Failure], or the context's error.
func (t *guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	hops, left := history(req)
	err := t.g.checkURL(req.URL)
	switch {
	case err != nil:
	case hops > MaxRedirects:
		err = refused("net.too_many_redirects", "redirects more than three times; give the address it leads to", req.URL.Host, "%d redirects", hops)
	case left && req.Body != nil && req.Body != http.NoBody:
		err = refused("net.redirect_refused", "redirects what is sent to it to another server; give the address it leads to", req.URL.Host, "redirect of a request with a body")
	}
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a round tripper always does
		}
		return nil, err
	}
	if left {
		req = withoutCredentials(req)
	}
	resp, err := t.g.transport.RoundTrip(req)
	if err != nil {
		return nil, failure(req.Context(), req.URL.Host, err)
	}
	return resp, nil
}

func (g *Guard) checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !g.allowed.plain(u)):
		return refused("net.scheme_refused", "is addressed without encryption; use https", u.Host, "scheme %.20q", u.Scheme)
	case u.User != nil:
		return refused("net.credentials_in_url", "is addressed with credentials in the URL; take them out", u.Host, "credentials in URL")
	}
	return nil
}

// history returns how many redirects led to a request, and whether any hop
// left the origin of the first one. It looks at the requests themselves and
// not at a client's policy, for clients have policies of their own.
func history(req *http.Request) (hops int, left bool) {
	urls := []*url.URL{req.URL}
	for r := req; r.Response != nil && r.Response.Request != nil; r = r.Response.Request {
		urls = append(urls, r.Response.Request.URL)
	}
	first := urls[len(urls)-1]
	return len(urls) - 1, slices.ContainsFunc(urls, func(u *url.URL) bool { return !SameOrigin(u, first) })
}

// harmless are the headers that say what is wanted and prove nothing. A list
// of what may travel, not of what may not: nobody knows every header that
// somebody's server takes for a credential.
var harmless = []string{"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Content-Type", "If-Match", "If-Modified-Since",
	"If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "User-Agent"}

func withoutCredentials(req *http.Request) *http.Request {
	clean := req.Clone(req.Context())
	for name := range clean.Header {
		if !slices.Contains(harmless, http.CanonicalHeaderKey(name)) {
			delete(clean.Header, name)
		}
	}
	clean.Host = ""
	return clean
}

// follow is the redirect policy of our own clients. The limits are in
// RoundTrip; here the caller has its say, and Referer, which may hold a signed
// URL, is dropped on any redirect.
func follow(may func(*url.URL) error) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		req.Header.Del("Referer")
		if may == nil || len(via) > MaxRedirects { // RoundTrip refuses the latter
			return nil
		}
		return may(req.URL)
	}
}
