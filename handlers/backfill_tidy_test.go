package handlers_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// kept are the objects of the connector's backfills in our bucket.
func (p *past) kept() string {
	p.Helper()
	var keys []string
	for o, err := range p.bucket.List(p.Context(), "backfills/") {
		if err != nil {
			p.Fatal(err)
		}
		keys = append(keys, strings.TrimPrefix(o.Key, "backfills/lake/"))
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

// tidied is what is left once the retention is over, whatever dies meanwhile.
func (p *past) tidied(w *process) string {
	p.Helper()
	if err := w.TidyBackfills(p.Context(), time.Hour); err != nil {
		p.Fatal(err)
	}
	time.Sleep(5 * time.Millisecond) // what was written is older than the retention that follows
	for n := range int64(8) {
		_ = p.process(n).TidyBackfills(p.Context(), time.Millisecond)
	}
	if err := w.TidyBackfills(p.Context(), time.Millisecond); err != nil {
		p.Fatal(err)
	}
	return p.kept()
}

func TestWhatABackfillLeavesInOurBucketIsDeletedWhenItsTimeIsOver(t *testing.T) {
	p := newPast(t, waybill.KindStorage)
	p.titles(7)
	p.connector.Workflows = []string{"wf_movies"}
	w := p.process(long)
	w.live(p.runs[6])
	w.work(10)
	bad := p.runs[3]
	p.happenedAgain(bad, `{"Title":"only one"}`)
	p.manifest() // which nobody starts a backfill with
	w.start(ledger.BackfillPlan{})
	for range 2 {
		if err := w.tick(); err != nil {
			t.Fatal(err)
		}
	}
	const chunks = "1/1/000000.jsonl 1/1/000001.jsonl 1/1/000002.jsonl"
	if got := p.tidied(w); got != chunks {
		t.Errorf("while it goes on there is %s, want %s", got, chunks)
	}
	b := w.finish(ledger.BackfillComplete)
	if got := p.tidied(w); got != "1/failed/000001.json" {
		t.Errorf("after its time there is %s", got)
	}
	if progress, err := w.BackfillProgress(t.Context(), b); err != nil || progress.Complete != 6 || len(progress.Troubled) != 1 {
		t.Errorf("its status is %+v, %v", progress, err)
	}

	// The next one finds all it needs, and cancelled it is counted to the end.
	p.happenedAgain(bad, `{"Title":"t3"}`, `{"Title":"x"}`)
	w.start(ledger.BackfillPlan{Manifest: p.manifest()})
	if got := p.tidied(w); got != "manifests/test.jsonl" {
		t.Errorf("before the second is listed there is %s", got)
	}
	for range 2 {
		if err := w.tick(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.Ledger.ReviseBackfill(t.Context(), "lake", 0, (*ledger.BackfillPlan).Cancel)
	if err := errors.Join(err, w.Ledger.HoldHistorical(t.Context(), team, "lake", true)); err != nil {
		t.Fatal(err)
	}
	b = w.finish(ledger.BackfillCancelled)
	was, err := w.BackfillProgress(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.tidied(w); strings.Contains(got, "jsonl") {
		t.Errorf("after the second there is %s", got)
	}
	if b, err = w.Ledger.Backfill(t.Context(), "lake"); err != nil {
		t.Fatal(err)
	}
	if is, err := w.BackfillProgress(t.Context(), b); err != nil || is.BackfillCount != was.BackfillCount {
		t.Errorf("its status was %+v and is %+v, %v", was.BackfillCount, is.BackfillCount, err)
	}
	w.start(ledger.BackfillPlan{})
	w.finish(ledger.BackfillComplete)
}
