// Package databricks plays a Databricks workspace for tests and the sandbox:
// OAuth, Unity Catalog, Delta Sharing's provider side and SQL statements, over
// the vendor's REST protocol, so that the vendor's own SDK speaks to it. It
// refuses what the real one refuses, and answers what it does not know with
// an error that a test sees. Each behaviour names the page it follows.
package databricks

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// What the workspace is and who logs in there.
const (
	MetastoreID  = "6f2c1b7e-0d3a-4c55-9a51-5a7d7d0c9b11"
	Principal    = "waybill-principal" // application id of the service principal
	Group        = "waybill-owners"    // that it is a member of
	ClientID     = "waybill-client"
	ClientSecret = "waybill-client-secret"
	Token        = "dapi-waybill"
	Catalog      = "waybill"
	WarehouseID  = "abc123"
	Credential   = "waybill-storage"

	FederatedToken = "token-of-an-issuer-that-is-trusted"
)

// Options are what differs between workspaces. The zero Options are a whole
// workspace that allows everything Waybill needs.
type Options struct {
	// Locations are the URLs that external locations cover.
	Locations []string
	// Describe reads the Delta table at a URL; [DescribeFolder] if nil.
	Describe func(url string) (Table, error)
	// Now is the workspace's clock; time.Now if nil.
	Now func() time.Time
	// Slow is how often a statement is asked for before it has run.
	Slow int
}

// Request is one call as the workspace saw it. It holds no credentials.
type Request struct {
	Method, Path, Query string
	Body                string
	Status              int // 0: the connection was cut
}

// Server is one workspace with its metastore.
type Server struct {
	URL string

	http *httptest.Server
	opts Options

	mu         sync.Mutex
	state      state
	faults     []*Fault
	dead       bool
	log        []Request
	unexpected []string
}

// New starts a workspace.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Describe == nil {
		o.Describe = DescribeFolder
	}
	s := &Server{opts: o, state: newState(o)}
	s.http = httptest.NewServer(s.routes())
	s.URL = s.http.URL
	return s
}

// Close stops it.
func (s *Server) Close() { s.http.Close() }

// Log returns the calls so far; logins are not among them.
func (s *Server) Log() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// ResetLog forgets the calls so far.
func (s *Server) ResetLog() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// Unexpected lists what was asked for that this workspace does not play: a
// test that leaves any there should fail.
func (s *Server) Unexpected() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unexpected)
}

// failure is an answer that is an error:
// https://docs.databricks.com/api/workspace/introduction
type failure struct {
	Status     int               `json:"-"`
	Code       string            `json:"error_code"`
	Message    string            `json:"message"`
	RetryAfter string            `json:"-"`
	Details    []json.RawMessage `json:"details,omitempty"`
}

func fail(status int, code, message string) *failure {
	return &failure{Status: status, Code: code, Message: message}
}

func notFound(code, message string) *failure { return fail(http.StatusNotFound, code, message) }

func invalid(message string) *failure {
	return fail(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", message)
}

func denied(privilege, kind, name string) *failure {
	return fail(http.StatusForbidden, "PERMISSION_DENIED", "User does not have "+privilege+" on "+kind+" '"+name+"'.")
}

// handler answers one call with the lock held. Its answer is sent as JSON.
type handler func(r *http.Request, body []byte) (any, *failure)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/databricks-config", s.hostMetadata)
	mux.HandleFunc("GET /oidc/.well-known/oauth-authorization-server", s.discovery)
	mux.HandleFunc("POST /oidc/v1/token", s.token)
	const uc = "/api/2.1/unity-catalog/"
	for pattern, h := range map[string]handler{
		"GET /api/2.0/preview/scim/v2/Me":                     s.me,
		"GET " + uc + "metastore_summary":                     s.metastore,
		"GET " + uc + "catalogs/{name}":                       s.getCatalog,
		"POST " + uc + "schemas":                              s.createSchema,
		"GET " + uc + "schemas/{name}":                        s.getSchema,
		"DELETE " + uc + "schemas/{name}":                     s.deleteSchema,
		"GET " + uc + "tables":                                s.listTables,
		"GET " + uc + "tables/{name}":                         s.getTable,
		"DELETE " + uc + "tables/{name}":                      s.deleteTable,
		"GET " + uc + "external-locations":                    s.listLocations,
		"GET " + uc + "storage-credentials/{name}":            s.getCredential,
		"GET " + uc + "effective-permissions/{kind}/{name}":   s.effective,
		"PATCH " + uc + "permissions/{kind}/{name}":           s.grant,
		"POST " + uc + "shares":                               s.createShare,
		"GET " + uc + "shares":                                s.listShares,
		"GET " + uc + "shares/{name}":                         s.getShare,
		"PATCH " + uc + "shares/{name}":                       s.updateShare,
		"DELETE " + uc + "shares/{name}":                      s.deleteShare,
		"GET " + uc + "shares/{name}/permissions":             s.sharePermissions,
		"PATCH " + uc + "shares/{name}/permissions":           s.updateSharePermissions,
		"POST " + uc + "recipients":                           s.createRecipient,
		"GET " + uc + "recipients":                            s.listRecipients,
		"GET " + uc + "recipients/{name}":                     s.getRecipient,
		"PATCH " + uc + "recipients/{name}":                   s.updateRecipient,
		"DELETE " + uc + "recipients/{name}":                  s.deleteRecipient,
		"POST " + uc + "recipients/{name}/rotate-token":       s.rotate,
		"GET " + uc + "public/data_sharing_activation/{link}": s.activate,
		"GET /api/2.0/sql/warehouses/{id}":                    s.getWarehouse,
		"POST /api/2.0/sql/statements":                        s.executeStatement,
		"GET /api/2.0/sql/statements/{id}":                    s.getStatement,
	} {
		mux.HandleFunc(pattern, s.serve(h))
	}
	mux.HandleFunc("/", s.serve(s.unknown))
	return mux
}

func (s *Server) unknown(r *http.Request, _ []byte) (any, *failure) {
	s.unexpected = append(s.unexpected, r.Method+" "+r.URL.Path)
	return nil, notFound("ENDPOINT_NOT_FOUND", "No API found for '"+r.Method+" "+r.URL.Path+"'")
}

// serve is what every call passes: who asks, the faults, the log.
func (s *Server) serve(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		entry := Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Body: string(body)}
		dead, fault := s.dead, s.fault(entry)
		if dead || fault.cuts(before) {
			s.log = append(s.log, entry)
			panic(http.ErrAbortHandler) // the connection is cut
		}
		answer, refusal := any(nil), fault.refusal(before)
		if refusal == nil {
			refusal = s.authenticate(r)
		}
		if refusal == nil {
			answer, refusal = h(r, body)
		}
		if fault.cuts(after) {
			s.log = append(s.log, entry)
			panic(http.ErrAbortHandler)
		}
		if f := fault.refusal(after); f != nil && refusal == nil {
			answer, refusal = nil, f
		}
		entry.Status = http.StatusOK
		if refusal != nil {
			entry.Status, answer = refusal.Status, refusal
			if refusal.RetryAfter != "" {
				w.Header().Set("Retry-After", refusal.RetryAfter)
			}
		}
		s.log = append(s.log, entry)
		reply(w, entry.Status, fault.edit(answer))
	}
}

// authenticate: activation is public, everything else needs a token that is
// the principal's own or was issued to it.
func (s *Server) authenticate(r *http.Request) *failure {
	if strings.Contains(r.URL.Path, "/public/data_sharing_activation/") {
		return nil
	}
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if until, issued := s.state.logins[bearer]; bearer == Token || issued && s.opts.Now().Before(until) {
		return nil
	}
	return fail(http.StatusUnauthorized, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type for this API.")
}

func reply(w http.ResponseWriter, status int, answer any) {
	if answer == nil {
		answer = struct{}{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
}

// decode reads a body and refuses what it does not know: a field that this
// workspace would silently drop is a gap in it.
func decode[T any](body []byte) (T, *failure) {
	var v T
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, fail(http.StatusBadRequest, "MALFORMED_REQUEST", err.Error())
	}
	return v, nil
}
