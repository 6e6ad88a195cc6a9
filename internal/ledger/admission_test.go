package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// window sizes the queue of live exports, as the sweep does.
func (b bundle) window(t *testing.T, size int) {
	t.Helper()
	if err := b.Mend(t.Context(), map[string]int{"export": size}); err != nil {
		t.Fatal(err)
	}
}

// table is an ordered connector, of a kind that takes one run of a workflow at a time.
func table(team, id string, limit int) ledger.Connector {
	return ledger.Connector{ID: id, Team: team, Kind: "table", Live: "export", MaxInFlight: limit, Destination: "vendor/region", Ordered: true}
}

// send hands in a run and plans it for one connector.
func (b bundle) send(t *testing.T, c ledger.Connector, queue, workflow, job string) string {
	t.Helper()
	r := run(job)
	r.TeamID, r.WorkflowID = c.Team, workflow
	a, err := b.Accept(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Plan(t.Context(), a, []ledger.Planned{{Task: "table.load", Queue: queue, Connector: c}}); err != nil {
		t.Fatal(err)
	}
	b.Wait()
	return waybill.DeliveryID(r.RunKey, c.ID)
}

func (b bundle) complete(t *testing.T, ready ledger.Ready) {
	t.Helper()
	if err := b.begin(t, ready).Complete(t.Context(), waybill.Receipt{}); err != nil {
		t.Fatal(err)
	}
}

func (b bundle) fail(t *testing.T, ready ledger.Ready, d ledger.Decision) ledger.Settled {
	t.Helper()
	attempt, _ := errors.AsType[*ledger.Attempt](b.begin(t, ready).Close(errors.New("no luck")))
	d.Failure = &waybill.Failure{Stage: waybill.StageLoad, Verdict: waybill.Transient, Code: "vendor.down"}
	settled, err := attempt.Settle(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return settled
}

func (b bundle) takeIDs() (ids []string) {
	for _, r := range b.queue.take() {
		ids = append(ids, r.Delivery)
	}
	return ids
}

func wantIDs(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: enqueued %v, want %v", what, got, want)
	}
}

func TestAnOrderedConnectorTakesOneRunOfAWorkflowAtATime(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		c := table("team-a", "acme", 4)
		first := b.send(t, c, "export", "wf_a", "j1")
		second := b.send(t, c, "export", "wf_a", "j2")
		other := b.send(t, c, "export", "wf_b", "j3")
		ready := b.queue.take()
		if len(ready) != 2 || ready[0].Delivery != first || ready[1].Delivery != other {
			t.Fatalf("enqueued %+v, want the first of each workflow", ready)
		}
		if s := b.fail(t, ready[0], ledger.Decision{State: waybill.StateRetrying}); s.State != waybill.StateRetrying {
			t.Fatalf("settled %+v", s)
		}
		wantIDs(t, "while the first waits for its retry", b.takeIDs())
		b.complete(t, ready[1])
		wantIDs(t, "after another workflow's", b.takeIDs())
		if err := b.Cancel(t.Context(), first, "test"); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, "after the first left", b.takeIDs(), second)
	})
}

func TestFencesOfALaneNeverGoBack(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		c := table("team-a", "acme", 4)
		last := int64(0)
		for i := range 20 {
			b.send(t, c, "export", "wf_a", fmt.Sprint("j", i))
			lease := b.begin(t, b.one(t))
			if lease.Fence <= last {
				t.Fatalf("fence %d after %d", lease.Fence, last)
			}
			last = lease.Fence
			if err := lease.Complete(t.Context(), waybill.Receipt{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAReplacementKeepsItsLane(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		c := table("team-a", "acme", 4)
		id := b.send(t, c, "export", "wf_a", "j1")
		lease := b.begin(t, b.one(t))
		b.send(t, c, "export", "wf_a", "j2")
		r := run("j1")
		r.WorkflowID, r.RowCount, r.Replace = "wf_a", 99, true
		a, err := b.Accept(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Plan(t.Context(), a, []ledger.Planned{{Task: "table.load", Queue: "export", Connector: c}}); err != nil {
			t.Fatal(err)
		}
		next := b.one(t)
		if next.Delivery != id || next.Generation != 2 {
			t.Fatalf("enqueued %+v, want the replacement", next)
		}
		if _, err := lease.Enter(t.Context(), waybill.StageStage); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("the replaced attempt went on: %v", err)
		}
	})
}

func TestLiveGoesBeforeHistorical(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		c := table("team-a", "acme", 1)
		b.send(t, c, ledger.Backfill, "wf_a", "old1")
		under := b.one(t)
		if under.Queue != ledger.Backfill {
			t.Fatalf("a historical delivery went to queue %s", under.Queue)
		}
		old := b.send(t, c, ledger.Backfill, "wf_a", "old2")
		live := b.send(t, c, "export", "wf_a", "new")
		wantIDs(t, "while a historical one holds the lane", b.takeIDs())
		elsewhere := b.send(t, c, "export", "wf_b", "new2")
		free := b.queue.take()
		if len(free) != 1 || free[0].Delivery != elsewhere {
			t.Fatalf("a live delivery waited for a historical one of another lane: %+v", free)
		}
		b.complete(t, free[0])
		wantIDs(t, "the lane is still held", b.takeIDs())
		b.complete(t, under)
		next := b.one(t)
		if next.Delivery != live {
			t.Fatalf("enqueued %+v, want the live one before the historical", next)
		}
		b.complete(t, next)
		wantIDs(t, "at last", b.takeIDs(), old)
	})
}

func TestTeamsShareAWindowEvenly(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.window(t, 8)
		noisy := ledger.Connector{ID: "noisy", Team: "team-n", Kind: waybill.KindStorage, Live: "export", MaxInFlight: 100}
		for i := range 50 {
			b.send(t, noisy, "export", "wf", fmt.Sprint("j", i))
		}
		flying := b.queue.take()
		if len(flying) != 4 {
			t.Fatalf("one team has %d of a window of 8 in flight, want half: somebody may come", len(flying))
		}
		var quiet []string
		for i := range 2 {
			c := ledger.Connector{ID: fmt.Sprint("quiet", i), Team: fmt.Sprint("team-q", i), Kind: waybill.KindStorage, Live: "export", MaxInFlight: 4}
			quiet = append(quiet, b.send(t, c, "export", "wf", "j"))
		}
		wantIDs(t, "others", b.takeIDs(), quiet...)
		for _, r := range flying {
			b.complete(t, r)
		}
		if n := len(b.queue.take()); n != 2 {
			t.Errorf("beside two others, one team has %d of a window of 8 in flight, want a quarter", n)
		}
	})
}

func TestAWindowOutlivesCrashesHalfWay(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.window(t, 2)
		c := ledger.Connector{ID: "lake", Team: "team-a", Kind: waybill.KindStorage, Live: "export", MaxInFlight: 1}
		b.send(t, c, "export", "wf", "j1")
		b.send(t, c, "export", "wf", "j2")
		first := b.one(t)

		// A process took a ticket long ago, and died.
		old := float64(time.Now().Add(-time.Minute).UnixMilli())
		for _, cmd := range [][]any{
			{"ZADD", "wb:{adm:export}:tickets", old, "0:team-z"},
			{"ZADD", "wb:{adm:export}:tickets", old, "00:team-z"},
			{"ZADD", "wb:{adm:export}:flight", 2, "team-z"},
			{"DEL", "wb:{adm:export}:waiting"}, // and another before it said what waits
		} {
			if err := b.rdb.Do(t.Context(), cmd...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		b.complete(t, first)
		wantIDs(t, "with a window full of lost tickets", b.takeIDs())
		b.window(t, 2)
		b.complete(t, b.one(t))
		b.Wait()
		if n, err := b.rdb.ZCard(t.Context(), "wb:{adm:export}:tickets").Result(); err != nil || n != 0 {
			t.Errorf("%d tickets left, %v", n, err)
		}
	})
}

func TestALostWindowIsFilledFromTheSlots(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		c := ledger.Connector{ID: "lake", Team: "team-a", Kind: waybill.KindStorage, Live: "export", MaxInFlight: 3}
		for i := range 5 {
			b.send(t, c, "export", "wf", fmt.Sprint("j", i))
		}
		if err := b.rdb.Del(t.Context(), "wb:{adm:export}:tickets", "wb:{adm:export}:flight").Err(); err != nil {
			t.Fatal(err)
		}
		b.window(t, 16)
		if n, err := b.rdb.ZScore(t.Context(), "wb:{adm:export}:flight", "team-a").Result(); err != nil || n != 3 {
			t.Errorf("%v in flight, %v; want 3", n, err)
		}
	})
}

func TestAPausedConnectorKeepsItsWork(t *testing.T) {
	for _, what := range []string{"connector", "its destination", "all of the vendor"} {
		t.Run(what, func(t *testing.T) {
			servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
				c := table("team-a", "acme", 4)
				toggle := func(reason string) bool {
					var changed bool
					var err error
					switch {
					case what == "connector" && reason != "":
						changed, err = b.PauseConnector(t.Context(), c.Team, c.ID, reason)
					case what == "connector":
						changed, err = b.ResumeConnector(t.Context(), c.Team, c.ID)
					case reason != "":
						changed, err = b.PauseDestination(t.Context(), map[bool]string{true: "vendor/region", false: "vendor"}[what == "its destination"], reason)
					default:
						changed, err = b.ResumeDestination(t.Context(), map[bool]string{true: "vendor/region", false: "vendor"}[what == "its destination"])
					}
					if err != nil {
						t.Fatal(err)
					}
					return changed
				}
				running := b.send(t, c, "export", "wf_a", "j1")
				queued := b.send(t, c, "export", "wf_b", "j2")
				ready := b.queue.take()
				lease := b.begin(t, ready[0])
				if !toggle("maintenance") || toggle("maintenance") {
					t.Error("a pause is one change")
				}
				later := b.send(t, c, "export", "wf_c", "j3")
				wantIDs(t, "while paused", b.takeIDs())
				b.wantState(t, queued, waybill.StateWaiting)
				if _, err := b.Begin(t.Context(), queued, 1, ready[1].Enqueue); !errors.Is(err, ledger.ErrGone) {
					t.Errorf("the task of a held delivery got %v, want ErrGone", err)
				}
				attempt, _ := errors.AsType[*ledger.Attempt](lease.Close(errors.New("no luck")))
				s, err := attempt.Settle(t.Context(), ledger.Decision{State: waybill.StateRetrying, After: time.Second, Costs: true,
					Failure: &waybill.Failure{Stage: waybill.StageLoad, Verdict: waybill.Transient}})
				if err != nil || s.State != waybill.StateWaiting {
					t.Errorf("what was running settled as %+v, %v; want waiting", s, err)
				}
				if !toggle("") {
					t.Error("nothing was resumed")
				}
				got := b.takeIDs()
				slices.Sort(got)
				want := []string{running, queued, later}
				slices.Sort(want)
				wantIDs(t, "when resumed", got, want...)
			})
		})
	}
}

func TestFailuresInARowPauseAConnector(t *testing.T) {
	servers(t, ledger.Options{MaxFailures: 3}, func(t *testing.T, b bundle) {
		c := table("team-a", "acme", 1)
		job := 0
		round := func(counts, complete bool) ledger.Settled {
			job++
			b.send(t, c, "export", "wf", fmt.Sprint("j", job))
			if complete {
				b.complete(t, b.one(t))
				return ledger.Settled{}
			}
			return b.fail(t, b.one(t), ledger.Decision{State: waybill.StateFailed, Counts: counts})
		}
		for i, r := range []struct{ counts, complete, pauses bool }{
			{counts: true}, {counts: true}, {complete: true}, // a success ends the row
			{counts: true}, {counts: false}, {counts: true}, // the source's fault does not count
			{counts: true, pauses: true},
		} {
			if s := round(r.counts, r.complete); s.Pauses != r.pauses {
				t.Fatalf("round %d: %+v", i, s)
			}
		}
		pause, err := b.ConnectorPause(t.Context(), c.Team, c.ID)
		if err != nil || pause == nil || !pause.Automatic || pause.Reason == "" {
			t.Fatalf("pause %+v, %v", pause, err)
		}
		b.send(t, c, "export", "wf", "waits")
		wantIDs(t, "while paused", b.takeIDs())
		if _, err := b.ResumeConnector(t.Context(), c.Team, c.ID); err != nil {
			t.Fatal(err)
		}
		if s := b.fail(t, b.one(t), ledger.Decision{State: waybill.StateFailed, Counts: true}); s.Pauses {
			t.Error("the row went on over the resume")
		}
	})
}

func TestCancelling(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		c := ledger.Connector{ID: "lake", Team: "team-a", Kind: waybill.KindStorage, Live: "export", MaxInFlight: 1}
		running := b.send(t, c, "export", "wf", "j1")
		waiting := b.send(t, c, "export", "wf", "j2")
		last := b.send(t, c, "export", "wf", "j3")
		lease := b.begin(t, b.one(t))
		for range 2 { // again is a success
			for _, id := range []string{waiting, running} {
				if err := b.Cancel(t.Context(), id, "not wanted"); err != nil {
					t.Fatal(err)
				}
				b.wantState(t, id, waybill.StateCancelled)
			}
		}
		if err := lease.Complete(t.Context(), waybill.Receipt{}); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("a cancelled attempt could complete: %v", err)
		}
		ready := b.one(t)
		if ready.Delivery != last {
			t.Fatalf("enqueued %+v, want what was left", ready)
		}
		b.complete(t, ready)
		if err := b.Cancel(t.Context(), last, "too late"); err == nil {
			t.Error("a complete delivery was cancelled")
		}
		if err := b.Cancel(t.Context(), waybill.DeliveryID(run("other").RunKey, "lake"), ""); !errors.Is(err, waybill.ErrNotFound) {
			t.Errorf("cancel of an unknown delivery: %v", err)
		}
	})
}

func TestHandingOnKeepsTheLaneAndNeedsNoAdmission(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		c := table("team-a", "acme", 1)
		id := b.send(t, c, "export", "wf", "j1")
		b.send(t, c, "export", "wf", "j2")
		lease := b.begin(t, b.one(t))
		if err := lease.HandOn(t.Context(), "table.publish"); err != nil {
			t.Fatal(err)
		}
		next := b.one(t)
		if next.Delivery != id || next.Task != "table.publish" || next.Queue != "export" {
			t.Fatalf("handed on as %+v", next)
		}
		if err := lease.HandOn(t.Context(), "table.publish"); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("handing on twice: %v", err)
		}
		if second := b.begin(t, next); second.Fence <= lease.Fence || second.Delivery.Attempts != 1 {
			t.Errorf("fence %d after %d, attempt %d", second.Fence, lease.Fence, second.Delivery.Attempts)
		}
	})
}
