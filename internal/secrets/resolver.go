package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/waybillhq/waybill"
)

// Provider fetches the secrets of one scheme of reference.
type Provider interface {
	// Fetch returns the secret that name, the reference without its scheme,
	// points to, as it is now. An error does not hold the secret.
	Fetch(ctx context.Context, name string) (string, error)
}

// Resolver fetches what references point to. Nothing is cached: a secret that
// was rotated is the new one at the next call.
type Resolver struct{ providers map[string]Provider }

// NewResolver returns a Resolver of env: and file: references.
func NewResolver() *Resolver {
	return &Resolver{providers: map[string]Provider{"env": envProvider{os.LookupEnv}, "file": fileProvider{}}}
}

// Resolve returns the secret that ref points to. It fails with a Blocked
// [waybill.Failure], secret.unavailable, that names the reference.
func (r *Resolver) Resolve(ctx context.Context, ref Ref) (Secret, error) {
	provider, ok := r.providers[ref.scheme]
	if !ok {
		return Secret{}, unavailable(ref, errors.New("the reference points nowhere"))
	}
	value, err := provider.Fetch(ctx, ref.name)
	if err != nil {
		return Secret{}, unavailable(ref, err)
	}
	return New(value), nil
}

func unavailable(ref Ref, cause error) error {
	return waybill.Failf(waybill.Blocked, "secret.unavailable",
		fmt.Sprintf("Make the secret %q available to this process: set the environment variable, or put a readable file with the secret there.", ref.String()),
		"resolve %q: %w", ref.String(), cause)
}

type envProvider struct{ lookup func(string) (string, bool) }

var _ Provider = envProvider{}

func (p envProvider) Fetch(_ context.Context, name string) (string, error) {
	value, set := p.lookup(name)
	switch {
	case !set:
		return "", errors.New("the environment variable is not set")
	case value == "":
		return "", errors.New("the environment variable is empty")
	}
	return value, nil
}

// maxSecretBytes bounds a secret file: a certificate chain with its key fits.
const maxSecretBytes = 64 << 10

// fileProvider reads the file at each call. Mounted secrets are replaced
// through symbolic links, where time and size can stay the same; reading a few
// bytes costs less than being wrong.
type fileProvider struct{}

var _ Provider = fileProvider{}

func (fileProvider) Fetch(_ context.Context, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // a pipe would block for ever
		return "", errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", err
	}
	value, cut := strings.CutSuffix(string(text), "\r\n")
	if !cut {
		value = strings.TrimSuffix(value, "\n")
	}
	switch {
	case len(text) > maxSecretBytes:
		return "", fmt.Errorf("the file is larger than %d bytes", maxSecretBytes)
	case value == "":
		return "", errors.New("the file is empty")
	}
	return value, nil
}
