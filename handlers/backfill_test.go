package handlers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

func TestABackfillBringsEachRunOnceBehindTheFirstLiveDelivery(t *testing.T) {
	p := newPast(t, waybill.KindStorage)
	p.titles(11)
	w := p.process(long)
	w.connector.Workflows = []string{"wf_movies"}
	w.start(ledger.BackfillPlan{})
	for range 3 {
		if err := w.tick(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := w.Ledger.Backfill(t.Context(), "lake")
	if err != nil || b.State != ledger.BackfillWaiting || !strings.Contains(b.Note, "first live delivery") || b.Size.Runs != 11 || b.Size.Rows != 22 || b.Size.Chunks != 4 {
		t.Fatalf("before anything is delivered: %+v, %v", b, err)
	}
	if n := len(w.deliveries()); n != 0 {
		t.Fatalf("%d deliveries before the first live one", n)
	}
	w.live(p.runs[10])
	b = w.finish(ledger.BackfillComplete)
	if b.Done.Complete != 11 || b.Done.Rows != 22 || b.Past != 4 || b.EndedAt.IsZero() {
		t.Errorf("%+v", b)
	}
	w.wantOnce("a calm backfill")

	// A second one finds everything there.
	w.start(ledger.BackfillPlan{})
	if b = w.finish(ledger.BackfillComplete); b.Number != 2 || b.Done.Complete != 11 {
		t.Errorf("second: %+v", b)
	}
	w.wantOnce("a second backfill")
}

func TestAProducerWhoComesAfterTheBackfillIsNotDeliveredTwice(t *testing.T) {
	p := newPast(t, waybill.KindStorage)
	p.titles(7)
	w := p.process(long)
	w.connector.Workflows = []string{"wf_movies"}
	w.live(p.runs[6])
	w.work(10)
	w.start(ledger.BackfillPlan{})
	for range 3 { // the first chunk waits, some of it is under way
		if err := w.tick(); err != nil {
			t.Fatal(err)
		}
	}
	w.work(1)
	for _, run := range p.runs[:6] { // under another address than the history gives
		a, err := w.Ledger.Accept(t.Context(), run)
		if err != nil || a.Outcome != ledger.OutcomeNew || a.Generation != 1 {
			t.Fatalf("hand in %s: %+v, %v", run.JobID, a, err)
		}
		if a, err = w.Ledger.Accept(t.Context(), run); err != nil || a.Outcome != ledger.OutcomeSame {
			t.Fatalf("hand in %s again: %+v, %v", run.JobID, a, err)
		}
	}
	w.finish(ledger.BackfillComplete)
	w.wantOnce("producers came during the backfill")

	other := p.runs[2]
	other.RowCount = 3
	if _, err := w.Ledger.Accept(t.Context(), other); err == nil {
		t.Error("another revision is taken without replace")
	}
}

func TestAProducersWordIsWorthMoreThanTheHistorys(t *testing.T) {
	p := newPast(t, waybill.KindStorage)
	p.titles(3)
	w := p.process(long)
	w.connector.Workflows = []string{"wf_movies"}
	w.live(p.runs[2])
	w.work(10)
	w.start(ledger.BackfillPlan{})
	w.finish(ledger.BackfillComplete)
	run := p.runs[0] // the history knew the workflow's present descriptor alone
	run.Schema = schemaB
	a, err := w.Ledger.Accept(t.Context(), run)
	if err != nil || a.Outcome != ledger.OutcomeReplaced || a.Generation != 2 {
		t.Fatalf("%+v, %v", a, err)
	}
}

func TestOneJobCanBeTheFirstLiveDelivery(t *testing.T) {
	p := newPast(t, waybill.KindStorage)
	p.titles(8)
	w := p.process(long)
	w.connector.Workflows = []string{"wf_movies"}
	w.start(ledger.BackfillPlan{First: "job-004"})
	for range 3 {
		if err := w.tick(); err != nil {
			t.Fatal(err)
		}
	}
	list := w.deliveries()
	if len(list) != 1 || list[0].JobID != "job-004" {
		t.Fatalf("deliveries %+v", list)
	}
	if b, err := w.Ledger.Backfill(t.Context(), "lake"); err != nil || b.State != ledger.BackfillWaiting || !strings.Contains(b.Note, list[0].ID) {
		t.Errorf("%+v, %v", b, err)
	}
	w.finish(ledger.BackfillComplete)
	w.wantOnce("--first")

	p.fresh()
	w = p.process(long)
	w.start(ledger.BackfillPlan{First: "job-400"})
	if b := w.finish(ledger.BackfillFailed); !strings.Contains(b.Note, "--first") || b.Code != "backfill.no_first" {
		t.Errorf("%+v", b)
	}
}

func TestABackfillBeginsByItselfWithTheFirstLiveRun(t *testing.T) {
	p := newPast(t, waybill.KindStorage)
	p.titles(5)
	p.connector.Backfill = "initial"
	w, other := p.process(long), p.process(long)
	w.live(p.runs[4])
	other.live(p.runs[4])
	w.finish(ledger.BackfillComplete)
	w.wantOnce("backfill: initial")
	if b, err := w.Ledger.Backfill(t.Context(), "lake"); err != nil || b.Number != 1 {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestPauseResumeAndCancel(t *testing.T) {
	p := newPast(t, waybill.KindStorage)
	p.titles(20)
	w := p.process(long)
	w.connector.Workflows = []string{"wf_movies"}
	w.live(p.runs[19])
	w.work(10)
	revise := func(change func(*ledger.BackfillPlan) error, hold bool) {
		t.Helper()
		_, err := w.Ledger.ReviseBackfill(t.Context(), "lake", 0, change)
		if err := errors.Join(err, w.Ledger.HoldHistorical(t.Context(), team, "lake", hold)); err != nil {
			t.Fatal(err)
		}
	}
	w.start(ledger.BackfillPlan{})
	for range 3 {
		if err := w.tick(); err != nil {
			t.Fatal(err)
		}
	}
	revise((*ledger.BackfillPlan).Pause, true)
	revise((*ledger.BackfillPlan).Pause, true) // again is a success
	for range 5 {
		w.work(100)
		if err := errors.Join(w.tick(), w.scheduler.Sweep(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	complete := 0
	for _, d := range w.deliveries() {
		if d.State == waybill.StateComplete {
			complete++
		}
	}
	if complete > 5 || complete < 2 { // the live one, and the four that were in flight
		t.Errorf("%d deliveries are complete while the backfill is paused", complete)
	}
	revise((*ledger.BackfillPlan).Resume, false)
	for range 2 {
		w.work(2)
		if err := w.tick(); err != nil {
			t.Fatal(err)
		}
	}
	w.live(p.runs[7]) // a producer takes this one out of the backfill's hands
	revise((*ledger.BackfillPlan).Cancel, true)
	b := w.finish(ledger.BackfillCancelled)
	complete = 0
	for _, d := range w.deliveries() {
		switch {
		case d.State == waybill.StateComplete:
			complete++
		case d.State != waybill.StateCancelled:
			t.Errorf("%s is %s", d.JobID, d.State)
		case d.JobID == "job-007":
			t.Errorf("the producer's run was cancelled")
		}
	}
	if complete == 20 || b.EndedAt.IsZero() {
		t.Errorf("%d complete: %+v", complete, b)
	}
	for name, change := range map[string]func(*ledger.BackfillPlan) error{"pause": (*ledger.BackfillPlan).Pause, "resume": (*ledger.BackfillPlan).Resume, "cancel": (*ledger.BackfillPlan).Cancel} {
		if _, err := w.Ledger.ReviseBackfill(t.Context(), "lake", 0, change); !errors.Is(err, ledger.ErrBackfillEnded) {
			t.Errorf("%s of a cancelled backfill: %v", name, err)
		}
	}
	// What was taken back comes with the next one.
	w.start(ledger.BackfillPlan{})
	w.finish(ledger.BackfillComplete)
	w.wantOnce("cancelled, and begun again")
}

func TestFailedRunsOfABackfillAreListedAndCanBeRetried(t *testing.T) {
	p := newPast(t, waybill.KindStorage)
	p.titles(9)
	w := p.process(long)
	w.connector.Workflows = []string{"wf_movies"}
	w.live(p.runs[8])
	w.work(10)
	bad := p.runs[3]
	p.happenedAgain(bad, `{"Title":"only one"}`) // fewer than announced
	w.start(ledger.BackfillPlan{})
	b := w.finish(ledger.BackfillComplete)
	progress, err := w.BackfillProgress(t.Context(), b)
	if err != nil || progress.Failed != 1 || progress.Complete != 8 || len(progress.Troubled) != 1 || progress.Troubled[0].JobID != bad.JobID {
		t.Fatalf("%+v, %v", progress, err)
	}
	p.happenedAgain(bad, `{"Title":"t3"}`, `{"Title":"x"}`)
	if err := w.Ledger.Retry(t.Context(), progress.Troubled[0].ID); err != nil {
		t.Fatal(err)
	}
	w.finish(ledger.BackfillComplete)
	if progress, err = w.BackfillProgress(t.Context(), b); err != nil || len(progress.Troubled) != 0 {
		t.Errorf("%+v, %v", progress, err)
	}
	w.wantOnce("after the retry")
}

func TestWhatAPlatformSaysWrongStopsABackfillUntilItIsMended(t *testing.T) {
	p := newPast(t, waybill.KindStorage)
	p.titles(3)
	w := p.process(long)
	w.start(ledger.BackfillPlan{Workflows: []string{"wf_other"}})
	if b := w.finish(ledger.BackfillFailed); b.Code != "backfill.unknown_workflow" || !strings.Contains(b.Note, "wf_other") {
		t.Errorf("%+v", b)
	}
	p.platform.AddWorkflow("wf_movies", "another-team", schemaA)
	p.connector.Workflows = []string{"wf_movies"}
	if _, err := w.Ledger.ReviseBackfill(t.Context(), "lake", 1, func(b *ledger.BackfillPlan) error { b.Workflows = nil; return b.Resume() }); err != nil {
		t.Fatal(err)
	}
	if b := w.finish(ledger.BackfillFailed); b.Code != "backfill.foreign_workflow" {
		t.Errorf("%+v", b)
	}
	if n := len(w.deliveries()); n != 0 {
		t.Errorf("%d deliveries of another team's runs", n)
	}
}

// Every operation on Redis and on our bucket is where the process dies once,
// before it and behind it; another process goes on.
func TestAProcessMayDieAnywhereInABackfill(t *testing.T) {
	p := newPast(t, waybill.KindStorage)
	p.titles(7)
	p.connector.Workflows = []string{"wf_movies"}
	died := 0
	for n := int64(0); ; n += 1 + n/4 { // all of the beginning, then samples
		p.fresh()
		calm := p.process(long)
		calm.live(p.runs[6])
		calm.work(10)
		calm.start(ledger.BackfillPlan{})
		w := p.process(n)
		ended := false
		for step := 0; step < 40 && !ended; step++ {
			if step == 4 {
				calm.live(p.runs[2]) // its producer comes while the backfill is at it
			}
			_ = errors.Join(w.tick(), w.scheduler.PlanAll(t.Context()))
			w.work(2)
			b, err := calm.Ledger.Backfill(t.Context(), "lake")
			if err != nil {
				t.Fatal(err)
			}
			ended = b.State == ledger.BackfillComplete
		}
		if ended {
			break // it lived to see the end
		}
		died++
		time.Sleep(110 * time.Millisecond) // the dead one's hold
		calm.finish(ledger.BackfillComplete)
		calm.wantOnce(fmt.Sprintf("died after %d operations", n))
		if t.Failed() {
			return
		}
	}
	if died < 20 {
		t.Errorf("only %d deaths", died)
	}
	t.Logf("%d deaths", died)
}
