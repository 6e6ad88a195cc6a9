package secrets

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// azureManager is Azure Key Vault, with the process's own identity:
// https://learn.microsoft.com/en-us/rest/api/keyvault/secrets/get-secret/get-secret
// It is one GET with a bearer token, so only the library that finds the
// identity is used, and not the client.
type azureManager struct {
	opts    Options
	connect func() (azcore.TokenCredential, error)

	mu         sync.Mutex
	credential azcore.TokenCredential
}

var _ manager = (*azureManager)(nil)

// azureVersion is the API version; it is old enough for the sovereign clouds.
const azureVersion = "7.4"

func newAzure(opts Options) *azureManager {
	return &azureManager{opts: opts, connect: func() (azcore.TokenCredential, error) {
		return azidentity.NewDefaultAzureCredential(nil)
	}}
}

type azureAnswer struct {
	Value      string `json:"value"`
	Attributes struct {
		Enabled *bool `json:"enabled"`
	} `json:"attributes"`
	Error struct {
		Code string `json:"code"`
	} `json:"error"`
}

func (m *azureManager) fetch(ctx context.Context, secret string) (string, error) {
	u, err := url.Parse(secret)
	if err != nil {
		return "", missing("the reference is no URL")
	}
	token, err := m.token(ctx, u.Hostname())
	if err != nil {
		return "", err
	}
	u.RawQuery = url.Values{"api-version": {azureVersion}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	var answer azureAnswer
	resp, err := call(ctx, m.opts.Client, req, &answer)
	switch {
	case err != nil:
		return "", err
	case !resp.ok():
		return "", resp.refusal(answer.Error.Code)
	}
	return answer.Value, nil
}

// token is for the cloud that the vault is in: https://vault.azure.net/.default
// for NAME.vault.azure.net.
func (m *azureManager) token(ctx context.Context, host string) (string, error) {
	m.mu.Lock()
	if m.credential == nil {
		credential, err := m.connect()
		if err != nil {
			m.mu.Unlock()
			return "", fmt.Errorf("%w: find our identity at Azure: %w", errDenied, err)
		}
		m.credential = credential
	}
	m.mu.Unlock()
	_, cloud, _ := strings.Cut(host, ".")
	token, err := m.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://" + cloud + "/.default"}})
	if err != nil {
		return "", azureTokenError(ctx, err)
	}
	return token.Token, nil
}

func azureTokenError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if refused, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && refused.RawResponse != nil {
		return fmt.Errorf("%w: get a token: HTTP %d", errDenied, refused.RawResponse.StatusCode)
	}
	return fmt.Errorf("%w: get a token: %w", errDenied, err)
}
