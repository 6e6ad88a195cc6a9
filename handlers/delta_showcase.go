package handlers

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/warehouses/databricks"
	"github.com/waybillhq/waybill/warehouses/sharing"
)

// showcase shows a connector's tables to its customer.
type showcase interface {
	// show makes tables visible, by name. Those that are stay so.
	show(ctx context.Context, t tables, names []string) error
	// check reads back what the customer sees: these tables, and nothing that is not public.
	check(ctx context.Context, t tables, names []string) error
	// hide takes tables from the customer. What was not shown stays so.
	hide(ctx context.Context, names []string) error
	// forget ends what is known of hidden tables outside of their own place.
	forget(ctx context.Context, names []string) error
	// revoke takes everything from the customer.
	revoke(ctx context.Context) error
	// purge revokes, and ends all that was made for the connector but its place.
	purge(ctx context.Context) error
}

// showcase prepares to show a connector's tables.
func (h *Handlers) showcase(ctx context.Context, c connectors.Connector) (showcase, error) {
	shown, err := h.shown(c)
	if w, ok := shown.(workspace); ok && err == nil {
		// Before anything is written: a share of nothing, read back.
		_, err = w.Provision(ctx, w.c)
	}
	return shown, err
}

// shown is how a connector's tables are shown, without anything being made.
func (h *Handlers) shown(c connectors.Connector) (showcase, error) {
	if c.Kind != waybill.KindDatabricks {
		return ownServer{sharing.TokenBook{Documents: h.Ledger, Now: time.Now}, c.ID}, nil
	}
	if h.Workspace == nil {
		return nil, waybill.Failf(waybill.Permanent, "databricks.not_configured",
			"This worker has no Databricks workspace; give it the fleet's databricks settings, then retry.", "no workspace")
	}
	return workspace{h.Workspace, h.workspaceConnector(c)}, nil
}

// ownServer is our Delta Sharing server: it serves what the tables about
// workflows name, if the connector selects it, from the tables themselves.
type ownServer struct {
	tokens    sharing.TokenBook
	connector string
}

func (ownServer) show(context.Context, tables, []string) error  { return nil }
func (ownServer) check(context.Context, tables, []string) error { return nil }
func (ownServer) hide(context.Context, []string) error          { return nil }
func (ownServer) forget(context.Context, []string) error        { return nil }

func (s ownServer) revoke(ctx context.Context) error {
	_, err := s.tokens.Revoke(ctx, s.connector)
	return err
}

func (s ownServer) purge(ctx context.Context) error { return s.revoke(ctx) }

// workspace is our Databricks workspace, of one connector.
type workspace struct {
	*databricks.Workspace
	c databricks.Connector
}

func (h *Handlers) workspaceConnector(c connectors.Connector) databricks.Connector {
	d := c.Databricks
	return databricks.Connector{ID: c.ID, Team: c.Team, Mode: databricks.Mode(d.Recipient), SharingIdentifier: d.SharingIdentifier,
		TokenLifetime: cmp.Or(time.Duration(d.TokenLifetime), h.TokenLifetime, 90*24*time.Hour), AllowedIPs: d.AllowedIPs}
}

func (w workspace) show(ctx context.Context, t tables, names []string) error {
	for _, name := range names {
		table := t.open(name)
		s, err := table.Snapshot(ctx)
		if err != nil {
			return err
		}
		if err := w.Register(ctx, w.c, databricks.Table{Name: name, Location: table.URL(), Schema: s.Metadata.SchemaString}); err != nil {
			return err
		}
		tasks.Progress(ctx)
	}
	return w.Share(ctx, w.c, names)
}

func (w workspace) check(ctx context.Context, _ tables, names []string) error {
	_, err := w.Verify(ctx, w.c, names)
	return err
}

func (w workspace) hide(ctx context.Context, names []string) error {
	err := w.Unshare(ctx, w.c, names)
	if f, ok := errors.AsType[*waybill.Failure](err); ok && f.Code == databricks.CodeShareGone {
		return nil // nothing is shown at all
	}
	return err
}

func (w workspace) forget(ctx context.Context, names []string) error {
	return w.Unregister(ctx, w.c, names)
}
func (w workspace) revoke(ctx context.Context) error { return w.Revoke(ctx, w.c) }
func (w workspace) purge(ctx context.Context) error  { return w.Purge(ctx, w.c) }
