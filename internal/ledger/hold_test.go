package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/waybillhq/waybill/internal/ledger"
)

func TestARightIsHeldByOneAtATimeAndEndsWithItsHolder(t *testing.T) {
	servers(t, ledger.Options{Lease: 300 * time.Millisecond}, func(t *testing.T, b bundle) {
		first, err := b.Hold(t.Context(), "activity:lake")
		if err != nil {
			t.Fatal(err)
		}
		refused := func(what string) {
			t.Helper()
			_, err := b.Hold(t.Context(), "activity:lake")
			if busy, ok := errors.AsType[*ledger.BusyError](err); !ok || busy.After <= 0 {
				t.Errorf("%s: %v", what, err)
			}
		}
		refused("while it is held")
		other, err := b.Hold(t.Context(), "activity:pond")
		if err != nil {
			t.Fatalf("another right: %v", err)
		}
		other.LetGo(t.Context(), 0)

		first.LetGo(t.Context(), time.Hour)
		refused("while nobody shall have it")
		if first.Context().Err() == nil {
			t.Error("what was let go has a context that goes on")
		}
		if again, err := b.Hold(t.Context(), "activity:pond"); err != nil {
			t.Errorf("what was let go: %v", err)
		} else {
			again.LetGo(t.Context(), 0)
		}
	})
}

func TestARightThatSomebodyElseTookIsLost(t *testing.T) {
	servers(t, ledger.Options{Lease: 150 * time.Millisecond}, func(t *testing.T, b bundle) {
		h, err := b.Hold(t.Context(), "activity:lake")
		if err != nil {
			t.Fatal(err)
		}
		if err := b.rdb.Set(t.Context(), "wb:{held}:activity:lake", "somebody", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		<-h.Context().Done()
		if !errors.Is(context.Cause(h.Context()), ledger.ErrLost) {
			t.Errorf("it ended by %v", context.Cause(h.Context()))
		}
		h.LetGo(t.Context(), 0)
		if owner, _ := b.rdb.Get(t.Context(), "wb:{held}:activity:lake").Result(); owner != "somebody" {
			t.Errorf("the new holder lost it to %q", owner)
		}
	})
}

func TestTheActivityCursorOutlivesRedis(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		none, err := b.ActivityCursor(t.Context(), "lake")
		if err != nil || none.Workflows == nil || !none.Until.IsZero() {
			t.Fatalf("%+v, %v", none, err)
		}
		at := time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)
		c := ledger.ActivityCursor{Until: at, Workflows: map[string]*ledger.ActivityInterval{"wf_movies": {From: at, Since: at, Until: at, Counted: 3}}}
		if err := errors.Join(b.MoveActivityCursor(t.Context(), "lake", c), b.RequestActivity(t.Context(), "lake", at)); err != nil {
			t.Fatal(err)
		}
		if err := b.rdb.FlushDB(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Rebuild(t.Context(), ledger.RebuildOptions{}); err != nil {
			t.Fatal(err)
		}
		got, err := b.ActivityCursor(t.Context(), "lake")
		request, err2 := b.ActivityRequest(t.Context(), "lake")
		text, _ := json.Marshal(got)
		want, _ := json.Marshal(c)
		if err := errors.Join(err, err2); err != nil || string(text) != string(want) || !request.From.Equal(at) || request.Asked.IsZero() {
			t.Errorf("%s and %+v, %v", text, request, err)
		}
	})
}

func TestATeamsWorkflowsAreThoseThatItHandedInRunsOf(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		for _, id := range []string{"wf_b", "wf_a"} {
			r := run("job")
			r.WorkflowID = id
			if _, err := b.Accept(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		got, err := b.Workflows(t.Context(), run("job").TeamID)
		if err != nil || !slices.Equal(got, []string{"wf_a", "wf_b"}) {
			t.Errorf("%v, %v", got, err)
		}
		if others, err := b.Workflows(t.Context(), "another"); err != nil || len(others) > 0 {
			t.Errorf("another team has %v, %v", others, err)
		}
	})
}
