// Package sharing is our Delta Sharing server: whoever holds a connector's
// token reads the connector's public tables, and no others, with any client of
// the open protocol. The rows never pass through it where the tables lie in a
// bucket: clients are given URLs that read one file each for a while.
//
// The protocol: https://github.com/delta-io/delta-sharing/blob/main/PROTOCOL.md
package sharing

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// Share is what a connector's tokens open.
type Share struct {
	Store      storage.Store  // the place of the connector's tables, each in the folder of its name
	Workflows  []string       // whose tables are shown; empty: all
	Activity   bool           // ACTIVITY_LOG is shown too
	AllowedIPs []netip.Prefix // who may ask; empty: everybody
}

// Options say what a server serves. Fields without a default are required.
type Options struct {
	// URL at which customers reach the server. It serves below the URL's path.
	URL string
	// Tokens are the hashes of the tokens that were handed out.
	Tokens Tokens
	// Share returns a connector's share, or an error that matches
	// [waybill.ErrNotFound] where it has none, any more.
	Share func(ctx context.Context, connector string) (Share, error)
	// Brand names the one schema of each share; default kadoa.
	Brand string
	// Lifetime of the URLs of files; default 1 h. A file that its table no longer
	// has is kept for longer: see [delta.Options].
	Lifetime time.Duration
	// Observe is told of each request that was answered; may be nil.
	Observe func(endpoint string, status int, took time.Duration)

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default
}

// Server answers the protocol's requests.
type Server struct {
	o      Options
	prefix string // the path of the URL, without a slash at its end
	tables delta.Options
	secret []byte // signs the URLs of files that the server serves itself
	mux    *http.ServeMux

	mu    sync.Mutex
	known map[string]*table // by URL
}

var _ http.Handler = (*Server)(nil)

//go:embed openapi.json
var description []byte

// New returns a server. Nothing is read yet.
func New(o Options) (*Server, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" {
		return nil, waybill.Failf(waybill.Blocked, "sharing.settings", "Set sharing.url to the address at which customers reach the server.", "%q is not a URL: %w", o.URL, err)
	}
	o.Brand, o.Lifetime = cmp.Or(o.Brand, "kadoa"), cmp.Or(o.Lifetime, time.Hour)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	o.URL = strings.TrimRight(o.URL, "/")
	s := &Server{o: o, prefix: strings.TrimRight(u.Path, "/"), secret: make([]byte, 32), mux: http.NewServeMux(), known: map[string]*table{},
		tables: delta.Options{Brand: o.Brand, Now: o.Now, Log: o.Log}}
	_, _ = rand.Read(s.secret) // it never fails
	s.routes()
	return s, nil
}

const (
	shareRoute = "/shares/{share}"
	tableRoute = shareRoute + "/schemas/{schema}/tables/{table}"
)

func (s *Server) routes() {
	for pattern, h := range map[string]handler{
		"GET /shares":                                         (*request).listShares,
		"GET " + shareRoute:                                   (*request).getShare,
		"GET " + shareRoute + "/schemas":                      (*request).listSchemas,
		"GET " + shareRoute + "/schemas/{schema}/tables":      (*request).listTables,
		"GET " + shareRoute + "/all-tables":                   (*request).listTables,
		"HEAD " + tableRoute:                                  (*request).version,
		"GET " + tableRoute + "/version":                      (*request).version,
		"GET " + tableRoute + "/metadata":                     (*request).metadata,
		"POST " + tableRoute + "/query":                       (*request).query,
		"GET " + tableRoute + "/changes":                      (*request).changes,
		"POST " + tableRoute + "/queries/{query}":             (*request).queryStatus,
		"POST " + tableRoute + "/temporary-table-credentials": (*request).credentials,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		s.mux.Handle(method+" "+s.prefix+path, s.serve(path, s.authenticated(h)))
	}
	s.mux.Handle("GET "+s.prefix+fileRoute, s.serve(fileRoute, (*request).file))
	s.mux.Handle("GET "+s.prefix+"/openapi.json", s.serve("/openapi.json", func(r *request) error {
		r.w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, err := r.w.Write(description)
		return err
	}))
	s.mux.Handle(s.prefix+"/", s.serve("other", func(r *request) error { return notFound("%s %s is not an endpoint", r.Method, r.URL.Path) }))
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// request is one request, and who asks.
type request struct {
	*http.Request
	s *Server
	w *answer

	connector string
	token     Token
	share     Share
}

type handler func(*request) error

// answer knows whether, and with what, the request was answered.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	a.status = cmp.Or(a.status, status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.status = cmp.Or(a.status, http.StatusOK)
	return a.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// serve answers a request with what h writes, or with its error.
func (s *Server) serve(endpoint string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, a := time.Now(), &answer{ResponseWriter: w}
		req := &request{Request: r, s: s, w: a}
		if err := h(req); err != nil {
			req.fail(err)
		}
		if s.o.Observe != nil {
			s.o.Observe(endpoint, cmp.Or(a.status, http.StatusOK), time.Since(began))
		}
	})
}

// authenticated lets whoever has a valid token in, from where the connector allows it.
func (s *Server) authenticated(next handler) handler {
	return func(r *request) error {
		scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return errNoToken
		}
		connector, token, err := find(r.Context(), s.o.Tokens, strings.TrimSpace(bearer), s.o.Now())
		if err != nil {
			return err
		}
		if err := r.enter(connector, token); err != nil {
			return err
		}
		return next(r)
	}
}

// enter makes the request one of the connector's.
func (r *request) enter(connector string, token Token) (err error) {
	r.connector, r.token = connector, token
	if r.share, err = r.s.o.Share(r.Context(), connector); errors.Is(err, waybill.ErrNotFound) {
		return errNoToken // deleted; who else asks is not told that it ever was
	}
	if err != nil || len(r.share.AllowedIPs) == 0 {
		return err
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return errForbidden
	}
	for _, allowed := range r.share.AllowedIPs {
		if allowed.Contains(from.Addr().Unmap().WithZone("")) {
			return nil
		}
	}
	return errForbidden
}
