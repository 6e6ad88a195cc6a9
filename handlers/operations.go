package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/tasks"
)

// Operations are what an operator does to published tables. Each holds the
// lanes it needs, is noted in our bucket before its first effect, may be
// repeated after a crash, by a person or by [Operations.Resume], and leaves
// one receipt.
type Operations struct {
	*Handlers
	Keep time.Duration // how long data that was taken from a customer is kept; default 30 days
	// Abandoned is how long a pending operation is left to who began it, before
	// a scheduler goes on with it; default 2 minutes.
	Abandoned time.Duration
}

// Request is who wants an operation, and why.
type Request struct{ By, Why string }

// operation is one on its way.
type operation struct {
	ledger.PendingOperation
	connector connectors.Connector
	tables    Published
}

// errNoTables refuses an operation on a connector without tables.
var errNoTables = errors.New("it has no published tables: what was delivered is the customer's own")

func (o *Operations) start(ctx context.Context, r Request, c connectors.Connector, what waybill.Operation) (operation, error) {
	tables, err := o.published(ctx, c)
	if err != nil {
		return operation{}, err
	}
	doc, err := c.Encode()
	return operation{connector: c, tables: tables, PendingOperation: ledger.PendingOperation{Document: doc, OperationReceipt: waybill.OperationReceipt{
		Operation: what, Connector: c.ID, TeamID: c.Team, Kind: c.Kind, By: r.By, Why: r.Why, StartedAt: time.Now().UTC()}}}, err
}

// Latest says where a workflow's LATEST points, and why.
func (o *Operations) Latest(ctx context.Context, c connectors.Connector, workflow string) (Latest, error) {
	op, err := o.start(ctx, Request{}, c, waybill.OperationLatest)
	if err != nil {
		return Latest{}, err
	}
	return op.tables.Latest(ctx, workflow)
}

// PointLatest moves a workflow's LATEST to a schema version and pins it there;
// version 0 lets it follow the newest published run again.
func (o *Operations) PointLatest(ctx context.Context, r Request, c connectors.Connector, workflow string, version int) (waybill.OperationReceipt, error) {
	op, err := o.start(ctx, r, c, waybill.OperationLatest)
	if err != nil {
		return waybill.OperationReceipt{}, err
	}
	op.WorkflowID, op.Version = workflow, version
	return o.inLane(ctx, op)
}

// Unpublish takes a delivered run from its customer. A retry of the delivery,
// or a replacement of the run, publishes it anew.
func (o *Operations) Unpublish(ctx context.Context, r Request, delivery string) (waybill.OperationReceipt, error) {
	d, err := o.Ledger.Delivery(ctx, delivery)
	if err != nil {
		return waybill.OperationReceipt{}, err
	}
	c, err := o.Connector(ctx, d.Connector)
	if err != nil {
		return waybill.OperationReceipt{}, err
	}
	op, err := o.start(ctx, r, c, waybill.OperationUnpublish)
	if err != nil {
		return waybill.OperationReceipt{}, err
	}
	op.WorkflowID, op.JobID, op.DeliveryID = d.WorkflowID, d.JobID, d.ID
	return o.inLane(ctx, op)
}

// inLane does an operation on one workflow, under its lane.
func (o *Operations) inLane(ctx context.Context, op operation) (receipt waybill.OperationReceipt, err error) {
	lane, err := o.Ledger.HoldLane(ctx, op.TeamID, op.Connector, op.WorkflowID)
	if err != nil {
		return receipt, err
	}
	defer func() { err = errors.Join(err, lane.Release()) }()
	op.Fence = lane.Fence
	return o.do(lane.Context(), op, lane)
}

// do looks at what is to be done, notes it, does it and keeps the receipt.
func (o *Operations) do(ctx context.Context, op operation, lane *ledger.Lane) (waybill.OperationReceipt, error) {
	step, err := o.look(ctx, op, lane)
	if err != nil {
		return waybill.OperationReceipt{}, err
	}
	op.Changes = step.Changes
	pending, err := o.Ledger.BeginOperation(ctx, op.PendingOperation)
	if err != nil {
		return waybill.OperationReceipt{}, err
	}
	if pending.Changes == nil { // it was due later; otherwise a first attempt saw what was there
		pending.Changes, pending.By, pending.Why = op.Changes, op.By, op.Why
	}
	pending.Fence, pending.After, pending.Version = op.Fence, time.Time{}, op.Version
	if err := o.Ledger.AmendOperation(ctx, pending); err != nil {
		return waybill.OperationReceipt{}, err
	}
	if op.Operation == waybill.OperationUnpublish {
		if err := o.mark(ctx, lane, op.DeliveryID); err != nil {
			return waybill.OperationReceipt{}, err
		}
	}
	if err := step.Do(ctx); err != nil {
		return waybill.OperationReceipt{}, err
	}
	receipt, err := o.Ledger.EndOperation(ctx, pending)
	o.Log.InfoContext(ctx, "operation done", "operation", op.Operation, "connector", op.Connector, "workflow", op.WorkflowID, "by", pending.By)
	return receipt, err
}

func (o *Operations) look(ctx context.Context, op operation, lane *ledger.Lane) (Step, error) {
	switch op.Operation {
	case waybill.OperationLatest:
		return op.tables.Point(ctx, lane, op.Version)
	case waybill.OperationUnpublish:
		d, err := o.Ledger.Delivery(ctx, op.DeliveryID)
		if err != nil {
			return Step{}, err
		}
		if !takenBack(d.State) {
			return Step{}, &ledger.StateError{Delivery: d.ID, State: d.State, Refusal: "cancel it first, or wait until it is complete"}
		}
		return op.tables.Unpublish(ctx, lane, d)
	case waybill.OperationNarrow:
		return op.tables.Narrow(ctx, lane)
	case waybill.OperationReadmit:
		return op.tables.Readmit(ctx, lane)
	case waybill.OperationRevoke:
		return op.tables.Revoke(ctx)
	case waybill.OperationPurge:
		if lane != nil {
			return op.tables.Purge(ctx, lane)
		}
		return op.tables.Erase(ctx)
	default:
		return Step{}, fmt.Errorf("operation %q is not one on tables", op.Operation)
	}
}

// takenBack reports whether a delivery in this state can be unpublished: it is
// not on its way. One that is not complete may have rows that nobody promised.
func takenBack(s waybill.State) bool {
	switch s {
	case waybill.StateComplete, waybill.StateFailed, waybill.StateBlocked, waybill.StateCancelled, waybill.StateUnpublished:
		return true
	}
	return false
}

// mark has the ledger know that a delivery is unpublished.
func (o *Operations) mark(ctx context.Context, lane *ledger.Lane, delivery string) error {
	d, err := o.Ledger.Delivery(ctx, delivery)
	if err != nil {
		return err
	}
	first, ok := tasks.Starting(d.Kind)
	if !ok {
		return fmt.Errorf("no task of this version delivers to kind %q", d.Kind)
	}
	return o.Ledger.Unpublished(ctx, lane, d, first.Name, first.Queue)
}

// dueIn is when data that is taken now is erased.
func (o *Operations) dueIn() time.Time { return time.Now().UTC().Add(cmp.Or(o.Keep, 30*24*time.Hour)) }
