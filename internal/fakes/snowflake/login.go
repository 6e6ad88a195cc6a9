package snowflake

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

var (
	errJWT  = errorf(390144, "08001", "JWT token is invalid.")
	errPass = errorf(390100, "08001", "Incorrect username or password was specified.")
)

type loginRequest struct {
	Data credentials `json:"data"`
}

type credentials struct {
	AccountName       string         `json:"ACCOUNT_NAME"`
	LoginName         string         `json:"LOGIN_NAME"`
	Authenticator     string         `json:"AUTHENTICATOR"`
	Token             string         `json:"TOKEN"`
	SessionParameters map[string]any `json:"SESSION_PARAMETERS"`
}

func (srv *Server) login(w http.ResponseWriter, r *http.Request) {
	var request loginRequest
	if err := body(r, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	account := srv.account(request.Data.AccountName)
	if account == nil {
		http.Error(w, "the account is not known", http.StatusForbidden)
		return
	}
	u, err := account.authenticate(request.Data, srv.now())
	if err != nil {
		refuse(w, err, "")
		return
	}
	s, err := srv.open(account, u, r, request.Data.SessionParameters)
	if err != nil {
		refuse(w, err, "")
		return
	}
	reply(w, map[string]any{
		"token": s.token, "masterToken": s.master, "validityInSeconds": 3600, "masterValidityInSeconds": 14400,
		"sessionId": s.id, "displayUserName": u.name, "serverVersion": serverVersion, "parameters": s.wireParameters(),
		"sessionInfo": map[string]any{"databaseName": s.db, "schemaName": s.schema, "warehouseName": s.warehouse, "roleName": s.role},
	})
}

// account finds an account by ORG-NAME, or by its locator, with or without a
// region behind it.
func (srv *Server) account(name string) *Account {
	name, _, _ = strings.Cut(strings.ToUpper(name), ".")
	for _, a := range srv.accounts {
		if name == a.Org+"-"+strings.ReplaceAll(a.Name, "_", "-") || name == a.Org+"-"+a.Name || name == a.Locator {
			return a
		}
	}
	return nil
}

// authenticate finds who logs in. Passwords are not accepted.
func (a *Account) authenticate(d credentials, now time.Time) (*user, error) {
	switch d.Authenticator {
	case "SNOWFLAKE_JWT":
		return a.byKey(d.Token, strings.ToUpper(strings.SplitN(d.AccountName, ".", 2)[0]), now)
	case "OAUTH":
		return a.byToken(d, errorf(390303, "08001", "Invalid OAuth access token."))
	case "PROGRAMMATIC_ACCESS_TOKEN":
		return a.byToken(d, errorf(394400, "08001", "Programmatic access token is invalid."))
	case "WORKLOAD_IDENTITY":
		for _, name := range slices.Sorted(maps.Keys(a.users)) {
			if a.users[name].tokens[d.Token] {
				return a.users[name], nil
			}
		}
	}
	return nil, errPass
}

func (a *Account) byToken(d credentials, refusal error) (*user, error) {
	u := a.users[strings.ToUpper(d.LoginName)]
	if u == nil || !u.tokens[d.Token] {
		return nil, refusal
	}
	return u, u.enabled()
}

func (u *user) enabled() error {
	if u.disabled {
		return errorf(390101, "08001", "User access disabled. Contact your local system administrator.")
	}
	return nil
}

// byKey verifies a key pair's token with the user's public keys.
//
// https://docs.snowflake.com/en/user-guide/key-pair-auth
func (a *Account) byKey(jwt, account string, now time.Time) (*user, error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return nil, errJWT
	}
	var header struct {
		Alg string `json:"alg"`
	}
	var claims struct {
		Iss string `json:"iss"`
		Sub string `json:"sub"`
		Iat int64  `json:"iat"`
		Exp int64  `json:"exp"`
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !decodePart(parts[0], &header) || !decodePart(parts[1], &claims) || header.Alg != "RS256" {
		return nil, errJWT
	}
	name, ok := strings.CutPrefix(claims.Sub, account+".")
	u := a.users[name]
	// A token lives an hour at most, whatever it says.
	old := now.Unix() >= claims.Exp || now.Unix() >= claims.Iat+3600 || claims.Iat > now.Unix()+60
	if !ok || u == nil || old {
		return nil, errJWT
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for _, key := range u.keys {
		if key != nil && claims.Iss == claims.Sub+"."+Fingerprint(key) && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil {
			return u, u.enabled()
		}
	}
	return nil, errJWT
}

func decodePart(part string, into any) bool {
	text, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(text, into) == nil
}

// Fingerprint is how the service names a public key: RSA_PUBLIC_KEY_FP.
func Fingerprint(key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return "SHA256:" + base64.StdEncoding.EncodeToString(sum[:])
}

// open makes a session of a login.
func (srv *Server) open(a *Account, u *user, r *http.Request, parameters map[string]any) (*session, error) {
	asked := r.URL.Query()
	srv.ids++
	s := &session{
		srv: srv, id: 1000 + srv.ids, account: a, user: u, role: u.role, parameters: maps.Clone(sessionParameters),
		queries: map[string]*query{}, results: map[string]*result{},
		warehouse: named(asked.Get("warehouse")), db: named(asked.Get("databaseName")), schema: named(asked.Get("schemaName")),
	}
	if role := named(asked.Get("roleName")); role != "" && role != s.role && (u.role != accountAdmin || !a.roles[role]) && role != "PUBLIC" {
		return nil, errorf(390189, "08001", "Role '%s' specified in the connect string does not exist or not authorized. Contact your local system administrator, or attempt to login with another role, e.g. PUBLIC.", role)
	} else if role != "" {
		s.role = role
	}
	if err := s.defaults(parameters["CLIENT_VALIDATE_DEFAULT_PARAMETERS"] == true); err != nil {
		return nil, err
	}
	var err error
	if s.conn, err = srv.connection(); err != nil {
		return nil, err
	}
	s.tokens()
	for _, name := range slices.Sorted(maps.Keys(sessionParameters)) {
		if err := s.setParameter(name, sessionParameters[name]); err != nil {
			return nil, err
		}
	}
	for name, value := range parameters {
		if err := s.setParameter(name, fmt.Sprint(value)); err != nil && value != nil {
			s.conn.Close()
			return nil, err
		}
	}
	srv.sessions[s.id] = s
	return s, nil
}

// named is the name that a connection's setting stands for.
func named(text string) string {
	if strings.HasPrefix(text, `"`) {
		return strings.Trim(text, `"`)
	}
	return strings.ToUpper(text)
}

// defaults forgets what the connection names and is not there, or refuses it.
func (s *session) defaults(validate bool) error {
	db := s.account.databases[s.db]
	for _, d := range []struct {
		what  string
		name  *string
		there bool
	}{
		{"warehouse", &s.warehouse, s.account.warehouses[s.warehouse] != nil},
		{"database", &s.db, db != nil && s.sees(db)},
		{"schema", &s.schema, db != nil && (db.from != nil || db.schemas[s.schema] != nil)},
	} {
		if *d.name == "" || d.there {
			continue
		}
		if validate {
			return errorf(390201, "08004", "The requested %s does not exist or not authorized.", d.what)
		}
		*d.name = ""
	}
	return nil
}

func (s *session) tokens() {
	s.srv.ids++
	s.token, s.master = fmt.Sprintf("token-%d", s.srv.ids), fmt.Sprintf("master-%d", s.srv.ids)
	s.expired = false
}

// renew answers with a new token to who holds the master token.
func (srv *Server) renew(w http.ResponseWriter, r *http.Request) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, s := range srv.sessions {
		if s.master != bearer(r) {
			continue
		}
		if s.cut {
			hangUp(w)
			return
		}
		if s.closed || s.masterExpired {
			refuse(w, errorf(390114, "08001", "Authentication token has expired.  The user must authenticate again."), "")
			return
		}
		s.tokens()
		reply(w, map[string]any{
			"sessionToken": s.token, "masterToken": s.master, "validityInSecondsST": 3600, "validityInSecondsMT": 14400, "sessionId": s.id,
		})
		return
	}
	refuse(w, errGone, "")
}

// logout ends a session: POST /session?delete=true.
func (srv *Server) logout(w http.ResponseWriter, r *http.Request) {
	srv.withSession(func(s *session, w http.ResponseWriter, _ *http.Request) {
		for _, q := range s.queries {
			q.aborted = true
		}
		s.close()
		reply(w, nil)
	})(w, r)
}

// ExpireTokens makes the tokens of all sessions of a user expire, and with
// master, the ones that renew them too.
func (srv *Server) ExpireTokens(user string, master bool) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, s := range srv.sessions {
		if s.user.name == user {
			s.expired, s.masterExpired = true, master
		}
	}
}

// EndSessions ends all sessions of a user, as the service does after hours.
func (srv *Server) EndSessions(user string) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, s := range srv.sessions {
		if s.user.name == user {
			s.close()
		}
	}
}
