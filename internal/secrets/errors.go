package secrets

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/waybillhq/waybill"
)

// What a manager's answer means. A provider's error matches one of them, or
// none where the place of the reference is this machine.
var (
	errMissing     = errors.New("it is not there")
	errDenied      = errors.New("it is not for us to read")
	errThrottled   = errors.New("the manager asks for fewer requests")
	errUnreachable = errors.New("the manager does not answer")
)

// faults is the one table of what can go wrong with a reference. {ref} stands
// for it; none of its words are a vendor's.
var faults = []struct {
	means   error
	verdict waybill.Verdict
	code    string
	action  string
}{
	{errMissing, waybill.Blocked, "secret.unavailable", "There is no usable secret at %q: create it, or mend the reference."},
	{errDenied, waybill.Blocked, "secret.denied", "Waybill may not read the secret %q: allow its identity that at the secret's manager."},
	{errThrottled, waybill.Throttled, "secret.throttled", "The manager of the secret %q asks for fewer requests; Waybill waits and tries again by itself."},
	{errUnreachable, waybill.Transient, "secret.unreachable", "The manager of the secret %q does not answer; Waybill tries again by itself. If it goes on, look at the network and at the manager's state."},
	{context.Canceled, waybill.Transient, "secret.unreachable", "The secret %q was still being fetched when its step was stopped; the step is tried again by itself."},
	{context.DeadlineExceeded, waybill.Transient, "secret.unreachable", "The secret %q was still being fetched when its step's time was over; the step is tried again by itself."},
}

// failure makes a provider's error one that names the reference.
func failure(ref Ref, cause error) error {
	f := &waybill.Failure{Verdict: waybill.Blocked, Code: "secret.unavailable",
		Action: fmt.Sprintf("Make the secret %q available to this process: set the environment variable, or put a readable file with the secret there.", ref.String()),
		Err:    fmt.Errorf("resolve %q: %w", ref.String(), cause)}
	for _, fault := range faults {
		if errors.Is(cause, fault.means) {
			f.Verdict, f.Code, f.Action = fault.verdict, fault.code, fmt.Sprintf(fault.action, ref.String())
			break
		}
	}
	if f.Verdict == waybill.Throttled {
		f.After = retryAfter
		if wait, ok := errors.AsType[*waitError](cause); ok {
			f.After = wait.after
		}
	}
	return f
}

// retryAfter is how long a manager is left alone that does not say for how long.
const (
	retryAfter    = 5 * time.Second
	maxRetryAfter = 5 * time.Minute
)

// waitError is a manager's word on when to come again.
type waitError struct {
	after time.Duration
	err   error
}

func (e *waitError) Error() string { return e.err.Error() }
func (e *waitError) Unwrap() error { return e.err }

func missing(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMissing, fmt.Sprintf(format, args...))
}

// transport classifies the error of a request that got no answer.
func transport(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err // the caller gave up; nothing is known of the manager
	}
	return fmt.Errorf("%w: %w", errUnreachable, err)
}

// refusal classifies an HTTP answer that is not a success. What the answer says
// is left out: of a manager of secrets it is better not to be in a log.
func (r reply) refusal(code string) error {
	text := fmt.Sprintf("HTTP %d", r.status)
	if code != "" {
		text += " " + code
	}
	switch s := r.status; {
	case s == http.StatusNotFound || s == http.StatusGone:
		return fmt.Errorf("%w: %s", errMissing, text)
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return fmt.Errorf("%w: %s", errDenied, text)
	case s == http.StatusTooManyRequests:
		return &waitError{wait(r.header), fmt.Errorf("%w: %s", errThrottled, text)}
	case s >= 500 || s == http.StatusRequestTimeout || s == http.StatusPreconditionFailed:
		return fmt.Errorf("%w: %s", errUnreachable, text)
	case s >= 300 && s < 400:
		return fmt.Errorf("%w: %s: it redirects; name the server that answers itself", errMissing, text)
	}
	return fmt.Errorf("%w: %s", errMissing, text)
}

func wait(h http.Header) time.Duration {
	if seconds, err := strconv.Atoi(h.Get("Retry-After")); err == nil && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	return retryAfter
}
