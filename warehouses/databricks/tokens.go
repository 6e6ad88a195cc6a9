package databricks

import (
	"context"
	"slices"
	"time"

	"github.com/databricks/databricks-sdk-go/service/sharing"
)

// Link is the one-time link at which a recipient takes its credential file.
// It does not print.
type Link struct{ url string }

const hidden = "(activation link)"

// Reveal returns the link. Show it to who shall have it, and keep it nowhere.
func (l Link) Reveal() string { return l.url }

// String, GoString and MarshalText hide it.
func (Link) String() string               { return hidden }
func (Link) GoString() string             { return hidden }
func (Link) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Token is one of a recipient's bearer tokens, of which we only know that it is.
type Token struct {
	ID        string
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	Taken     bool      // its credential file was taken
}

// Activation returns the link of the newest token, as the workspace has it at
// this moment. It is not kept here or logged.
func (w *Workspace) Activation(ctx context.Context, c Connector) (Link, Token, error) {
	_, got, err := w.tokenRecipient(ctx, c)
	if err != nil {
		return Link{}, Token{}, err
	}
	token := newest(w.tokens(got))
	for _, t := range got.Tokens {
		if t.Id == token.ID && t.ActivationUrl != "" {
			return Link{t.ActivationUrl}, token, nil
		}
	}
	return Link{}, token, blocked("databricks.activated", "The link was used, or the token has expired; rotate the token to get another link.", "no activation link at recipient %s", w.name(c))
}

// Tokens lists the tokens that have not expired, oldest first: the forecast of
// what ends when.
func (w *Workspace) Tokens(ctx context.Context, c Connector) ([]Token, error) {
	_, got, err := w.tokenRecipient(ctx, c)
	if err != nil {
		return nil, err
	}
	return w.tokens(got), nil
}

// Rotate gives the recipient a new token and ends its token was after overlap.
// Naming the token makes the call repeatable: if another one is the newest, it
// was rotated already. It returns the new token; [Workspace.Activation] has its
// link.
//
// https://docs.databricks.com/api/workspace/recipients/rotatetoken
func (w *Workspace) Rotate(ctx context.Context, c Connector, was string, overlap time.Duration) (Token, error) {
	api, got, err := w.tokenRecipient(ctx, c)
	if err != nil {
		return Token{}, err
	}
	n := need{do: "rotate the token of recipient " + w.name(c), grant: "ownership of the recipient"}
	if tokens := w.tokens(got); newest(tokens).ID == was {
		if len(tokens) > 1 { // UNCERTAIN: that there can be two alone
			return Token{}, blocked("databricks.rotation_pending", "The last rotation's former token is still valid; rotate again once it has expired.",
				"recipient %s has %d tokens", w.name(c), len(tokens))
		}
		request := sharing.RotateRecipientToken{Name: w.name(c), ExistingTokenExpireInSeconds: int64(overlap.Seconds())}
		if got, err = api.recipients.RotateToken(ctx, request); err != nil {
			return Token{}, failure(ctx, n, err)
		}
	}
	// The new token has the metastore's lifetime at first, not the connector's.
	if err := w.settle(ctx, api, c, got); err != nil {
		return Token{}, err
	}
	tokens, err := w.Tokens(ctx, c)
	return newest(tokens), err
}

func (w *Workspace) tokenRecipient(ctx context.Context, c Connector) (*apis, *sharing.RecipientInfo, error) {
	if c.Mode != ModeToken {
		return nil, nil, blocked("databricks.no_tokens", "The customer reads in a Databricks workspace and has no token; only connectors with recipient: token have one.", "connector %s has mode %s", c.ID, c.Mode)
	}
	api, err := w.api(ctx)
	if err != nil {
		return nil, nil, err
	}
	got, err := w.recipient(ctx, api, c)
	if err == nil && got == nil {
		err = w.recipientGone(c)
	}
	return api, got, err
}

func (w *Workspace) tokens(r *sharing.RecipientInfo) []Token {
	var list []Token
	for _, t := range r.Tokens {
		token := Token{ID: t.Id, CreatedAt: time.UnixMilli(t.CreatedAt).UTC(), Taken: t.ActivationUrl == ""}
		if t.ExpirationTime != 0 {
			token.ExpiresAt = time.UnixMilli(t.ExpirationTime).UTC()
		}
		if token.ExpiresAt.IsZero() || token.ExpiresAt.After(w.o.Now()) {
			list = append(list, token)
		}
	}
	slices.SortStableFunc(list, func(a, b Token) int {
		// Of two of one moment, the one that ends first was rotated.
		if d := a.CreatedAt.Compare(b.CreatedAt); d != 0 || a.ExpiresAt.IsZero() || b.ExpiresAt.IsZero() {
			return d
		}
		return a.ExpiresAt.Compare(b.ExpiresAt)
	})
	return list
}

// newest returns the last of the tokens, or none.
func newest(tokens []Token) Token {
	if len(tokens) == 0 {
		return Token{}
	}
	return tokens[len(tokens)-1]
}

// tooLate says when a token should end that lives for longer than the
// connector's tokens may. An hour is for clocks that differ.
func tooLate(c Connector, t Token) (time.Time, bool) {
	end := t.CreatedAt.Add(c.TokenLifetime)
	return end, t.ID != "" && (t.ExpiresAt.IsZero() || t.ExpiresAt.After(end.Add(time.Hour)))
}
