package chaos

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// lostEnqueues loses every tenth hand-over to the queue, or its answer; and the
// producer is killed half-way and begins again.
var lostEnqueues = scenario{number: 8, fault: "producer crash, lost enqueues", count: 1000, short: 150, run: func(w *world) report {
	w.schedulers(role{DropEnqueues: 10, NoReconciler: w.off})
	w.workers(role{Work: 10 * time.Millisecond, DropEnqueues: 10})
	runs := w.runs(w.deliveries())
	producer := w.start(role{Kind: "producer", Runs: runs})
	w.awaitProgress(len(runs) / 10)
	producer.kill()
	_ = w.start(role{Kind: "producer", Runs: runs})
	w.await(w.patience()+time.Minute, func() bool { return len(w.expected()) == len(runs) })
	r := w.audit()
	dropped, err := readLines[entry](w.path("dropped.log"))
	w.must(err)
	r.nonZero("enqueues dropped", len(dropped))
	log := append(w.attempts(), dropped...) // what was repaired may have been dropped once more
	slices.SortFunc(log, func(a, b entry) int { return a.At.Compare(b.At) })
	for _, d := range dropped {
		i := slices.IndexFunc(log, func(e entry) bool {
			return (e.What == "began" || e.What == "dropped") && e.Delivery == d.Delivery && e.At.After(d.At)
		})
		if i >= 0 {
			r.recovery = append(r.recovery, log[i].At.Sub(d.At))
		}
	}
	r.bound = 15 * time.Second
	return r
}}

func TestLostEnqueuesAreRepaired(t *testing.T) { lostEnqueues.holds(t) }

func TestWithoutTheReconcilerALostEnqueueIsALostDelivery(t *testing.T) { lostEnqueues.breaks(t) }

// boundaries are where a delivery's processes die: before and after each script
// that moves it on. What stands between two of them is the effect itself.
func boundaries(names ...string) (points []string) {
	for _, name := range names {
		points = append(points, "before:"+name, "after:"+name)
	}
	return points
}

var (
	workerBoundaries    = boundaries("begin", "enter-stage", "record-stage", "enter-verify", "record-verify", "complete", "turn", "admit", "enqueue")
	schedulerBoundaries = boundaries("plan", "turn", "admit", "enqueue", "repair")
)

// crashes kills a process at each boundary, once, and compares what is at the
// destination in the end with what a calm fleet makes of the same runs.
func crashes(w *world) report {
	calm := newWorld(w.T, w.scenario)
	calm.export = w.export
	w.records = calm.records
	runs := w.runs(w.deliveries())
	calm.start(role{Kind: "scheduler"})
	calm.start(role{Kind: "worker", Slots: 8, Export: w.export})
	calm.submit(runs)
	calm.awaitProgress(len(runs))

	w.schedulers(role{CrashAt: schedulerBoundaries, NoReconciler: w.off})
	w.workers(role{CrashAt: workerBoundaries, Export: w.export})
	w.submit(runs)
	r := w.audit()
	if !w.off {
		claimed, err := filepath.Glob(w.path("crashed/*"))
		w.must(err)
		points := len(workerBoundaries) + len(schedulerBoundaries)
		r.nonZero("crashes", len(claimed))
		r.zero("boundaries that were not reached", points-len(claimed))
		if len(claimed) < points {
			r.notef("reached %v", claimed)
		}
	}
	r.zero("differences in the output", differing(calm.output(), w.output()))
	return r
}

// output is all that a reader of the destination sees.
func (w *world) output() map[string]string {
	out := map[string]string{}
	if w.export {
		for name, content := range w.objects() {
			out[name] = string(content)
		}
		return out
	}
	for name, l := range w.lanes() {
		for _, row := range l.Rows {
			out[name+" "+row.Job] += fmt.Sprint(row)
		}
		out[name] = fmt.Sprint(l.Latest)
	}
	return out
}

func differing(a, b map[string]string) (n int) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	for key := range all {
		if a[key] != b[key] {
			n++
		}
	}
	return n
}

var (
	crashedSteps   = scenario{number: 9, fault: "crash at each step boundary", count: 200, short: 60, run: crashes}
	crashedExports = scenario{number: 9, fault: "likewise, export.push", count: 200, short: 60, run: func(w *world) report {
		w.export = true
		return crashes(w)
	}}
)

func TestACrashAtAnyStepEndsInTheSameRows(t *testing.T) { crashedSteps.holds(t) }

func TestACrashAtAnyStepEndsInTheSameFiles(t *testing.T) { crashedExports.holds(t) }

func TestWithoutTheReconcilerACrashEndsInLessRows(t *testing.T) { crashedSteps.breaks(t) }
