package storage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/compute/metadata"
	gcs "cloud.google.com/go/storage"
	"google.golang.org/api/iamcredentials/v1"
	"google.golang.org/api/option"
)

// gcsScopes: roles decide; the scope only must not stand in their way. An
// account that acts as another one needs the wider scope for that.
var (
	gcsScopes = []string{gcs.ScopeReadWrite}
	iamScopes = []string{"https://www.googleapis.com/auth/cloud-platform"}
)

// bearer gives each request the token of that moment.
type bearer struct {
	base  http.RoundTripper
	token func(context.Context) (string, error)
}

func (b bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := b.token(req.Context())
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper closes it in any case
		}
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+token)
	return b.base.RoundTrip(req)
}

// gcsIdentity is who Waybill is to Google. Tokens are kept and renewed minutes
// before they end.
type gcsIdentity struct {
	opts   GCSOptions
	client *http.Client // without credentials
	words  dialect

	mu     sync.Mutex
	keySum [sha256.Size]byte  // of the key that own was made of
	own    *auth.Credentials  // of the key, or of the process
	acting auth.TokenProvider // of the impersonated account
}

// token is what requests to the bucket bear.
func (i *gcsIdentity) token(ctx context.Context) (string, error) {
	if i.opts.Impersonate == "" {
		return i.ownToken(ctx)
	}
	i.mu.Lock()
	if i.acting == nil {
		i.acting = auth.NewCachedTokenProvider(impersonated{i}, &auth.CachedTokenProviderOptions{DisableAsyncRefresh: true})
	}
	acting := i.acting
	i.mu.Unlock()
	token, err := acting.Token(ctx)
	if err != nil {
		return "", err
	}
	return token.Value, nil
}

func (i *gcsIdentity) ownToken(ctx context.Context) (string, error) {
	own, err := i.credentials(ctx)
	if err != nil {
		return "", err
	}
	token, err := own.Token(ctx)
	if err == nil {
		return token.Value, nil
	}
	_, answered := errors.AsType[*auth.Error](err)
	_, sent := errors.AsType[*url.Error](err)
	switch {
	case answered || sent:
		return "", err
	case i.opts.ServiceAccountKey != nil: // the private key in it cannot be read
		return "", fmt.Errorf("%w: %w", errBadSecret, err)
	}
	return "", fmt.Errorf("%w: %w", errNoCredentials, err)
}

// credentials are those of the key as it is now, or of the process.
func (i *gcsIdentity) credentials(ctx context.Context) (*auth.Credentials, error) {
	var key []byte
	if i.opts.ServiceAccountKey != nil {
		var err error
		if key, err = i.opts.ServiceAccountKey(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", errNoCredentials, err)
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	sum := sha256.Sum256(key)
	if i.own != nil && i.keySum == sum {
		return i.own, nil
	}
	own, err := i.load(key)
	if err != nil {
		return nil, err
	}
	i.own, i.keySum = own, sum
	return own, nil
}

// load takes service accounts' keys only: other kinds of files can name
// programs and addresses that would be called.
func (i *gcsIdentity) load(key []byte) (*auth.Credentials, error) {
	opts := &credentials.DetectOptions{Scopes: gcsScopes, Client: i.client, DisableAsyncRefresh: true}
	if i.opts.Impersonate != "" {
		opts.Scopes = iamScopes
	}
	if i.opts.ServiceAccountKey != nil {
		own, err := credentials.NewCredentialsFromJSON(credentials.ServiceAccount, key, opts)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errBadSecret, err)
		}
		return own, nil
	}
	opts.Client = nil // its own one reaches the machine's metadata server
	own, err := credentials.DetectDefault(opts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	return own, nil
}

// impersonated makes tokens of the account that Waybill acts as:
// https://cloud.google.com/iam/docs/create-short-lived-credentials-direct
type impersonated struct{ *gcsIdentity }

func (i impersonated) Token(ctx context.Context) (*auth.Token, error) {
	accounts, err := i.accounts(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := accounts.GenerateAccessToken(accountName(i.opts.Impersonate),
		&iamcredentials.GenerateAccessTokenRequest{Scope: gcsScopes}).Context(ctx).Do()
	if err != nil {
		return nil, i.refused(err)
	}
	expiry, err := time.Parse(time.RFC3339, answer.ExpireTime)
	if err != nil {
		return nil, fmt.Errorf("the token's end: %w", err)
	}
	return &auth.Token{Value: answer.AccessToken, Type: "Bearer", Expiry: expiry}, nil
}

// accounts is the service that makes tokens and signatures of other accounts.
func (i *gcsIdentity) accounts(ctx context.Context) (*iamcredentials.ProjectsServiceAccountsService, error) {
	authorized := *i.client
	authorized.Transport = bearer{cmp.Or(i.client.Transport, http.DefaultTransport), i.ownToken}
	service, err := iamcredentials.NewService(ctx, option.WithHTTPClient(&authorized), option.WithEndpoint("https://iamcredentials.googleapis.com/"))
	if err != nil {
		return nil, err
	}
	return service.Projects.ServiceAccounts, nil
}

func accountName(email string) string { return "projects/-/serviceAccounts/" + email }

// refused tells "may not act as the account" from "the account may not".
func (i *gcsIdentity) refused(err error) error {
	if _, status := answer(err); status != http.StatusForbidden && status != http.StatusNotFound {
		return err
	}
	return roleRefused.failure("bucket "+i.opts.Bucket, asked{error: err, of: i.words})
}

// maxPresign: https://cloud.google.com/storage/docs/access-control/signed-urls
const maxPresign = 7 * 24 * time.Hour

// Presign signs a GET, also of a range, for the given time, 7 days at most. It
// is signed with the service account's key or, where the account has none
// here, by Google; then Waybill's identity needs iam.serviceAccounts.signBlob.
func (g *GCS) Presign(ctx context.Context, key string, valid time.Duration) (string, error) {
	if err := checkKeys(g.prefix, key); err != nil {
		return "", err
	}
	opts, err := g.identity.signer(ctx)
	if err != nil {
		return "", g.fail(ctx, "iam.serviceAccounts.signBlob (the role roles/iam.serviceAccountTokenCreator)", err)
	}
	opts.Method, opts.Scheme, opts.Insecure = http.MethodGet, gcs.SigningSchemeV4, g.insecure
	opts.Expires = time.Now().Add(min(valid, maxPresign))
	signed, err := g.bucket.SignedURL(g.prefix+key, opts)
	return signed, g.fail(ctx, "iam.serviceAccounts.signBlob (the role roles/iam.serviceAccountTokenCreator)", err)
}

// signer says in whose name URLs are signed, and how.
func (i *gcsIdentity) signer(ctx context.Context) (*gcs.SignedURLOptions, error) {
	if i.opts.Anonymous {
		return nil, fmt.Errorf("%w: there is no account that could sign", errors.ErrUnsupported)
	}
	account := i.opts.Impersonate
	if account == "" {
		own, err := i.credentials(ctx)
		if err != nil {
			return nil, err
		}
		var key struct {
			Email      string `json:"client_email"` //nolint:tagliatelle // Google's name
			PrivateKey string `json:"private_key"`  //nolint:tagliatelle // likewise
		}
		if json.Unmarshal(own.JSON(), &key) == nil && key.Email != "" && key.PrivateKey != "" {
			return &gcs.SignedURLOptions{GoogleAccessID: key.Email, PrivateKey: []byte(key.PrivateKey)}, nil
		}
		if account, err = metadata.EmailWithContext(ctx, "default"); err != nil {
			return nil, fmt.Errorf("%w: the process's identity is no service account: %w", errors.ErrUnsupported, err)
		}
	}
	return &gcs.SignedURLOptions{GoogleAccessID: account, SignBytes: func(text []byte) ([]byte, error) {
		return i.sign(ctx, account, text)
	}}, nil
}

// sign lets Google sign: https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/signBlob
func (i *gcsIdentity) sign(ctx context.Context, account string, text []byte) ([]byte, error) {
	accounts, err := i.accounts(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := accounts.SignBlob(accountName(account),
		&iamcredentials.SignBlobRequest{Payload: base64.StdEncoding.EncodeToString(text)}).Context(ctx).Do()
	if err != nil {
		return nil, i.refused(err)
	}
	return base64.StdEncoding.DecodeString(answer.SignedBlob)
}
