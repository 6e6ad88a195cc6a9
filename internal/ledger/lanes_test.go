package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// planLane plans a run for a connector that takes one delivery of a workflow at a time.
func (b bundle) planLane(t *testing.T, r waybill.Run) string {
	t.Helper()
	a, err := b.Accept(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	p := planned(r.TeamID, "lake", 4)
	p[0].Ordered = true
	if err := b.Plan(t.Context(), a, p); err != nil {
		t.Fatal(err)
	}
	b.Wait()
	return waybill.DeliveryID(r.RunKey, "lake")
}

func (b bundle) hold(t *testing.T) *ledger.Lane {
	t.Helper()
	lane, err := b.HoldLane(t.Context(), "team-a", "lake", "wf_movies")
	if err != nil {
		t.Fatal(err)
	}
	return lane
}

func TestNoDeliveryBeginsWhileAnOperationHasItsLane(t *testing.T) {
	servers(t, ledger.Options{Lease: 600 * time.Millisecond}, func(t *testing.T, b bundle) {
		b.planLane(t, run("job_1"))
		task := b.one(t)
		lane := b.hold(t)
		for range 3 { // longer than the lease: it is renewed
			_, err := b.Begin(t.Context(), task.Delivery, task.Generation, task.Enqueue)
			if busy, ok := errors.AsType[*ledger.BusyError](err); !ok || busy.Early {
				t.Fatalf("the attempt got %v, want BusyError", err)
			}
			time.Sleep(300 * time.Millisecond)
		}
		if lane.Context().Err() != nil {
			t.Fatal("the lane was lost")
		}
		if err := lane.Release(); err != nil {
			t.Fatal(err)
		}
		lease := b.begin(t, task)
		if lease.Fence <= lane.Fence {
			t.Errorf("the attempt after the operation has fence %d, the operation had %d", lease.Fence, lane.Fence)
		}
		if lanes, err := b.Lanes(t.Context(), "team-a", "lake"); err != nil || len(lanes) != 1 || lanes[0] != "wf_movies" {
			t.Errorf("lanes %v, %v", lanes, err)
		}
	})
}

func TestAnOperationWaitsForTheAttemptThatIsUnderWay(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.planLane(t, run("job_1"))
		lease := b.begin(t, b.one(t))
		soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := b.HoldLane(soon, "team-a", "lake", "wf_movies"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the lane was held beside a running attempt: %v", err)
		}
		held := make(chan *ledger.Lane)
		go func() {
			lane, _ := b.HoldLane(t.Context(), "team-a", "lake", "wf_movies")
			held <- lane
		}()
		if err := lease.Complete(t.Context(), waybill.Receipt{}); err != nil {
			t.Fatal(err)
		}
		lane := <-held
		if lane == nil || lane.Fence <= lease.Fence {
			t.Fatalf("lane %+v after an attempt with fence %d", lane, lease.Fence)
		}
		if err := lane.Release(); err != nil {
			t.Error(err)
		}
	})
}

func TestAnOperationOutlastsACancelledAttempt(t *testing.T) {
	servers(t, ledger.Options{Lease: 900 * time.Millisecond}, func(t *testing.T, b bundle) {
		id := b.planLane(t, run("job_1"))
		lease := b.begin(t, b.one(t))
		if err := b.Cancel(t.Context(), id, "by a test"); err != nil {
			t.Fatal(err)
		}
		lane := b.hold(t)
		select {
		case <-lease.Context().Done(): // it has noticed, or its own clock says so
		default:
			t.Error("the operation began while the attempt could be at work")
		}
		if err := lane.Release(); err != nil {
			t.Error(err)
		}
	})
}

func TestAnUnpublishedDeliveryIsRetriedAndOutlivesRedis(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		id := b.planLane(t, run("job_1"))
		task := b.one(t)
		lane := b.hold(t)
		err := b.Unpublished(t.Context(), lane, waybill.Delivery{ID: id, RunKey: run("job_1").RunKey, Generation: 1}, "export.push", "export")
		if _, ok := errors.AsType[*ledger.StateError](err); !ok {
			t.Fatalf("what is on its way was unpublished: %v", err)
		}
		if err := lane.Release(); err != nil {
			t.Fatal(err)
		}
		if err := b.begin(t, task).Complete(t.Context(), waybill.Receipt{Rows: 3}); err != nil {
			t.Fatal(err)
		}
		d := b.wantState(t, id, waybill.StateComplete)
		for range 2 { // and once more, as after a crash
			lane = b.hold(t)
			if err := b.Unpublished(t.Context(), lane, d, "export.push", "export"); err != nil {
				t.Fatal(err)
			}
			if err := lane.Release(); err != nil {
				t.Fatal(err)
			}
		}
		if d := b.wantState(t, id, waybill.StateUnpublished); d.Rows != 0 || d.Receipt != "" {
			t.Errorf("unpublished delivery %+v", d)
		}
		if err := b.Cancel(t.Context(), id, "by a test"); err == nil {
			t.Error("an unpublished delivery was cancelled")
		}
		if err := b.rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Rebuild(t.Context(), ledger.RebuildOptions{}); err != nil {
			t.Fatal(err)
		}
		b.wantState(t, id, waybill.StateUnpublished)
		if err := b.Describe(t.Context(), planned("team-a", "lake", 4)[0].Connector); err != nil {
			t.Fatal(err)
		}
		b.queue.take()
		if err := b.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if err := b.begin(t, b.one(t)).Complete(t.Context(), waybill.Receipt{Rows: 3}); err != nil {
			t.Fatal(err)
		}
		if d := b.wantState(t, id, waybill.StateComplete); d.Rows != 3 {
			t.Errorf("published anew: %+v", d)
		}
	})
}

func TestAnOperationIsNotedOnceUntilItsReceipt(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		p := ledger.PendingOperation{OperationReceipt: waybill.OperationReceipt{Operation: waybill.OperationLatest, Connector: "lake", TeamID: "team-a",
			WorkflowID: "wf_movies", By: "first", StartedAt: time.Now().UTC()}}
		if _, err := b.BeginOperation(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		second := p
		second.By = "second"
		if got, err := b.BeginOperation(t.Context(), second); err != nil || got.By != "first" {
			t.Fatalf("the second attempt is by %s, %v", got.By, err)
		}
		other := p
		other.WorkflowID = "wf_other"
		if _, err := b.BeginOperation(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if list, err := b.PendingOperations(t.Context(), ""); err != nil || len(list) != 2 {
			t.Fatalf("pending %+v, %v", list, err)
		}
		for range 2 { // and once more, as after a crash
			if _, err := b.EndOperation(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		if list, err := b.PendingOperations(t.Context(), "lake"); err != nil || len(list) != 1 || list[0].WorkflowID != "wf_other" {
			t.Errorf("pending %+v, %v", list, err)
		}
		if list, err := b.Operations(t.Context(), "lake"); err != nil || len(list) != 1 || list[0].By != "first" || list[0].CompletedAt.IsZero() {
			t.Errorf("receipts %+v, %v", list, err)
		}
	})
}
