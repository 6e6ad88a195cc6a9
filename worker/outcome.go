package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/tasks"
)

// This file alone turns what a handler returned into what the ledger and asynq
// do next.
//
//	handler returned                 ledger                     asynq
//	nil                              (completed by the handler) done
//	ErrGone                          –                          done
//	BusyError, ErrLost               –                          again, no failure
//	PayloadError, unknown task       –                          again, for a newer worker
//	Attempt: interrupted             queued, costs no attempt   again at once, no failure
//	Attempt: Throttled               retrying, no attempt       again when they said
//	Attempt: Transient, tries left   retrying                   again after the policy's delay
//	Attempt: Transient, none left    failed, perhaps a replay   task deleted
//	Attempt: Blocked, Permanent      blocked, failed            task deleted
//	Attempt of a paused connector    waiting                    task deleted
//	any error of a task that is due at regular times            done: the next tick is the retry
//
// asynq never archives and never counts: see MaxRetry in package tasks.

// verdict is the error that asynq gets when a task is to run again. asynq
// keeps and shows its text: it holds no vendor's words and no secret.
type verdict struct {
	text    string
	after   time.Duration
	at      time.Time // or then
	failure bool      // counts as failed in asynq's figures
}

func (v *verdict) Error() string { return v.text }

// retryDelay tells asynq when a task runs again. asynq keeps whole seconds and
// cuts the rest off, so a due time is a whole second already (the ledger rounds
// up) and nothing starts early.
func retryDelay(_ int, err error, _ *asynq.Task) time.Duration {
	v, ok := errors.AsType[*verdict](err)
	switch {
	case !ok: // asynq's own errors: lease expired, deadline, panic
		return time.Second
	case !v.at.IsZero():
		return time.Until(v.at)
	default:
		return v.after
	}
}

func isFailure(err error) bool {
	v, ok := errors.AsType[*verdict](err)
	return ok && v.failure
}

// settle ends a task.
func (w *Worker) settle(ctx context.Context, d tasks.Declaration, err error) error {
	attempt, isAttempt := errors.AsType[*ledger.Attempt](err)
	busy, isBusy := errors.AsType[*ledger.BusyError](err)
	payload, isPayload := errors.AsType[*tasks.PayloadError](err)
	switch {
	case err == nil:
		w.count(d, monitoring.OutcomeComplete)
		return nil
	case d.Every > 0 && !isPayload:
		w.settleTick(ctx, d, err)
		return nil
	case isAttempt:
		return w.settleAttempt(ctx, d, attempt)
	case isBusy:
		w.count(d, monitoring.OutcomeSkipped)
		return &verdict{text: busy.Error(), after: min(busy.After, 5*time.Second)}
	case errors.Is(err, ledger.ErrGone):
		w.count(d, monitoring.OutcomeSkipped)
		return nil
	case errors.Is(err, ledger.ErrLost):
		w.cfg.Log.Warn("attempt lost its delivery", "task", d.Name, "error", err)
		w.count(d, monitoring.OutcomeCancelled)
		return &verdict{text: ledger.ErrLost.Error(), after: 5 * time.Second}
	case isPayload:
		w.cfg.Log.Error("task left for a newer worker", "task", d.Name, "error", payload)
		return &verdict{text: "payload is unknown to this version; left for a newer worker", after: time.Minute}
	default: // the ledger could not be asked
		w.cfg.Log.Error("task could not begin", "task", d.Name, "error", err)
		return &verdict{text: "the ledger could not be reached", after: time.Second}
	}
}

// settleTick notes how a task that is due at regular times failed. Its next
// tick is the retry.
func (w *Worker) settleTick(ctx context.Context, d tasks.Declaration, err error) {
	if errors.Is(err, ledger.ErrGone) || errors.Is(err, ledger.ErrLost) || interrupted(context.Cause(ctx)) {
		w.count(d, monitoring.OutcomeSkipped)
		return
	}
	f := failureOf(ctx, d.Stages[0], err)
	outcome := monitoring.OutcomeRetry
	switch f.Verdict {
	case waybill.Blocked:
		outcome = monitoring.OutcomeBlocked
	case waybill.Permanent:
		outcome = monitoring.OutcomeFailed
	default:
		w.cfg.Metrics.Retry(d.Name, f.Verdict)
	}
	w.cfg.Metrics.Outcome(d.Name, outcome, f.Stage)
	w.cfg.Log.Warn("tick failed; the next one tries again", "task", d.Name, "stage", f.Stage, "code", f.Code, "action", f.Action, "error", f)
}

// settleAttempt tells the ledger how an attempt ended, and asynq what the
// ledger made of it. The ledger is asked even when the task's own context is
// over: otherwise the delivery would wait for its lease to run out.
func (w *Worker) settleAttempt(ctx context.Context, d tasks.Declaration, a *ledger.Attempt) error {
	delivery := a.Delivery()
	decision := decide(d.Retry, delivery, failureOf(ctx, delivery.Stage, a.Err), context.Cause(ctx))
	settled, err := w.tellLedger(ctx, a, decision)
	log := w.cfg.Log.With("task", d.Name, "delivery", delivery.ID, "connector", delivery.Connector, "attempt", delivery.Attempts,
		monitoring.KeyTrace, monitoring.TraceID(delivery.ID, delivery.Generation))
	if err != nil {
		log.Warn("attempt could not be settled; its lease will run out", "error", err)
		w.count(d, monitoring.OutcomeCancelled)
		return &verdict{text: "the attempt could not be settled", after: 5 * time.Second}
	}
	f := decision.Failure
	w.cfg.Metrics.Outcome(d.Name, outcomes[settled.State], f.Stage)
	w.cfg.Metrics.Ended(delivery, outcomes[settled.State])
	if settled.Pauses {
		w.cfg.Metrics.Paused(delivery.Kind)
		log.Error("connector paused after failures in a row", "code", f.Code, "action", "Mend what its deliveries say, then resume it.")
	}
	switch settled.State {
	case waybill.StateWaiting:
		log.Info("attempt ended; the connector is paused", "stage", f.Stage, "code", f.Code)
		return fmt.Errorf("the connector is paused: %w", asynq.RevokeTask)
	case waybill.StateQueued:
		log.Info("attempt given back")
		return &verdict{text: "the attempt was interrupted and given back"}
	case waybill.StateRetrying:
		w.cfg.Metrics.Retry(d.Name, f.Verdict)
		log.Warn("attempt failed; will be tried again", "stage", f.Stage, "code", f.Code, "next", settled.Next, "error", f)
		return &verdict{text: summary(f), at: settled.Next, failure: f.Verdict != waybill.Throttled}
	default:
		log.Error("delivery "+string(settled.State), "stage", f.Stage, "code", f.Code, "action", f.Action, "error", f)
		return fmt.Errorf("%s: %w", summary(f), asynq.RevokeTask)
	}
}

// tellLedger settles. Should the client repeat it after a lost answer, the
// ledger refuses what an earlier try did already.
func (w *Worker) tellLedger(ctx context.Context, a *ledger.Attempt, d ledger.Decision) (ledger.Settled, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return a.Settle(ctx, d)
}

// summary is what queue views show of a failure.
func summary(f *waybill.Failure) string {
	return fmt.Sprintf("%s: %s: %s", f.Stage, f.Code, f.Action)
}

// failureOf is the failure of an attempt, or what the context's end says of it.
func failureOf(ctx context.Context, stage waybill.Stage, err error) *waybill.Failure {
	if errors.Is(context.Cause(ctx), ErrStalled) {
		f := waybill.Failf(waybill.Transient, "internal.stalled",
			"The step moved no byte for minutes and was cancelled; it is tried again by itself.", "%w: %w", ErrStalled, err)
		return waybill.At(cmp.Or(stage, waybill.StageStage), f)
	}
	return waybill.At(cmp.Or(stage, waybill.StageStage), err)
}

// decide applies a task's retry policy to one failed attempt.
func decide(policy tasks.RetryPolicy, d waybill.Delivery, f *waybill.Failure, cause error) ledger.Decision {
	retries := d.Attempts - 1 // of this round, before this failure
	switch {
	case interrupted(cause) && f.Verdict == waybill.Transient:
		return ledger.Decision{State: waybill.StateQueued, Failure: f}
	case f.Verdict == waybill.Throttled:
		return ledger.Decision{State: waybill.StateRetrying, After: cmp.Or(f.After, 30*time.Second), Failure: f}
	case f.Verdict == waybill.Blocked:
		return ledger.Decision{State: waybill.StateBlocked, Costs: true, Counts: byDestination(f), Failure: f}
	case f.Verdict == waybill.Transient && retries < len(policy.Delays):
		return ledger.Decision{State: waybill.StateRetrying, After: policy.Delays[max(retries, 0)], Costs: true, Failure: f}
	case f.Verdict == waybill.Transient && d.Replays < len(policy.Replays):
		return ledger.Decision{State: waybill.StateFailed, After: policy.Replays[d.Replays], Costs: true, Counts: byDestination(f), Failure: f}
	default:
		return ledger.Decision{State: waybill.StateFailed, Costs: true, Counts: byDestination(f), Failure: f}
	}
}

// byDestination says whether a failure is the destination's: not the run's or
// its source's, whose next run may be well, and not our own.
func byDestination(f *waybill.Failure) bool {
	part, _, _ := strings.Cut(f.Code, ".")
	return !slices.Contains([]string{"source", "records", "internal"}, part)
}

// outcomes are the metric's words for how the ledger settled an attempt.
var outcomes = map[waybill.State]monitoring.Outcome{
	waybill.StateQueued:   monitoring.OutcomeSkipped,
	waybill.StateWaiting:  monitoring.OutcomeSkipped,
	waybill.StateRetrying: monitoring.OutcomeRetry,
	waybill.StateBlocked:  monitoring.OutcomeBlocked,
	waybill.StateFailed:   monitoring.OutcomeFailed,
}

// interrupted says that the attempt was ended from outside: we shut down, or
// asynq lost its own hold on the task.
func interrupted(cause error) bool {
	return errors.Is(cause, ErrShutdown) || errors.Is(cause, context.Canceled)
}

func (w *Worker) count(d tasks.Declaration, o monitoring.Outcome) {
	w.cfg.Metrics.Outcome(d.Name, o, "")
}
