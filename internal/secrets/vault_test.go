package secrets

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

// vaultAt is a Vault at the server, with the given variables.
func vaultAt(s *server, vars map[string]string) *vaultManager {
	return newVault(Options{Client: newClient(), now: time.Now, Lookup: func(name string) (string, bool) {
		if name == "VAULT_ADDR" && vars[name] == "" {
			return s.URL + "/", true
		}
		v, ok := vars[name]
		return v, ok
	}})
}

// https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version
func TestVault(t *testing.T) {
	s := newServer(t, func(r *http.Request) string {
		if got := r.Header.Get("X-Vault-Token"); r.Method != http.MethodGet || got != "vault-token" || r.Header.Get("X-Vault-Request") != "true" {
			return r.Method + " with token " + got
		}
		if got := r.Header.Get("X-Vault-Namespace"); got != "acme" {
			return "namespace " + got
		}
		return ""
	}, func(r *http.Request) string { return r.URL.Path })
	r := noCache("vault", vaultAt(s, map[string]string{"VAULT_TOKEN": "vault-token", "VAULT_NAMESPACE": "acme"}))

	const ref, path = "vault:secret/acme/s3#secretAccessKey", "/v1/secret/data/acme/s3"
	metadata := `"metadata":{"created_time":"2018-03-22T02:24:06.945319214Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":2}`
	s.says(path, answer{status: 200, body: `{"request_id":"x","lease_id":"","data":{"data":{"secretAccessKey":"` + value + `","accessKeyId":"AKID"},` + metadata + `},"warnings":null}`})
	wantSecret(t, r, ref, value)
	wantSecret(t, r, "vault:secret/acme/s3#accessKeyId", "AKID")
	wantRefused(t, r, "vault:secret/acme/s3#none", refusal{verdict: waybill.Blocked, code: "secret.unavailable"})

	deleted := strings.Replace(metadata, `"deletion_time":""`, `"deletion_time":"2018-03-22T02:36:43.986212308Z"`, 1)
	for _, want := range []refusal{
		{answer{status: 403, body: `{"errors":["1 error occurred: permission denied ` + leak + `"]}`}, waybill.Blocked, "secret.denied", 0},
		{answer{status: 404, body: `{"errors":[]}`}, waybill.Blocked, "secret.unavailable", 0},
		{answer{status: 404, body: `{"data":{"data":null,` + deleted + `}}`}, waybill.Blocked, "secret.unavailable", 0},
		{answer{status: 200, body: `{"data":{"key":"` + leak + `"}}`}, waybill.Blocked, "secret.unavailable", 0}, // version 1
		{answer{status: 429, header: map[string]string{"Retry-After": "3"}, body: leak}, waybill.Throttled, "secret.throttled", 3 * time.Second},
		{answer{status: 503, body: `{"errors":["Vault is sealed"]}`}, waybill.Transient, "secret.unreachable", 0},
		{answer{status: 307, header: map[string]string{"Location": "https://active.example/v1/secret/data/acme/s3"}}, waybill.Blocked, "secret.unavailable", 0},
	} {
		s.says(path, want.answer)
		wantRefused(t, r, ref, want)
	}
}

func TestVaultAddress(t *testing.T) {
	s := newServer(t, func(*http.Request) string { return "" }, func(r *http.Request) string { return r.URL.Path })
	for addr, mend := range map[string]string{
		"http://vault.example:8200":       "write https://host:port",
		"ftp://vault.example":             "is no address",
		"https://user:x@vault.example":    "is no address",
		"https://vault.example/?a=b":      "is no address",
		"vault.example:8200":              "is no address",
		"https://":                        "is no address",
		"http://127.0.0.1.evil.example:1": "write https://host:port",
	} {
		r := noCache("vault", vaultAt(s, map[string]string{"VAULT_ADDR": addr, "VAULT_TOKEN": "t"}))
		if _, err := r.Resolve(t.Context(), mustRef(t, "vault:secret/a#b")); err == nil || !strings.Contains(err.Error(), mend) {
			t.Errorf("%s: %v, want %q", addr, err, mend)
		}
	}
	if asked := s.asked(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
	wantRefused(t, noCache("vault", vaultAt(s, nil)), "vault:secret/a#b", refusal{verdict: waybill.Blocked, code: "secret.denied"})
	r := noCache("vault", vaultAt(s, map[string]string{"VAULT_TOKEN": "t", "VAULT_CACERT": "/nowhere.pem"}))
	wantRefused(t, r, "vault:secret/a#b", refusal{verdict: waybill.Blocked, code: "secret.unavailable"})
}

// https://developer.hashicorp.com/vault/api-docs/auth/kubernetes#login
func TestVaultInKubernetes(t *testing.T) {
	var token string
	s := newServer(t, func(r *http.Request) string {
		if r.URL.Path == "/v1/auth/k8s-eu/login" {
			var in map[string]string
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Method != http.MethodPost || in["role"] != "waybill" || in["jwt"] != "header.claims.signature" {
				return "logs in as " + in["role"]
			}
			return ""
		}
		token = r.Header.Get("X-Vault-Token")
		return ""
	}, func(r *http.Request) string { return r.URL.Path })
	jwt := filepath.Join(t.TempDir(), "token")
	write(t, jwt, "header.claims.signature\n")
	m := vaultAt(s, map[string]string{"VAULT_ROLE": "waybill", "VAULT_AUTH_MOUNT": "k8s-eu"})
	m.jwtFile = jwt
	now := time.Now()
	m.opts.now = func() time.Time { return now }
	r := noCache("vault", m)
	login := func(client string) answer {
		return answer{status: 200, body: `{"auth":{"client_token":"` + client + `","accessor":"a","policies":["default"],"lease_duration":3600,"renewable":true}}`}
	}
	const data = "/v1/secret/data/acme"
	s.says("/v1/auth/k8s-eu/login", login("first"))
	s.says(data, answer{status: 200, body: `{"data":{"data":{"key":"v"},"metadata":{}}}`})
	for range 2 {
		wantSecret(t, r, "vault:secret/acme#key", "v")
	}
	if token != "first" || len(s.asked()) != 3 {
		t.Errorf("token %q after %q", token, s.asked())
	}
	s.says("/v1/auth/k8s-eu/login", login("second"))
	now = now.Add(41 * time.Minute)
	if wantSecret(t, r, "vault:secret/acme#key", "v"); token != "second" {
		t.Errorf("an old token is used: %q", token)
	}
	// A refused token is replaced once: it may have been revoked.
	s.says("/v1/auth/k8s-eu/login", login("third"))
	s.says(data, answer{status: 403, body: `{"errors":["permission denied"]}`})
	before := len(s.asked())
	wantRefused(t, r, "vault:secret/acme#key", refusal{verdict: waybill.Blocked, code: "secret.denied"})
	if got := s.asked()[before:]; len(got) != 3 || token != "third" {
		t.Errorf("asked %q, with %q at last", got, token)
	}
	s.says("/v1/auth/k8s-eu/login", answer{status: 400, body: `{"errors":["invalid role name"]}`})
	now = now.Add(time.Hour)
	wantRefused(t, r, "vault:secret/acme#key", refusal{verdict: waybill.Blocked, code: "secret.unavailable"})
	m.jwtFile = "/nowhere"
	wantRefused(t, r, "vault:secret/acme#key", refusal{verdict: waybill.Blocked, code: "secret.denied"})
}
