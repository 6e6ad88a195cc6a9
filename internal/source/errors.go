package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

const transientAction = "The run's records cannot be read at the moment; it is tried again by itself."

// classifyOpen turns what stores and servers say of an object into what it
// means for a source.
func classifyOpen(name string, err error) error {
	switch {
	case errors.Is(err, storage.ErrNotExist):
		return &waybill.Failure{Verdict: waybill.Permanent, Code: "source.not_found", Err: err,
			Action: "The run's records are not at " + name + "; store them there and hand the run in again with replace."}
	case errors.Is(err, storage.ErrPrecondition):
		return changed(err)
	}
	return classifyRead(err)
}

// classifyRead makes a store's or the network's failure one of the source: the
// store wrote its sentence for who owns a destination, and a connector is not
// to blame for it. The verdict stays.
func classifyRead(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok {
		return waybill.Failf(waybill.Transient, "source.unreadable", transientAction, "read source: %w", err)
	}
	g := *f
	if code, network := strings.CutPrefix(f.Code, "net."); network {
		g.Code, g.Err = "source."+code, err
		return &g
	}
	code, ours := strings.CutPrefix(f.Code, "storage.")
	if !ours {
		return f
	}
	g.Code, g.Action, g.Err = "source."+code, transientAction, err
	if f.Verdict == waybill.Blocked {
		g.Action = "The workers cannot read where the run's records are; check the fleet's sources settings and what their credentials may do there."
	}
	return &g
}

func changed(cause error) error {
	return &waybill.Failure{Verdict: waybill.Permanent, Code: "source.changed", Err: cause,
		Action: "The run's records were changed after the run was handed in; hand the run in again with replace."}
}

func notRecords(format string, args ...any) error {
	return waybill.Failf(waybill.Permanent, "source.not_records",
		"The run's source answers with a web page where records were announced, as a login or an error page does; give the address of the records themselves and hand the run in again with replace.",
		format, args...)
}

// answer is one row of what servers' statuses mean.
// https://www.rfc-editor.org/rfc/rfc9110#section-15
type answer struct {
	statuses []int
	verdict  waybill.Verdict
	code     string
	action   string
	means    error // the sentinel that the failure matches
}

const refusedAction = "The server of the run's records does not show them to Waybill, perhaps because a signature in the URL has expired; have it allow that, or hand the run in again with an address that works."

// answers is the one table of them.
var answers = []answer{
	{[]int{http.StatusUnauthorized, http.StatusForbidden}, waybill.Blocked, "source.access_denied", refusedAction, nil},
	{[]int{http.StatusNotFound, http.StatusGone}, waybill.Permanent, "source.not_found", "", storage.ErrNotExist}, // classifyOpen writes the sentence
	{[]int{http.StatusPreconditionFailed}, waybill.Permanent, "source.changed", "", storage.ErrPrecondition},
	{[]int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable}, waybill.Throttled, "source.throttled",
		"The server of the run's records asks for patience; it is tried again by itself.", nil},
	{[]int{http.StatusMisdirectedRequest, http.StatusTooEarly}, waybill.Transient, "source.unavailable", transientAction, nil},
}

// statusFailure is what an answer other than the wanted one means. Nothing of
// its body is repeated: it is somebody else's text.
func statusFailure(resp *http.Response, keyed bool) error {
	cause := fmt.Errorf("server answers with HTTP status %d", resp.StatusCode)
	a := answer{nil, waybill.Permanent, "source.refused",
		fmt.Sprintf("The server of the run's records answers with HTTP status %d in place of them; mend the run's source.uri and hand the run in again with replace.", resp.StatusCode), nil}
	if resp.StatusCode >= http.StatusInternalServerError {
		a = answer{nil, waybill.Transient, "source.unavailable", transientAction, nil}
	}
	if i := slices.IndexFunc(answers, func(a answer) bool { return slices.Contains(a.statuses, resp.StatusCode) }); i >= 0 {
		a = answers[i]
	}
	if a.means != nil {
		cause = fmt.Errorf("%w: %w", a.means, cause)
	}
	f := &waybill.Failure{Verdict: a.verdict, Code: a.code, Action: a.action, Err: cause}
	if a.verdict == waybill.Blocked && keyed {
		f.Action = "The platform does not show the run's records to Waybill's key; check platform.apiKey in the fleet's configuration and what the key may read."
	}
	if a.verdict == waybill.Throttled {
		f.After = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return f
}

// The wait where a server names none, and the longest taken from it.
const (
	defaultWait = 5 * time.Second
	longestWait = time.Hour
)

// retryAfter reads the header of that name: seconds, or a date.
// https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(max(time.Duration(seconds)*time.Second, time.Second), longestWait)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), time.Second), longestWait)
	}
	return defaultWait
}
