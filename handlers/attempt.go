package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/tasks"
)

// attempt is one try at a delivery: its lease, its connector, and where it
// reports to.
type attempt struct {
	*ledger.Lease
	task      string
	ctx       context.Context //nolint:containedctx // the lease's own, of which log lines say whose it is
	connector connectors.Connector
	h         *Handlers
	log       *slog.Logger
	span      *monitoring.Span
}

// begin takes the delivery. It fails when there is nothing to do, when it is
// not our turn, or when the connector is gone.
func (h *Handlers) begin(ctx context.Context, task tasks.Declaration, ref tasks.DeliveryRef) (*attempt, error) {
	lease, err := h.Ledger.Begin(ctx, ref.Delivery, ref.Generation, ref.Enqueue)
	if err != nil {
		return nil, err
	}
	d := lease.Delivery
	ids := []slog.Attr{slog.String(monitoring.KeyTask, task.Name), slog.String(monitoring.KeyDelivery, d.ID),
		slog.String(monitoring.KeyConnector, d.Connector), slog.String(monitoring.KeyTeam, d.TeamID), slog.String(monitoring.KeyWorkflow, d.WorkflowID),
		slog.String(monitoring.KeyJob, d.JobID), slog.Int(monitoring.KeyAttempt, d.Attempts), slog.String(monitoring.KeyTrace, monitoring.TraceID(d.ID, d.Generation))}
	a := &attempt{Lease: lease, task: task.Name, h: h, log: slog.New(h.Log.Handler().WithAttrs(ids))}
	a.ctx, a.span = h.Traces.Attempt(monitoring.With(lease.Context(), ids...), task.Name, d)
	if err := a.prepare(ctx, task); err != nil {
		a.span.End(err)
		return nil, lease.Close(err)
	}
	return a, nil
}

// Context ends with the lease; what is logged with it says whose it is.
func (a *attempt) Context() context.Context { return a.ctx }

func (a *attempt) prepare(ctx context.Context, task tasks.Declaration) error {
	if err := a.Poison(); err != nil {
		return waybill.At(task.Stages[0], err)
	}
	c, err := a.h.Connector(ctx, a.Delivery.Connector)
	switch {
	case errors.Is(err, waybill.ErrNotFound):
		return waybill.At(task.Stages[0], waybill.Failf(waybill.Blocked, "connector.deleted",
			"The connector was deleted before this run was delivered; deliver it through another connector.", "%w", err))
	case err != nil:
		return waybill.At(task.Stages[0], err)
	case c.Team != a.Delivery.TeamID:
		return waybill.At(task.Stages[0], waybill.Failf(waybill.Permanent, "connector.foreign",
			"The connector belongs to another team; nothing is delivered to it.", "connector %s", c.ID))
	}
	a.connector = c
	return nil
}

// close ends the attempt; it is deferred with the handler's error. A panic
// becomes a failure of the step it happened in.
func (a *attempt) close(err *error) {
	if p := recover(); p != nil {
		a.log.Error("handler panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = waybill.At(a.Delivery.Stage, waybill.Failf(waybill.Permanent, "internal.panic",
			"This is a fault of Waybill; report it with the worker's log of this delivery.", "panic: %v", p))
	}
	a.span.End(*err)
	*err = a.Close(*err)
}

// once does a step unless an earlier attempt did: then it returns what that
// one recorded. A crash between doing and recording repeats the step, so each
// step is idempotent in itself.
func once[T any](ctx context.Context, a *attempt, stage waybill.Stage, step func(context.Context) (T, error)) (result T, err error) {
	recorded, err := a.Enter(ctx, stage)
	if err != nil {
		return result, at(stage, err)
	}
	if recorded != nil {
		a.log.Info("step was done by an earlier attempt", "stage", stage)
		if err := json.Unmarshal(recorded, &result); err != nil {
			return result, at(stage, fmt.Errorf("decode recorded step: %w", err))
		}
		return result, nil
	}
	stepCtx, span := a.h.Traces.Step(monitoring.With(ctx, slog.String(monitoring.KeyStage, string(stage))), stage)
	started := time.Now()
	result, err = step(stepCtx)
	took := time.Since(started)
	a.h.Metrics.Step(a.task, stage, took, err)
	err = at(stage, err)
	span.End(err)
	if err != nil {
		return result, err
	}
	a.log.Info("step done", "stage", stage, "took", took)
	return result, at(stage, a.Record(ctx, stage, result, took))
}

// at names the stage of a failure. Losing the delivery is no failure of it.
func at(stage waybill.Stage, err error) error {
	if err == nil || errors.Is(err, ledger.ErrLost) {
		return err
	}
	return waybill.At(stage, err)
}

// complete writes the receipt and completes the delivery.
func (a *attempt) complete(ctx context.Context, receipt waybill.Receipt) error {
	if err := a.Complete(ctx, receipt); err != nil {
		return at(waybill.StageVerify, err)
	}
	a.log.Info("delivery complete", "location", receipt.Location, "rows", receipt.Rows, "bytes", receipt.Bytes,
		"castFailures", receipt.Conversion.CastFailures(), "quarantined", receipt.Conversion.Quarantined)
	a.span.Delivered(receipt.Rows, receipt.Bytes)
	a.h.Metrics.Converted(receipt.Conversion)
	a.h.Metrics.Delivered(a.Delivery, receipt.Rows, receipt.Bytes, time.Now())
	return nil
}
