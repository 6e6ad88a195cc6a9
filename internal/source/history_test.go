package source

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	fake "github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/internal/netguard"
)

func history(t *testing.T, runs int) (History, *fake.Server) {
	t.Helper()
	p := fake.New(fake.Options{})
	t.Cleanup(p.Close)
	p.AddWorkflow("wf_movies", "team-1", waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String, IsKey: true}}})
	p.AddRuns("wf_movies", pastRuns(0, runs)...)
	return History{Web: guard(t, netguard.Options{Allow: []string{p.URL}}), patience: time.Microsecond,
		Platform: Platform{URL: p.URL, Key: func(context.Context) (string, error) { return fake.Key, nil }}}, p
}

func pastRuns(from, to int) (list []fake.Run) {
	for i := from; i < to; i++ {
		at := time.Date(2025, 1, 15, 10, 30, i, 0, time.UTC)
		list = append(list, fake.Run{ID: fmt.Sprintf("job-%04d", i), State: waybill.RunFinished, StartedAt: at, FinishedAt: at.Add(time.Minute), Count: 7})
	}
	return list
}

func (h History) all(t *testing.T) (ids []string, err error) {
	t.Helper()
	for run, err := range h.Runs(t.Context(), "wf_movies") {
		if err != nil {
			return ids, err
		}
		ids = append(ids, run.ID)
	}
	return ids, nil
}

func wantEach(t *testing.T, ids []string, from, to int) {
	t.Helper()
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			t.Errorf("%s was yielded twice", id)
		}
		seen[id] = true
	}
	for _, run := range pastRuns(from, to) {
		if !seen[run.ID] {
			t.Errorf("%s was not yielded", run.ID)
		}
	}
}

func TestTheHistoryIsReadWholeThoughRunsBeginMeanwhile(t *testing.T) {
	h, p := history(t, 250)
	ids, err := h.all(t)
	if err != nil || len(ids) != 250 || ids[0] != "job-0249" {
		t.Fatalf("%d runs, first %v: %v", len(ids), ids[:1], err)
	}
	wantEach(t, ids, 0, 250)

	next := 250
	p.Inject(fake.Fault{Path: "/history", Skip: 1, Times: -1, Do: func() { p.AddRuns("wf_movies", pastRuns(next, next+3)...); next += 3 }})
	if ids, err = h.all(t); err != nil {
		t.Fatal(err)
	}
	wantEach(t, ids, 0, 250)
	if next == 250 {
		t.Error("no run began meanwhile")
	}
}

func TestAPlatformThatFailsNowAndThenIsAskedAgain(t *testing.T) {
	for name, f := range map[string]fake.Fault{
		"500":     {Status: http.StatusInternalServerError},
		"garbage": {Garbage: `{"workflowRuns":[{"id":`},
		"cut":     {Cut: true, CutAfter: 40},
	} {
		h, p := history(t, 250)
		f.Path, f.Skip, f.Times = "/history", 1, pageTries-1
		p.Inject(f)
		ids, err := h.all(t)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantEach(t, ids, 0, 250)
		f.Times, f.Skip = pageTries, 0
		p.Inject(f)
		_, err = h.all(t)
		if failed := waybill.At("", err); failed == nil || failed.Verdict != waybill.Transient || !strings.HasPrefix(failed.Code, "platform.") {
			t.Errorf("%s: a platform that goes on failing gives %v", name, err)
		}
	}
}

func TestWhatIsWrongWithThePlatformIsSaid(t *testing.T) {
	h, p := history(t, 3)
	_, err := h.Workflow(t.Context(), "wf_other")
	wantFailure(t, err, waybill.Blocked, "platform.not_found", "correct the workflow's id")
	if w, err := h.Workflow(t.Context(), "wf_movies"); err != nil || w.Team != "team-1" || len(w.Schema.Fields) != 1 || !w.Schema.Fields[0].IsKey {
		t.Errorf("workflow %+v, %v", w, err)
	}
	h.Platform.Key = func(context.Context) (string, error) { return "hunter2", nil }
	_, err = h.all(t)
	wantFailure(t, err, waybill.Blocked, "platform.access_denied", "platform.apiKey")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the key is shown: %v", err)
	}
	_, err = History{}.all(t)
	wantFailure(t, err, waybill.Blocked, "platform.not_configured", "manifest")
	if u := p.Unexpected(); u != nil {
		t.Errorf("unexpected calls: %v", u)
	}
}
