package handlers

import (
	"cmp"
	"context"
	"fmt"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

// ExportPush delivers a run to a customer's object store: every format in one
// pass over the records, read back, and the manifest last.
func (h *Handlers) ExportPush(ctx context.Context, ref tasks.DeliveryRef) (err error) {
	a, err := h.begin(ctx, tasks.ExportPush.Declaration, ref)
	if err != nil {
		return err
	}
	defer a.close(&err)
	ctx = a.Context()

	dest, err := h.destination(ctx, a)
	if err != nil {
		return at(waybill.StageStage, err)
	}
	pushed, err := once(ctx, a, waybill.StageStage, func(ctx context.Context) (pushed, error) {
		return dest.push(ctx)
	})
	if err != nil {
		return err
	}
	receipt, err := once(ctx, a, waybill.StageVerify, func(ctx context.Context) (waybill.Receipt, error) {
		return dest.verify(ctx, pushed)
	})
	if err != nil {
		return err
	}
	return a.complete(ctx, receipt)
}

// destination is the folder of one run in a customer's store.
type destination struct {
	*attempt
	store   storage.Store
	prefix  string // ends with "/"
	formats []formats.Format
	options formats.Options
}

func (h *Handlers) destination(ctx context.Context, a *attempt) (*destination, error) {
	c := a.connector.Storage
	store, err := h.Store(ctx, a.connector)
	if err != nil {
		return nil, err
	}
	path, err := storage.ParsePath(cmp.Or(c.Path, storage.DefaultPath(h.Brand)))
	if err != nil {
		return nil, waybill.Failf(waybill.Blocked, "storage.path", "Mend the connector's storage.path.", "%w", err)
	}
	d := &destination{attempt: a, store: store, prefix: path.Expand(a.Run.RunKey, a.Run.FinishedAt)}
	for _, name := range c.Formats {
		d.formats = append(d.formats, formats.Format(name))
	}
	d.options = d.fileOptions()
	return d, nil
}

func (d *destination) location() string { return d.store.URL() + d.prefix }

func (d *destination) key(name string) string { return d.prefix + name }

// metadata is what each object says of itself, by the platform's documentation
// of its cloud storage export.
func (d *destination) metadata(format string) map[string]string {
	header := func(name string) string { return fmt.Sprintf("x-%s-%s", d.h.Brand, name) }
	return map[string]string{
		header("workflow-id"): d.Run.WorkflowID,
		header("job-id"):      d.Run.JobID,
		header("format"):      format,
	}
}
