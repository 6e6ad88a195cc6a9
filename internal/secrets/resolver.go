package secrets

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Provider fetches the secrets of one scheme of reference.
type Provider interface {
	// Fetch returns the secret that name, the reference without its scheme,
	// points to, as it is now. An error does not hold the secret.
	Fetch(ctx context.Context, name string) (string, error)
}

// Options say how secrets are fetched. Zero values take the defaults.
type Options struct {
	// Lookup reads the environment, for env: and for where Vault is; default [os.LookupEnv].
	Lookup func(string) (string, bool)
	// Client makes the requests to managers; the default one limits every wait
	// and goes through no netguard: managers stand in private networks.
	Client *http.Client
	// Fresh is how long a secret of a manager is used without asking again;
	// default 2 min.
	Fresh time.Duration
	// Stale is how long it is used where the manager does not answer, or asks
	// for fewer requests; default 15 min. One that refuses is believed at once.
	Stale time.Duration

	now func() time.Time
}

// Resolver fetches what references point to. Of env: and file: nothing is
// kept: a secret that was rotated is the new one at the next call. A manager is
// asked once in a while, not once for each request of each delivery.
type Resolver struct{ providers map[string]Provider }

// NewResolver returns a Resolver with the default options.
func NewResolver() *Resolver { return NewResolverWith(Options{}) }

// NewResolverWith returns a Resolver of every scheme of reference. Managers are
// looked for when the first of their references is resolved, never before.
func NewResolverWith(opts Options) *Resolver {
	opts.Fresh = cmp.Or(opts.Fresh, 2*time.Minute)
	opts.Stale = max(cmp.Or(opts.Stale, 15*time.Minute), opts.Fresh)
	if opts.Lookup == nil {
		opts.Lookup = os.LookupEnv
	}
	if opts.Client == nil {
		opts.Client = newClient()
	}
	if opts.now == nil {
		opts.now = time.Now
	}
	return &Resolver{providers: map[string]Provider{
		"env":      envProvider{opts.Lookup},
		"file":     fileProvider{},
		"aws-sm":   newCache(newAWS(opts), opts),
		"gcp-sm":   newCache(newGCP(opts), opts),
		"azure-kv": newCache(newAzure(opts), opts),
		"vault":    newCache(newVault(opts), opts),
	}}
}

// Resolve returns the secret that ref points to. It fails with a
// [waybill.Failure] that names the reference: secret.unavailable and
// secret.denied are Blocked, secret.throttled is Throttled, and
// secret.unreachable is Transient.
func (r *Resolver) Resolve(ctx context.Context, ref Ref) (Secret, error) {
	provider, ok := r.providers[ref.scheme]
	if !ok {
		return Secret{}, failure(ref, errors.New("the reference points nowhere"))
	}
	value, err := provider.Fetch(ctx, ref.name)
	if err != nil {
		return Secret{}, failure(ref, err)
	}
	return New(value), nil
}

// pick returns the whole text of a secret, or one value of it where a key is
// asked for: the text is a JSON object then.
func pick(text, key string) (string, error) {
	if key == "" {
		if text == "" {
			return "", missing("the secret is empty")
		}
		return text, nil
	}
	var object map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&object) != nil { // its error would show a part of the secret
		return "", missing("the secret is no JSON object, of which one key could be taken")
	}
	return pickFrom(object, key)
}

func pickFrom(object map[string]any, key string) (string, error) {
	switch value := object[key].(type) {
	case string:
		if value != "" {
			return value, nil
		}
		return "", missing("the value of the secret's key %q is empty", key)
	case json.Number:
		return value.String(), nil
	case nil:
		return "", missing("the secret has no key %q", key)
	case map[string]any: // e.g. a service account's key, kept beside others
		nested, err := json.Marshal(value)
		return string(nested), err
	}
	return "", missing("the value of the secret's key %q is no text", key)
}

// newClient limits every wait, and follows no redirect: it could take a token
// to another host.
func newClient() *http.Client {
	return &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:   5 * time.Second,
			ResponseHeaderTimeout: 10 * time.Second,
			IdleConnTimeout:       time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetchTimeout bounds one fetch, a log-in and retries included.
const fetchTimeout = 30 * time.Second

// splitKey cuts a name into the secret and the key of one value in it.
func splitKey(name string) (secret, key string) {
	secret, key, _ = strings.Cut(name, "#")
	return secret, key
}

// tooLarge reports a secret of a size that no secret has.
func tooLarge(what string) error {
	return fmt.Errorf("%s is larger than %d bytes", what, maxSecretBytes)
}
