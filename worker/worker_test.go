package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

func TestDecide(t *testing.T) {
	policy := tasks.ExportPush.Retry
	fail := func(v waybill.Verdict) *waybill.Failure { return &waybill.Failure{Verdict: v} }
	for _, c := range []struct {
		name     string
		delivery waybill.Delivery
		failure  *waybill.Failure
		cause    error
		state    waybill.State
		after    time.Duration
		costs    bool
	}{
		{"first try", waybill.Delivery{Attempts: 1}, fail(waybill.Transient), nil, waybill.StateRetrying, time.Second, true},
		{"first retry", waybill.Delivery{Attempts: 2}, fail(waybill.Transient), nil, waybill.StateRetrying, 2 * time.Second, true},
		{"second retry", waybill.Delivery{Attempts: 3}, fail(waybill.Transient), nil, waybill.StateRetrying, 4 * time.Second, true},
		{"third retry", waybill.Delivery{Attempts: 4}, fail(waybill.Transient), nil, waybill.StateFailed, 15 * time.Minute, true},
		{"after the first replay", waybill.Delivery{Attempts: 4, Replays: 1}, fail(waybill.Transient), nil, waybill.StateFailed, time.Hour, true},
		{"after the second replay", waybill.Delivery{Attempts: 4, Replays: 2}, fail(waybill.Transient), nil, waybill.StateFailed, 6 * time.Hour, true},
		{"after the last replay", waybill.Delivery{Attempts: 4, Replays: 3}, fail(waybill.Transient), nil, waybill.StateFailed, 0, true},
		{"throttled", waybill.Delivery{Attempts: 4}, &waybill.Failure{Verdict: waybill.Throttled, After: 7 * time.Second}, nil, waybill.StateRetrying, 7 * time.Second, false},
		{"throttled without a time", waybill.Delivery{Attempts: 1}, fail(waybill.Throttled), nil, waybill.StateRetrying, 30 * time.Second, false},
		{"blocked", waybill.Delivery{Attempts: 1}, fail(waybill.Blocked), nil, waybill.StateBlocked, 0, true},
		{"permanent", waybill.Delivery{Attempts: 1}, fail(waybill.Permanent), nil, waybill.StateFailed, 0, true},
		{"shutting down", waybill.Delivery{Attempts: 4}, fail(waybill.Transient), ErrShutdown, waybill.StateQueued, 0, false},
		{"interrupted by asynq", waybill.Delivery{Attempts: 4}, fail(waybill.Transient), context.Canceled, waybill.StateQueued, 0, false},
		{"over its cap", waybill.Delivery{Attempts: 1}, fail(waybill.Transient), context.DeadlineExceeded, waybill.StateRetrying, time.Second, true},
		{"stalled", waybill.Delivery{Attempts: 1}, fail(waybill.Transient), ErrStalled, waybill.StateRetrying, time.Second, true},
		{"permanent while shutting down", waybill.Delivery{Attempts: 1}, fail(waybill.Permanent), ErrShutdown, waybill.StateFailed, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := decide(policy, c.delivery, c.failure, c.cause)
			if got.State != c.state || got.After != c.after || got.Costs != c.costs {
				t.Errorf("got %+v, want %s after %s, costs %t", got, c.state, c.after, c.costs)
			}
		})
	}
}

// rig is a worker on a real Redis whose handler is the test's.
type rig struct {
	*ledger.Ledger
	rdb       *redis.Client
	inspector *asynq.Inspector
	delivery  string
	stop      func()
	force     func()
}

func start(t *testing.T, cfg Config, handler func(context.Context, *ledger.Lease) error, hooks ...redis.Hook) *rig {
	t.Helper()
	rdb := testservers.Redis(t).Client(t)
	bucket, err := storage.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New(rdb, bucket, tasks.NewEnqueuer(rdb), ledger.Options{})
	cfg.Log = slog.New(slog.DiscardHandler)
	cfg.Queues = map[string]int{tasks.QueueExport: 2}
	cfg.Routes = []tasks.Route{tasks.Handle(tasks.ExportPush, func(ctx context.Context, ref tasks.DeliveryRef) error {
		lease, err := l.Begin(ctx, ref.Delivery, ref.Generation, ref.Enqueue)
		if err != nil {
			return err
		}
		return lease.Close(handler(lease.Context(), lease))
	})}
	w, err := New(rdb, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, hook := range hooks {
		rdb.AddHook(hook) // nearer to Redis than the worker's own
	}
	ctx, cancel := context.WithCancel(context.Background())
	force, forceNow := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, force) }()
	r := &rig{Ledger: l, rdb: rdb, inspector: asynq.NewInspectorFromRedisClient(rdb), force: forceNow}
	stopped := false
	r.stop = func() {
		if !stopped {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			stopped = true
		}
	}
	t.Cleanup(func() { forceNow(); r.stop(); _ = bucket.Close() })
	r.submit(t)
	return r
}

func (r *rig) submit(t *testing.T) {
	t.Helper()
	run := waybill.Run{
		RunKey: waybill.RunKey{TeamID: "team-a", WorkflowID: "wf", JobID: "job"}, State: waybill.RunFinished,
		FinishedAt: time.Now(), Source: waybill.Source{URI: "file:///x"},
		Schema: waybill.Schema{Fields: []waybill.Field{{Name: "a", DataType: waybill.String}}},
	}
	a, err := r.Accept(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	r.delivery = waybill.DeliveryID(run.RunKey, "lake")
	err = r.Plan(t.Context(), a, []ledger.Planned{{Task: "export.push", Queue: "export", Connector: ledger.Connector{
		ID: "lake", Team: a.Run.TeamID, Kind: waybill.KindStorage, Live: "export", MaxInFlight: 4}}})
	if err != nil {
		t.Fatal(err)
	}
	r.Wait()
}

// await polls the history until the delivery is in the state.
func (r *rig) await(t *testing.T, want waybill.State) waybill.Delivery {
	t.Helper()
	var d waybill.Delivery
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var err error
		if d, err = r.Delivery(t.Context(), r.delivery); err != nil {
			t.Fatal(err)
		}
		if d.State == want {
			return d
		}
	}
	t.Fatalf("delivery is %s, want %s: %+v", d.State, want, d)
	return d
}

// awaitTasks polls asynq until its tasks are in the states.
func (r *rig) awaitTasks(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		got := strings.Join(r.tasks(t), " ")
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("asynq has %q, want %q", got, want)
		}
	}
}

func (r *rig) tasks(t *testing.T) (states []string) {
	t.Helper()
	for name, list := range map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		"pending": r.inspector.ListPendingTasks, "retry": r.inspector.ListRetryTasks, "archived": r.inspector.ListArchivedTasks,
		"completed": r.inspector.ListCompletedTasks, "active": r.inspector.ListActiveTasks,
	} {
		infos, err := list(tasks.QueueExport)
		if err != nil {
			t.Fatal(err)
		}
		for range infos {
			states = append(states, name)
		}
	}
	return states
}

func failure(v waybill.Verdict) error {
	return &waybill.Failure{Stage: waybill.StageStage, Verdict: v, Code: "storage.test", Action: "Mend the bucket.", Err: errors.New("vendor text, secret=hunter2")}
}

func TestEachVerdictInTheLedgerAndInAsynq(t *testing.T) {
	for _, c := range []struct {
		verdict waybill.Verdict
		state   waybill.State
		asynq   string // state of the one task; empty: deleted
	}{
		{waybill.Transient, waybill.StateRetrying, "retry"},
		{waybill.Throttled, waybill.StateRetrying, "retry"},
		{waybill.Blocked, waybill.StateBlocked, ""},
		{waybill.Permanent, waybill.StateFailed, ""},
	} {
		t.Run(string(c.verdict), func(t *testing.T) {
			r := start(t, Config{}, func(context.Context, *ledger.Lease) error { return failure(c.verdict) })
			d := r.await(t, c.state)
			if d.Stage != waybill.StageStage || d.Code != "storage.test" || d.Action != "Mend the bucket." || d.Verdict != c.verdict {
				t.Errorf("%+v", d)
			}
			r.stop()
			if got := strings.Join(r.tasks(t), " "); got != c.asynq {
				t.Errorf("asynq has %q, want %q", got, c.asynq)
			}
			retry, _ := r.inspector.ListRetryTasks(tasks.QueueExport)
			for _, info := range retry {
				if !strings.Contains(info.LastErr, "stage: storage.test: Mend the bucket.") || strings.Contains(info.LastErr, "hunter2") {
					t.Errorf("the queue view shows %q", info.LastErr)
				}
			}
		})
	}
}

func TestOneTryAndThreeRetriesNeverEarly(t *testing.T) {
	var attempts []time.Time
	r := start(t, Config{}, func(context.Context, *ledger.Lease) error {
		attempts = append(attempts, time.Now())
		return failure(waybill.Transient)
	})
	d := r.await(t, waybill.StateFailed)
	r.stop()
	if len(attempts) != 4 {
		t.Fatalf("%d attempts, want 4", len(attempts))
	}
	for i, least := range tasks.ExportPush.Retry.Delays {
		if waited := attempts[i+1].Sub(attempts[i]); waited < least {
			t.Errorf("retry %d came after %s, want at least %s", i+1, waited, least)
		}
	}
	if d.NextAt.Before(time.Now().Add(14 * time.Minute)) {
		t.Errorf("the slow replay is due at %s", d.NextAt)
	}
	history, err := r.History(t.Context(), r.delivery)
	if err != nil {
		t.Fatal(err)
	}
	var story []string
	for _, e := range history {
		story = append(story, fmt.Sprintf("%s %s %d", e.What, e.Stage, e.Attempt))
	}
	want := "planned  0, started  1, retrying stage 1, started  2, retrying stage 2, started  3, retrying stage 3, started  4, failed stage 4"
	if got := strings.Join(story, ", "); got != want {
		t.Errorf("history\n got %s\nwant %s", got, want)
	}
}

func TestCompletion(t *testing.T) {
	r := start(t, Config{}, func(ctx context.Context, lease *ledger.Lease) error { return lease.Complete(ctx, waybill.Receipt{}) })
	r.await(t, waybill.StateComplete)
	r.stop()
	if got := strings.Join(r.tasks(t), " "); got != "completed" {
		t.Errorf("asynq has %q", got)
	}
}

func TestAStepWithoutProgressIsCancelled(t *testing.T) {
	var runs atomic.Int32
	r := start(t, Config{Stall: 200 * time.Millisecond}, func(ctx context.Context, lease *ledger.Lease) error {
		if runs.Add(1) == 1 {
			<-ctx.Done() // hangs without moving a byte
			return ctx.Err()
		}
		for range 10 { // slow, but it moves
			tasks.Progress(ctx)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
		return lease.Complete(ctx, waybill.Receipt{})
	})
	r.await(t, waybill.StateRetrying)
	d := r.await(t, waybill.StateComplete)
	history, err := r.History(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(history); !strings.Contains(string(text), "internal.stalled") {
		t.Errorf("history does not say that it stalled: %s", text)
	}
}

func TestDrainLetsARunningAttemptFinish(t *testing.T) {
	started, finish := make(chan struct{}), make(chan struct{})
	r := start(t, Config{DrainGrace: time.Minute}, func(ctx context.Context, lease *ledger.Lease) error {
		close(started)
		<-finish
		return lease.Complete(ctx, waybill.Receipt{})
	})
	<-started
	stopped := make(chan struct{})
	go func() { r.stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Fatal("the worker stopped while an attempt was running")
	case <-time.After(300 * time.Millisecond):
	}
	close(finish)
	<-stopped
	r.await(t, waybill.StateComplete)
}

func TestTheSecondSignalGivesTheAttemptBack(t *testing.T) {
	started := make(chan struct{})
	r := start(t, Config{DrainGrace: time.Hour}, func(ctx context.Context, _ *ledger.Lease) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	})
	<-started
	r.force()
	r.stop()
	d := r.await(t, waybill.StateQueued)
	if d.Attempts != 0 {
		t.Errorf("a shutdown cost an attempt: %d", d.Attempts)
	}
	if got := strings.Join(r.tasks(t), " "); got != "retry" && got != "pending" {
		t.Errorf("asynq has %q; another worker could not take it", got)
	}
}

func TestUnknownWorkIsLeftForANewerWorker(t *testing.T) {
	r := start(t, Config{}, func(ctx context.Context, lease *ledger.Lease) error { return lease.Complete(ctx, waybill.Receipt{}) })
	r.await(t, waybill.StateComplete)
	client := asynq.NewClientFromRedisClient(r.rdb)
	for _, task := range []*asynq.Task{asynq.NewTask("export.later", nil), asynq.NewTask("export.push", []byte(`{"delivery":7}`))} {
		if _, err := client.EnqueueContext(t.Context(), task, asynq.Queue(tasks.QueueExport), asynq.MaxRetry(100)); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		retry, err := r.inspector.ListRetryTasks(tasks.QueueExport)
		if err == nil && len(retry) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d tasks wait for a newer worker, %v; want 2", len(retry), err)
		}
	}
}

func TestConfigurationErrors(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer rdb.Close()
	for name, queues := range map[string]map[string]int{
		`queue "exprot" does not exist; queues are [activity backfill delta export snowflake]`: {"exprot": 1},
		"queue export=0: give at least one handler":                                            {"export": 0},
		"no queue to work on; queues are [activity backfill delta export snowflake]":           {},
	} {
		if _, err := New(rdb, Config{Queues: queues}); err == nil || err.Error() != name {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}
