package handlers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// tables are a connector's Delta tables, as far as one workflow is concerned:
// each in the folder that has its name.
type tables struct {
	store    storage.Store
	workflow string
	options  delta.Options
}

func (t tables) open(name string) *delta.Table { return delta.Open(t.store, name, t.options) }

func (t tables) version(n int) *delta.Table { return t.open(waybill.VersionTable(t.workflow, n)) }

func (t tables) latest() *delta.Table { return t.open(waybill.LatestTable(t.workflow)) }

// key is where a file of V<n> lies.
func (t tables) key(n int, file string) string {
	return waybill.VersionTable(t.workflow, n) + "/" + file
}

// definition is what one of the tables about workflows is to be.
func definition(name string) waybill.Table {
	all := waybill.MetadataTables()
	return all[slices.IndexFunc(all, func(m waybill.Table) bool { return m.Name == name })]
}

// ensure makes one of the tables about workflows, of which table is to be one.
func ensure(ctx context.Context, table *delta.Table, name string) (waybill.Table, error) {
	def := definition(name)
	_, err := table.Create(ctx, delta.Definition{Name: def.Name, Comment: def.Comment, Columns: def.Columns})
	return def, err
}

// upsert writes rows of one of the tables about workflows, which is made where it is missing.
func (t tables) upsert(ctx context.Context, name string, rows ...delta.Row) error {
	return t.move(ctx, name, t.open(name), rows)
}

// about reads what one of the tables about workflows says of this workflow.
func (t tables) about(ctx context.Context, name string) ([]delta.Row, error) {
	return t.rowsOf(ctx, t.open(name))
}

// rowsOf are a table's rows about this workflow. One that is not there has none.
func (t tables) rowsOf(ctx context.Context, table *delta.Table) ([]delta.Row, error) {
	all, err := allRows(ctx, table)
	return slices.DeleteFunc(all, func(r delta.Row) bool { return r[columnWorkflow] != t.workflow }), err
}

func allRows(ctx context.Context, table *delta.Table) ([]delta.Row, error) {
	s, err := table.Snapshot(ctx)
	if errors.Is(err, delta.ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return table.Rows(ctx, s)
}

// share describes the schema version, then shows the customer its tables.
func (p *publication) share(ctx context.Context) (struct{}, error) {
	if err := p.describe(ctx); err != nil {
		return struct{}{}, err
	}
	return struct{}{}, p.shown.show(ctx, p.tables, p.visible())
}

// describe writes the rows of WORKFLOW_SCHEMA_FIELDS and WORKFLOW_SCHEMA_VERSIONS.
func (p *publication) describe(ctx context.Context) error {
	var fields []delta.Row
	for i, c := range p.columns {
		if c.Field != "" { // the last two are of no field, and the same everywhere
			fields = append(fields, delta.Row{"WORKFLOW_ID": p.Run.WorkflowID, "SCHEMA_VERSION": int64(p.version), "POSITION": int64(i + 1),
				"SOURCE_NAME": c.Field, "COLUMN_NAME": c.Name, "SOURCE_TYPE": string(c.DataType), "TARGET_TYPE": delta.TypeName(c.Type),
				"CAST_POLICY": string(c.Cast), "IS_KEY": c.IsKey})
		}
	}
	if err := p.tables.upsert(ctx, waybill.TableFields, fields...); err != nil {
		return err
	}
	known, err := p.tables.about(ctx, waybill.TableVersions)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(known, func(r delta.Row) bool { return r["SCHEMA_VERSION"] == int64(p.version) }) {
		return nil
	}
	return p.tables.upsert(ctx, waybill.TableVersions, delta.Row{"WORKFLOW_ID": p.Run.WorkflowID, "SCHEMA_VERSION": int64(p.version),
		"TABLE_NAME": waybill.VersionTable(p.Run.WorkflowID, p.version), "FIELD_COUNT": int64(len(p.Run.Schema.Exported())),
		"FINGERPRINT": p.Run.Schema.Fingerprint(), "FIRST_SEEN_AT": time.Now().UTC().Truncate(time.Microsecond), "IS_LATEST": false})
}

// visible are the tables that the customer sees once this run is published.
func (p *publication) visible() []string {
	return []string{waybill.VersionTable(p.Run.WorkflowID, p.version), waybill.TableFields, waybill.TableVersions}
}

// publish moves LATEST, says so, and shows the run: last of all, for whoever
// sees its row may rely on the rest.
func (p *publication) publish(ctx context.Context, s staged) error {
	if err := p.shown.check(ctx, p.tables, p.visible()); err != nil {
		return err
	}
	n, err := p.follow(ctx)
	if err != nil {
		return err
	}
	if err := p.shown.show(ctx, p.tables, []string{waybill.LatestTable(p.Run.WorkflowID)}); err != nil {
		return err
	}
	if err := p.tables.markLatest(ctx, n); err != nil {
		return err
	}
	err = p.tables.upsert(ctx, waybill.TableRuns, delta.Row{"WORKFLOW_ID": p.Run.WorkflowID, "JOB_ID": p.Run.JobID, "SCHEMA_VERSION": int64(p.version),
		"ROW_COUNT": s.Conversion.Rows, "QUARANTINED_COUNT": s.Conversion.Quarantined, "CAST_FAILURE_COUNT": s.Conversion.CastFailures(),
		"STATUS": waybill.StatusPublished, "RUN_FINISHED_AT": p.Run.FinishedAt.UTC().Truncate(time.Microsecond),
		"PUBLISHED_AT": time.Now().UTC().Truncate(time.Microsecond), "REVISION": p.Revision})
	if err != nil {
		return err
	}
	return p.shown.show(ctx, p.tables, []string{waybill.TableRuns})
}

// follow makes LATEST mirror the version of the newest published run, this one
// among them; a pinned one stays at its version, and takes what is new there.
func (p *publication) follow(ctx context.Context) (n int, err error) {
	now, err := p.tables.latest().Latest(ctx)
	if err != nil {
		return 0, err
	}
	n = now.SchemaVersion
	if !now.Pinned {
		runs, err := p.tables.open(waybill.TableRuns).PublishedRuns(ctx, p.Run.WorkflowID)
		if err != nil {
			return 0, err
		}
		runs = slices.DeleteFunc(runs, func(r delta.PublishedRun) bool { return r.JobID == p.Run.JobID }) // its older generation
		newest, _ := delta.Newest(append(runs, delta.PublishedRun{JobID: p.Run.JobID, SchemaVersion: p.version, FinishedAt: p.Run.FinishedAt}))
		n = newest.SchemaVersion
	}
	columns := p.columns
	if n != p.version {
		schemas, err := p.h.Ledger.Schemas(ctx, p.Run.TeamID, p.Run.WorkflowID)
		if err != nil {
			return 0, err
		}
		columns = schemas[n].Columns(p.h.Brand)
	}
	return n, p.tables.mirror(ctx, n, columns, now.Pinned, p.Fence)
}

// mirror makes LATEST a mirror of V<n>.
func (t tables) mirror(ctx context.Context, n int, columns []waybill.Column, pinned bool, fence int64) error {
	_, err := t.latest().Follow(ctx, delta.Mirror{Definition: delta.Definition{Name: waybill.LatestTable(t.workflow), Comment: waybill.LatestComment, Columns: columns},
		Source: t.version(n), SchemaVersion: n, Pinned: pinned, Fence: fence})
	return err
}

// markLatest makes n the one version of the workflow that IS_LATEST.
func (t tables) markLatest(ctx context.Context, n int) error {
	rows, err := t.about(ctx, waybill.TableVersions)
	if err != nil {
		return err
	}
	for _, r := range rows {
		r["IS_LATEST"] = r["SCHEMA_VERSION"] == int64(n)
	}
	return t.upsert(ctx, waybill.TableVersions, rows...)
}

// sweepEvery counts commits between two sweeps of a table, each of which lists its folder.
const sweepEvery = 50

// tidy compacts and sweeps the tables that the run changed. It comes after the
// receipt, and what goes wrong is the next one's to do.
func (p *publication) tidy(ctx context.Context) {
	tidy(ctx, p.log, p.tables.version(p.version), p.tables.latest(), p.tables.open(waybill.TableRuns),
		p.tables.open(waybill.TableVersions), p.tables.open(waybill.TableFields))
}

// tidy compacts and sweeps tables. What goes wrong is the next one's to do.
func tidy(ctx context.Context, log *slog.Logger, list ...*delta.Table) {
	for _, t := range list {
		err := func() error {
			compacted, err := t.Compact(ctx)
			if err != nil || compacted.Version%sweepEvery != 0 {
				return err
			}
			if _, err := t.CleanLog(ctx); err != nil {
				return err
			}
			_, err = t.Vacuum(ctx)
			return err
		}()
		if err != nil {
			log.WarnContext(ctx, "table could not be tidied; the next change does it", "table", t.URL(), "error", err)
		}
	}
}
