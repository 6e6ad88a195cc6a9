package chaos

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/tasks"
)

const (
	noisyTeam  = "team-noisy"
	noisyLimit = 8   // historical deliveries of the noisy customer at once
	overtaking = 100 // chunks that begin while a live delivery waits: more is waiting behind them
)

// noisy lets one customer have a long backlog of historical deliveries while
// live ones of all others come in.
var noisy = scenario{number: 10, fault: "noisy customer", count: 2000, short: 400, run: func(w *world) report {
	w.schedulers(role{NoReconciler: w.off}) // which would size the queue's window
	work := 100 * time.Millisecond          // of each of two steps
	chunks := w.backlog()
	w.start(role{Kind: "worker", Slots: 12, Backfill: noisyLimit, Work: work})
	w.await(time.Minute, func() bool { return count(w.attempts(), "began", 0) > 0 })
	live := w.runs(w.deliveries() / 10)
	for _, run := range live {
		w.submit([]waybill.Run{run})
		time.Sleep(2 * work)
	}
	r := w.audit()
	w.judge(&r, chunks)
	return r
}}

// backlog hands in and plans the noisy customer's historical runs; without
// admission they all go into the live deliveries' queue at once.
func (w *world) backlog() map[string]bool {
	connector := ledger.Connector{ID: connectorOf(waybill.RunKey{TeamID: noisyTeam}), Team: noisyTeam, Kind: waybill.KindStorage,
		Live: tasks.QueueExport, MaxInFlight: noisyLimit}
	queue := tasks.QueueBackfill
	if w.off {
		connector.MaxInFlight, queue = 1_000_000, tasks.QueueExport
		w.must(w.fleet.Ledger.Mend(w.Context(), map[string]int{queue: 1_000_000}))
	}
	ids := map[string]bool{}
	var group errgroup.Group
	group.SetLimit(8)
	for i, run := range w.runs(w.deliveries()) {
		run.TeamID, run.WorkflowID = noisyTeam, fmt.Sprintf("wf-%d", i%40)
		ids[deliveryOf(run.RunKey)] = true
		group.Go(func() error {
			a, err := w.fleet.Ledger.Accept(w.Context(), run)
			if err != nil {
				return err
			}
			appendLine(w.path("acknowledged.log"), acknowledged{run.RunKey, time.Now()})
			return w.fleet.Ledger.Plan(w.Context(), a, []ledger.Planned{{Connector: connector, Task: tasks.ExportPush.Name, Queue: queue}})
		})
	}
	w.must(group.Wait())
	w.fleet.Ledger.Wait()
	return ids
}

// judge counts the live deliveries that waited behind chunks, and prints how
// long they waited and how busy the backlog's share was kept.
func (w *world) judge(r *report, chunks map[string]bool) {
	list, err := readLines[acknowledged](w.path("acknowledged.log"))
	w.must(err)
	handedIn := map[string]time.Time{}
	for _, a := range list {
		handedIn[deliveryOf(a.RunKey)] = a.At
	}
	all := spans(w.attempts(), nil)
	slices.SortFunc(all, func(a, b span) int { return a.At.Compare(b.At) })
	var busy time.Duration
	var begins []time.Time
	for _, s := range all {
		if chunks[s.Delivery] {
			busy += s.end.Sub(s.At)
			begins = append(begins, s.At)
		}
	}
	waited := 0
	for _, s := range all {
		if chunks[s.Delivery] {
			continue
		}
		r.recovery = append(r.recovery, max(s.At.Sub(handedIn[s.Delivery]), 0))
		n := 0
		for _, at := range begins {
			if at.After(handedIn[s.Delivery]) && at.Before(s.At) {
				n++
			}
		}
		if n > overtaking {
			waited++
		}
	}
	r.zero("live behind chunks", waited)
	r.bound = time.Second
	took := begins[len(begins)-1].Sub(begins[0])
	r.notef("recovery is the live deliveries' wait; the backlog used %.0f %% of its share (80 %% is promised)", 100*float64(busy)/float64(noisyLimit*took))
}

func TestANoisyCustomerDelaysNobody(t *testing.T) { noisy.holds(t) }

func TestWithoutAdmissionEverybodyWaitsForANoisyCustomer(t *testing.T) { noisy.breaks(t) }
