package handlers

import (
	"context"
	"fmt"
	"io"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// DeltaPublish publishes a run in a connector's Delta tables: the rows in the
// table of their schema version, then what is said of them, LATEST, and the
// run's own row last. Who sees that row can rely on all the rest.
func (h *Handlers) DeltaPublish(ctx context.Context, ref tasks.DeliveryRef) (err error) {
	a, err := h.begin(ctx, tasks.DeltaPublish.Declaration, ref)
	if err != nil {
		return err
	}
	defer a.close(&err)
	ctx = a.Context()

	p, err := h.publication(ctx, a)
	if err != nil {
		return at(waybill.StageStage, err)
	}
	staged, err := once(ctx, a, waybill.StageStage, p.stage)
	if err != nil {
		return err
	}
	if _, err := once(ctx, a, waybill.StageSchema, p.define); err != nil {
		return err
	}
	loaded, err := once(ctx, a, waybill.StageLoad, func(ctx context.Context) (loaded, error) { return p.load(ctx, staged) })
	if err != nil {
		return err
	}
	if _, err := once(ctx, a, waybill.StageShare, p.share); err != nil {
		return err
	}
	receipt, err := once(ctx, a, waybill.StageVerify, func(ctx context.Context) (waybill.Receipt, error) { return p.verify(ctx, staged, loaded) })
	if err != nil {
		return err
	}
	if err := a.complete(ctx, receipt); err != nil {
		return err
	}
	p.tidy(ctx)
	return nil
}

// publication is a run on its way into a connector's tables.
type publication struct {
	*attempt
	tables  tables
	shown   showcase
	version int // n of V<n>
	columns []waybill.Column
}

func (h *Handlers) publication(ctx context.Context, a *attempt) (*publication, error) {
	shown, err := h.showcase(ctx, a.connector)
	if err != nil {
		return nil, err
	}
	store, err := h.Tables(ctx, a.connector)
	if err != nil {
		return nil, err
	}
	return &publication{attempt: a, shown: shown, version: a.Delivery.SchemaVersion, columns: a.Run.Schema.Columns(h.Brand),
		tables: tables{store: store, workflow: a.Run.WorkflowID, options: delta.Options{Brand: h.Brand, Log: a.log}}}, nil
}

// staged is the recorded result of the stage step: the attempt's own files,
// which no reader knows yet.
type staged struct {
	converted
	Files []waybill.File
}

// tableFileBytes bounds a data file: large enough to be read well, small
// enough to be read in parallel and to be rewritten without its neighbours.
const tableFileBytes = 256 << 20

// stage converts the run and puts its files beside the table. A later attempt
// writes files of its own; what an attempt leaves is swept with the table.
func (p *publication) stage(ctx context.Context) (staged, error) {
	o := p.convertOptions()
	o.MaxFileBytes = tableFileBytes
	o.Warehouse = &formats.WarehouseColumns{Brand: p.h.Brand, JobID: p.Run.JobID, FinishedAt: p.Run.FinishedAt}
	name := func(part int) string { return delta.FileName(p.Delivery.ID, p.Delivery.Generation, p.Fence, part) }
	put := func(ctx context.Context, f formats.Format, part int, r io.Reader) error {
		_, err := p.tables.store.Put(ctx, p.tables.key(p.version, name(part)), r, storage.PutOptions{ContentType: f.ContentType()})
		return err
	}
	files, report, err := p.convert(ctx, o, []formats.Format{formats.Parquet}, put)
	if err != nil {
		return staged{}, err
	}
	result := staged{converted: report, Files: files[formats.Parquet]}
	for part := range result.Files {
		result.Files[part].Name = name(part)
	}
	return result, nil
}

// define makes the table of the schema version, which never changes after.
func (p *publication) define(ctx context.Context) (struct{}, error) {
	_, err := p.tables.version(p.version).Create(ctx, delta.Definition{
		Name: waybill.VersionTable(p.Run.WorkflowID, p.version), Comment: waybill.VersionComment, Columns: p.columns})
	return struct{}{}, err
}

// loaded is the recorded result of the load step.
type loaded struct {
	Version int64 // of V<n>'s log
}

// load validates the files as a reader finds them, and commits them in place
// of what an older generation brought, into whatever table.
func (p *publication) load(ctx context.Context, s staged) (loaded, error) {
	table := p.tables.version(p.version)
	l := delta.Load{Delivery: p.Delivery.ID, Generation: p.Delivery.Generation, Fence: p.Fence, JobID: p.Run.JobID}
	for _, f := range s.Files {
		described, err := table.Describe(ctx, f.Name, p.columns)
		if err != nil {
			return loaded{}, err
		}
		l.Files = append(l.Files, described)
		tasks.Progress(ctx)
	}
	if err := p.validate(s, l.Files); err != nil {
		return loaded{}, err
	}
	committed, err := table.Replace(ctx, l)
	if err != nil {
		return loaded{}, err
	}
	return loaded{Version: committed.Version}, p.withdraw(ctx, l)
}

// withdraw takes the job's rows out of the tables of other schema versions,
// where an older generation brought them.
func (p *publication) withdraw(ctx context.Context, l delta.Load) error {
	if p.Delivery.Generation == 1 {
		return nil
	}
	versions, err := p.h.Ledger.Schemas(ctx, p.Run.TeamID, p.Run.WorkflowID)
	if err != nil {
		return err
	}
	for n := range versions {
		if n == p.version {
			continue
		}
		if _, err := p.tables.version(n).Remove(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// validate holds the staged files against what was converted: nothing is
// committed that lost a row or a value on its way.
func (p *publication) validate(s staged, files []delta.DataFile) error {
	mismatch := func(format string, args ...any) error {
		return waybill.Failf(waybill.Transient, "delta.files_differ",
			"The files beside the table are not what was converted; the step is repeated by itself.", format, args...)
	}
	values := map[string]int64{}
	for i, f := range files {
		if f.Rows != s.Files[i].Rows || f.Size != s.Files[i].Bytes {
			return mismatch("%s has %d rows and %d bytes, want %d and %d", f.Name, f.Rows, f.Size, s.Files[i].Rows, s.Files[i].Bytes)
		}
		for column, n := range f.NonNull {
			values[column] += n
		}
	}
	want := map[string]int64{}
	for _, f := range s.Conversion.Fields {
		want[f.Name] = f.NonNull
	}
	for _, c := range p.columns {
		n, system := want[c.Field], c.Field == ""
		if system {
			n = s.Conversion.Rows
		}
		if got := values[c.Name]; got != n && !c.Currency {
			return mismatch("column %s has %d values, want %d", c.Name, got, n)
		}
	}
	return nil
}

// verify reads back what the customer sees, moves LATEST, and shows the run.
func (p *publication) verify(ctx context.Context, s staged, l loaded) (waybill.Receipt, error) {
	table := p.tables.version(p.version)
	now, err := table.Snapshot(ctx)
	if err != nil {
		return waybill.Receipt{}, err
	}
	rows, err := table.JobRows(ctx, now, p.Run.JobID)
	if err == nil && rows != s.Conversion.Rows {
		err = waybill.Failf(waybill.Permanent, "delta.rows_differ",
			"The table does not hold the run's rows; find out who changed it, then retry the delivery.", "%d rows of job %s, want %d", rows, p.Run.JobID, s.Conversion.Rows)
	}
	if err != nil {
		return waybill.Receipt{}, err
	}
	if err := p.publish(ctx, s); err != nil {
		return waybill.Receipt{}, err
	}
	receipt := waybill.Receipt{Location: table.URL(), SourceETag: s.SourceETag, Rows: s.Conversion.Rows, Files: s.Files, Conversion: s.Conversion}
	for _, f := range s.Files {
		receipt.Bytes += f.Bytes
	}
	p.log.Info("published", "table", fmt.Sprint(table.URL()), "version", l.Version)
	return receipt, nil
}
