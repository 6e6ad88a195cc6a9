// Package secrets turns references to secrets into secrets. A configuration
// holds references only ([Ref]); a [Resolver] fetches what they point to; a
// [Secret] never prints.
package secrets

import (
	"fmt"
	"log/slog"
)

const redacted = "[secret]"

// Secret is a value that must not reach a log, an error or a document. Every
// way of printing or encoding it gives "[secret]"; only [Secret.Reveal] gives
// the value. The zero Secret is empty.
type Secret struct {
	// A function, because fmt and other reflecting printers look into the
	// unexported fields of a struct around the Secret without asking its
	// methods; of a function they can show the address only.
	reveal func() string
}

// New returns a Secret that holds value.
func New(value string) Secret { return Secret{reveal: func() string { return value }} }

// Reveal returns the value. Its callers are the places to look at in a review.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// String returns "[secret]".
func (s Secret) String() string { return redacted }

// GoString returns "[secret]".
func (s Secret) GoString() string { return redacted }

// Format writes "[secret]" whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns "[secret]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[secret]" as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue returns "[secret]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

var (
	_ fmt.Formatter  = Secret{}
	_ fmt.GoStringer = Secret{}
	_ slog.LogValuer = Secret{}
)
