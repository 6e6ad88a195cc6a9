package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

var (
	settleScript = script("settle")
	retryScript  = script("retry")
	cancelScript = script("cancel")
)

// Attempt is the error of an attempt that did not complete its delivery. It
// still holds the delivery, and says nothing of what happens next: the worker
// decides that by the task's policy, and settles it.
type Attempt struct {
	Err   error
	lease *Lease
}

func (a *Attempt) Error() string { return a.Err.Error() }
func (a *Attempt) Unwrap() error { return a.Err }

// Delivery is the delivery that was tried.
func (a *Attempt) Delivery() waybill.Delivery { return a.lease.Delivery }

// Decision is how an attempt ends.
type Decision struct {
	State   waybill.State // retrying, failed or blocked; queued: released, as if it had not been tried
	After   time.Duration // until the next attempt; of a failed one: until its replay, 0 for none
	Costs   bool          // it counts as one of the round's attempts
	Counts  bool          // a failed or blocked one counts towards the pause of its connector
	Failure *waybill.Failure
}

// Settled is how the ledger ended an attempt.
type Settled struct {
	State  waybill.State // waiting: the connector is paused
	Next   time.Time     // when the next attempt may start; zero: not by itself
	Pauses bool          // this failure was one too many in a row: the connector is paused now
}

// Settle ends the attempt, and admits what comes next in its place.
// It returns [ErrLost] if the attempt no longer holds the delivery: then it is
// no longer its business.
func (a *Attempt) Settle(ctx context.Context, d Decision) (Settled, error) {
	how, costs, limit := string(d.State), "0", 0
	f := d.Failure
	if d.State == waybill.StateQueued {
		how, f = "released", &waybill.Failure{}
	}
	ls, opts := a.lease, a.lease.ledger.opts
	if d.Costs {
		costs = "1"
	}
	if d.Counts {
		limit = opts.MaxFailures
	}
	r, err := ls.ledger.run(ctx, settleScript, ls.prefix, ls.Delivery.ID, ls.Fence, how, millis(d.After),
		string(f.Stage), string(f.Verdict), f.Code, f.Action, millis(opts.Grace), costs, millis(opts.MaxThrottle), limit)
	if err != nil {
		return Settled{}, err
	}
	if r.int(0) != 1 {
		return Settled{}, ls.lost()
	}
	ls.ledger.admit(r.turns(3))
	settled := Settled{State: waybill.State(r.text(1)), Next: fromMillis(r.text(2)), Pauses: r.text(4) == "1"}
	if settled.Pauses {
		ls.pauseMirrored(ctx)
	}
	return settled, nil
}

// pauseMirrored has our bucket know that the connector is paused for failures
// in a row. The attempt is settled whether it does or not: the sweep repeats it.
func (ls *Lease) pauseMirrored(ctx context.Context) {
	s := subjectConnector(ls.Delivery.TeamID, ls.Delivery.Connector)
	if err := ls.ledger.mirrorPause(ctx, s); err != nil {
		ls.ledger.opts.Log.WarnContext(ctx, "a pause is not in our own bucket yet; the sweep will try again", "connector", s.name, "error", err)
	}
}

// StateError refuses what the state of a delivery does not allow.
type StateError struct {
	Delivery string
	State    waybill.State
	Refusal  string // what is possible
}

func (e *StateError) Error() string {
	return fmt.Sprintf("delivery %s is %s; %s", e.Delivery, e.State, e.Refusal)
}

// Retry sends a delivery that failed, is blocked or was unpublished on its way
// again, with a fresh round of attempts.
func (l *Ledger) Retry(ctx context.Context, id string) error { return l.again(ctx, id, "retried") }

func (l *Ledger) again(ctx context.Context, id, what string) error {
	return l.change(ctx, retryScript, id, what, "only failed, blocked and unpublished deliveries are retried")
}

// Cancel ends a delivery that is not complete. An attempt that is under way
// loses it before its next effect; what it wrote by then stays, and is not
// shown as delivered. Cancelling again is a success.
func (l *Ledger) Cancel(ctx context.Context, id, why string) error {
	if err := l.change(ctx, cancelScript, id, why, "what was delivered cannot be cancelled"); err != nil {
		return err
	}
	return l.withdraw(ctx, id)
}

func (l *Ledger) withdraw(ctx context.Context, id string) error {
	d, err := l.Delivery(ctx, id)
	if err != nil {
		return err
	}
	return l.Withdraw(ctx, d)
}

// change runs a script that moves a delivery, unless its state does not allow it.
func (l *Ledger) change(ctx context.Context, s *redis.Script, id, what, refusal string) error {
	p, err := deliveryPrefix(id)
	if err != nil {
		return err
	}
	r, err := l.run(ctx, s, p, id, what)
	if err != nil {
		return err
	}
	return l.moved(id, r, refusal)
}

// moved reads what a script that moves a delivery returned.
func (l *Ledger) moved(id string, r reply, refusal string) error {
	switch outcome := r.text(0); outcome {
	case "OK":
		l.admit(r.turns(1))
		return nil
	case "GONE":
		return fmt.Errorf("delivery %s: %w", id, waybill.ErrNotFound)
	default:
		return &StateError{Delivery: id, State: waybill.State(outcome), Refusal: refusal}
	}
}
