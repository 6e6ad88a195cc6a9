package scheduler_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/scheduler"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

type rig struct {
	*ledger.Ledger
	*scheduler.Scheduler
	rdb       *redis.Client
	bucket    storage.Store
	inspector *asynq.Inspector
	queue     *switchable
}

// switchable is asynq's queue, or one that is away.
type switchable struct {
	ledger.Queue
	away atomic.Bool
}

func (s *switchable) Enqueue(ctx context.Context, ready []ledger.Ready) error {
	if s.away.Load() {
		return errors.New("the queue is away")
	}
	return s.Queue.Enqueue(ctx, ready)
}

func all(string) bool { return true }

func only(workflow string) func(string) bool { return func(w string) bool { return w == workflow } }

func setup(t *testing.T, opts ledger.Options, subscribers ...scheduler.Subscriber) *rig {
	t.Helper()
	rdb := testservers.Redis(t).Client(t)
	bucket, err := storage.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	opts.Log = slog.New(slog.DiscardHandler)
	r := &rig{rdb: rdb, bucket: bucket, inspector: asynq.NewInspectorFromRedisClient(rdb), queue: &switchable{Queue: tasks.NewEnqueuer(rdb)}}
	r.Ledger = ledger.New(rdb, bucket, r.queue, opts)
	r.Scheduler = scheduler.New(scheduler.Config{
		Ledger: r.Ledger, Inspector: r.inspector, Redis: rdb, Log: opts.Log, Sweep: time.Hour,
		Subscribers: func(_ context.Context, team string) ([]scheduler.Subscriber, error) {
			return slices.DeleteFunc(slices.Clone(subscribers), func(s scheduler.Subscriber) bool { return team != "" && s.Team != team }), nil
		}})
	return r
}

func run(team, workflow, job string) waybill.Run {
	return waybill.Run{
		RunKey: waybill.RunKey{TeamID: team, WorkflowID: workflow, JobID: job}, State: waybill.RunFinished,
		FinishedAt: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC), RowCount: 1, Source: waybill.Source{URI: "file:///x"},
		Schema: waybill.Schema{Fields: []waybill.Field{{Name: "a", DataType: waybill.String}}},
	}
}

func (r *rig) accept(t *testing.T, runs ...waybill.Run) {
	t.Helper()
	for _, run := range runs {
		if _, err := r.Accept(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) pending(t *testing.T) []*asynq.TaskInfo {
	t.Helper()
	list, err := r.inspector.ListPendingTasks(tasks.QueueExport, asynq.PageSize(1000))
	if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
		t.Fatal(err)
	}
	return list
}

func TestPlanningByTeamAndWorkflow(t *testing.T) {
	r := setup(t, ledger.Options{},
		scheduler.Subscriber{ID: "a-all", Team: "team-a", Kind: waybill.KindStorage, MaxInFlight: 4, Wants: all},
		scheduler.Subscriber{ID: "a-movies", Team: "team-a", Kind: waybill.KindStorage, MaxInFlight: 4, Wants: only("wf_movies")},
		scheduler.Subscriber{ID: "b-all", Team: "team-b", Kind: waybill.KindStorage, MaxInFlight: 4, Wants: all})
	r.accept(t, run("team-a", "wf_movies", "j1"), run("team-a", "wf_other", "j2"), run("team-c", "wf_movies", "j3"))
	for range 2 { // planning again changes nothing
		if err := r.PlanAll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	page, err := r.List(t.Context(), ledger.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range page.Deliveries {
		got = append(got, d.Connector+" "+d.JobID)
	}
	slices.Sort(got)
	if want := []string{"a-all j1", "a-all j2", "a-movies j1"}; !slices.Equal(got, want) {
		t.Errorf("deliveries %v, want %v", got, want)
	}
	if n := len(r.pending(t)); n != 3 {
		t.Errorf("%d tasks, want 3", n)
	}
}

func TestARunIsPlannedAsSoonAsItIsHandedIn(t *testing.T) {
	r := setup(t, ledger.Options{}, scheduler.Subscriber{ID: "lake", Team: "team-a", Kind: waybill.KindStorage, MaxInFlight: 4, Wants: all})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Scheduler.Run(ctx) }() // its sweep is an hour away
	for n, _ := r.rdb.PubSubNumSub(t.Context(), "wb:wake").Result(); n["wb:wake"] == 0; n, _ = r.rdb.PubSubNumSub(t.Context(), "wb:wake").Result() {
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := tasks.NewClient(r.rdb, r.bucket).Submit(t.Context(), run("team-a", "wf", "j1")); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); len(r.pending(t)) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the run was not planned")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// awaitDue sweeps until something has been repaired.
func (r *rig) sweepUntil(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if err := r.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the sweep did not mend it")
		}
	}
}

func lake() scheduler.Subscriber {
	return scheduler.Subscriber{ID: "lake", Team: "team-a", Kind: waybill.KindStorage, MaxInFlight: 4, Wants: all}
}

func TestTheSweepEnqueuesWhatWasNot(t *testing.T) {
	r := setup(t, ledger.Options{Grace: 50 * time.Millisecond}, lake())
	r.queue.away.Store(true)
	r.accept(t, run("team-a", "wf", "j1"))
	if err := r.PlanAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.pending(t)); n != 0 {
		t.Fatalf("%d tasks although the queue was away", n)
	}
	r.queue.away.Store(false)
	r.sweepUntil(t, func() bool { return len(r.pending(t)) == 1 })
}

func TestTheSweepLeavesWaitingTasksAlone(t *testing.T) {
	r := setup(t, ledger.Options{Grace: time.Millisecond}, lake())
	r.accept(t, run("team-a", "wf", "j1"), run("team-a", "wf", "j2"))
	if err := r.PlanAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // both are due to be looked after
	for range 5 {
		if err := r.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.pending(t)); n != 2 {
		t.Errorf("%d tasks for 2 deliveries that only wait in a backlog", n)
	}
}

func TestTheSweepBringsBackTasksThatAreGone(t *testing.T) {
	r := setup(t, ledger.Options{Grace: 20 * time.Millisecond}, lake())
	r.accept(t, run("team-a", "wf", "j1"))
	if err := r.PlanAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := r.pending(t)[0].ID
	if err := r.inspector.DeleteTask(tasks.QueueExport, first); err != nil {
		t.Fatal(err)
	}
	r.sweepUntil(t, func() bool { return len(r.pending(t)) == 1 })
	if second := r.pending(t)[0].ID; second == first {
		t.Error("the new task has the id of the one that is gone")
	}
}

func TestTheSweepRestartsWhatASilentWorkerHeld(t *testing.T) {
	r := setup(t, ledger.Options{Lease: 150 * time.Millisecond}, lake())
	r.accept(t, run("team-a", "wf", "j1"))
	if err := r.PlanAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := waybill.DeliveryID(run("team-a", "wf", "j1").RunKey, "lake")
	lease, err := r.Begin(t.Context(), id, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	_ = lease.Close(nil) // its process is gone: nothing renews the lease
	r.sweepUntil(t, func() bool { return len(r.pending(t)) == 2 })
	if _, err := r.Begin(t.Context(), id, 1, 2); err != nil {
		t.Errorf("the new task cannot begin: %v", err)
	}
}

func TestTheSweepReplaysWhatTimeMayHaveHealed(t *testing.T) {
	r := setup(t, ledger.Options{}, lake())
	r.accept(t, run("team-a", "wf", "j1"))
	if err := r.PlanAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := waybill.DeliveryID(run("team-a", "wf", "j1").RunKey, "lake")
	lease, err := r.Begin(t.Context(), id, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	attempt, _ := errors.AsType[*ledger.Attempt](lease.Close(errors.New("no luck")))
	if _, err := attempt.Settle(t.Context(), ledger.Decision{State: waybill.StateFailed, After: time.Second, Costs: true,
		Failure: &waybill.Failure{Stage: waybill.StageStage, Verdict: waybill.Transient}}); err != nil {
		t.Fatal(err)
	}
	r.sweepUntil(t, func() bool { return len(r.pending(t)) == 2 })
	if d, err := r.Delivery(t.Context(), id); err != nil || d.State != waybill.StateQueued || d.Replays != 1 || d.Attempts != 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestTwoReplicasSweepTogether(t *testing.T) {
	r := setup(t, ledger.Options{Grace: 20 * time.Millisecond}, lake())
	r.accept(t, run("team-a", "wf", "j1"))
	if err := r.PlanAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.inspector.DeleteTask(tasks.QueueExport, r.pending(t)[0].ID); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() { errs <- r.Reconcile(t.Context()) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := len(r.pending(t)); n != 1 {
		t.Errorf("%d tasks after four sweeps at once, want 1", n)
	}
}
