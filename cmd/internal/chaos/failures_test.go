package chaos

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/tasks"
)

// poison makes every delivery fail for good, more of them than asynq's archive
// holds, and then mends the cause and retries them all.
var poison = scenario{number: 11, fault: "poison: nothing but failures", count: 12000, short: 200, run: func(w *world) report {
	w.must(os.WriteFile(w.path("broken"), nil, 0o600))
	w.schedulers(role{NoReconciler: w.off})
	w.workers(role{SwallowSettle: w.off})
	w.submit(w.runs(w.deliveries()))
	failed := map[string]waybill.Delivery{}
	w.await(w.patience(), func() bool {
		failed = w.list(w.Context(), waybill.StateFailed)
		return len(failed) >= w.deliveries()
	})
	hidden := 0
	for id := range w.expected() {
		if d := failed[id]; d.Code != "chaos.broken" || d.Action == "" {
			hidden++
		}
	}
	queue, err := asynq.NewInspectorFromRedisClient(w.fleet.Redis).GetQueueInfo(tasks.QueueExport)
	w.must(err)
	w.must(os.Remove(w.path("broken")))
	for id := range failed {
		w.must(w.fleet.Ledger.Retry(w.Context(), id))
	}
	r := w.audit()
	r.zero("hidden", hidden)
	r.zero("in asynq's archive", queue.Archived)
	return r
}}

func TestEveryFailureIsVisibleAndReplayable(t *testing.T) { poison.holds(t) }

func TestWithoutTheLedgersWordFailuresAreHidden(t *testing.T) { poison.breaks(t) }

// deployment replaces every worker by a new one while work goes on, with clocks
// that are 70 seconds apart and two schedulers of different configuration.
var deployment = scenario{number: 12, fault: "rolling deploy, clocks ±70 s", count: 1000, short: 90, run: func(w *world) report {
	w.keep(role{Kind: "scheduler"})
	other := w.sweep
	w.sweep *= 3
	w.keep(role{Kind: "scheduler", Config: w.configure(w.redis.setting)})
	w.sweep = other
	work := 200 * time.Millisecond
	if w.off {
		work = 2 * time.Second // a rerun begins within it
	}
	kinds := []role{}
	for _, skew := range []time.Duration{-70 * time.Second, 0, 70 * time.Second} {
		kinds = append(kinds, role{Kind: "worker", Slots: 8, Work: work, Skew: skew, NoFence: w.off})
	}
	var fleet []*process
	for _, k := range kinds {
		fleet = append(fleet, w.start(k))
	}
	w.submit(w.runs(w.deliveries()))
	for i, k := range kinds {
		w.awaitProgress((i + 1) * w.deliveries() / 6)
		next := w.start(k)
		fleet[i].end(syscall.SIGTERM)
		fleet[i] = next
	}
	r := w.audit()
	consumed := 0
	for _, d := range w.list(w.Context(), waybill.StateComplete) {
		consumed += d.Attempts - 1
	}
	r.zero("retries consumed", consumed)
	r.zero("overlap", overlap(w.attempts(), nil, ofDelivery))
	return r
}}

func TestARollingDeployWithWrongClocksRepeatsNothing(t *testing.T) { deployment.holds(t) }

func TestWithoutTheFenceWrongClocksRunWorkTwice(t *testing.T) { deployment.breaks(t) }
