// Package tokens is who may ask the HTTP API and see the pages: bearer tokens
// with a scope and teams. Only their hashes are kept; they expire, and rotate
// with an overlap.
package tokens

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
)

// Scope is what a token is for.
type Scope string

// The scopes. An operator may do what a producer may.
const (
	Producer Scope = "producer" // hands in runs of its teams, and reads where they are
	Ops      Scope = "ops"      // changes connectors and deliveries of its teams too
)

// Scopes lists the scopes.
func Scopes() []Scope { return []Scope{Producer, Ops} }

// AllTeams in the place of a team's id stands for every team.
const AllTeams = "*"

// Grant is a token's name, and what its holder may do.
type Grant struct {
	Name   string   `json:"name"`
	Scope  Scope    `json:"scope"`
	Teams  []string `json:"teams"` // ids, or [AllTeams] alone
	Tokens []Token  `json:"tokens"`
}

// Token is what is kept of a token: enough to know it again, not to use it.
type Token struct {
	Hash      string    `json:"hash"` // SHA-256 of what its holder has, in hex
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"` // zero: it is in the configuration, which ends it
}

func (t Token) valid(now time.Time) bool { return t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt) }

// EveryTeam reports whether the grant is for all teams, those to come included.
func (g Grant) EveryTeam() bool { return slices.Contains(g.Teams, AllTeams) }

// Serves reports whether the grant is for the team.
func (g Grant) Serves(team string) bool { return g.EveryTeam() || slices.Contains(g.Teams, team) }

// May reports whether the grant's scope covers s.
func (g Grant) May(s Scope) bool { return g.Scope == Ops || g.Scope == s }

// Expires is when the last of the grant's valid tokens ends; zero: never, or
// none is valid, which the second result tells apart.
func (g Grant) Expires(now time.Time) (end time.Time, valid bool) {
	for _, t := range g.Tokens {
		if !t.valid(now) {
			continue
		}
		if t.ExpiresAt.IsZero() {
			return time.Time{}, true
		}
		if valid = true; t.ExpiresAt.After(end) {
			end = t.ExpiresAt
		}
	}
	return end, valid
}

var tokenName = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// Validate returns everything wrong with what a person wrote of a grant.
func (g Grant) Validate() (p waybill.Problems) {
	if !tokenName.MatchString(g.Name) {
		p.Addf("name", "%s is not a token's name; use 1 to 63 lower-case letters, digits and -", waybill.Quote(g.Name))
	}
	if !slices.Contains(Scopes(), g.Scope) {
		p.Addf("scope", "%s is not a scope; use %s (hands in runs) or %s (changes connectors and deliveries too)", waybill.Quote(string(g.Scope)), Producer, Ops)
	}
	if len(g.Teams) == 0 {
		p.Addf("teams", "is empty; name the teams, or %q for all of them", AllTeams)
	}
	for i, team := range g.Teams {
		switch {
		case team == AllTeams && len(g.Teams) > 1:
			p.Addf("teams", "has %q beside ids of teams; give one or the other", AllTeams)
		case team != AllTeams && !waybill.ValidID(team):
			p.Addf(fmt.Sprintf("teams[%d]", i), "%s is not a team's id", waybill.Quote(team))
		}
	}
	return p
}

// Documents keep small JSON documents that outlive everything else.
type Documents interface {
	// Mirror keeps a document under its kind and id, in the place of the one before.
	Mirror(ctx context.Context, kind, id string, doc json.RawMessage) error
	// Mirrored returns it, or an error that matches [waybill.ErrNotFound].
	Mirrored(ctx context.Context, kind, id string) (json.RawMessage, error)
	// MirroredAll returns all documents of a kind, by id.
	MirroredAll(ctx context.Context, kind string) (map[string]json.RawMessage, error)
}

// documentKind is what grants are kept under, by name.
const documentKind = "api-tokens"

// Book hands out tokens, and takes them back.
type Book struct {
	Documents Documents
	// Fixed returns the grant that the configuration has under a name, or an
	// error that matches [waybill.ErrNotFound]. It goes before a document; may be nil.
	Fixed func(ctx context.Context, name string) (Grant, error)
	Now   func() time.Time
}

// ErrNoToken means: this is no token, or no longer. It does not say which.
var ErrNoToken = errors.New("no valid token")

// ErrTaken means: the name has a valid token, which cannot be shown again.
var ErrTaken = errors.New("the name has a valid token already, which cannot be shown again; rotate or revoke it, or use another name")

// New makes a token of a name, and what is kept of it. It begins with its name,
// so that it is found without a list of all tokens.
func New(name string) (bearer, hash string) {
	bearer = name + "." + rand.Text() + rand.Text()
	return bearer, Hash(bearer)
}

// Hash is what is kept of a token. It needs no salt and no stretching: a token
// has 256 random bits.
func Hash(bearer string) string {
	sum := sha256.Sum256([]byte(bearer))
	return hex.EncodeToString(sum[:])
}

// Create makes the first token of a name and returns it: it is not kept, and
// cannot be shown again. It returns [ErrTaken] where the name has a valid one.
func (b Book) Create(ctx context.Context, g Grant, lifetime time.Duration) (string, Grant, error) {
	if err := g.Validate().Err(); err != nil {
		return "", g, err
	}
	was, err := b.Grant(ctx, g.Name)
	if err != nil && !errors.Is(err, waybill.ErrNotFound) {
		return "", g, err
	}
	if _, valid := was.Expires(b.Now()); valid {
		return "", g, fmt.Errorf("token %s: %w", g.Name, ErrTaken)
	}
	g.Tokens = nil
	return b.add(ctx, g, lifetime)
}

// Rotate makes a new token of a name. Those before it are valid for the overlap, at most.
func (b Book) Rotate(ctx context.Context, name string, lifetime, overlap time.Duration) (string, Grant, error) {
	g, err := b.kept(ctx, name)
	if err != nil {
		return "", g, err
	}
	now := b.Now().UTC()
	end := now.Add(overlap)
	g.Tokens = slices.DeleteFunc(g.Tokens, func(t Token) bool { return !t.valid(now) })
	for i, t := range g.Tokens {
		if t.ExpiresAt.After(end) {
			g.Tokens[i].ExpiresAt = end
		}
	}
	return b.add(ctx, g, lifetime)
}

func (b Book) add(ctx context.Context, g Grant, lifetime time.Duration) (string, Grant, error) {
	now := b.Now().UTC().Truncate(time.Second)
	bearer, hash := New(g.Name)
	g.Tokens = append(g.Tokens, Token{Hash: hash, CreatedAt: now, ExpiresAt: now.Add(lifetime)})
	return bearer, g, b.keep(ctx, g)
}

// Revoke ends all tokens of a name at once. It returns how many were valid.
func (b Book) Revoke(ctx context.Context, name string) (n int, err error) {
	g, err := b.kept(ctx, name)
	if err != nil {
		return 0, err
	}
	for _, t := range g.Tokens {
		if t.valid(b.Now()) {
			n++
		}
	}
	g.Tokens = []Token{}
	return n, b.keep(ctx, g)
}

func (b Book) keep(ctx context.Context, g Grant) error {
	text, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("encode token %s: %w", g.Name, err)
	}
	return b.Documents.Mirror(ctx, documentKind, g.Name, text)
}

// kept is the grant of a name that is not the configuration's.
func (b Book) kept(ctx context.Context, name string) (g Grant, err error) {
	text, err := b.Documents.Mirrored(ctx, documentKind, name)
	if err != nil {
		return g, fmt.Errorf("token %s: %w", waybill.Quote(name), err)
	}
	return decode(name, text)
}

func decode(name string, text []byte) (g Grant, err error) {
	if err := json.Unmarshal(text, &g); err != nil {
		return g, fmt.Errorf("decode token %s: %w", name, err)
	}
	return g, nil
}

// Grant returns what a name may do, whether or not it has a valid token, or an
// error that matches [waybill.ErrNotFound].
func (b Book) Grant(ctx context.Context, name string) (Grant, error) {
	if b.Fixed != nil {
		g, err := b.Fixed(ctx, name)
		if !errors.Is(err, waybill.ErrNotFound) {
			return g, err
		}
	}
	return b.kept(ctx, name)
}

// List returns the grants that are not the configuration's, by name.
func (b Book) List(ctx context.Context) ([]Grant, error) {
	docs, err := b.Documents.MirroredAll(ctx, documentKind)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	list := make([]Grant, 0, len(docs))
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		g, err := decode(name, docs[name])
		if err != nil {
			return nil, err
		}
		list = append(list, g)
	}
	return list, nil
}

// Find returns what the holder of a token may do, or [ErrNoToken].
func (b Book) Find(ctx context.Context, bearer string) (Grant, error) {
	name, _, ok := strings.Cut(bearer, ".")
	if !ok || !tokenName.MatchString(name) {
		return Grant{}, ErrNoToken
	}
	return b.FindHash(ctx, name, Hash(bearer))
}

// FindHash is [Book.Find] for who kept only the hash of what was shown.
func (b Book) FindHash(ctx context.Context, name, shown string) (Grant, error) {
	g, err := b.Grant(ctx, name)
	if errors.Is(err, waybill.ErrNotFound) {
		return Grant{}, ErrNoToken
	}
	if err != nil {
		return Grant{}, err
	}
	found := false
	for _, t := range g.Tokens { // all of them, so that the time tells nothing
		found = subtle.ConstantTimeCompare([]byte(t.Hash), []byte(shown)) == 1 && t.valid(b.Now()) || found
	}
	if !found {
		return Grant{}, ErrNoToken
	}
	g.Name = cmp.Or(g.Name, name)
	return g, nil
}
