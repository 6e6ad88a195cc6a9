package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
)

// Narrowing notes, before a connector is changed, that its published tables
// are to be brought in line with it: a crash in between is made good.
func (o *Operations) Narrowing(ctx context.Context, r Request, c connectors.Connector) error {
	op, err := o.start(ctx, r, c, waybill.OperationNarrow)
	if err != nil {
		return err
	}
	op.Document = nil // what stands in the ledger then decides
	_, err = o.Ledger.BeginOperation(ctx, op.PendingOperation)
	return err
}

// Align takes from a customer what the connector no longer selects, and shows
// again what it selects again. What is taken is erased when its time is over.
func (o *Operations) Align(ctx context.Context, r Request, c connectors.Connector) (done []waybill.OperationReceipt, err error) {
	whole, err := o.start(ctx, r, c, waybill.OperationNarrow)
	if err != nil {
		return nil, err
	}
	excess, err := o.excess(ctx, whole)
	if err != nil {
		return nil, err
	}
	for _, workflow := range excess {
		receipt, err := o.narrow(ctx, r, c, workflow)
		if err != nil {
			return done, err
		}
		done = append(done, receipt)
	}
	again, err := o.readmit(ctx, r, c)
	if err != nil {
		return done, err
	}
	return append(done, again...), o.Ledger.DropOperation(ctx, whole.PendingOperation)
}

// excess are the workflows that the customer reads and the connector does not
// select, and those that were not taken to the end.
func (o *Operations) excess(ctx context.Context, op operation) ([]string, error) {
	workflows, err := op.tables.Workflows(ctx)
	if err != nil {
		return nil, err
	}
	pending, err := o.Ledger.PendingOperations(ctx, op.Connector)
	for _, p := range pending {
		if p.Operation == waybill.OperationNarrow && p.WorkflowID != "" {
			workflows = append(workflows, p.WorkflowID)
		}
	}
	slices.Sort(workflows)
	return slices.DeleteFunc(slices.Compact(workflows), op.connector.Subscribes), err
}

func (o *Operations) narrow(ctx context.Context, r Request, c connectors.Connector, workflow string) (receipt waybill.OperationReceipt, err error) {
	erase, err := o.start(ctx, r, c, waybill.OperationPurge)
	if err != nil {
		return receipt, err
	}
	erase.WorkflowID, erase.After = workflow, o.dueIn()
	if _, err := o.Ledger.BeginOperation(ctx, erase.PendingOperation); err != nil {
		return receipt, err
	}
	filter := ledger.Filter{Team: c.Team, Connector: c.ID, Workflow: workflow}
	if err := o.Ledger.CancelAll(ctx, filter, "workflow no longer selected"); err != nil {
		return receipt, err
	}
	op := erase
	op.Operation, op.After = waybill.OperationNarrow, time.Time{}
	return o.inLane(ctx, op)
}

// readmit shows again what was to be erased later and is selected again.
func (o *Operations) readmit(ctx context.Context, r Request, c connectors.Connector) (done []waybill.OperationReceipt, err error) {
	pending, err := o.Ledger.PendingOperations(ctx, c.ID)
	for _, p := range pending {
		if p.Operation != waybill.OperationPurge || p.WorkflowID == "" || !c.Subscribes(p.WorkflowID) {
			continue
		}
		op, err := o.start(ctx, r, c, waybill.OperationReadmit)
		if err != nil {
			return done, err
		}
		op.WorkflowID = p.WorkflowID
		receipt, err := o.inLane(ctx, op)
		if err != nil {
			return done, err
		}
		done = append(done, receipt)
		if err := o.Ledger.DropOperation(ctx, p); err != nil {
			return done, err
		}
	}
	return done, err
}

// Delete forgets a connector, takes everything from its customer at once, and
// erases the data: now, or when its time is over. A connector that was deleted
// before can be purged as long as its data is kept.
func (o *Operations) Delete(ctx context.Context, r Request, id string, purge bool) ([]waybill.OperationReceipt, error) {
	c, err := o.Connector(ctx, id)
	if errors.Is(err, waybill.ErrNotFound) {
		return o.deleteAgain(ctx, r, id, purge, err)
	}
	if err != nil {
		return nil, err
	}
	op, err := o.start(ctx, r, c, waybill.OperationRevoke)
	if errors.Is(err, errNoTables) && !purge {
		return nil, o.Ledger.DeleteConnector(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	if _, err := o.Ledger.BeginOperation(ctx, op.PendingOperation); err != nil {
		return nil, err
	}
	return o.finishDelete(ctx, op, purge)
}

// deleteAgain goes on with a connector that is deleted already.
func (o *Operations) deleteAgain(ctx context.Context, r Request, id string, purge bool, gone error) ([]waybill.OperationReceipt, error) {
	pending, err := o.Ledger.PendingOperations(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, what := range []waybill.Operation{waybill.OperationRevoke, waybill.OperationPurge} {
		i := slices.IndexFunc(pending, func(p ledger.PendingOperation) bool { return p.Operation == what && p.WorkflowID == "" })
		if i < 0 || what == waybill.OperationPurge && !purge {
			continue
		}
		op, err := o.reopen(ctx, pending[i])
		if err != nil {
			return nil, err
		}
		if what == waybill.OperationRevoke {
			return o.finishDelete(ctx, op, purge)
		}
		op.By, op.Why = r.By, r.Why
		receipt, err := o.do(ctx, op, nil)
		return []waybill.OperationReceipt{receipt}, err
	}
	return nil, gone
}

// reopen is a pending operation with the connector that it was noted with.
func (o *Operations) reopen(ctx context.Context, p ledger.PendingOperation) (operation, error) {
	c, err := connectors.Decode(p.Document)
	if err != nil {
		return operation{}, err
	}
	tables, err := o.published(ctx, c)
	return operation{p, c, tables}, err
}

// finishDelete is repeated until it succeeds.
func (o *Operations) finishDelete(ctx context.Context, op operation, purge bool) ([]waybill.OperationReceipt, error) {
	erase := op
	erase.Operation, erase.After = waybill.OperationPurge, o.dueIn()
	if _, err := o.Ledger.BeginOperation(ctx, erase.PendingOperation); err != nil {
		return nil, err
	}
	if err := o.Ledger.DeleteConnector(ctx, op.Connector); err != nil && !errors.Is(err, waybill.ErrNotFound) {
		return nil, err
	}
	step, err := op.tables.Revoke(ctx)
	if err == nil {
		err = step.Do(ctx) // at once: nobody waits for what is under way
	}
	if err != nil {
		return nil, err
	}
	if err := o.outlast(ctx, op); err != nil {
		return nil, err
	}
	receipt, err := o.do(ctx, op, nil) // and once more, now that nobody shows anything any more
	done := []waybill.OperationReceipt{receipt}
	if err != nil || !purge {
		return done, err
	}
	erased, err := o.do(ctx, erase, nil)
	return append(done, erased), err
}

// outlast waits until no attempt can be at work any more at a connector all of
// whose deliveries were cancelled.
func (o *Operations) outlast(ctx context.Context, op operation) error {
	workflows, err := o.Ledger.Lanes(ctx, op.TeamID, op.Connector)
	if err != nil {
		return err
	}
	for _, workflow := range workflows {
		lane, err := o.Ledger.HoldLane(ctx, op.TeamID, op.Connector, workflow)
		if err != nil {
			return err
		}
		if err := lane.Release(); err != nil {
			return err
		}
	}
	return nil
}

// Resume does what is due: data whose time is over, and operations that were
// cut short. Any number of schedulers may do it at once.
func (o *Operations) Resume(ctx context.Context) error {
	pending, err := o.Ledger.PendingOperations(ctx, "")
	errs := []error{err}
	now := time.Now()
	for _, p := range pending {
		if p.After.After(now) || p.After.IsZero() && now.Sub(p.StartedAt) < cmp.Or(o.Abandoned, 2*time.Minute) {
			continue
		}
		if err := o.resume(ctx, p); err != nil {
			errs = append(errs, fmt.Errorf("%s at connector %s: %w", p.Operation, p.Connector, err))
		}
	}
	return errors.Join(errs...)
}

func (o *Operations) resume(ctx context.Context, p ledger.PendingOperation) error {
	o.Log.InfoContext(ctx, "operation goes on", "operation", p.Operation, "connector", p.Connector, "workflow", p.WorkflowID, "by", p.By)
	request := Request{p.By, p.Why}
	c, err := o.Connector(ctx, p.Connector)
	deleted := errors.Is(err, waybill.ErrNotFound)
	switch {
	case err != nil && !deleted:
		return err
	case p.Operation == waybill.OperationRevoke:
		op, err := o.reopen(ctx, p)
		if err == nil {
			_, err = o.finishDelete(ctx, op, false)
		}
		return err
	case p.Operation == waybill.OperationPurge && p.WorkflowID == "":
		op, err := o.reopen(ctx, p)
		if err == nil && deleted { // otherwise the revocation is to come
			_, err = o.do(ctx, op, nil)
		}
		return err
	case p.Operation == waybill.OperationRotate: // its overlap is not on record: who wanted it asks again
		return nil
	case deleted: // with its tables, or they will be
		return o.Ledger.DropOperation(ctx, p)
	case p.Operation == waybill.OperationNarrow, p.Operation == waybill.OperationReadmit,
		p.Operation == waybill.OperationPurge && c.Subscribes(p.WorkflowID):
		if _, err := o.Align(ctx, request, c); err != nil || p.WorkflowID == "" {
			return err
		}
		return o.Ledger.DropOperation(ctx, p)
	}
	return o.again(ctx, p, c)
}

// again repeats an operation on one workflow, unless it was overtaken.
func (o *Operations) again(ctx context.Context, p ledger.PendingOperation, c connectors.Connector) error {
	op, err := o.start(ctx, Request{p.By, p.Why}, c, p.Operation)
	if err != nil {
		return err
	}
	op.WorkflowID, op.JobID, op.DeliveryID, op.Version = p.WorkflowID, p.JobID, p.DeliveryID, p.Version
	if p.Operation == waybill.OperationUnpublish {
		d, err := o.Ledger.Delivery(ctx, p.DeliveryID)
		if errors.Is(err, waybill.ErrNotFound) || err == nil && (!takenBack(d.State) || d.CompletedAt.After(p.StartedAt)) {
			return o.Ledger.DropOperation(ctx, p) // the run was published anew since, or is about to be
		}
		if err != nil {
			return err
		}
	}
	_, err = o.inLane(ctx, op)
	return err
}
