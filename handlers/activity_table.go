package handlers

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/warehouses/delta"
	"github.com/waybillhq/waybill/warehouses/snowflake"
)

// activityTable is a connector's ACTIVITY_LOG. Everything may be repeated.
type activityTable interface {
	// create makes the table, which has no row yet.
	create(ctx context.Context) error
	// show shows it to the customer, and reads back that it is shown.
	show(ctx context.Context) error
	// write adds events, by id; those that are there stay as they are. It
	// returns about how many were not.
	write(ctx context.Context, events map[string]waybill.Activity) (added int64, err error)
	// remove takes the events of a workflow out of it, for good.
	remove(ctx context.Context, workflow string) error
	// withdraw takes it from the customer. The rows stay.
	withdraw(ctx context.Context) error
}

func (h *Handlers) activityTable(c connectors.Connector) (activityTable, error) {
	switch c.Kind {
	case waybill.KindSnowflake:
		return activityView{h, c}, nil
	case waybill.KindDatabricks, waybill.KindDeltaSharing:
		return activityDelta{h, c}, nil
	}
	return nil, waybill.Failf(waybill.Permanent, "connector.kind", "This is a fault of Waybill; report it.", "kind %s has no activity log", c.Kind)
}

// byID are events in the order of their ids, which is that of their times.
func byID(events map[string]waybill.Activity) []waybill.Activity {
	list := make([]waybill.Activity, 0, len(events))
	for _, id := range slices.Sorted(maps.Keys(events)) {
		list = append(list, events[id])
	}
	return list
}

// activityDelta is a Delta table. A commit adds the rows whose ids the table
// did not have in the version before it, so that of two writers none doubles
// what the other wrote.
type activityDelta struct {
	h *Handlers
	c connectors.Connector
}

func (a activityDelta) tables(ctx context.Context) (tables, error) {
	store, err := a.h.Tables(ctx, a.c)
	return tables{store: store, options: delta.Options{Brand: a.h.Brand, Log: a.h.Log}}, err
}

func (a activityDelta) create(ctx context.Context) error {
	_, err := a.open(ctx)
	return err
}

// open returns the table, which is made where it is missing.
func (a activityDelta) open(ctx context.Context) (*delta.Table, error) {
	t, err := a.tables(ctx)
	if err != nil {
		return nil, err
	}
	table := t.open(waybill.TableActivity)
	_, err = ensure(ctx, table, waybill.TableActivity)
	return table, err
}

func (a activityDelta) show(ctx context.Context) error {
	t, err := a.tables(ctx)
	if err != nil {
		return err
	}
	shown, err := a.h.showcase(ctx, a.c)
	if err != nil {
		return err
	}
	if err := shown.show(ctx, t, []string{waybill.TableActivity}); err != nil {
		return err
	}
	return shown.check(ctx, t, []string{waybill.TableActivity})
}

func (a activityDelta) write(ctx context.Context, events map[string]waybill.Activity) (int64, error) {
	table, err := a.open(ctx)
	if err != nil {
		return 0, err
	}
	before, err := table.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	def := definition(waybill.TableActivity)
	rows := make([]delta.Row, 0, len(events))
	for _, e := range byID(events) {
		rows = append(rows, activityRow(e, def.Columns))
	}
	after, err := table.Upsert(ctx, def.Key, rows)
	if err != nil {
		return 0, err
	}
	tidy(ctx, a.h.Log, table)
	was, _ := before.Rows()
	is, _ := after.Rows()
	return is - was, nil
}

// remove makes former versions of the table unreadable as well.
func (a activityDelta) remove(ctx context.Context, workflow string) error {
	t, err := a.tables(ctx)
	if err != nil {
		return err
	}
	table := t.open(waybill.TableActivity)
	if _, err := table.Snapshot(ctx); errors.Is(err, delta.ErrNoTable) {
		return nil
	}
	if _, err := table.DeleteRows(ctx, columnWorkflow, workflow); err != nil {
		return err
	}
	_, err = table.Scrub(ctx)
	return err
}

func (a activityDelta) withdraw(ctx context.Context) error {
	shown, err := a.h.showcase(ctx, a.c)
	if err != nil {
		return err
	}
	return shown.hide(ctx, []string{waybill.TableActivity})
}

// activityView is a view of our Snowflake account over a table. Whether there
// is one is among what a connector is set up for.
type activityView struct {
	h *Handlers
	c connectors.Connector
}

func (a activityView) create(ctx context.Context) error {
	_, err := a.h.snowflake(ctx, a.c)
	return err
}

func (a activityView) show(ctx context.Context) error     { return a.create(ctx) }
func (a activityView) withdraw(ctx context.Context) error { return a.create(ctx) }

func (a activityView) remove(ctx context.Context, workflow string) error {
	dest, err := a.h.snowflake(ctx, a.c)
	if err != nil {
		return err
	}
	return dest.DeleteActivity(ctx, workflow)
}

func (a activityView) write(ctx context.Context, events map[string]waybill.Activity) (int64, error) {
	dest, err := a.h.snowflake(ctx, a.c)
	if err != nil {
		return 0, err
	}
	list := make([]snowflake.Activity, 0, len(events))
	for _, e := range byID(events) {
		list = append(list, snowflake.Activity{EventID: e.ID, OccurredAt: e.OccurredAt, Title: e.Title, Source: e.RequestSource, UserID: e.UserID,
			UserEmail: e.UserEmail, ResourceType: e.ResourceType, WorkflowID: e.WorkflowID, ResourceID: e.ResourceID, ResourceName: e.ResourceName, Details: e.Details})
	}
	return dest.MergeActivity(ctx, list)
}
