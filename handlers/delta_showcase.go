package handlers

import (
	"context"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/warehouses/databricks"
)

// showcase shows a connector's tables to its customer.
type showcase interface {
	// show makes tables visible, by name. Those that are stay so.
	show(ctx context.Context, t tables, names []string) error
	// check reads back what the customer sees: these tables, and nothing that is not public.
	check(ctx context.Context, t tables, names []string) error
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
		return ownServer{}, nil
	}
	if h.Workspace == nil {
		return nil, waybill.Failf(waybill.Permanent, "databricks.not_configured",
			"This worker has no Databricks workspace; give it the fleet's databricks settings, then retry.", "no workspace")
	}
	return workspace{h.Workspace, workspaceConnector(c)}, nil
}

// ownServer is our Delta Sharing server: it serves what the tables about
// workflows name, from the tables themselves, and nothing else.
type ownServer struct{}

func (ownServer) show(context.Context, tables, []string) error  { return nil }
func (ownServer) check(context.Context, tables, []string) error { return nil }

// workspace is our Databricks workspace, of one connector.
type workspace struct {
	*databricks.Workspace
	c databricks.Connector
}

func workspaceConnector(c connectors.Connector) databricks.Connector {
	d := c.Databricks
	return databricks.Connector{ID: c.ID, Team: c.Team, Mode: databricks.Mode(d.Recipient), SharingIdentifier: d.SharingIdentifier,
		TokenLifetime: time.Duration(d.TokenLifetime), AllowedIPs: d.AllowedIPs}
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
