package snowflake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/waybillhq/waybill"
)

// Documents keep small JSON documents that outlive everything else.
type Documents interface {
	// Mirror keeps a document under its kind and id, in the place of the one before.
	Mirror(ctx context.Context, kind, id string, doc json.RawMessage) error
	// Mirrored returns it, or an error that matches [waybill.ErrNotFound].
	Mirrored(ctx context.Context, kind, id string) (json.RawMessage, error)
}

// documentKind is what a connector's setup is kept under, by its id.
const documentKind = "snowflake-setups"

// kept is a setup, and the settings that it was made for.
type kept struct {
	Target   Target `json:"target"`
	Activity bool   `json:"activity"`
	Setup    Setup  `json:"setup"`
}

func (k kept) isFor(c Connector) bool { return k.Target == c.Target && k.Activity == c.ActivityLog }

// Ready is a connector's destination that was set up, and how.
type Ready struct {
	*Destination
	Setup Setup
}

// Ready returns a connector's destination. One that was never set up, or for
// other settings, is set up now: nothing is delivered to an account that was
// not verified.
func (a *Account) Ready(ctx context.Context, docs Documents, c Connector) (Ready, error) {
	k, err := known(ctx, docs, c.ID)
	if err != nil {
		return Ready{}, err
	}
	if !k.isFor(c) {
		return a.SetUp(ctx, docs, c)
	}
	d, err := a.Connector(k.resolve(c))
	return Ready{d, k.Setup}, err
}

// Known returns a connector's destination, whether it was set up or not.
func (a *Account) Known(ctx context.Context, docs Documents, c Connector) (*Destination, error) {
	k, err := known(ctx, docs, c.ID)
	if err != nil {
		return nil, err
	}
	return a.Connector(k.resolve(c))
}

// SetUp sets a connector up, once more if it was, and keeps how.
func (a *Account) SetUp(ctx context.Context, docs Documents, c Connector) (Ready, error) {
	d, err := a.Known(ctx, docs, c)
	if err != nil {
		return Ready{}, err
	}
	made, err := d.Setup(ctx)
	if err != nil {
		return Ready{}, err
	}
	text, err := json.Marshal(kept{Target: c.Target, Activity: c.ActivityLog, Setup: made})
	if err == nil {
		err = docs.Mirror(ctx, documentKind, c.ID, text)
	}
	if err != nil {
		return Ready{}, fmt.Errorf("keep the setup of connector %s: %w", c.ID, err)
	}
	return Ready{d, made}, nil
}

// KnownSetup is how a connector was set up last; nothing where it never was.
func KnownSetup(ctx context.Context, docs Documents, connector string) (Setup, error) {
	k, err := known(ctx, docs, connector)
	return k.Setup, err
}

func known(ctx context.Context, docs Documents, connector string) (k kept, err error) {
	text, err := docs.Mirrored(ctx, documentKind, connector)
	if errors.Is(err, waybill.ErrNotFound) {
		return kept{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &k)
	}
	if err != nil {
		return kept{}, fmt.Errorf("setup of connector %s: %w", connector, err)
	}
	return k, nil
}

// resolve gives the connector what its locator was found to name.
func (k kept) resolve(c Connector) Connector {
	if c.Target.Organization == "" && k.Target == c.Target {
		c.Target.Resolved = k.Setup.Account
	}
	return c
}
