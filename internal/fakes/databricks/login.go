package databricks

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"
)

// hostMetadata: https://pkg.go.dev/github.com/databricks/databricks-sdk-go/config#HostMetadata
func (s *Server) hostMetadata(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"oidc_endpoint": s.URL + "/oidc", "cloud": "AWS", "host_type": "WORKSPACE_HOST"})
}

// discovery: https://docs.databricks.com/dev-tools/auth/oauth-m2m.html
func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{
		"issuer": s.URL + "/oidc", "authorization_endpoint": s.URL + "/oidc/v1/authorize", "token_endpoint": s.URL + "/oidc/v1/token"})
}

// token issues a token for an hour to who knows the client's secret, or shows
// the token of an issuer that is trusted:
// https://docs.databricks.com/dev-tools/auth/oauth-m2m.html
// https://docs.databricks.com/dev-tools/auth/oauth-federation.html
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.fault(Request{Method: r.Method, Path: r.URL.Path}).refusal(before); f != nil {
		reply(w, f.Status, f)
		return
	}
	id, secret, _ := r.BasicAuth()
	known := false
	switch r.FormValue("grant_type") {
	case "client_credentials":
		known = id == ClientID && secret == s.state.secret
	case "urn:ietf:params:oauth:grant-type:token-exchange":
		known = r.FormValue("client_id") == ClientID && r.FormValue("subject_token") == FederatedToken
	}
	if !known {
		reply(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "Client authentication failed"})
		return
	}
	token := rand.Text()
	s.state.logins[token] = s.opts.Now().Add(time.Hour)
	reply(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": r.FormValue("scope")})
}

// SetClientSecret rotates the principal's secret and ends its logins.
func (s *Server) SetClientSecret(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.secret = secret
	clear(s.state.logins)
}

// me: https://docs.databricks.com/api/workspace/currentuser/me
func (s *Server) me(*http.Request, []byte) (any, *failure) {
	return map[string]any{"id": "1", "userName": Principal, "active": true}, nil
}

func toMap(v any) map[string]any {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	doc := map[string]any{}
	if err := json.Unmarshal(text, &doc); err != nil {
		panic(err)
	}
	return doc
}
