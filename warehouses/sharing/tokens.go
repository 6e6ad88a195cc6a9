package sharing

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
)

// Token is what is kept of a token: enough to know it again, not to use it.
type Token struct {
	Hash      string    `json:"hash"` // SHA-256 of what the customer has, in hex
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// id names the token where it must not be told.
func (t Token) id() string { return t.Hash[:16] }

// Tokens are the tokens of connectors.
type Tokens interface {
	// Tokens returns a connector's; none where it never had any.
	Tokens(ctx context.Context, connector string) ([]Token, error)
}

// Documents keep small JSON documents that outlive everything else.
type Documents interface {
	// Mirror keeps a document under its kind and id, in the place of the one before.
	Mirror(ctx context.Context, kind, id string, doc json.RawMessage) error
	// Mirrored returns it, or an error that matches [waybill.ErrNotFound].
	Mirrored(ctx context.Context, kind, id string) (json.RawMessage, error)
}

// documentKind is what tokens are kept under, by their connector.
const documentKind = "share-tokens"

// TokenBook hands out tokens, and takes them back.
type TokenBook struct {
	Documents Documents
	Now       func() time.Time
}

var _ Tokens = TokenBook{}

// Tokens returns those that are valid, or were.
func (b TokenBook) Tokens(ctx context.Context, connector string) ([]Token, error) {
	text, err := b.Documents.Mirrored(ctx, documentKind, connector)
	if errors.Is(err, waybill.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tokens of connector %s: %w", connector, err)
	}
	var tokens []Token
	if err := json.Unmarshal(text, &tokens); err != nil {
		return nil, fmt.Errorf("tokens of connector %s: %w", connector, err)
	}
	return tokens, nil
}

// ErrHandedOut means: the connector has a valid token, which cannot be shown again.
var ErrHandedOut = errors.New("a token was handed out already")

// Issue makes the connector's first token and returns it: it is not kept, and
// cannot be shown again. Where a valid one was handed out before, it returns [ErrHandedOut].
func (b TokenBook) Issue(ctx context.Context, connector string, lifetime time.Duration) (string, Token, error) {
	return b.add(ctx, connector, lifetime, func(valid []Token) ([]Token, error) {
		if len(valid) > 0 {
			return nil, ErrHandedOut
		}
		return nil, nil
	})
}

// Rotate makes a new token. Those before it are valid for the overlap, at most.
func (b TokenBook) Rotate(ctx context.Context, connector string, lifetime, overlap time.Duration) (string, Token, error) {
	end := b.Now().UTC().Add(overlap)
	return b.add(ctx, connector, lifetime, func(valid []Token) ([]Token, error) {
		for i, t := range valid {
			if t.ExpiresAt.After(end) {
				valid[i].ExpiresAt = end
			}
		}
		return valid, nil
	})
}

func (b TokenBook) add(ctx context.Context, connector string, lifetime time.Duration, keep func(valid []Token) ([]Token, error)) (string, Token, error) {
	tokens, err := b.Tokens(ctx, connector)
	if err != nil {
		return "", Token{}, err
	}
	now := b.Now().UTC().Truncate(time.Second)
	valid := slices.DeleteFunc(tokens, func(t Token) bool { return !t.ExpiresAt.After(now) })
	if valid, err = keep(valid); err != nil {
		return "", Token{}, err
	}
	// It names the connector, so that it is found without a list of all tokens.
	bearer := connector + "." + rand.Text() + rand.Text()
	token := Token{Hash: hash(bearer), CreatedAt: now, ExpiresAt: now.Add(lifetime)}
	return bearer, token, b.keep(ctx, connector, append(valid, token))
}

// Revoke ends all tokens of a connector at once. It returns how many were valid.
func (b TokenBook) Revoke(ctx context.Context, connector string) (int, error) {
	tokens, err := b.Tokens(ctx, connector)
	if err != nil {
		return 0, err
	}
	now := b.Now()
	valid := slices.DeleteFunc(tokens, func(t Token) bool { return !t.ExpiresAt.After(now) })
	return len(valid), b.keep(ctx, connector, []Token{})
}

func (b TokenBook) keep(ctx context.Context, connector string, tokens []Token) error {
	text, err := json.Marshal(tokens)
	if err != nil {
		return err
	}
	return b.Documents.Mirror(ctx, documentKind, connector, text)
}

func hash(bearer string) string {
	sum := sha256.Sum256([]byte(bearer))
	return hex.EncodeToString(sum[:])
}

// find returns the connector and the token that a customer shows.
func find(ctx context.Context, tokens Tokens, bearer string, now time.Time) (connector string, found Token, err error) {
	connector, _, ok := strings.Cut(bearer, ".")
	if !ok || !waybill.ValidID(connector) {
		return "", Token{}, errNoToken
	}
	known, err := tokens.Tokens(ctx, connector)
	if err != nil {
		return "", Token{}, err
	}
	shown := []byte(hash(bearer))
	for _, t := range known { // all of them, so that the time tells nothing
		if subtle.ConstantTimeCompare([]byte(t.Hash), shown) == 1 && now.Before(t.ExpiresAt) {
			found = t
		}
	}
	if found.Hash == "" {
		return "", Token{}, errNoToken
	}
	return connector, found, nil
}

// Profile is the file that a client of the protocol reads.
// https://github.com/delta-io/delta-sharing/blob/main/PROTOCOL.md#profile-file-format
type Profile struct {
	ShareCredentialsVersion int       `json:"shareCredentialsVersion"`
	Endpoint                string    `json:"endpoint"`
	BearerToken             string    `json:"bearerToken"`
	ExpirationTime          time.Time `json:"expirationTime"`
}

// NewProfile is the profile of a token that was just made.
func NewProfile(endpoint, bearer string, t Token) Profile {
	return Profile{ShareCredentialsVersion: 1, Endpoint: strings.TrimRight(endpoint, "/") + "/", BearerToken: bearer, ExpirationTime: t.ExpiresAt}
}
