package handlers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/warehouses/databricks"
	"github.com/waybillhq/waybill/warehouses/delta"
	"github.com/waybillhq/waybill/warehouses/sharing"
)

// recipient is a connector's recipient at our workspace.
func (o *Operations) recipient(c connectors.Connector) (workspace, error) {
	if c.Kind != waybill.KindDatabricks {
		return workspace{}, fmt.Errorf("connector %s is of kind %s; recipients are of kind %s", c.ID, c.Kind, waybill.KindDatabricks)
	}
	shown, err := o.shown(c)
	if err != nil {
		return workspace{}, err
	}
	return shown.(workspace), nil //nolint:forcetypeassert // of this kind it is one
}

// Activation hands out the one-time link at which a token recipient takes its
// credential file, as the workspace has it now. That it was handed out, and to
// whom, is on record before anybody has it; the link itself is kept nowhere.
func (o *Operations) Activation(ctx context.Context, r Request, c connectors.Connector) (databricks.Link, databricks.Token, error) {
	w, err := o.recipient(c)
	if err != nil {
		return databricks.Link{}, databricks.Token{}, err
	}
	if _, err := w.Provision(ctx, w.c); err != nil { // there may have been no delivery yet
		return databricks.Link{}, databricks.Token{}, err
	}
	link, token, err := w.Activation(ctx, w.c)
	if err != nil {
		return databricks.Link{}, databricks.Token{}, err
	}
	op, err := o.start(ctx, r, c, waybill.OperationActivate)
	if err != nil {
		return databricks.Link{}, databricks.Token{}, err
	}
	op.Token = token.ID
	if _, err := o.Ledger.EndOperation(ctx, op.PendingOperation); err != nil {
		return databricks.Link{}, databricks.Token{}, err
	}
	o.Log.InfoContext(ctx, "activation link handed out", "connector", c.ID, "team", c.Team, "token", token.ID, "by", r.By)
	return link, token, nil
}

// Rotate gives a token recipient a new token; the former one is valid for the
// overlap. A repetition after a crash rotates once.
func (o *Operations) Rotate(ctx context.Context, r Request, c connectors.Connector, overlap time.Duration) (databricks.Token, error) {
	w, err := o.recipient(c)
	if err != nil {
		return databricks.Token{}, err
	}
	tokens, err := w.Tokens(ctx, w.c)
	if err != nil {
		return databricks.Token{}, err
	}
	op, err := o.start(ctx, r, c, waybill.OperationRotate)
	if err != nil {
		return databricks.Token{}, err
	}
	if len(tokens) > 0 {
		op.Token = tokens[len(tokens)-1].ID
	}
	pending, err := o.Ledger.BeginOperation(ctx, op.PendingOperation)
	if err != nil {
		return databricks.Token{}, err
	}
	if time.Since(pending.StartedAt) > time.Hour { // nobody's repetition any more
		pending = op.PendingOperation
		if err := o.Ledger.AmendOperation(ctx, pending); err != nil {
			return databricks.Token{}, err
		}
	}
	token, err := w.Rotate(ctx, w.c, pending.Token, overlap)
	if err != nil {
		return databricks.Token{}, err
	}
	_, err = o.Ledger.EndOperation(ctx, pending)
	o.Log.InfoContext(ctx, "token rotated", "connector", c.ID, "team", c.Team, "was", pending.Token, "expires", token.ExpiresAt, "by", pending.By)
	return token, err
}

// Reinstate makes good what was removed at our workspace by hand: the
// recipient, the share, and what the share shows. Connectors that are not of
// kind databricks have nothing of the sort.
func (o *Operations) Reinstate(ctx context.Context, c connectors.Connector) error {
	if c.Kind != waybill.KindDatabricks {
		return nil
	}
	w, err := o.recipient(c)
	if err != nil {
		return err
	}
	if _, err := w.Workspace.Reinstate(ctx, w.c); err != nil {
		return err
	}
	store, err := o.Tables(ctx, c)
	if err != nil {
		return err
	}
	d := &deltaPublished{h: o.Handlers, c: c, shown: w, tables: tables{store: store, options: delta.Options{Brand: o.Brand, Log: o.Log}}}
	changes, err := d.everything(ctx, waybill.EffectRestored)
	if err != nil {
		return err
	}
	hidden, err := d.narrowed(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, change := range changes {
		if !slices.Contains(hidden, change.Table) && (change.Table != waybill.TableActivity || c.LogsActivity()) {
			names = append(names, change.Table)
		}
	}
	return w.show(ctx, d.tables, names)
}

// TokenExpiry is when a connector's customer can no longer read.
type TokenExpiry struct {
	Connector string
	ExpiresAt time.Time // of the newest token; zero: it has none, or it never ends
	Tokens    int       // that are valid now
}

// Soon reports whether an operator should hear of it.
func (e TokenExpiry) Soon(now time.Time) bool {
	return e.Tokens > 0 && !e.ExpiresAt.IsZero() && e.ExpiresAt.Sub(now) < expiryWarning
}

// expiryWarning is how long before its end a token should be rotated.
const expiryWarning = 14 * 24 * time.Hour

// TokenExpiry is the forecast for one connector. It is false for those whose
// customers have no tokens.
func (o *Operations) TokenExpiry(ctx context.Context, c connectors.Connector) (e TokenExpiry, has bool, err error) {
	e.Connector = c.ID
	switch {
	case c.Kind == waybill.KindDeltaSharing:
		tokens, err := sharing.TokenBook{Documents: o.Ledger, Now: time.Now}.Tokens(ctx, c.ID)
		for _, t := range tokens {
			e.add(t.ExpiresAt)
		}
		return e, true, err
	case c.Databricks != nil && c.Databricks.Recipient == connectors.RecipientToken:
		w, err := o.recipient(c)
		if err != nil {
			return e, true, err
		}
		tokens, err := w.Tokens(ctx, w.c)
		for _, t := range tokens {
			e.add(t.ExpiresAt)
		}
		return e, true, err
	}
	return e, false, nil
}

// never is the end of a token that has none.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (e *TokenExpiry) add(end time.Time) {
	if end = cmp.Or(end, never); !end.After(time.Now()) {
		return
	}
	if e.Tokens++; end.After(e.ExpiresAt) {
		e.ExpiresAt = end
	}
}
