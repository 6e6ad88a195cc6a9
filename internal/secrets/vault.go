package secrets

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// vaultManager is HashiCorp Vault's key-value engine, version 2:
// https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version
//
// Where it is and who we are there is told by the variables that its own
// programs read: VAULT_ADDR, VAULT_NAMESPACE, VAULT_CACERT, and VAULT_TOKEN or,
// in Kubernetes, VAULT_ROLE with VAULT_AUTH_MOUNT (default kubernetes). The
// service account's token is the one that Kubernetes mounts.
type vaultManager struct {
	opts    Options
	jwtFile string

	mu    sync.Mutex // of the log-in
	token Secret
	until time.Time // the token is renewed by another log-in then

	trusting sync.Mutex
	client   *http.Client // that trusts VAULT_CACERT
}

var _ manager = (*vaultManager)(nil)

func newVault(opts Options) *vaultManager {
	return &vaultManager{opts: opts, jwtFile: "/var/run/secrets/kubernetes.io/serviceaccount/token"}
}

type vaultAnswer struct {
	Data struct {
		Data     map[string]any `json:"data"` // null where the version was deleted
		Metadata struct {
			DeletionTime string `json:"deletion_time"` //nolint:tagliatelle // Vault's name
		} `json:"metadata"`
	} `json:"data"`
	Auth struct {
		ClientToken   string `json:"client_token"`   //nolint:tagliatelle // Vault's name
		LeaseDuration int64  `json:"lease_duration"` //nolint:tagliatelle // Vault's name; seconds
	} `json:"auth"`
}

// fetch returns all keys of the secret as a JSON object.
func (m *vaultManager) fetch(ctx context.Context, secret string) (string, error) {
	base, err := m.address()
	if err != nil {
		return "", err
	}
	mount, path, _ := strings.Cut(secret, "/")
	answer, err := m.read(ctx, base+"/v1/"+mount+"/data/"+path)
	switch {
	case err != nil:
		return "", err
	case answer.Data.Data == nil && answer.Data.Metadata.DeletionTime != "":
		return "", missing("its newest version is deleted")
	case answer.Data.Data == nil:
		return "", missing("it is not a secret of a version 2 engine")
	}
	text, err := json.Marshal(answer.Data.Data)
	return string(text), err
}

// read reads once more with a new token where an old one is refused: it may
// have been revoked before its time.
func (m *vaultManager) read(ctx context.Context, address string) (answer vaultAnswer, err error) {
	for again := range 2 {
		var token string
		var renewable bool
		if token, renewable, err = m.logIn(ctx, again > 0); err != nil {
			return answer, err
		}
		answer, err = m.do(ctx, http.MethodGet, address, token, nil)
		if !renewable || !errors.Is(err, errDenied) {
			break
		}
	}
	return answer, err
}

func (m *vaultManager) do(ctx context.Context, method, address, token string, body []byte) (answer vaultAnswer, err error) {
	client, err := m.http()
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	req.Header.Set("X-Vault-Request", "true") // https://developer.hashicorp.com/vault/api-docs#the-x-vault-request-header
	if namespace, _ := m.opts.Lookup("VAULT_NAMESPACE"); namespace != "" {
		req.Header.Set("X-Vault-Namespace", namespace)
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	resp, err := call(ctx, client, req, &answer)
	switch {
	case err != nil:
		return answer, err
	case resp.status == http.StatusNotFound && answer.Data.Metadata.DeletionTime != "":
		return answer, nil // a deleted version is told from none at all by its metadata
	case !resp.ok():
		return answer, resp.refusal("")
	}
	return answer, nil
}

// logIn returns a token, and whether a new one could be had.
func (m *vaultManager) logIn(ctx context.Context, anew bool) (token string, renewable bool, err error) {
	if token, _ := m.opts.Lookup("VAULT_TOKEN"); token != "" {
		return token, false, nil
	}
	role, _ := m.opts.Lookup("VAULT_ROLE")
	if role == "" {
		return "", false, fmt.Errorf("%w: neither VAULT_TOKEN nor VAULT_ROLE is set", errDenied)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !anew && m.opts.now().Before(m.until) {
		return m.token.Reveal(), true, nil
	}
	if err := m.kubernetes(ctx, role); err != nil {
		return "", false, err
	}
	return m.token.Reveal(), true, nil
}

// kubernetes: https://developer.hashicorp.com/vault/api-docs/auth/kubernetes#login
func (m *vaultManager) kubernetes(ctx context.Context, role string) error {
	base, err := m.address()
	if err != nil {
		return err
	}
	jwt, err := os.ReadFile(m.jwtFile) // Kubernetes replaces it every hour
	if err != nil {
		return fmt.Errorf("%w: the service account's token: %w", errDenied, err)
	}
	mount, _ := m.opts.Lookup("VAULT_AUTH_MOUNT")
	if mount = strings.Trim(mount, "/"); mount == "" {
		mount = "kubernetes"
	}
	body, err := json.Marshal(map[string]string{"role": role, "jwt": strings.TrimSpace(string(jwt))})
	if err != nil {
		return fmt.Errorf("encode log-in: %w", err)
	}
	answer, err := m.do(ctx, http.MethodPost, base+"/v1/auth/"+(&url.URL{Path: mount}).EscapedPath()+"/login", "", body)
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	if answer.Auth.ClientToken == "" {
		return fmt.Errorf("%w: log in: the answer holds no token", errDenied)
	}
	m.token = New(answer.Auth.ClientToken)
	m.until = m.opts.now().Add(time.Duration(answer.Auth.LeaseDuration) * time.Second * 2 / 3)
	return nil
}

// address refuses plain HTTP but to this machine, where Vault's own agent and
// proxy listen: a token must not travel in clear.
func (m *vaultManager) address() (string, error) {
	text, _ := m.opts.Lookup("VAULT_ADDR")
	if text == "" {
		return "", missing("VAULT_ADDR is not set; give the address of Vault, e.g. https://vault.example:8200")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || (u.Scheme != "https" && u.Scheme != "http"):
		return "", missing("VAULT_ADDR is no address; write https://host:port")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "", missing("VAULT_ADDR is not encrypted; write https://host:port (http:// is for this machine only)")
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// http is the client, which trusts VAULT_CACERT if there is one.
func (m *vaultManager) http() (*http.Client, error) {
	file, _ := m.opts.Lookup("VAULT_CACERT")
	if file == "" {
		return m.opts.Client, nil
	}
	m.trusting.Lock()
	defer m.trusting.Unlock()
	if m.client != nil {
		return m.client, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, missing("VAULT_CACERT names no readable file")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, missing("VAULT_CACERT holds no certificate in PEM")
	}
	client := *m.opts.Client
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		transport, _ = http.DefaultTransport.(*http.Transport)
	}
	own := transport.Clone()
	own.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	client.Transport = own
	m.client = &client
	return m.client, nil
}
