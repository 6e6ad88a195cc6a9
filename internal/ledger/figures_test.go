package ledger_test

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

func (b bundle) figures(t *testing.T, promised time.Duration) ledger.Figures {
	t.Helper()
	b.Wait() // for admissions under way
	f, err := b.Figures(t.Context(), map[string]time.Duration{"export": promised, ledger.Backfill: 0})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Every delivery is counted once, where it stands, whatever happened to it before.
func TestFiguresCountEachDeliveryWhereItStands(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		folder := ledger.Connector{ID: "folder", Team: "team-a", Kind: waybill.KindStorage, Live: "export", MaxInFlight: 2, Destination: "s3/eu"}
		lane := table("team-b", "lane", 4)
		b.window(t, 16)
		want := func(what string, live, historical ledger.QueueFigures) {
			t.Helper()
			got := b.figures(t, time.Hour).Queues
			for queue, want := range map[string]ledger.QueueFigures{"export": live, ledger.Backfill: historical} {
				q := got[queue]
				q.LongestWait = 0 // the clock's
				if q != want {
					t.Errorf("%s: %s has %+v, want %+v", what, queue, q, want)
				}
			}
		}
		var ids []string
		for _, job := range []string{"j1", "j2", "j3", "j4"} {
			ids = append(ids, b.send(t, folder, "export", "wf", job))
			b.send(t, lane, "export", "wf", job)
		}
		archive := ledger.Connector{ID: "archive", Team: "team-c", Kind: waybill.KindStorage, Live: "export", MaxInFlight: 1, Destination: "s3/eu"}
		b.send(t, archive, ledger.Backfill, "wf", "old1")
		b.send(t, archive, ledger.Backfill, "wf", "old2")
		old := ledger.QueueFigures{Waiting: 1, InFlight: 1}
		flying := b.queue.take()
		want("planned", ledger.QueueFigures{Waiting: 2 + 3, InFlight: 2 + 1}, old)

		for _, r := range flying {
			if r.Delivery == ids[0] {
				b.complete(t, r)
			}
			if r.Delivery == ids[1] {
				b.fail(t, r, ledger.Decision{State: waybill.StateBlocked, Costs: true, Counts: true})
			}
		}
		b.Wait()
		want("one complete, one blocked", ledger.QueueFigures{Waiting: 3, InFlight: 2 + 1}, old)

		if _, err := b.PauseConnector(t.Context(), "team-a", "folder", "a test"); err != nil {
			t.Fatal(err)
		}
		want("paused", ledger.QueueFigures{Waiting: 3, Held: 2, InFlight: 1}, old)
		f := b.figures(t, time.Hour)
		if f.States[waybill.StateComplete] != 1 || f.States[waybill.StateBlocked] != 1 || f.States[waybill.StateWaiting] != 6 || f.PausedConnectors != 1 {
			t.Errorf("paused: %+v", f)
		}
		wantDestinations := map[string]ledger.DestinationFigures{"s3/eu": {Connectors: 2, Failing: 1}, "vendor/region": {Connectors: 1}}
		if !maps.Equal(f.Destinations, wantDestinations) {
			t.Errorf("destinations are %+v, want %+v", f.Destinations, wantDestinations)
		}

		if _, err := b.ResumeConnector(t.Context(), "team-a", "folder"); err != nil {
			t.Fatal(err)
		}
		if err := b.Cancel(t.Context(), ids[2], "a test"); err != nil {
			t.Fatal(err)
		}
		if err := b.Retry(t.Context(), ids[1]); err != nil {
			t.Fatal(err)
		}
		want("resumed, one cancelled, one retried", ledger.QueueFigures{Waiting: 3, InFlight: 2 + 1}, old)
	})
}

func TestWhatTakesLongerThanPromisedIsOverdue(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		c := ledger.Connector{ID: "folder", Team: "team-a", Kind: waybill.KindStorage, Live: "export", MaxInFlight: 1, Destination: "s3/eu"}
		b.send(t, c, "export", "wf", "j1")
		b.send(t, c, "export", "wf", "j2")
		b.send(t, c, ledger.Backfill, "wf", "old")
		if n := b.figures(t, time.Hour).Queues["export"].Overdue; n != 0 {
			t.Errorf("%d are overdue at once", n)
		}
		var f ledger.Figures
		for deadline := time.Now().Add(time.Minute); f.Queues["export"].Overdue != 2 && time.Now().Before(deadline); {
			f = b.figures(t, time.Millisecond)
		}
		if f.Queues["export"].Overdue != 2 || f.Queues["export"].LongestWait <= 0 || f.Queues[ledger.Backfill].Overdue != 0 {
			t.Errorf("after the promised time: %+v", f.Queues)
		}
	})
}

func TestRunsThatNobodyPlansAreSeen(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		if _, err := b.Accept(t.Context(), run("j1")); err != nil {
			t.Fatal(err)
		}
		if f := b.figures(t, time.Hour); f.Unplanned != 1 {
			t.Errorf("%+v", f)
		}
	})
}

// Who watches is told of every admission, and of every attempt that held its
// delivery no longer.
func TestTheObserverIsTold(t *testing.T) {
	var mu sync.Mutex
	var told []string
	note := func(what string) func(string) {
		return func(of string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, what+" "+of)
		}
	}
	admitted := note("admitted")
	opts := ledger.Options{Observer: ledger.Observer{Lost: note("lost"), Stale: note("stale"),
		Admitted: func(queue string, waited time.Duration) {
			if waited < 0 || waited > time.Minute {
				t.Errorf("waited %s", waited)
			}
			admitted(queue)
		}}}
	servers(t, opts, func(t *testing.T, b bundle) {
		mu.Lock()
		told = nil
		mu.Unlock()
		id := b.plan(t, run("j1"), 4)
		lease := b.begin(t, b.one(t))
		if err := b.Cancel(t.Context(), id, "a test"); err != nil {
			t.Fatal(err)
		}
		if _, err := lease.Enter(t.Context(), waybill.StageStage); err == nil {
			t.Error("a cancelled delivery let its attempt go on")
		}
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"admitted export", "stale " + lease.Delivery.Task}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}
