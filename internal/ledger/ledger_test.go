package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
)

// recordingQueue remembers what was enqueued; or fails, as a queue that is away.
type recordingQueue struct {
	wait  func() // for admissions under way
	mu    sync.Mutex
	ready []ledger.Ready
	err   error
}

func (q *recordingQueue) Enqueue(_ context.Context, ready []ledger.Ready) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	q.ready = append(q.ready, ready...)
	return nil
}

func (q *recordingQueue) take() []ledger.Ready {
	if q.wait != nil {
		q.wait()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	defer func() { q.ready = nil }()
	return q.ready
}

type bundle struct {
	*ledger.Ledger
	queue  *recordingQueue
	rdb    *redis.Client
	bucket *watchedStore
}

func setup(t *testing.T, rdb *redis.Client, opts ledger.Options) bundle {
	t.Helper()
	bucket, err := storage.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	queue, watched := &recordingQueue{}, &watchedStore{Store: bucket}
	l := ledger.New(rdb, watched, queue, opts)
	queue.wait = l.Wait
	return bundle{Ledger: l, queue: queue, rdb: rdb, bucket: watched}
}

// servers runs a test on a real Redis and on the in-memory one of the sandbox.
func servers(t *testing.T, opts ledger.Options, test func(t *testing.T, b bundle)) {
	t.Run("redis-server", func(t *testing.T) { test(t, setup(t, testservers.Redis(t).Client(t), opts)) })
	t.Run("in memory", func(t *testing.T) {
		rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
		t.Cleanup(func() { _ = rdb.Close() })
		test(t, setup(t, rdb, opts))
	})
}

func run(job string) waybill.Run {
	return waybill.Run{
		RunKey:     waybill.RunKey{TeamID: "team-a", WorkflowID: "wf_movies", JobID: job},
		State:      waybill.RunFinished,
		FinishedAt: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC),
		RowCount:   3,
		Source:     waybill.Source{URI: "file:///runs/movies.jsonl"},
		Schema:     waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String}}},
	}
}

func planned(team, connector string, limit int) []ledger.Planned {
	return []ledger.Planned{{Task: "export.push", Queue: "export", Connector: ledger.Connector{
		ID: connector, Team: team, Kind: waybill.KindStorage, Live: "export", MaxInFlight: limit}}}
}

// plan hands in and plans a run for connector "lake", and returns its delivery.
func (b bundle) plan(t *testing.T, r waybill.Run, limit int) string {
	t.Helper()
	a, err := b.Accept(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Plan(t.Context(), a, planned(r.TeamID, "lake", limit)); err != nil {
		t.Fatal(err)
	}
	b.Wait()
	return waybill.DeliveryID(r.RunKey, "lake")
}

func (b bundle) begin(t *testing.T, ready ledger.Ready) *ledger.Lease {
	t.Helper()
	lease, err := b.Begin(t.Context(), ready.Delivery, ready.Generation, ready.Enqueue)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lease.Close(nil) })
	return lease
}

func (b bundle) one(t *testing.T) ledger.Ready {
	t.Helper()
	ready := b.queue.take()
	if len(ready) != 1 {
		t.Fatalf("enqueued %d deliveries, want 1: %+v", len(ready), ready)
	}
	return ready[0]
}

func (b bundle) wantState(t *testing.T, id string, want waybill.State) waybill.Delivery {
	t.Helper()
	d, err := b.Delivery(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if d.State != want {
		t.Fatalf("delivery is %s, want %s", d.State, want)
	}
	for _, s := range waybill.States() {
		page, err := b.List(t.Context(), ledger.Filter{State: s})
		if err != nil {
			t.Fatal(err)
		}
		listed := slices.ContainsFunc(page.Deliveries, func(d waybill.Delivery) bool { return d.ID == id })
		if listed != (s == want) {
			t.Fatalf("delivery listed as %s: %t, but it is %s", s, listed, want)
		}
	}
	return d
}

func TestHandingInTwiceIsOneDelivery(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		first, err := b.Accept(t.Context(), run("job_1"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := b.Accept(t.Context(), run("job_1"))
		if err != nil {
			t.Fatal(err)
		}
		if first.Outcome != ledger.OutcomeNew || again.Outcome != ledger.OutcomeSame || again.Generation != 1 || again.Revision != first.Revision {
			t.Errorf("first %+v, again %+v", first, again)
		}
		for range 3 {
			b.plan(t, run("job_1"), 4)
		}
		b.one(t)
	})
}

func TestHandingInAgainBringsAFreshSignature(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		signed := run("job_1")
		for _, uri := range []string{"https://runs.example/1.jsonl?sig=old", "https://runs.example/1.jsonl?sig=new"} {
			signed.Source.URI = uri
			if _, err := b.Accept(t.Context(), signed); err != nil {
				t.Fatal(err)
			}
		}
		a, err := b.Run(t.Context(), signed.RunKey)
		if err != nil || a.Generation != 1 || a.Run.Source.URI != signed.Source.URI {
			t.Errorf("%+v, %v; want the fresh signature in generation 1", a, err)
		}
	})
}

func TestAnotherRevisionOfAJobIsRefusedUnlessItReplaces(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		id := b.plan(t, run("job_1"), 4)
		lease := b.begin(t, b.one(t))

		other := run("job_1")
		other.RowCount = 4
		other.Source.URI = "file:///runs/other.jsonl?signature=1"
		_, err := b.Accept(t.Context(), other)
		conflict, ok := errors.AsType[*ledger.ConflictError](err)
		if !ok || !slices.Equal(conflict.Fields, []string{"rowCount", "source.uri"}) {
			t.Fatalf("got %v, want a conflict in rowCount and source.uri", err)
		}

		other.Replace = true
		if b.plan(t, other, 4) != id {
			t.Fatal("a replacement is the same delivery")
		}
		if d := b.wantState(t, id, waybill.StateQueued); d.Generation != 2 || d.Attempts != 0 {
			t.Errorf("after the replacement: %+v", d)
		}
		if _, err := lease.Enter(t.Context(), waybill.StageStage); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("the attempt of the old generation got %v, want ErrLost", err)
		}
		if err := lease.Complete(t.Context(), waybill.Receipt{}); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("the attempt of the old generation could complete: %v", err)
		}
		b.begin(t, b.one(t))
	})
}

func TestSchemaVersions(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		version := func(job string, fields ...waybill.Field) int {
			r := run(job)
			r.Schema.Fields = fields
			a, err := b.Accept(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			return a.SchemaVersion
		}
		title := waybill.Field{Name: "Title", DataType: waybill.String}
		described := waybill.Field{Name: "Title", DataType: waybill.String, Description: "of the movie", FieldType: waybill.FieldSchema}
		year := waybill.Field{Name: "Year", DataType: waybill.Number}
		internal := waybill.Field{Name: "_sourceIndex", DataType: waybill.Number}
		got := []int{version("j1", title), version("j2", title, year), version("j3", year, title), version("j4", title), version("j5", described, internal)}
		if want := []int{1, 2, 3, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("versions %v, want %v", got, want)
		}
	})
}

func TestSettling(t *testing.T) {
	failure := &waybill.Failure{Stage: waybill.StageStage, Verdict: waybill.Transient, Code: "storage.unavailable", Action: "Wait."}
	for _, c := range []struct {
		name     string
		decision ledger.Decision
		attempts int
		next     bool
	}{
		{"retry", ledger.Decision{State: waybill.StateRetrying, After: time.Second, Costs: true, Failure: failure}, 1, true},
		{"throttled", ledger.Decision{State: waybill.StateRetrying, After: time.Second, Failure: failure}, 0, true},
		{"failed with a replay", ledger.Decision{State: waybill.StateFailed, After: time.Minute, Costs: true, Failure: failure}, 1, true},
		{"failed", ledger.Decision{State: waybill.StateFailed, Costs: true, Failure: failure}, 1, false},
		{"blocked", ledger.Decision{State: waybill.StateBlocked, Costs: true, Failure: failure}, 1, false},
		{"released", ledger.Decision{State: waybill.StateQueued}, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
				id := b.plan(t, run("job_1"), 1)
				attempt, ok := errors.AsType[*ledger.Attempt](b.begin(t, b.one(t)).Close(errors.New("no luck")))
				if !ok {
					t.Fatal("closing with an error gives an Attempt")
				}
				asked := time.Now()
				settled, err := attempt.Settle(t.Context(), c.decision)
				if err != nil || settled.State != c.decision.State {
					t.Fatalf("settled %+v, %v", settled, err)
				}
				d := b.wantState(t, id, c.decision.State)
				if d.Attempts != c.attempts || d.NextAt.IsZero() == c.next {
					t.Errorf("%+v", d)
				}
				if c.next && (d.NextAt.Before(asked.Add(c.decision.After-time.Millisecond)) || d.NextAt.Nanosecond() != 0) {
					t.Errorf("next attempt at %s, asked at %s for %s later; want a whole second, not earlier", d.NextAt, asked, c.decision.After)
				}
				if _, err := attempt.Settle(t.Context(), c.decision); !errors.Is(err, ledger.ErrLost) {
					t.Errorf("settling twice: %v", err)
				}
			})
		})
	}
}

func TestARetryDoesNotStartEarly(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.plan(t, run("job_1"), 4)
		task := b.one(t)
		attempt, _ := errors.AsType[*ledger.Attempt](b.begin(t, task).Close(errors.New("no luck")))
		f := &waybill.Failure{Stage: waybill.StageStage, Verdict: waybill.Transient}
		if _, err := attempt.Settle(t.Context(), ledger.Decision{State: waybill.StateRetrying, After: 30 * time.Second, Costs: true, Failure: f}); err != nil {
			t.Fatal(err)
		}
		_, err := b.Begin(t.Context(), task.Delivery, task.Generation, task.Enqueue)
		if busy, ok := errors.AsType[*ledger.BusyError](err); !ok || !busy.Early || busy.After > 30*time.Second {
			t.Errorf("got %v, want BusyError{Early}", err)
		}
	})
}

func TestAdmissionKeepsToTheConnectorsLimit(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		for i := range 5 {
			b.plan(t, run(fmt.Sprintf("job_%d", i)), 2)
		}
		ready := b.queue.take()
		if len(ready) != 2 {
			t.Fatalf("%d deliveries in flight, want 2", len(ready))
		}
		for done := 0; len(ready) > 0; done++ {
			lease := b.begin(t, ready[0])
			if done == 1 { // one that fails makes room as well
				attempt, _ := errors.AsType[*ledger.Attempt](lease.Close(errors.New("no luck")))
				if _, err := attempt.Settle(t.Context(), ledger.Decision{State: waybill.StateFailed, Failure: &waybill.Failure{Stage: waybill.StageStage}}); err != nil {
					t.Fatal(err)
				}
			} else if err := lease.Complete(t.Context(), waybill.Receipt{}); err != nil {
				t.Fatal(err)
			}
			ready = append(ready[1:], b.queue.take()...)
			if len(ready) > 2 {
				t.Fatalf("%d deliveries in flight, want at most 2", len(ready))
			}
		}
		page, err := b.List(t.Context(), ledger.Filter{Connector: "lake", State: waybill.StateComplete})
		if err != nil || len(page.Deliveries) != 4 {
			t.Errorf("%d complete, %v; want 4", len(page.Deliveries), err)
		}
	})
}

func TestRetryOfAFailedDelivery(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		id := b.plan(t, run("job_1"), 4)
		task := b.one(t)
		if err := b.Retry(t.Context(), id); err == nil {
			t.Error("a queued delivery cannot be retried")
		}
		attempt, _ := errors.AsType[*ledger.Attempt](b.begin(t, task).Close(errors.New("no luck")))
		if _, err := attempt.Settle(t.Context(), ledger.Decision{State: waybill.StateFailed, Costs: true, Failure: &waybill.Failure{Stage: waybill.StageStage}}); err != nil {
			t.Fatal(err)
		}
		if err := b.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		next := b.one(t)
		if next.Enqueue == task.Enqueue {
			t.Error("a retry needs a task id of its own")
		}
		if lease := b.begin(t, next); lease.Delivery.Attempts != 1 {
			t.Errorf("attempt %d of the fresh round, want 1", lease.Delivery.Attempts)
		}
		if err := b.Retry(t.Context(), waybill.DeliveryID(run("other").RunKey, "lake")); !errors.Is(err, waybill.ErrNotFound) {
			t.Errorf("retry of an unknown delivery: %v", err)
		}
	})
}

func TestALostEnqueueIsRepaired(t *testing.T) {
	servers(t, ledger.Options{Grace: 50 * time.Millisecond}, func(t *testing.T, b bundle) {
		b.queue.err = errors.New("the queue is away")
		id := b.plan(t, run("job_1"), 4)
		b.queue.err = nil
		due := b.awaitDue(t)
		if due.State != waybill.StateQueued {
			t.Fatalf("due %+v", due)
		}
		if _, err := b.Repair(t.Context(), due); err != nil {
			t.Fatal(err)
		}
		if b.one(t).Delivery != id {
			t.Error("another delivery was enqueued")
		}
	})
}
