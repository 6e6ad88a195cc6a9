package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/storage"
)

const oldCustomer = 0 // whose history is brought

// backfilled brings one customer its history while live runs of all come in,
// some of them runs of that history, and workers and schedulers are killed.
var backfilled = scenario{number: 13, fault: "SIGKILLs during a backfill", count: 2000, short: 200, run: func(w *world) report {
	w.export = true
	history := w.history(w.deliveries())
	schedulers := []*process{w.keep(role{Kind: "scheduler", NoReconciler: w.off}), w.keep(role{Kind: "scheduler", NoReconciler: w.off})}
	r := role{Kind: "worker", Slots: 4, Backfill: 4, Export: true}
	workers := []*process{w.keep(r), w.keep(r)}

	live := w.runs(w.deliveries() / 4)
	w.submit(live[:w.connectors]) // a first one of each customer
	plan, err := w.fleet.Ledger.StartBackfill(w.Context(), ledger.BackfillPlan{
		Connector: fmt.Sprintf("customer-%d", oldCustomer), Team: fmt.Sprintf("team-%d", oldCustomer), Manifest: w.manifest(history)}, false)
	w.must(err)
	for _, run := range history {
		appendLine(w.path("acknowledged.log"), acknowledged{run.RunKey, time.Now()})
	}
	kills := 0
	for i, run := range live[w.connectors:] {
		w.submit([]waybill.Run{run})
		if i%5 == 0 { // its producer brings a run of the history
			w.submit(history[i*len(history)/len(live):][:1])
		}
		if i%10 == 9 && !w.off {
			if kills++; kills%3 == 0 {
				schedulers[kills%2].kill()
			} else {
				workers[kills%2].kill()
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	done := w.await(w.patience(), func() bool {
		plan, err = w.fleet.Ledger.Backfill(w.Context(), plan.Connector)
		return err == nil && plan.State == ledger.BackfillComplete
	})
	audit := w.audit()
	audit.nonZero("backfill complete", map[bool]int{true: 1}[done])
	audit.nonZero("kills", kills)
	audit.zero("runs beyond or short of the plan", plan.Done.Complete-len(history))
	audit.zero("completed more than once", w.completedTwice())
	audit.recovery, audit.bound = w.starts(live), time.Second
	audit.notef("recovery is the live deliveries' wait; the backfill: %+v", plan.Done)
	return audit
}}

// history are n runs of the past of one customer.
func (w *world) history(n int) []waybill.Run {
	list := w.runs(n)
	for i := range list {
		list[i].TeamID = fmt.Sprintf("team-%d", oldCustomer)
		list[i].JobID = fmt.Sprintf("past-%06d", i)
		list[i].FinishedAt = list[i].FinishedAt.AddDate(-1, 0, 0)
	}
	return list
}

// manifest puts a manifest of the runs into our bucket.
func (w *world) manifest(runs []waybill.Run) string {
	var text bytes.Buffer
	for _, run := range runs {
		w.must(json.NewEncoder(&text).Encode(run))
	}
	bucket, err := w.fleet.OwnBucket(w.Context())
	w.must(err)
	key := handlers.ManifestKey(fmt.Sprintf("customer-%d", oldCustomer), "chaos")
	_, err = bucket.Put(w.Context(), key, &text, storage.PutOptions{})
	w.must(err)
	return key
}

// completedTwice counts the deliveries that were completed more than once.
func (w *world) completedTwice() (n int) {
	for id := range w.list(w.Context(), waybill.StateComplete) {
		times := 0
		events, err := w.fleet.Ledger.History(w.Context(), id)
		w.must(err)
		for _, e := range events {
			if e.What == "complete" {
				times++
			}
		}
		if times > 1 {
			n++
		}
	}
	return n
}

// starts are how long live runs waited from when they were handed in until
// an attempt at them began.
func (w *world) starts(live []waybill.Run) (waits []time.Duration) {
	list, err := readLines[acknowledged](w.path("acknowledged.log"))
	w.must(err)
	at := map[waybill.RunKey]time.Time{}
	for _, a := range list {
		at[a.RunKey] = a.At
	}
	for _, run := range live {
		events, err := w.fleet.Ledger.History(w.Context(), deliveryOf(run.RunKey))
		w.must(err)
		for _, e := range events {
			if e.What == "started" {
				waits = append(waits, max(e.At.Sub(at[run.RunKey]), 0))
				break
			}
		}
	}
	return waits
}

func TestABackfillThroughKillsBringsEachRunOnce(t *testing.T) { backfilled.holds(t) }

func TestWithoutTheSchedulersTicksABackfillBringsNothing(t *testing.T) { backfilled.breaks(t) }
