package ledger_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// bring has a run of the past delivered to a connector.
func (b bundle) bring(t *testing.T, connector string, runs ...waybill.Run) {
	t.Helper()
	d := planned(runs[0].TeamID, connector, 1000)[0]
	d.Queue = ledger.Backfill
	if err := b.Bring(t.Context(), runs, d); err != nil {
		t.Fatal(err)
	}
	b.Wait()
}

func (b bundle) connectorsOf(t *testing.T, job string) (ids []string) {
	t.Helper()
	page, err := b.List(t.Context(), ledger.Filter{Job: job})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range page.Deliveries {
		ids = append(ids, d.Connector)
	}
	slices.Sort(ids)
	return ids
}

func TestWhatABackfillBringsGoesNowhereElseUntilItsProducerBringsIt(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		past := run("j1")
		b.bring(t, "old", past)
		b.planAll(t, "old", "other")
		if got := b.connectorsOf(t, "j1"); !slices.Equal(got, []string{"old"}) {
			t.Fatalf("it goes to %v", got)
		}
		said := past
		said.Source.URI = "s3://elsewhere/j1"
		for _, want := range []ledger.Outcome{ledger.OutcomeNew, ledger.OutcomeSame, ledger.OutcomeSame} {
			if a, err := b.Accept(t.Context(), said); err != nil || a.Outcome != want || a.Generation != 1 {
				t.Fatalf("%+v, %v, want %s", a, err, want)
			}
			b.planAll(t, "old", "other")
		}
		if got := b.connectorsOf(t, "j1"); !slices.Equal(got, []string{"old", "other"}) {
			t.Errorf("it goes to %v", got)
		}
		b.bring(t, "third", said) // known by now: goes there as it is known
		if a, err := b.Run(t.Context(), past.RunKey); err != nil || a.Historical() || a.Run.Source.URI != past.Source.URI {
			t.Errorf("%+v, %v", a, err)
		}
		if n := b.deliver(t); n != 3 || b.deliver(t) != 0 {
			t.Errorf("%d deliveries", n)
		}
	})
}

func TestARebuiltLedgerKnowsWhatABackfillBrought(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		done, waits := run("done"), run("waits")
		b.bring(t, "old", done)
		b.deliver(t)
		b.bring(t, "old", waits)
		b.queue.take()
		if _, err := b.StartBackfill(t.Context(), ledger.BackfillPlan{Connector: "old", Team: done.TeamID}, false); err != nil {
			t.Fatal(err)
		}
		if err := b.rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Rebuild(t.Context(), ledger.RebuildOptions{}); err != nil {
			t.Fatal(err)
		}
		b.planAll(t, "old", "other")
		if got := append(b.connectorsOf(t, "done"), b.connectorsOf(t, "waits")...); !slices.Equal(got, []string{"old", "old"}) {
			t.Errorf("they go to %v", got)
		}
		if n := b.deliver(t); n != 1 {
			t.Errorf("%d deliveries after the rebuild, want the one that waited", n)
		}
		if p, err := b.Backfill(t.Context(), "old"); err != nil || p.State != ledger.BackfillPlanning {
			t.Errorf("%+v, %v", p, err)
		}
		if a, err := b.Accept(t.Context(), waits); err != nil || a.Outcome != ledger.OutcomeNew {
			t.Errorf("its producer comes: %+v, %v", a, err)
		}
	})
}

func TestARebuiltLedgerLetsAPausedBackfillWait(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		past := run("waits")
		if _, err := b.StartBackfill(t.Context(), ledger.BackfillPlan{Connector: "old", Team: past.TeamID}, false); err != nil {
			t.Fatal(err)
		}
		change := func(to func(*ledger.BackfillPlan) error) {
			t.Helper()
			plan, err := b.ReviseBackfill(t.Context(), "old", 0, to)
			if err := errors.Join(err, b.HoldHistorical(t.Context(), past.TeamID, "old", plan.Holds())); err != nil {
				t.Fatal(err)
			}
			b.Wait()
		}
		change((*ledger.BackfillPlan).Pause)
		b.bring(t, "old", past)
		if n := b.deliver(t); n != 0 {
			t.Fatalf("%d deliveries of a paused backfill", n)
		}
		if err := b.rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Rebuild(t.Context(), ledger.RebuildOptions{}); err != nil {
			t.Fatal(err)
		}
		b.bring(t, "old", past) // as its next tick does, where its runs are planned anew
		if n := b.deliver(t); n != 0 {
			t.Errorf("%d deliveries of a paused backfill after the rebuild", n)
		}
		change((*ledger.BackfillPlan).Resume)
		if n := b.deliver(t); n != 1 {
			t.Errorf("%d deliveries after it was resumed", n)
		}
	})
}

func TestOneBackfillOfAConnectorAtATime(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		plan := ledger.BackfillPlan{Connector: "old", Team: "team-a", To: time.Now().Add(time.Hour)}
		first, err := b.StartBackfill(t.Context(), plan, true)
		if err != nil || first.Number != 1 || first.To.After(time.Now().Add(time.Minute)) {
			t.Fatalf("%+v, %v", first, err)
		}
		for _, initial := range []bool{true, false} {
			if _, err := b.StartBackfill(t.Context(), plan, initial); !errors.Is(err, ledger.ErrBackfillThere) {
				t.Errorf("a second: %v", err)
			}
		}
		end := func(p *ledger.BackfillPlan) error { p.State = ledger.BackfillComplete; return nil }
		if _, err := b.ReviseBackfill(t.Context(), "old", 7, end); !errors.Is(err, ledger.ErrBackfillEnded) {
			t.Errorf("another number: %v", err)
		}
		if _, err := b.ReviseBackfill(t.Context(), "old", 1, end); err != nil {
			t.Fatal(err)
		}
		if _, err := b.StartBackfill(t.Context(), plan, true); !errors.Is(err, ledger.ErrBackfillThere) {
			t.Errorf("an initial one after the first: %v", err)
		}
		if second, err := b.StartBackfill(t.Context(), plan, false); err != nil || second.Number != 2 {
			t.Errorf("%+v, %v", second, err)
		}
		if _, err := b.Backfill(t.Context(), "none"); !errors.Is(err, waybill.ErrNotFound) {
			t.Errorf("a connector without one: %v", err)
		}
	})
}
