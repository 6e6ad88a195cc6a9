package secrets

import (
	"encoding"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
)

// Ref points to a secret: env:NAME, an environment variable, or
// file:/absolute/path, a file such as a mounted secret. It is safe to print
// and to store. The zero Ref points nowhere.
type Ref struct{ scheme, name string }

var _ encoding.TextUnmarshaler = (*Ref)(nil)

// The mends never repeat what was written: it may be the secret itself.
var (
	errNotRef   = errors.New("is not a reference to a secret; write env:NAME or file:/absolute/path, never the secret itself")
	errEnvName  = errors.New("does not name an environment variable; after env: write letters, digits and _, e.g. env:REDIS_PASSWORD")
	errFilePath = errors.New("does not name a file; after file: write its absolute path, e.g. file:/run/secrets/redis")
)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ParseRef reads a reference as a person writes it. Its errors do not repeat
// the text: who pastes a secret where a reference belongs must not find it in
// a log.
func ParseRef(text string) (Ref, error) {
	scheme, name, _ := strings.Cut(text, ":")
	switch scheme {
	case "env":
		if !envName.MatchString(name) {
			return Ref{}, errEnvName
		}
	case "file":
		if !filepath.IsAbs(name) || strings.ContainsRune(name, 0) {
			return Ref{}, errFilePath
		}
	default:
		return Ref{}, errNotRef
	}
	return Ref{scheme, name}, nil
}

// IsZero reports whether the reference points nowhere.
func (r Ref) IsZero() bool { return r == Ref{} }

// String is the reference as written.
func (r Ref) String() string {
	if r.IsZero() {
		return ""
	}
	return r.scheme + ":" + r.name
}

// MarshalText is the reference as written.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a reference as [ParseRef] does; empty text is the zero Ref.
func (r *Ref) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*r = Ref{}
		return nil
	}
	*r, err = ParseRef(string(text))
	return err
}
