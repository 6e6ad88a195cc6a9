package ledger

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

var (
	beginScript    = script("begin")
	renewScript    = script("renew")
	enterScript    = script("enter")
	recordScript   = script("record")
	forgetScript   = script("forget")
	pinScript      = script("pin")
	completeScript = script("complete")
	handOnScript   = script("handon")
)

// BusyError means that the delivery cannot begin now: another attempt holds
// it, or its time has not come.
type BusyError struct {
	After time.Duration // try again then
	Early bool          // its time has not come
}

func (e *BusyError) Error() string {
	if e.Early {
		return fmt.Sprintf("the delivery's next attempt is due in %s", e.After)
	}
	return fmt.Sprintf("another attempt holds the delivery for at most %s", e.After)
}

// Lease is one attempt's hold on a delivery. It is renewed by itself; when it
// is lost its Context ends with [ErrLost] as the cause.
type Lease struct {
	Delivery waybill.Delivery
	Run      waybill.Run
	Revision string
	Fence    int64 // greater than that of every earlier attempt
	Started  time.Time

	*holding
	ledger *Ledger
	prefix string
	poison bool
}

// Begin starts an attempt at a delivery. It returns [ErrGone] when there is
// nothing to do and a [*BusyError] when it is not its turn.
func (l *Ledger) Begin(ctx context.Context, id string, generation, enqueue int) (*Lease, error) {
	p, err := deliveryPrefix(id)
	if err != nil {
		return nil, err
	}
	asked := time.Now().UTC() // the lease runs from then at the earliest
	r, fields, err := l.begin(ctx, p, id, generation, enqueue)
	if err != nil {
		return nil, err
	}
	switch r.text(0) {
	case "OK":
	case "BUSY", "EARLY":
		return nil, &BusyError{After: time.Duration(r.int(1)) * time.Millisecond, Early: r.text(0) == "EARLY"}
	default:
		return nil, fmt.Errorf("delivery %s: %w", id, ErrGone)
	}
	lease := &Lease{ledger: l, prefix: p, poison: r.text(1) == "1", Started: asked}
	if err := lease.load(id, r.text(2), fields, r.list(3)); err != nil {
		return nil, err
	}
	lease.holding = hold(ctx, asked, l.opts.Lease, func(ctx context.Context) (bool, error) {
		r, err := l.run(ctx, renewScript, p, id, lease.Fence, millis(l.opts.Lease))
		return r.int(0) == 1, err
	}, func() { lease.tell(l.opts.Observer.Lost) })
	return lease, nil
}

// begin runs the script, and reads the delivery behind it in the same round
// trip: within the script that would take Redis three times as long.
func (l *Ledger) begin(ctx context.Context, prefix, id string, generation, enqueue int) (reply, map[string]string, error) {
	args := []any{id, generation, enqueue, rand.Text(), millis(l.opts.Lease), l.opts.MaxCrashes}
	var read *redis.MapStringStringCmd
	replies, errs := l.runEach(ctx, beginScript, []call{{prefix, args}}, func(p redis.Pipeliner) { read = p.HGetAll(ctx, prefix+"d:"+id) })
	fields, err := read.Result()
	if errs[0] == nil && err == nil && replies[0].text(0) == "OK" && fields["fence"] != replies[0].text(2) {
		fields, err = l.rdb.HGetAll(ctx, prefix+"d:"+id).Result() // it was read before the script could run
	}
	switch {
	case errs[0] != nil:
		return nil, nil, errs[0]
	case err != nil:
		return nil, nil, classify(err)
	}
	return replies[0], fields, nil
}

// load takes over what begin.lua and the delivery's fields say.
func (ls *Lease) load(id, fence string, delivery map[string]string, run reply) (err error) {
	if delivery["fence"] != fence {
		return fmt.Errorf("delivery %s: %w", id, ErrGone) // somebody has it since
	}
	ls.Delivery = deliveryOf(id, delivery)
	ls.Fence, _ = strconv.ParseInt(fence, 10, 64) // the script wrote it
	accepted, err := decodeRun(ls.Delivery.RunKey, map[string]string{"revision": run.text(0), "gen": run.text(1), "version": run.text(2), "run": run.text(3)})
	if err != nil {
		return err
	}
	if accepted.Generation != ls.Delivery.Generation {
		// A replacement was accepted and its planning will restart this delivery.
		return fmt.Errorf("delivery %s: %w", id, ErrGone)
	}
	ls.Run, ls.Revision = accepted.Run, accepted.Revision
	return nil
}

func (ls *Lease) tell(observe func(task string)) {
	if observe != nil {
		observe(ls.Delivery.Task)
	}
}

// Poison returns a failure if too many attempts at this delivery ended without
// a word, as they do when it kills the process that tries it.
func (ls *Lease) Poison() error {
	if !ls.poison {
		return nil
	}
	return waybill.Failf(waybill.Permanent, "internal.crashed",
		"The delivery ended its worker's process again and again; look at the workers' logs and memory, then retry it.",
		"%d attempts ended without a word", ls.ledger.opts.MaxCrashes)
}

// Enter is the go-ahead before a step. It returns the result that an earlier
// attempt recorded, or nil; or [ErrLost].
func (ls *Lease) Enter(ctx context.Context, stage waybill.Stage) (json.RawMessage, error) {
	r, err := ls.ledger.run(ctx, enterScript, ls.prefix, ls.Delivery.ID, ls.Fence, string(stage))
	if err != nil {
		return nil, err
	}
	if r.int(0) != 1 {
		return nil, ls.lost()
	}
	ls.Delivery.Stage = stage
	if text := r.text(1); text != "" {
		return json.RawMessage(text), nil
	}
	return nil, nil
}

// Record notes a step as done, with its result.
func (ls *Lease) Record(ctx context.Context, stage waybill.Stage, result any, took time.Duration) error {
	text, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encode result of %s: %w", stage, err)
	}
	r, err := ls.ledger.run(ctx, recordScript, ls.prefix, ls.Delivery.ID, ls.Fence, string(stage), text, millis(took))
	return ls.held(r, err)
}

// Forget makes the next attempt do a step again: what it recorded is no longer true.
func (ls *Lease) Forget(ctx context.Context, stage waybill.Stage) error {
	r, err := ls.ledger.run(ctx, forgetScript, ls.prefix, ls.Delivery.ID, ls.Fence, string(stage))
	return ls.held(r, err)
}

// PinnedSource is the ETag of the source that an earlier attempt read, or "".
func (ls *Lease) PinnedSource(ctx context.Context) (string, error) {
	pin, err := ls.ledger.rdb.HGet(ctx, ls.prefix+"d:"+ls.Delivery.ID, "pin").Result()
	return pin, ignoreNil(err)
}

// PinSource pins the version of the source that this delivery reads. The first
// call decides; it returns what is pinned.
func (ls *Lease) PinSource(ctx context.Context, etag string) (string, error) {
	if etag == "" {
		return "", nil // a source without versions cannot be pinned
	}
	r, err := ls.ledger.run(ctx, pinScript, ls.prefix, ls.Delivery.ID, ls.Fence, etag)
	if err == nil && r.text(0) == "" {
		return "", ls.lost()
	}
	return r.text(0), err
}

// Complete writes the receipt to our bucket, completes the delivery, and
// admits what comes next in its place.
func (ls *Lease) Complete(ctx context.Context, receipt waybill.Receipt) error {
	d := ls.Delivery
	receipt.DeliveryID, receipt.RunKey, receipt.Connector, receipt.Kind = d.ID, d.RunKey, d.Connector, d.Kind
	receipt.Generation, receipt.Fence, receipt.Revision = d.Generation, ls.Fence, ls.Revision
	receipt.SchemaVersion, receipt.RunFinishedAt = d.SchemaVersion, d.RunFinishedAt
	receipt.StartedAt, receipt.CompletedAt = ls.Started, time.Now().UTC()
	if err := ls.ledger.putReceipt(ctx, receipt); err != nil {
		return err
	}
	r, err := ls.ledger.run(ctx, completeScript, ls.prefix, d.ID, ls.Fence, receipt.Rows, receipt.Bytes)
	if err := ls.held(r, err); err != nil {
		return err
	}
	ls.ledger.admit(r.turns(1))
	return nil
}

// HandOn ends the attempt and hands the delivery to its next task. It needs no
// admission of its own: the delivery stays in flight and keeps its lane.
func (ls *Lease) HandOn(ctx context.Context, task string) error {
	r, err := ls.ledger.run(ctx, handOnScript, ls.prefix, ls.Delivery.ID, ls.Fence, task, millis(ls.ledger.opts.Grace))
	if err := ls.held(r, err); err != nil {
		return err
	}
	ls.ledger.dispatch(ctx, r.ready(1))
	return nil
}

// Close ends the attempt. With an error it returns an [*Attempt], which is to
// be settled; the lease stays held, though no longer renewed, until then.
func (ls *Lease) Close(err error) error {
	lost := ls.stop()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrLost) || lost != nil:
		return fmt.Errorf("delivery %s: %w", ls.Delivery.ID, ErrLost)
	}
	return &Attempt{lease: ls, Err: err}
}

func (ls *Lease) held(r reply, err error) error {
	if err != nil {
		return err
	}
	if r.int(0) != 1 {
		return ls.lost()
	}
	return nil
}

func (ls *Lease) lost() error {
	ls.tell(ls.ledger.opts.Observer.Stale)
	ls.cancel(ErrLost)
	return fmt.Errorf("delivery %s: %w", ls.Delivery.ID, ErrLost)
}
