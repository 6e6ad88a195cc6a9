package ledger

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

var (
	holdScript      = script("hold")
	letGoScript     = script("letgo")
	unpublishScript = script("unpublish")
)

// Lane is a connector's lane of a workflow, held for an operation: no delivery
// is worked on in it. It is renewed by itself; when it is lost its Context ends
// with [ErrLost] as the cause.
type Lane struct {
	TeamID, Connector, WorkflowID string
	// Fence is greater than that of every attempt before, and smaller than
	// that of every attempt after.
	Fence int64

	*holding
	ledger *Ledger
	nonce  string
}

func (l *Lane) name() string   { return l.Connector + "/" + l.WorkflowID }
func (l *Lane) prefix() string { return prefix(waybill.Slot(l.TeamID)) }

// longestWait is the longest between two looks whether a lane is free.
const longestWait = time.Second

// HoldLane takes a lane, until [Lane.Release]. From the call on no delivery
// begins in it, and an attempt that is under way is waited for: as long as its
// lease lasts, if it was cancelled. Deliveries that wait or retry keep their
// place, and go on afterwards.
func (l *Ledger) HoldLane(ctx context.Context, team, connector, workflow string) (*Lane, error) {
	lane := &Lane{TeamID: team, Connector: connector, WorkflowID: workflow, ledger: l, nonce: rand.Text()}
	for {
		asked := time.Now()
		r, err := lane.hold(ctx)
		if err != nil {
			lane.letGo(ctx)
			return nil, err
		}
		if r.int(0) == 1 {
			lane.Fence = r.int(1)
			lane.holding = hold(ctx, asked, l.opts.Lease, func(ctx context.Context) (bool, error) {
				r, err := lane.hold(ctx)
				return r.int(0) == 1 && r.int(1) == lane.Fence, err
			}, func() {})
			return lane, nil
		}
		select {
		case <-ctx.Done():
			lane.letGo(ctx)
			return nil, fmt.Errorf("lane %s is busy: %w", lane.name(), context.Cause(ctx))
		case <-time.After(min(time.Duration(r.int(1))*time.Millisecond, longestWait)):
		}
	}
}

func (l *Lane) hold(ctx context.Context) (reply, error) {
	return l.ledger.run(ctx, holdScript, l.prefix(), l.name(), l.nonce, millis(l.ledger.opts.Lease))
}

// letGo gives the lane back. Where that does not come through, the lease ends.
func (l *Lane) letGo(ctx context.Context) {
	if _, err := l.ledger.run(context.WithoutCancel(ctx), letGoScript, l.prefix(), l.name(), l.nonce); err != nil {
		l.ledger.opts.Log.WarnContext(ctx, "lane could not be given back; its lease will end", "lane", l.name(), "error", err)
	}
}

// Release gives the lane back, and returns [ErrLost] if it was lost before.
func (l *Lane) Release() error {
	err := l.stop()
	l.letGo(l.ctx)
	if err != nil {
		return fmt.Errorf("lane %s: %w", l.name(), err)
	}
	return nil
}

// Lanes are the workflows of a connector in whose lanes anything was ever begun.
func (l *Ledger) Lanes(ctx context.Context, team, connector string) ([]string, error) {
	fences, err := l.rdb.HGetAll(ctx, prefix(waybill.Slot(team))+"lane:fence").Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	var workflows []string
	for _, name := range slices.Sorted(maps.Keys(fences)) {
		if workflow, ok := strings.CutPrefix(name, connector+"/"); ok {
			workflows = append(workflows, workflow)
		}
	}
	return workflows, nil
}

// Unpublished notes, under its lane, that a delivery's run was taken back from
// the customer: first in our bucket, so that a rebuilt ledger knows it. A retry
// begins with the task, in the queue. It returns a [*StateError] for a
// delivery that is on its way; noting it again is a success.
func (l *Ledger) Unpublished(ctx context.Context, lane *Lane, d waybill.Delivery, task, queue string) error {
	n := receiptName{d.ID, d.Generation, lane.Fence}
	if err := l.putJSON(ctx, n.unpublishedKey(d.RunKey), unpublished{task, queue}, storage.PutOptions{}); err != nil {
		return err
	}
	p, err := deliveryPrefix(d.ID)
	if err != nil {
		return err
	}
	r, err := l.run(ctx, unpublishScript, p, d.ID, task, queue)
	if err != nil {
		return err
	}
	return l.moved(d.ID, r, "cancel it first, or wait until it is complete")
}
