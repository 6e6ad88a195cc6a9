package secrets

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/waybillhq/waybill"
)

// identity hands out one token, as a managed identity would, or none.
type identity struct {
	scopes []string
	err    error
}

func (i *identity) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	i.scopes = append(i.scopes, o.Scopes...)
	return azcore.AccessToken{Token: "azure-token", ExpiresOn: time.Now().Add(time.Hour)}, i.err
}

// https://learn.microsoft.com/en-us/rest/api/keyvault/secrets/get-secret/get-secret
func TestAzureKeyVault(t *testing.T) {
	s := newServer(t, func(r *http.Request) string {
		if got := r.Header.Get("Authorization"); r.Method != http.MethodGet || got != "Bearer azure-token" || r.URL.Query().Get("api-version") != azureVersion {
			return r.Method + " " + got + " " + r.URL.RawQuery
		}
		return ""
	}, func(r *http.Request) string { return r.URL.Path })
	var hosts []string
	client := newClient()
	client.Transport = toServer{s.Listener.Addr().String(), &hosts}
	who := &identity{}
	m := newAzure(Options{Client: client})
	m.connect = func() (azcore.TokenCredential, error) { return who, nil }
	r := noCache("azure-kv", m)

	bundle := func(text string) answer {
		return answer{status: 200, body: fmt.Sprintf(`{"value":%q,"id":"https://acme.vault.azure.net/secrets/lake/4387e9f3d6e14c459867679a90fd0f79","attributes":{"enabled":true,"created":1493938410,"recoveryLevel":"Recoverable+Purgeable"}}`, text)}
	}
	const ref, path = "azure-kv:https://acme.vault.azure.net/secrets/lake", "/secrets/lake"
	s.says(path, bundle(value))
	wantSecret(t, r, ref, value)
	s.says(path+"/4387e9f3d6e14c459867679a90fd0f79", bundle(`{"key":"old"}`))
	wantSecret(t, r, ref+"/4387e9f3d6e14c459867679a90fd0f79#key", "old")
	s.says("/secrets/cn", bundle("china"))
	wantSecret(t, r, "azure-kv:https://acme.vault.azure.cn/secrets/cn", "china")
	if want := []string{"https://acme.vault.azure.net", "https://acme.vault.azure.net", "https://acme.vault.azure.cn"}; !slices.Equal(hosts, want) {
		t.Errorf("asked %q", hosts)
	}
	if want := []string{"https://vault.azure.net/.default", "https://vault.azure.net/.default", "https://vault.azure.cn/.default"}; !slices.Equal(who.scopes, want) {
		t.Errorf("tokens are for %q", who.scopes)
	}

	said := func(status int, code string) answer {
		return answer{status: status, body: fmt.Sprintf(`{"error":{"code":"%s","message":"%s"}}`, code, leak)}
	}
	throttled := said(429, "Throttled")
	throttled.header = map[string]string{"Retry-After": "12"}
	for _, want := range []refusal{
		{said(403, "Forbidden"), waybill.Blocked, "secret.denied", 0},
		{said(401, "Unauthorized"), waybill.Blocked, "secret.denied", 0},
		{said(404, "SecretNotFound"), waybill.Blocked, "secret.unavailable", 0},
		{throttled, waybill.Throttled, "secret.throttled", 12 * time.Second},
		{said(500, "InternalServerError"), waybill.Transient, "secret.unreachable", 0},
		{answer{status: 302, header: map[string]string{"Location": "https://evil.example/"}}, waybill.Blocked, "secret.unavailable", 0},
	} {
		s.says(path, want.answer)
		wantRefused(t, r, ref, want)
	}
	if slices.ContainsFunc(hosts, func(h string) bool { return strings.Contains(h, "evil") }) {
		t.Error("a redirect was followed with our token")
	}
	who.err = errors.New("no identity here")
	wantRefused(t, r, ref, refusal{verdict: waybill.Blocked, code: "secret.denied"})
}
