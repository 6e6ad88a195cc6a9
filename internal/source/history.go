package source

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/netguard"
)

// History is the platform's history of runs:
// https://docs.kadoa.com/api-reference/workflows/get-workflow-history
type History struct {
	Web      *netguard.Guard
	Platform Platform

	patience time.Duration // before a page is asked for again, once more for each try; zero: 1 s
}

// PastRun is an entry of the history. It says neither where the run's records
// are, see [History.Records], nor which descriptor it had.
type PastRun struct {
	ID         string           `json:"id"`
	State      waybill.RunState `json:"state"`
	FinishedAt time.Time        `json:"finishedAt"` // zero: it has not
	Records    int64            `json:"records"`
}

// Workflow is what the platform says of a workflow now.
type Workflow struct {
	Team   string         // empty where the platform does not say
	Schema waybill.Schema // its present descriptor
}

const (
	historyPage = 100 // runs of one page: the most that the platform gives
	pageTries   = 5
)

// Runs yields the history of a workflow, newest first, a page at a time. Runs
// that begin meanwhile move all others back: what is met twice is yielded once.
// A history that became shorter may have lost some in between, and is an error.
// Errors are a [waybill.Failure] without a stage, or the context's error.
func (h History) Runs(ctx context.Context, workflowID string) iter.Seq2[PastRun, error] {
	return func(yield func(PastRun, error) bool) {
		total, before := 0, map[string]bool{}
		for page := 1; ; page++ {
			var answer struct {
				WorkflowRuns []PastRun `json:"workflowRuns"`
				TotalCount   int       `json:"totalCount"`
			}
			err := h.ask(ctx, "history", workflowID, url.Values{"page": {strconv.Itoa(page)}, "limit": {strconv.Itoa(historyPage)}}, &answer)
			if err == nil && answer.TotalCount < total {
				err = waybill.Failf(waybill.Transient, "platform.history_changed", askAgainAction, "the history of %s had %d runs and has %d", workflowID, total, answer.TotalCount)
			}
			if err != nil {
				yield(PastRun{}, err)
				return
			}
			total = answer.TotalCount
			these := make(map[string]bool, len(answer.WorkflowRuns))
			for _, run := range answer.WorkflowRuns {
				these[run.ID] = true
				if !before[run.ID] && !yield(run, nil) {
					return
				}
			}
			if len(answer.WorkflowRuns) < historyPage {
				return
			}
			before = these
		}
	}
}

// Workflow returns what the platform says of a workflow.
func (h History) Workflow(ctx context.Context, id string) (Workflow, error) {
	var answer struct {
		TeamID string          `json:"teamId"`
		Schema json.RawMessage `json:"schema"`
	}
	if err := h.ask(ctx, "", id, nil, &answer); err != nil {
		return Workflow{}, err
	}
	w := Workflow{Team: answer.TeamID}
	if len(answer.Schema) == 0 {
		return w, nil
	}
	if err := json.Unmarshal(answer.Schema, &w.Schema.Fields); err != nil {
		return w, platformFailure(ctx, err)
	}
	return w, nil
}

// Records is where the records of a run are.
func (h History) Records(workflowID, runID string) waybill.Source {
	uri, err := url.JoinPath(h.Platform.URL, "v4", "workflows", url.PathEscape(workflowID), "data")
	if err != nil {
		uri = h.Platform.URL // opening it says what is wrong with it
	}
	return waybill.Source{URI: uri + "?" + url.Values{"runId": {runID}, "limit": {"0"}}.Encode(), Format: "envelope"}
}

// ask asks for something of a workflow; again, where the platform fails now and then.
func (h History) ask(ctx context.Context, what, workflowID string, query url.Values, answer any) error {
	if h.Web == nil || h.Platform.URL == "" {
		return waybill.Failf(waybill.Blocked, "platform.not_configured",
			"Give the fleet's configuration the section platform, or list the runs in a manifest.", "no platform is configured")
	}
	path := strings.TrimSuffix("v4/workflows/"+url.PathEscape(workflowID)+"/"+what, "/")
	for try := 1; ; try++ {
		err := h.Platform.getJSON(ctx, h.Web, path, query, answer)
		f, ok := errors.AsType[*waybill.Failure](err)
		if !ok || try == pageTries || f.Verdict != waybill.Transient && f.Verdict != waybill.Throttled {
			return err
		}
		wait := max(f.After, cmp.Or(h.patience, time.Second)*time.Duration(try))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
