// Package api is what the fleet is asked and told over HTTP: runs are handed
// in, deliveries are looked at and retried, connectors are kept. It does what
// the commands do, with the same functions.
//
// Errors are problem documents: https://www.rfc-editor.org/rfc/rfc9457
package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/tokens"
)

// Options say what the API works on. Fields without a default are required.
type Options struct {
	Ledger     *ledger.Ledger
	Connectors *connectors.Registry
	Rules      connectors.Rules
	Tokens     tokens.Book

	Submit      func(ctx context.Context, run waybill.Run) (Submission, error)
	Apply       func(ctx context.Context, by string, c connectors.Connector) (Applied, error) // by: who asks
	Delete      func(ctx context.Context, by string, c connectors.Connector) error
	Resume      func(ctx context.Context, c connectors.Connector) (bool, error)
	Check       func(ctx context.Context, c connectors.Connector) Report
	Destination func(c connectors.Connector) string

	Rate    int   // requests a second that a token may make at each scheduler; default 50
	MaxBody int64 // bytes of a request's body; default 1 MiB
	Now     func() time.Time
	Log     *slog.Logger
}

// Submission is the answer to a run that was taken in.
type Submission struct {
	Outcome       string `json:"outcome"` // NEW, SAME or REPLACED
	Revision      string `json:"revision"`
	Generation    int    `json:"generation"`
	SchemaVersion int    `json:"schemaVersion"`
}

// Applied is what putting a connector changed.
type Applied struct {
	Change  connectors.Change `json:"change"`  // created, changed or unchanged
	Retried int               `json:"retried"` // blocked deliveries that go on with the new settings
	Resumed bool              `json:"resumed"` // it had been paused after failures in a row
}

// Report is what a check of a connector found.
type Report struct {
	OK   bool   `json:"ok"`
	Text string `json:"text"` // a line for each step, and what the customer must allow
}

// API answers requests below /v1/, and tells of itself at /openapi.json.
type API struct {
	o        Options
	mux      *http.ServeMux
	patterns []string
	limits   limits
}

var _ http.Handler = (*API)(nil)

// New returns an API.
func New(o Options) (*API, error) {
	o.Rate, o.MaxBody = cmp.Or(o.Rate, 50), cmp.Or(o.MaxBody, 1<<20)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &API{o: o, mux: http.NewServeMux(), limits: limits{rate: o.Rate}}
	description, err := Description()
	if err != nil {
		return nil, err
	}
	for _, r := range routes() {
		a.handle(r.method+" "+r.path, a.serve(r))
	}
	a.handle("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(description) // who asked may have left
	})
	a.handle("/", a.nowhere)
	return a, nil
}

func (a *API) handle(pattern string, answer http.HandlerFunc) {
	a.mux.Handle(pattern, answer)
	a.patterns = append(a.patterns, pattern)
}

// Patterns are those of all that is answered.
func (a *API) Patterns() []string { return a.patterns }

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// request is one request, and who asks.
type request struct {
	*http.Request
	api   *API
	grant tokens.Grant
}

// timeout bounds a request; a connector's check takes the longest.
const timeout = 60 * time.Second

// serve answers the requests of a route. Who may not ask learns nothing else.
func (a *API) serve(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, hr *http.Request) {
		ctx, cancel := context.WithTimeout(hr.Context(), timeout)
		defer cancel()
		r := &request{Request: hr.WithContext(ctx), api: a}
		r.Body = http.MaxBytesReader(w, r.Body, a.o.MaxBody)
		status, answer, err := r.run(route)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		a.write(w, r, status, "application/json", answer)
	}
}

func (r *request) run(route route) (status int, answer any, err error) {
	if err := r.authenticate(); err != nil {
		return 0, nil, err
	}
	if !r.grant.May(route.scope) {
		return 0, nil, problem(http.StatusForbidden, "This needs a token of scope %s, and the token's is %s.", route.scope, r.grant.Scope)
	}
	if err := r.knownQuery(route); err != nil {
		return 0, nil, err
	}
	return route.do(r)
}

func (r *request) authenticate() error {
	scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return tokens.ErrNoToken
	}
	grant, err := r.api.o.Tokens.Find(r.Context(), strings.TrimSpace(bearer))
	if err != nil {
		return err
	}
	r.grant = grant
	return r.api.limits.take(grant.Name, r.api.o.Now())
}

// nowhere answers what no route does.
func (a *API) nowhere(w http.ResponseWriter, hr *http.Request) {
	r := &request{Request: hr, api: a}
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
		other := hr.Clone(hr.Context())
		other.Method = method
		if _, pattern := a.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		a.fail(w, r, problem(http.StatusNotFound, "There is no such address; /openapi.json lists all there are."))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	a.fail(w, r, problem(http.StatusMethodNotAllowed, "This address takes %s.", strings.Join(allowed, ", ")))
}
