// Package web is the pages for people: deliveries, one delivery's life,
// connectors. They are made on the server, work without scripts, and read the
// ledger alone. One login, with a token, opens them and the view of the queues.
package web

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/tokens"
)

// Options say what the pages show. Fields without a default are required.
type Options struct {
	Ledger      *ledger.Ledger
	Connectors  *connectors.Registry
	Tokens      tokens.Book
	Destination func(c connectors.Connector) string
	Queues      http.Handler // the view of the queues, for who may see all teams
	QueuesPath  string       // where it is, e.g. /queues
	Now         func() time.Time
	Log         *slog.Logger
}

// Server serves the pages.
type Server struct {
	o        Options
	mux      *http.ServeMux
	patterns []string
	cross    *http.CrossOriginProtection

	mu     sync.Mutex
	charts map[string]chart // by team
}

var _ http.Handler = (*Server)(nil)

//go:embed pages
var files embed.FS

// New returns a server of the pages.
func New(o Options) *Server {
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{o: o, mux: http.NewServeMux(), cross: http.NewCrossOriginProtection(), charts: map[string]chart{}}
	s.handle("GET /assets/style.css", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300")
		http.ServeFileFS(w, r, files, "pages/style.css")
	})
	s.handle("GET /login", s.loginPage)
	s.handle("POST /login", s.login)
	s.handle("POST /logout", s.page((*visit).logout))
	s.handle("GET /{$}", s.page((*visit).deliveries))
	s.handle("GET /deliveries/{id}", s.page((*visit).delivery))
	s.handle("POST /deliveries/{id}/retry", s.page((*visit).retry))
	s.handle("GET /connectors", s.page((*visit).connectors))
	if o.Queues != nil {
		s.handle(o.QueuesPath+"/", s.queues())
	}
	s.handle("/", s.page(func(*visit) error { return waybill.ErrNotFound }))
	return s
}

func (s *Server) handle(pattern string, answer http.HandlerFunc) {
	s.mux.Handle(pattern, answer)
	s.patterns = append(s.patterns, pattern)
}

// Patterns are those of all that is answered.
func (s *Server) Patterns() []string { return s.patterns }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.cross.Check(r); err != nil {
		s.refuse(w, &visit{Server: s, w: w, r: r}, http.StatusForbidden, "This was sent from another site.")
		return
	}
	s.mux.ServeHTTP(w, r)
}

// visit is one request of somebody who logged in.
type visit struct {
	*Server
	w http.ResponseWriter
	r *http.Request
	session
}

// timeout bounds what a page waits for.
const timeout = 15 * time.Second

// page answers who logged in, and shows others the login.
func (s *Server) page(show func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		v := &visit{Server: s, w: w, r: r.WithContext(ctx)}
		if v.enter(s.o) {
			v.fail(show(v))
		}
	}
}

// queues shows the queues to who may see all teams: what waits there is everybody's.
func (s *Server) queues() http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Server: s, w: w, r: r}
		switch {
		case !v.enter(s.o):
		case !v.grant.EveryTeam():
			s.refuse(w, v, http.StatusForbidden, "The queues hold the work of every team, and your token is not for all of them.")
		default:
			w.Header().Set("X-Frame-Options", "DENY")
			s.o.Queues.ServeHTTP(w, r)
		}
	}
}

// fail shows what went wrong; what a visitor cannot mend is in the log alone.
func (v *visit) fail(err error) {
	var state *ledger.StateError
	switch {
	case err == nil:
	case errors.Is(err, waybill.ErrNotFound):
		v.refuse(v.w, v, http.StatusNotFound, "There is no such thing here. It may have left the ledger for the history in the bucket.")
	case errors.Is(err, errForged):
		v.refuse(v.w, v, http.StatusForbidden, "The form is too old, or was not ours. Go back, load the page again, and repeat it.")
	case errors.Is(err, errScope):
		v.refuse(v.w, v, http.StatusForbidden, "Your token only reads. Log in with one of scope ops.")
	case errors.As(err, &state):
		v.refuse(v.w, v, http.StatusConflict, state.Error()+".")
	default:
		v.o.Log.ErrorContext(v.r.Context(), "page could not be shown", "component", "web", "path", v.r.URL.Path, "error", err)
		v.refuse(v.w, v, http.StatusServiceUnavailable, "The ledger does not answer just now. Load the page again in a moment.")
	}
}

// refuse shows a page that only says why there is no other.
func (s *Server) refuse(w http.ResponseWriter, v *visit, status int, why string) {
	s.show(w, v, status, "error", "Error", struct {
		Status int
		Title  string
		Why    string
	}{status, http.StatusText(status), why})
}

// layout is what every page has.
type layout struct {
	Title  string
	Visit  *visit
	Queues string
	Page   any
}

// LoggedIn reports whether the page is of somebody.
func (v *visit) LoggedIn() bool { return v.grant.Name != "" }

// Name is that of the visitor's token.
func (v *visit) Name() string { return v.grant.Name }

// CSRF proves that a form is ours.
func (v *visit) CSRF() string { return v.csrf }

// EveryTeam reports whether the visitor may see all teams.
func (v *visit) EveryTeam() bool { return v.grant.EveryTeam() }

// At reports whether the visitor is at a page of the menu.
func (v *visit) At(path string) bool { return v.r.URL.Path == path }

// policy lets a page load its own style and nothing else, and run nothing.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// show makes the whole page before any of it is sent.
func (s *Server) show(w http.ResponseWriter, v *visit, status int, name, title string, page any) {
	queues := ""
	if s.o.Queues != nil {
		queues = s.o.QueuesPath + "/"
	}
	var text bytes.Buffer
	if err := templates[name].ExecuteTemplate(&text, "layout.html", layout{title, v, queues, page}); err != nil {
		s.o.Log.ErrorContext(v.r.Context(), "page could not be made", "component", "web", "page", name, "error", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = text.WriteTo(w) // the visitor may have left
}

// templates are the pages, each with the layout.
var templates = func() map[string]*template.Template {
	pages := map[string]*template.Template{}
	for _, name := range []string{"login", "deliveries", "delivery", "connectors", "error"} {
		pages[name] = template.Must(template.New(name).Funcs(functions).ParseFS(files, "pages/layout.html", "pages/"+name+".html"))
	}
	return pages
}()
