package waybill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Verdict says what a failure means for the delivery's next attempt.
type Verdict string

const (
	// Transient failures heal with time: the attempt is repeated after a backoff.
	Transient Verdict = "transient"
	// Throttled failures carry the time the other side asked for; they cost no attempt.
	Throttled Verdict = "throttled"
	// Blocked failures wait for the customer or the operator; nothing is retried until then.
	Blocked Verdict = "blocked"
	// Permanent failures are ours, or the producer's, to mend; a retry would fail alike.
	Permanent Verdict = "permanent"
)

// Failure is why an attempt at a delivery did not succeed. The adapter that
// met the fault fills everything but the stage; the handler adds the stage.
type Failure struct {
	Stage   Stage         // the step that failed
	Verdict Verdict       // what happens next
	Code    string        // stable, for machines, e.g. "storage.no_bucket"
	Action  string        // one sentence to the person who can mend it; never vendor text
	After   time.Duration // Throttled only: how long the other side asked us to wait
	Err     error         // the cause, for the log
}

// Error is for the log: it holds the cause.
func (f *Failure) Error() string {
	text := f.Code
	if f.Stage != "" {
		text = string(f.Stage) + ": " + text
	}
	if f.Err != nil {
		return text + ": " + f.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// At returns err as a Failure of the given stage. A Failure that already names
// a stage keeps it. An error that no adapter classified is Transient: it is
// repeated, and if that does not help it fails in plain sight.
func At(stage Stage, err error) *Failure {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*Failure](err); ok {
		g := *f
		g.Stage = cmp.Or(f.Stage, stage)
		if direct, ok := err.(*Failure); !ok || direct != f { //nolint:errorlint // whether it is wrapped is the question
			g.Err = err // keep what the callers in between said
		}
		return &g
	}
	f := &Failure{Stage: stage, Verdict: Transient, Code: "internal.unclassified", Err: err,
		Action: "Look at the worker's log for this delivery; the cause is not one that Waybill knows."}
	if errors.Is(err, context.DeadlineExceeded) {
		f.Code, f.Action = "internal.timeout", "The step took longer than its limit; it is tried again by itself."
	}
	return f
}

// Failf returns a Failure without a stage whose cause is the formatted error.
func Failf(v Verdict, code, action, format string, args ...any) *Failure {
	return &Failure{Verdict: v, Code: code, Action: action, Err: fmt.Errorf(format, args...)}
}
