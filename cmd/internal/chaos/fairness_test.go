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
var noisy = scenario{number: 10, fault: "noisy customer", count: 2000, short: 240, run: func(w *world) report {
	w.schedulers(role{NoReconciler: w.off}) // which would size the queue's window
	work := 250 * time.Millisecond          // of each of two steps: what is delivered takes half a second, or the ledger's part of it is what is measured
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
	log := w.attempts()
	all := spans(log, nil)
	slices.SortFunc(all, func(a, b span) int { return a.At.Compare(b.At) })
	var begins []time.Time
	for _, s := range all {
		if chunks[s.Delivery] {
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
	u := useOf(log, chunks)
	r.notef("recovery is the live deliveries' wait; the backlog used %.0f %% of its share (80 %% is promised): %.0f %% at work, %.0f %% beginning and completing",
		100*(u.working+u.around), 100*u.working, 100*u.around)
}

// use is how much of its share, the places that its limit allows it, a backlog used.
type use struct{ working, around float64 }

// useOf counts while there is more to do than places. A delivery has its place
// from when a handler takes it until the handler is free again, be it at work or
// at what the ledger is told before and behind. What is missing to the whole
// are places that wait for the next delivery.
func useOf(log []entry, chunks map[string]bool) (u use) {
	var taken, began, worked, ended []time.Time
	for _, e := range log {
		if !chunks[e.Delivery] {
			continue
		}
		switch e.What {
		case "taken":
			taken = append(taken, e.At)
		case "began":
			began = append(began, e.At)
		case "worked":
			worked = append(worked, e.At)
		case "ended":
			ended = append(ended, e.At)
		}
	}
	if len(taken) <= noisyLimit {
		return u
	}
	slices.SortFunc(taken, time.Time.Compare)
	first, last := taken[0], taken[len(taken)-1]
	within := func(from, to []time.Time) (sum time.Duration) { // of all intervals from … to
		for _, at := range to {
			sum += min(at.Sub(first), last.Sub(first))
		}
		for _, at := range from {
			sum -= min(at.Sub(first), last.Sub(first))
		}
		return sum
	}
	whole := float64(noisyLimit * last.Sub(first))
	u.working = float64(within(began, worked)) / whole
	u.around = float64(within(taken, ended))/whole - u.working
	return u
}

func TestANoisyCustomerDelaysNobody(t *testing.T) { noisy.holds(t) }

func TestWithoutAdmissionEverybodyWaitsForANoisyCustomer(t *testing.T) { noisy.breaks(t) }
