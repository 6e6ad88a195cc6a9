package secrets

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
)

// serviceAccountFile writes a service account's key, whose tokens come from
// the given address, as Google's console hands them out.
func serviceAccountFile(t *testing.T, tokenURL string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sa.json")
	write(t, path, testservers.ServiceAccount(t, tokenURL))
	return path
}

func gcpPayload(text string) string {
	sum := crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli))
	return fmt.Sprintf(`{"name":"projects/1/secrets/lake/versions/3","payload":{"data":%q,"dataCrc32c":"%d"}}`, base64.StdEncoding.EncodeToString([]byte(text)), sum)
}

// https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
func TestGoogleSecretManager(t *testing.T) {
	s := newServer(t, func(r *http.Request) string {
		if r.URL.Path == "/token" {
			if err := r.ParseForm(); err != nil || strings.Count(r.Form.Get("assertion"), ".") != 2 {
				return "holds no signed assertion"
			}
			return ""
		}
		if got := r.Header.Get("Authorization"); r.Method != http.MethodGet || got != "Bearer gcp-token" {
			return r.Method + " " + got
		}
		return ""
	}, func(r *http.Request) string { return r.URL.Path })
	s.says("/token", answer{status: 200, header: map[string]string{"Content-Type": "application/json"}, body: `{"access_token":"gcp-token","token_type":"Bearer","expires_in":3600}`})
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", serviceAccountFile(t, s.URL+"/token"))
	m := newGCP(Options{Client: newClient()})
	m.endpoint = s.URL
	r := noCache("gcp-sm", m)

	const ref = "gcp-sm:projects/acme-1/secrets/lake/versions/latest"
	const path = "/v1/projects/acme-1/secrets/lake/versions/latest:access"
	s.says(path, answer{status: 200, body: gcpPayload(value)})
	wantSecret(t, r, ref, value)
	s.says(path, answer{status: 200, body: gcpPayload(`{"key":"` + value + `"}`)})
	wantSecret(t, r, ref+"#key", value)
	wantRefused(t, r, ref+"#none", refusal{verdict: waybill.Blocked, code: "secret.unavailable"})

	// https://cloud.google.com/apis/design/errors#http_mapping
	said := func(status int, code string) answer {
		return answer{status: status, body: fmt.Sprintf(`{"error":{"code":%d,"message":"%s","status":"%s"}}`, status, leak, code)}
	}
	for _, want := range []refusal{
		{said(403, "PERMISSION_DENIED"), waybill.Blocked, "secret.denied", 0},
		{said(401, "UNAUTHENTICATED"), waybill.Blocked, "secret.denied", 0},
		{said(404, "NOT_FOUND"), waybill.Blocked, "secret.unavailable", 0},
		{said(400, "FAILED_PRECONDITION"), waybill.Blocked, "secret.unavailable", 0}, // the version is disabled
		{said(429, "RESOURCE_EXHAUSTED"), waybill.Throttled, "secret.throttled", retryAfter},
		{said(503, "UNAVAILABLE"), waybill.Transient, "secret.unreachable", 0},
		{answer{status: 200, body: strings.Replace(gcpPayload(value), `"dataCrc32c":"`, `"dataCrc32c":"1`, 1)}, waybill.Transient, "secret.unreachable", 0},
		{answer{status: 200, body: "<html>" + leak}, waybill.Blocked, "secret.unavailable", 0},
		{answer{status: 200, body: `{"payload":{}}`}, waybill.Blocked, "secret.unavailable", 0},
		{answer{status: 200, body: strings.Repeat(" ", maxAnswerBytes+1)}, waybill.Blocked, "secret.unavailable", 0},
	} {
		s.says(path, want.answer)
		wantRefused(t, r, ref, want)
	}
	if n := strings.Count(strings.Join(s.asked(), " "), "/token"); n != 1 {
		t.Errorf("%d tokens were asked for, want 1", n)
	}
}

func TestGoogleSecretManagerWithoutAToken(t *testing.T) {
	s := newServer(t, func(*http.Request) string { return "" }, func(r *http.Request) string { return r.URL.Path })
	for _, want := range []refusal{
		{answer{status: 400, body: `{"error":"invalid_grant","error_description":"` + leak + `"}`}, waybill.Blocked, "secret.denied", 0},
		{answer{status: 500, body: leak}, waybill.Transient, "secret.unreachable", 0},
	} {
		s.says("/token", want.answer)
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", serviceAccountFile(t, s.URL+"/token"))
		m := newGCP(Options{Client: newClient()})
		m.endpoint = s.URL
		wantRefused(t, noCache("gcp-sm", m), "gcp-sm:projects/p/secrets/s/versions/1", want)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
	wantRefused(t, noCache("gcp-sm", newGCP(Options{Client: newClient()})), "gcp-sm:projects/p/secrets/s/versions/1",
		refusal{verdict: waybill.Blocked, code: "secret.denied"})
}
