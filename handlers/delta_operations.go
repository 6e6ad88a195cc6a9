package handlers

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// deltaPublished are the published tables of a connector whose tables are
// Delta tables of ours.
type deltaPublished struct {
	h      *Handlers
	c      connectors.Connector
	shown  showcase
	tables tables // of no workflow
}

var _ Published = (*deltaPublished)(nil)

func (h *Handlers) deltaPublished(ctx context.Context, c connectors.Connector) (Published, error) {
	shown, err := h.shown(c)
	if err != nil {
		return nil, err
	}
	store, err := h.Tables(ctx, c)
	if err != nil {
		return nil, err
	}
	return &deltaPublished{h: h, c: c, shown: shown, tables: tables{store: store, options: delta.Options{Brand: h.Brand, Log: h.Log}}}, nil
}

func (d *deltaPublished) of(workflow string) tables {
	t := d.tables
	t.workflow = workflow
	return t
}

// Workflows implements [Published]: WORKFLOW_SCHEMA_VERSIONS names them.
func (d *deltaPublished) Workflows(ctx context.Context) ([]string, error) {
	rows, err := allRows(ctx, d.tables.open(waybill.TableVersions))
	names := map[string]bool{}
	for _, r := range rows {
		if workflow, ok := r[columnWorkflow].(string); ok {
			names[workflow] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), err
}

// Latest implements [Published].
func (d *deltaPublished) Latest(ctx context.Context, workflow string) (Latest, error) {
	t := d.of(workflow)
	now, err := t.latest().Latest(ctx)
	if err != nil {
		return Latest{}, err
	}
	l := Latest{Workflow: workflow, Version: now.SchemaVersion, Pinned: now.Pinned}
	for _, m := range slices.Backward(now.Moves) {
		l.Moves = append(l.Moves, Move{m.SchemaVersion, m.Pinned, m.At})
	}
	if l.Versions, err = t.versions(ctx); err != nil {
		return Latest{}, err
	}
	newest, ok, err := t.newest(ctx, "")
	if ok {
		l.Newest, l.NewestJob, l.NewestAt = newest.SchemaVersion, newest.JobID, newest.FinishedAt
	}
	return l, err
}

// newest is the workflow's newest published run but for one.
func (t tables) newest(ctx context.Context, but string) (delta.PublishedRun, bool, error) {
	runs, err := t.open(waybill.TableRuns).PublishedRuns(ctx, t.workflow)
	runs = slices.DeleteFunc(runs, func(r delta.PublishedRun) bool { return r.JobID == but })
	newest, ok := delta.Newest(runs)
	return newest, ok, err
}

// versions are the schema versions that the workflow has tables of, in order.
func (t tables) versions(ctx context.Context) ([]int, error) {
	rows, err := t.about(ctx, waybill.TableVersions)
	var list []int
	for _, r := range rows {
		if n, ok := r["SCHEMA_VERSION"].(int64); ok {
			list = append(list, int(n))
		}
	}
	slices.Sort(list)
	return list, err
}

// Point implements [Published].
func (d *deltaPublished) Point(ctx context.Context, lane *ledger.Lane, version int) (Step, error) {
	t := d.of(lane.WorkflowID)
	now, err := d.Latest(ctx, lane.WorkflowID)
	if err != nil {
		return Step{}, err
	}
	to := version
	if to == 0 { // where nothing is published it stays where it is
		if to = now.Newest; to == 0 {
			to = now.Version
		}
	}
	if !slices.Contains(now.Versions, to) {
		return Step{}, waybill.Failf(waybill.Blocked, "delta.no_version",
			"There is no such schema version at this connector; waybill connector latest lists them.", "%s has no V%d", lane.WorkflowID, to)
	}
	return Step{Changes: []waybill.TableChange{{Table: waybill.LatestTable(lane.WorkflowID), Effect: waybill.EffectMoved, From: now.Version, To: to}},
		Do: func(ctx context.Context) error { return d.point(ctx, t, lane, to, version != 0) }}, nil
}

// point makes LATEST hold V<n>, and says so.
func (d *deltaPublished) point(ctx context.Context, t tables, lane *ledger.Lane, n int, pinned bool) error {
	schemas, err := d.h.Ledger.Schemas(ctx, lane.TeamID, lane.WorkflowID)
	if err != nil {
		return err
	}
	schema, ok := schemas[n]
	if !ok {
		return waybill.Failf(waybill.Permanent, "delta.no_schema", "The ledger does not know this schema version; run waybill ledger rebuild, then retry.", "%s V%d", lane.WorkflowID, n)
	}
	if err := t.mirror(ctx, n, schema.Columns(d.h.Brand), pinned, lane.Fence); err != nil {
		return err
	}
	if err := d.shown.show(ctx, t, []string{waybill.LatestTable(lane.WorkflowID)}); err != nil {
		return err
	}
	return t.markLatest(ctx, n)
}

// Unpublish implements [Published]. The promise goes first, then the rows.
func (d *deltaPublished) Unpublish(ctx context.Context, lane *ledger.Lane, delivery waybill.Delivery) (Step, error) {
	t := d.of(lane.WorkflowID)
	versions, err := t.versions(ctx)
	if err != nil {
		return Step{}, err
	}
	s := Step{Changes: []waybill.TableChange{{Table: waybill.TableRuns, Effect: waybill.EffectMarked, Rows: 1}}}
	for _, n := range versions {
		change, err := d.takes(ctx, t.version(n), waybill.VersionTable(lane.WorkflowID, n), delivery.JobID)
		if err != nil {
			return Step{}, err
		}
		if change.Rows > 0 {
			s.Changes = append(s.Changes, change)
		}
	}
	now, err := t.latest().Latest(ctx)
	if err != nil {
		return Step{}, err
	}
	to := now.SchemaVersion
	newest, ok, err := t.newest(ctx, delivery.JobID)
	if err != nil {
		return Step{}, err
	}
	if ok && !now.Pinned {
		to = newest.SchemaVersion
	}
	if to != 0 {
		s.Changes = append(s.Changes, waybill.TableChange{Table: waybill.LatestTable(lane.WorkflowID), Effect: waybill.EffectMoved, From: now.SchemaVersion, To: to})
	}
	s.Do = func(ctx context.Context) error {
		if err := t.markUnpublished(ctx, delivery.JobID); err != nil {
			return err
		}
		for _, n := range versions {
			_, err := t.version(n).Retract(ctx, delta.Load{Delivery: delivery.ID, Generation: delivery.Generation, Fence: lane.Fence, JobID: delivery.JobID})
			if err != nil {
				return err
			}
		}
		if to == 0 {
			return nil
		}
		return d.point(ctx, t, lane, to, now.Pinned)
	}
	return s, nil
}

// takes is what a table holds of a job.
func (d *deltaPublished) takes(ctx context.Context, table *delta.Table, name, job string) (waybill.TableChange, error) {
	change := waybill.TableChange{Table: name, Effect: waybill.EffectRemoved}
	s, err := table.Snapshot(ctx)
	if errors.Is(err, delta.ErrNoTable) {
		return change, nil
	}
	if err == nil {
		change.Rows, err = table.JobRows(ctx, s, job)
	}
	return change, err
}

// markUnpublished says in WORKFLOW_RUNS that a run was taken back.
func (t tables) markUnpublished(ctx context.Context, job string) error {
	rows, err := t.about(ctx, waybill.TableRuns)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(r delta.Row) bool { return r["JOB_ID"] != job })
	for _, r := range rows {
		r["STATUS"] = waybill.StatusUnpublished
	}
	if len(rows) == 0 {
		return nil // it was never promised
	}
	return t.upsert(ctx, waybill.TableRuns, rows...)
}
