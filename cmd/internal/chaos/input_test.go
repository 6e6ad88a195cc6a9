package chaos

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/tasks"
)

// small is a world for what is no scenario of the twelve.
func small(t *testing.T, n int) *world {
	t.Helper()
	if !*full {
		t.Parallel()
	}
	return newWorld(t, scenario{number: 100, short: n, count: n, redis: durableRedis})
}

func TestProducersThatRaceAndRetryDeliverOnce(t *testing.T) {
	w := small(t, 60)
	w.schedulers(role{})
	w.workers(role{Work: 10 * time.Millisecond})
	runs := w.runs(60)
	for range 4 {
		w.keep(role{Kind: "producer", Runs: runs}) // each hands all in, and begins again when it is done
	}
	w.await(time.Minute, func() bool { return len(w.expected()) == len(runs) })
	r := w.audit()
	if !r.clean() || r.count != len(runs) {
		t.Error(r)
	}
	if n := len(w.attempts()); n == 0 || w.runAgain() > 0 {
		t.Errorf("%d entries of attempts; %d tasks ran again", n, w.runAgain())
	}
}

// Two schedulers that go by different limits and names, of which
// one is killed and comes back, decide by turns. What is under way at a
// connector never exceeds the larger of the two limits, and when one of them
// is gone the other's word stands.
func TestSchedulersThatDifferLoseAndDoubleNothing(t *testing.T) {
	const n, most = 150, 4
	w := small(t, n)
	for i := range w.connectors { // their limit is the configuration's
		c, err := w.fleet.Connectors.Get(t.Context(), fmt.Sprintf("customer-%d", i))
		w.must(err)
		c.MaxInFlight = 0
		_, err = w.fleet.Connectors.Apply(t.Context(), c)
		w.must(err)
	}
	text, err := os.ReadFile(w.config)
	w.must(err)
	differently := w.path("differently.yaml")
	w.must(os.WriteFile(differently, append(bytes.Replace(text, []byte("maxFailures: 1000"), []byte("maxFailures: 1000, maxInFlight: 1"), 1),
		"brand: other\nmonitoring: {connectors: [customer-0]}\n"...), 0o600))
	w.keep(role{Kind: "scheduler"})
	other := w.keep(role{Kind: "scheduler", Config: differently})
	workers := w.workers(role{Work: 30 * time.Millisecond})
	w.submit(w.runs(n))
	w.awaitProgress(n / 4)
	other.kill()
	fallen := workers[0].kill()
	w.awaitProgress(n / 2)
	other.end(syscall.SIGTERM)
	r := w.audit()
	if !r.clean() || r.count != n {
		t.Error(r)
	}
	if at := atOnce(spans(w.attempts(), []fall{fallen})); at > most {
		t.Errorf("%d deliveries at once at a connector, want at most %d", at, most)
	}
	limit := func() string {
		return w.fleet.Redis.HGet(t.Context(), fmt.Sprintf("wb:{s%02d}:cn:customer-0", waybill.Slot("team-0")), "limit").Val()
	}
	if !w.await(time.Minute, func() bool { return limit() == strconv.Itoa(most) }) {
		t.Errorf("the limit is %s when the one that said 1 is gone", limit())
	}
}

// atOnce is how many attempts there were at most at one connector.
func atOnce(all []span) (most int) {
	for _, a := range all {
		n := 0
		for _, b := range all {
			if strings.Split(a.Lane, "/")[0] == strings.Split(b.Lane, "/")[0] && !b.At.After(a.At) && b.end.After(a.At) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// A worker that knows no task of this version, and a task whose payload no
// version can read: both are left, nothing is dropped, and the rest goes on.
func TestAnOlderWorkerLeavesWhatItDoesNotKnow(t *testing.T) {
	w := small(t, 20)
	w.schedulers(role{})
	older := w.start(role{Kind: "worker", Slots: 8, OldVersion: true})
	w.submit(w.runs(20))
	inspector := asynq.NewInspectorFromRedisClient(w.fleet.Redis)
	waiting := func() int {
		info, err := inspector.GetQueueInfo(tasks.QueueExport)
		if err != nil {
			return 0
		}
		return info.Retry
	}
	if !w.await(time.Minute, func() bool { return waiting() > 0 }) {
		t.Fatal("the older worker took no task")
	}
	_, err := asynq.NewClientFromRedisClient(w.fleet.Redis).EnqueueContext(t.Context(), asynq.NewTask(tasks.ExportPush.Name, []byte(`{"delivery":7}`)),
		asynq.Queue(tasks.QueueExport), asynq.TaskID("unreadable"), asynq.MaxRetry(100))
	w.must(err)
	older.end(syscall.SIGKILL)
	w.start(role{Kind: "worker", Slots: 8})
	if r := w.audit(); !r.clean() || r.count != 20 {
		t.Error(r)
	}
	if info, err := inspector.GetTaskInfo(tasks.QueueExport, "unreadable"); err != nil || info.State == asynq.TaskStateArchived || info.State == asynq.TaskStateCompleted {
		t.Errorf("the task that cannot be read: %+v, %v", info, err)
	}
}

// A connector that is deleted while its deliveries run: what has begun ends
// complete, or blocked with a sentence that says why; what waits is cancelled;
// nothing is left on its way.
func TestADeletedConnectorLeavesNoDeliveryOnItsWay(t *testing.T) {
	const n = 200
	w := small(t, n)
	w.export = true
	w.schedulers(role{})
	w.start(role{Kind: "worker", Slots: 2, Export: true})
	w.submit(w.runs(n))
	w.awaitProgress(n / 10)
	for _, c := range []string{"customer-0", "customer-1"} {
		w.must(w.fleet.Connectors.Delete(t.Context(), c))
	}
	ended := func() (n int) {
		for _, s := range []waybill.State{waybill.StateComplete, waybill.StateBlocked, waybill.StateCancelled} {
			n += len(w.list(t.Context(), s))
		}
		return n
	}
	expected := w.expected()
	if !w.await(2*time.Minute, func() bool { return ended() >= len(expected)-len(w.unplanned()) }) {
		t.Errorf("%d of %d deliveries have ended", ended(), len(expected))
	}
	deleted := []string{"customer-0", "customer-1"}
	cancelled, blocked := w.list(t.Context(), waybill.StateCancelled), w.list(t.Context(), waybill.StateBlocked)
	for id, d := range blocked {
		if d.Code != "connector.deleted" || d.Action == "" || !slices.Contains(deleted, d.Connector) {
			t.Errorf("%s of %s is blocked: %s %s", id, d.Connector, d.Code, d.Action)
		}
	}
	for id, d := range cancelled {
		if !slices.Contains(deleted, d.Connector) {
			t.Errorf("%s of %s is cancelled", id, d.Connector)
		}
	}
	if len(blocked)+len(cancelled) == 0 {
		t.Error("everything was delivered before the connectors were gone")
	}
	var r report
	w.auditObjects(&r, map[string]int{})
	if r.doubled != 0 {
		t.Errorf("%d objects stand in no manifest", r.doubled)
	}
}

// unplanned are the expected deliveries that never came to be, because their
// connector was gone when their run was planned.
func (w *world) unplanned() (ids []string) {
	for id := range w.expected() {
		if _, err := w.fleet.Ledger.Delivery(w.Context(), id); err != nil {
			ids = append(ids, id)
		}
	}
	return ids
}
