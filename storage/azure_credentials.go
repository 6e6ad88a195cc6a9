package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
)

// azureSigner signs a shared access signature that lets its bearer read one object.
type azureSigner func(ctx context.Context, values sas.BlobSignatureValues) (sas.QueryParameters, error)

// open makes the client of the container for the kind of credentials that was given.
func (a *Azure) open() (*container.Client, azureSigner, error) {
	at, options := a.endpoint+"/"+url.PathEscape(a.opts.Container), a.clientOptions()
	switch {
	case a.opts.SAS != nil:
		bare := client(a.opts.Client)
		bare.Transport = sasTransport{cmp.Or(bare.Transport, http.DefaultTransport), a.sas}
		options.Transport = bare
		c, err := container.NewClientWithNoCredential(at, &container.ClientOptions{ClientOptions: options})
		return c, cannotSign, err
	case a.opts.SharedKey != nil:
		key, err := service.NewSharedKeyCredential(a.opts.Account, "") // filled in before each request
		if err != nil {
			return nil, nil, err
		}
		k := sharedKey{key, a.opts.SharedKey}
		options.PerCallPolicies = append(options.PerCallPolicies, k)
		c, err := container.NewClientWithSharedKeyCredential(at, key, &container.ClientOptions{ClientOptions: options})
		return c, k.sign, err
	}
	token, err := a.token()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	c, err := container.NewClient(at, token, &container.ClientOptions{ClientOptions: options})
	if err != nil {
		return nil, nil, err
	}
	account, err := service.NewClient(a.endpoint, token, &service.ClientOptions{ClientOptions: options})
	return c, delegated{account}.sign, err
}

func (a *Azure) clientOptions() azcore.ClientOptions {
	retries := int32(a.opts.Attempts - 1)
	if retries == 0 {
		retries = -1 // 0 is the SDK's default
	}
	return azcore.ClientOptions{Transport: client(a.opts.Client), PerCallPolicies: []policy.Policy{asStored{}}, Retry: policy.RetryOptions{
		MaxRetries: retries, RetryDelay: time.Second, MaxRetryDelay: maxBackoff, ShouldRetry: azureShouldRetry}}
}

// asStored keeps the HTTP client from unpacking what somebody stored with a
// Content-Encoding: sizes and ranges are those of the stored bytes.
type asStored struct{}

func (asStored) Do(req *policy.Request) (*http.Response, error) {
	req.Raw().Header.Set("Accept-Encoding", "identity")
	return req.Next()
}

// cannotSign: a shared access signature makes no further ones.
func cannotSign(context.Context, sas.BlobSignatureValues) (sas.QueryParameters, error) {
	return sas.QueryParameters{}, fmt.Errorf("%w: a shared access signature cannot sign", errors.ErrUnsupported)
}

// token is the identity of the process. Its requests go to the machine's own
// services, which the client for containers may be forbidden to reach.
func (a *Azure) token() (azcore.TokenCredential, error) {
	if a.opts.ManagedIdentity == "" {
		own, err := azidentity.NewDefaultAzureCredential(nil)
		return azureToken{own}, err
	}
	own, err := azidentity.NewManagedIdentityCredential(
		&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(a.opts.ManagedIdentity)})
	return azureToken{own}, err
}

// azureToken marks the errors of an identity. What the identity's service
// itself has to mend stays as it was answered.
type azureToken struct{ azcore.TokenCredential }

func (t azureToken) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := t.TokenCredential.GetToken(ctx, opts)
	if err == nil {
		return token, nil
	}
	failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err)
	if ok && failed.RawResponse != nil && (failed.RawResponse.StatusCode >= 500 || failed.RawResponse.StatusCode == http.StatusTooManyRequests) {
		return token, fmt.Errorf("%w: %w", err, &azcore.ResponseError{StatusCode: failed.RawResponse.StatusCode, RawResponse: failed.RawResponse})
	}
	return token, fmt.Errorf("%w: %w", errNoCredentials, err)
}

// sharedKey fetches the account's key anew for each request.
type sharedKey struct {
	key   *service.SharedKeyCredential
	fetch func(context.Context) (string, error)
}

func (k sharedKey) Do(req *policy.Request) (*http.Response, error) {
	if err := k.refresh(req.Raw().Context()); err != nil {
		return nil, err
	}
	return req.Next()
}

func (k sharedKey) refresh(ctx context.Context) error {
	text, err := k.fetch(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	if text = strings.TrimSpace(text); text == "" {
		return fmt.Errorf("%w: it is empty", errBadSecret)
	}
	if err := k.key.SetAccountKey(text); err != nil {
		return fmt.Errorf("%w: %w", errBadSecret, err)
	}
	return nil
}

func (k sharedKey) sign(ctx context.Context, values sas.BlobSignatureValues) (sas.QueryParameters, error) {
	if err := k.refresh(ctx); err != nil {
		return sas.QueryParameters{}, err
	}
	return values.SignWithSharedKey(k.key)
}

// delegated signs in the name of the process's identity:
// https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas
type delegated struct{ account *service.Client }

func (d delegated) sign(ctx context.Context, values sas.BlobSignatureValues) (sas.QueryParameters, error) {
	begin, end := values.StartTime.Format(sas.TimeFormat), values.ExpiryTime.Format(sas.TimeFormat)
	key, err := d.account.GetUserDelegationCredential(ctx, service.KeyInfo{Start: &begin, Expiry: &end}, nil)
	if err != nil {
		return sas.QueryParameters{}, err
	}
	return values.SignWithUserDelegation(key)
}

// Presign makes a shared access signature that reads one object, also a range
// of it, for the given time, 7 days at most.
func (a *Azure) Presign(ctx context.Context, key string, valid time.Duration) (string, error) {
	if err := checkKeys(a.prefix, key); err != nil {
		return "", err
	}
	signature, err := a.signRead(ctx, key, min(valid, maxPresign))
	if err != nil {
		return "", a.fail(ctx, azureSign, err)
	}
	return a.blob(key).URL() + "?" + signature, nil
}

// clockAllowance is how far a service's clock may be behind ours.
const clockAllowance = 5 * time.Minute

func (a *Azure) signRead(ctx context.Context, key string, valid time.Duration) (string, error) {
	now := time.Now().UTC().Truncate(time.Second)
	values := sas.BlobSignatureValues{Version: sas.Version, ContainerName: a.opts.Container, BlobName: a.prefix + key,
		StartTime: now.Add(-clockAllowance), ExpiryTime: now.Add(valid), Permissions: (&sas.BlobPermissions{Read: true}).String()}
	if strings.HasPrefix(a.endpoint, "https:") {
		values.Protocol = sas.ProtocolHTTPS
	}
	signed, err := a.signer(ctx, values)
	if err != nil {
		return "", err
	}
	return signed.Encode(), nil
}

// copySource is the URL that Azure copies from. A key of the account does not
// cover it; a shared access signature is added on the way, and an identity's
// token covers it.
func (a *Azure) copySource(ctx context.Context, key string) (string, error) {
	if a.opts.SharedKey == nil {
		return a.blob(key).URL(), nil
	}
	signature, err := a.signRead(ctx, key, time.Hour)
	return a.blob(key).URL() + "?" + signature, err
}

// sasTransport adds a shared access signature to each request, below the
// client: above it, errors name the URL and with it the signature.
type sasTransport struct {
	base http.RoundTripper
	sas  func(context.Context) (url.Values, error)
}

func (t sasTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	signature, err := t.sas(req.Context())
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper closes it in any case
		}
		return nil, err
	}
	signed := req.Clone(req.Context())
	signed.URL.RawQuery = strings.TrimPrefix(signed.URL.RawQuery+"&"+signature.Encode(), "&")
	if source := signed.Header.Get("X-Ms-Copy-Source"); source != "" {
		signed.Header.Set("X-Ms-Copy-Source", source+"?"+signature.Encode())
	}
	resp, err := t.base.RoundTrip(signed)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// sas is the shared access signature as it is now.
func (a *Azure) sas(ctx context.Context) (url.Values, error) {
	text, err := a.opts.SAS(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	signature, err := url.ParseQuery(strings.TrimPrefix(strings.TrimSpace(text), "?"))
	if err != nil || signature.Get("sig") == "" || signature.Get("sv") == "" { // the error would repeat the text
		return nil, fmt.Errorf("%w: it has no sv= or no sig=", errBadSecret)
	}
	return signature, nil
}

// Expires is when the shared access signature ends; zero for other kinds of
// credentials, and where a policy of the container says it. A warning well
// before that time spares a blocked delivery.
func (a *Azure) Expires(ctx context.Context) (time.Time, error) {
	if a.opts.SAS == nil {
		return time.Time{}, nil
	}
	signature, err := a.sas(ctx)
	if err != nil {
		return time.Time{}, a.fail(ctx, "", err)
	}
	text := signature.Get("se")
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	if text != "" {
		return time.Time{}, a.fail(ctx, "", fmt.Errorf("%w: its se= is no time", errBadSecret))
	}
	return time.Time{}, nil
}

// sasEnded reports whether an answer was given after the shared access
// signature had ended: Azure says the same of one that never was valid.
func (a *Azure) sasEnded(ctx context.Context, err error) bool {
	theirs, parseErr := http.ParseTime(header(err, "Date"))
	ends, expiryErr := a.Expires(ctx)
	return parseErr == nil && expiryErr == nil && !ends.IsZero() && theirs.After(ends)
}
