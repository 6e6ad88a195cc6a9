package chaos

import (
	"testing"
	"time"
)

// workers of which three keep the fleet busy. One has a pool that is large
// enough to be two servers of the queue.
func (w *world) workers(r role) []*process {
	r.Kind, r.Slots = "worker", 8
	large := r
	large.Slots = 16
	return []*process{w.keep(large), w.keep(r), w.keep(r)}
}

// schedulers, which are two, as they are where it matters.
func (w *world) schedulers(r role) {
	r.Kind = "scheduler"
	w.keep(r)
	w.keep(r)
}

var killedWorkers = scenario{number: 1, fault: "worker SIGKILL", count: 5000, short: 150, run: func(w *world) report {
	kills := 3
	if *full && !w.off {
		kills = 6
	}
	w.schedulers(role{NoReconciler: w.off})
	workers := w.workers(role{Work: 100 * time.Millisecond})
	w.submit(w.runs(w.deliveries()))
	var falls []fall
	for k := range kills {
		w.awaitProgress((k + 1) * w.deliveries() / (kills + 3))
		falls = append(falls, workers[w.rng.IntN(len(workers))].kill())
	}
	r := w.audit()
	r.recovery, r.bound = w.restarts(falls), 20*time.Second
	r.nonZero("kills", len(falls))
	return r
}}

func TestKilledWorkersLoseNothing(t *testing.T) { killedWorkers.holds(t) }

func TestWithoutTheReconcilerAKilledWorkersDeliveriesStay(t *testing.T) { killedWorkers.breaks(t) }

// killedLanes is the same for a kind of destination where order matters.
var killedLanes = scenario{number: 1, fault: "likewise, in ordered lanes", count: 1000, short: 100, run: func(w *world) report {
	w.schedulers(role{Ordered: !w.off})
	workers := w.workers(role{Work: 50 * time.Millisecond})
	w.submit(w.runs(w.deliveries()))
	var falls []fall
	for k := range 3 {
		w.awaitProgress((k + 1) * w.deliveries() / 6)
		falls = append(falls, workers[w.rng.IntN(len(workers))].kill())
	}
	r := w.audit()
	r.recovery, r.bound = w.restarts(falls), 20*time.Second
	r.nonZero("kills", len(falls))
	r.zero("at once in one lane", overlap(w.attempts(), falls, ofLane))
	return r
}}

func TestALaneIsPassedOneDeliveryAtATime(t *testing.T) { killedLanes.holds(t) }

func TestWithoutLanesDeliveriesOfAWorkflowRunAtOnce(t *testing.T) { killedLanes.breaks(t) }
