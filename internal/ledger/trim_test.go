package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// hand hands a run in and plans it as the scheduler does: our bucket first.
func (b bundle) hand(t *testing.T, r waybill.Run, connectors ...string) ledger.Accepted {
	t.Helper()
	a, err := b.Accept(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	b.planAll(t, connectors...)
	return a
}

// planAll plans what is listed, for connectors that take everything.
func (b bundle) planAll(t *testing.T, connectors ...string) {
	t.Helper()
	runs, err := b.Unplanned(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range runs {
		a, err := b.Run(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := b.MirrorRun(t.Context(), a, connectors)
		if err != nil {
			t.Fatal(err)
		}
		var list []ledger.Planned
		for _, c := range wanted.Connectors {
			list = append(list, planned(key.TeamID, c, 1000)...)
		}
		if err := b.Plan(t.Context(), a, list); err != nil {
			t.Fatal(err)
		}
	}
}

// deliver completes what was enqueued, with a receipt, and returns how many.
func (b bundle) deliver(t *testing.T) int {
	t.Helper()
	ready := b.queue.take()
	for _, r := range ready {
		lease := b.begin(t, r)
		location := fmt.Sprintf("file:///%s/%d/", lease.Delivery.JobID, r.Generation)
		if err := errors.Join(lease.Complete(t.Context(), waybill.Receipt{Location: location, Rows: 3, Bytes: 99}), lease.Close(nil)); err != nil {
			t.Fatal(err)
		}
	}
	return len(ready)
}

func (b bundle) trim(t *testing.T, want int) {
	t.Helper()
	time.Sleep(3 * time.Millisecond) // what was settled is older than the retention of 1 ms
	if n, err := b.Trim(t.Context(), time.Millisecond); err != nil || n != want {
		t.Fatalf("trimmed %d, %v; want %d", n, err, want)
	}
}

// left are the keys of Redis that belong to runs and deliveries.
func (b bundle) left(t *testing.T) (keys []string) {
	t.Helper()
	all, err := b.rdb.Keys(t.Context(), "wb:{s*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range all {
		name := key[strings.LastIndex(key, "}:")+2:]
		if kind, _, _ := strings.Cut(name, ":"); !slices.Contains([]string{"versions", "schemas", "workflows", "horizon", "cn", "cns", "served"}, kind) {
			keys = append(keys, name)
		}
	}
	return keys
}

// history are the deliveries in our bucket's history.
func (b bundle) history(t *testing.T) (lines []ledger.Record) {
	t.Helper()
	for _, key := range b.bucket.keys(t, "history/") {
		for line := range strings.Lines(b.bucket.text(t, key)) {
			var r ledger.Record
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, r)
		}
	}
	return lines
}

func TestWhatIsOldLeavesTheLedgerForOurBucket(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		const runs = 120 // more than one batch
		b.window(t, 1000)
		for i := range runs {
			b.hand(t, run(fmt.Sprintf("job_%03d", i)), "lake")
		}
		b.deliver(t)
		if n, err := b.Trim(t.Context(), time.Hour); err != nil || n != 0 {
			t.Fatalf("trimmed %d within the retention, %v", n, err)
		}
		b.trim(t, runs)
		if keys := b.left(t); len(keys) > 0 {
			t.Errorf("left in Redis: %v", keys[:min(len(keys), 10)])
		}
		seen := map[string]bool{}
		for _, r := range b.history(t) {
			seen[r.Delivery.ID] = true
			if r.Type != ledger.RecordDelivery || r.Delivery.State != waybill.StateComplete || r.Delivery.Rows != 3 || len(r.History) != 3 || r.History[2].What != "complete" {
				t.Fatalf("%+v %+v", r.Delivery, r.History)
			}
		}
		if len(seen) != runs {
			t.Errorf("%d deliveries in the history, want %d", len(seen), runs)
		}
		day := time.Now().UTC().Format("history/2006/01/02/s")
		if key := b.bucket.keys(t, "history/")[0]; !strings.HasPrefix(key, day) && time.Now().UTC().Hour() > 0 {
			t.Errorf("the history is at %s, want it below %s", key, day)
		}
	})
}

func TestWhatAwaitsSomebodyStays(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.hand(t, run("job_1"), "lake", "pond")
		failed := b.queue.take()[0]
		b.hand(t, run("job_2"), "lake")
		attempt, _ := errors.AsType[*ledger.Attempt](b.begin(t, failed).Close(errors.New("no luck")))
		if _, err := attempt.Settle(t.Context(), ledger.Decision{State: waybill.StateFailed, Failure: &waybill.Failure{Stage: waybill.StageStage, Verdict: waybill.Permanent}}); err != nil {
			t.Fatal(err)
		}
		b.deliver(t)
		b.trim(t, 1) // job_2; the other half of job_1 was taken from the queue
		b.wantState(t, failed.Delivery, waybill.StateFailed)
		if _, err := b.Run(t.Context(), run("job_1").RunKey); err != nil {
			t.Errorf("the run of a delivery that failed: %v", err)
		}
		if _, err := b.Run(t.Context(), run("job_2").RunKey); !errors.Is(err, waybill.ErrNotFound) {
			t.Errorf("the run that was delivered: %v", err)
		}
	})
}

func TestRunsThatBecameNoDeliveryAreTrimmed(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.hand(t, run("job_1"))
		if _, err := b.Run(t.Context(), run("job_1").RunKey); err != nil {
			t.Fatal(err)
		}
		b.trim(t, 0)
		if keys := b.left(t); len(keys) > 0 {
			t.Errorf("left in Redis: %v", keys)
		}
		if a := b.hand(t, run("job_1"), "lake"); a.Outcome != ledger.OutcomeNew {
			t.Errorf("handed in again: %+v", a)
		}
		if n := b.deliver(t); n != 1 {
			t.Errorf("%d deliveries to the connector that is there now, want 1", n)
		}
	})
}

// Wherever the trimming is cut off, doing it again gives the same objects, and
// no line is lost or stands twice.
func TestATrimmingThatIsCutOffIsRepeated(t *testing.T) {
	for _, at := range []string{"before the export", "after the export"} {
		t.Run(at, func(t *testing.T) {
			servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
				for i := range 3 {
					b.hand(t, run(fmt.Sprintf("job_%d", i)), "lake")
				}
				b.deliver(t)
				time.Sleep(3 * time.Millisecond)
				cut := errors.New("the power is off")
				client := b.another(t)
				if at == "before the export" {
					b.bucket.during(func(string) error { return cut })
				} else {
					client.AddHook(beforeCommand(func(c redis.Cmder) error {
						if strings.HasPrefix(c.Name(), "eval") && strings.Contains(fmt.Sprintf("%s", c.Args()), "history/") {
							return cut
						}
						return nil
					}))
				}
				if _, err := ledger.New(client, b.bucket, nil, ledger.Options{}).Trim(t.Context(), time.Millisecond); !errors.Is(err, cut) {
					t.Fatalf("got %v", err)
				}
				b.bucket.during(nil)
				b.hand(t, run("job_9"), "lake") // another may be trimmed now as well
				b.deliver(t)
				b.trim(t, 4)
				if got := b.history(t); len(got) != 4 {
					t.Errorf("%d lines in the history, want 4", len(got))
				}
				if keys := b.left(t); len(keys) > 0 {
					t.Errorf("left in Redis: %v", keys)
				}
			})
		})
	}
}

func TestSchedulersTrimTogether(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		const runs = 110
		b.window(t, 1000)
		for i := range runs {
			b.hand(t, run(fmt.Sprintf("job_%03d", i)), "lake")
		}
		b.deliver(t)
		time.Sleep(3 * time.Millisecond)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if _, err := b.Trim(t.Context(), time.Millisecond); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := b.history(t); len(got) != runs {
			t.Errorf("%d lines in the history, want %d", len(got), runs)
		}
		if keys := b.left(t); len(keys) > 0 {
			t.Errorf("left in Redis: %v", keys[:min(len(keys), 10)])
		}
	})
}

func TestATrimmedRunIsNotDeliveredAgain(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.hand(t, run("job_1"), "lake")
		b.deliver(t)
		b.trim(t, 1)

		again := b.hand(t, run("job_1"), "lake", "created-since")
		if again.Outcome != ledger.OutcomeSame || again.Generation != 1 || b.deliver(t) != 0 {
			t.Errorf("handed in again after it was trimmed: %+v", again)
		}
		d := b.wantState(t, waybill.DeliveryID(run("job_1").RunKey, "lake"), waybill.StateComplete)
		if r, err := b.Receipt(t.Context(), d); err != nil || r.Location != "file:///job_1/1/" || d.Rows != 3 || d.CompletedAt.IsZero() {
			t.Errorf("%+v of %+v, %v", r, d, err)
		}
		b.trim(t, 1)

		other := run("job_1")
		other.RowCount = 4
		if _, err := b.Accept(t.Context(), other); !errors.As(err, new(*ledger.ConflictError)) {
			t.Errorf("another revision of a trimmed run: %v", err)
		}
		b.trim(t, 1)
		other.Replace = true
		if a := b.hand(t, other, "lake"); a.Outcome != ledger.OutcomeReplaced || a.Generation != 2 {
			t.Errorf("a replacement of a trimmed run: %+v", a)
		}
		lease := b.begin(t, b.one(t))
		if was, err := lease.Replaces(t.Context()); err != nil || was.Location != "file:///job_1/1/" {
			t.Errorf("it replaces %+v, %v", was, err)
		}
	})
}
