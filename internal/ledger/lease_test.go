package ledger_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

func TestOneAttemptHoldsADelivery(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		id := b.plan(t, run("job_1"), 4)
		task := b.one(t)
		lease := b.begin(t, task)
		_, err := b.Begin(t.Context(), id, task.Generation, task.Enqueue)
		if busy, ok := errors.AsType[*ledger.BusyError](err); !ok || busy.Early || busy.After <= 0 {
			t.Fatalf("a second attempt got %v, want BusyError", err)
		}
		if now := time.Now().Add(-time.Minute).UnixMilli(); lease.Fence < now {
			t.Errorf("fence %d is not the time at least", lease.Fence)
		}
		b.wantState(t, id, waybill.StateRunning)
	})
}

func TestAStepIsDoneOnce(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		id := b.plan(t, run("job_1"), 4)
		lease := b.begin(t, b.one(t))
		if text, err := lease.Enter(t.Context(), waybill.StageStage); err != nil || text != nil {
			t.Fatalf("first entry: %s, %v", text, err)
		}
		if err := lease.Record(t.Context(), waybill.StageStage, map[string]int{"rows": 3}, time.Second); err != nil {
			t.Fatal(err)
		}
		if text, err := lease.Enter(t.Context(), waybill.StageStage); err != nil || string(text) != `{"rows":3}` {
			t.Fatalf("second entry: %s, %v", text, err)
		}
		if err := lease.Complete(t.Context(), waybill.Receipt{Rows: 3, Bytes: 99}); err != nil {
			t.Fatal(err)
		}
		if err := lease.Complete(t.Context(), waybill.Receipt{Rows: 3, Bytes: 99}); err != nil {
			t.Errorf("completing again, as after a lost reply: %v", err)
		}
		d := b.wantState(t, id, waybill.StateComplete)
		receipt, err := b.Receipt(t.Context(), d)
		if err != nil || receipt.Rows != 3 || receipt.DeliveryID != id || receipt.Fence != lease.Fence || d.Rows != 3 || d.Bytes != 99 {
			t.Errorf("receipt %+v, %v of %+v", receipt, err, d)
		}
		events, err := b.History(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var what []string
		for _, e := range events {
			what = append(what, e.What)
		}
		if want := []string{"planned", "started", "step", "complete"}; !slices.Equal(what, want) {
			t.Errorf("history %v, want %v", what, want)
		}
		if events[2].Duration != time.Second || events[2].Stage != waybill.StageStage {
			t.Errorf("step %+v", events[2])
		}
	})
}

func TestASilentAttemptLosesItsDelivery(t *testing.T) {
	servers(t, ledger.Options{Lease: 300 * time.Millisecond, MaxCrashes: 1}, func(t *testing.T, b bundle) {
		id := b.plan(t, run("job_1"), 4)
		task := b.one(t)
		crashed := b.begin(t, task)
		_ = crashed.Close(nil) // nothing renews it any more
		due := b.awaitDue(t)
		if due.State != waybill.StateRunning || due.Delivery != id {
			t.Fatalf("due %+v", due)
		}
		if moved, err := b.Repair(t.Context(), due); err != nil || !moved {
			t.Fatalf("repair: %t, %v", moved, err)
		}
		if moved, err := b.Repair(t.Context(), due); err != nil || moved {
			t.Fatalf("a second replica's repair took effect too: %t, %v", moved, err)
		}
		next := b.one(t)
		if _, err := b.Begin(t.Context(), id, task.Generation, task.Enqueue); !errors.Is(err, ledger.ErrGone) {
			t.Errorf("the old task got %v, want ErrGone", err)
		}
		second := b.begin(t, next)
		if second.Fence <= crashed.Fence || second.Delivery.Attempts != 1 {
			t.Errorf("fence %d after %d; a crash cost an attempt: %d", second.Fence, crashed.Fence, second.Delivery.Attempts)
		}
		if err := crashed.Record(t.Context(), waybill.StageStage, 1, 0); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("the silent attempt could record: %v", err)
		}
		if second.Poison() != nil {
			t.Error("one crash is no poison")
		}
		_ = second.Close(nil)
		if _, err := b.Repair(t.Context(), b.awaitDue(t)); err != nil {
			t.Fatal(err)
		}
		if b.begin(t, b.one(t)).Poison() == nil {
			t.Error("more crashes than allowed are poison")
		}
	})
}

func TestALeaseIsRenewed(t *testing.T) {
	servers(t, ledger.Options{Lease: time.Second}, func(t *testing.T, b bundle) {
		b.plan(t, run("job_1"), 4)
		lease := b.begin(t, b.one(t))
		time.Sleep(3 * time.Second) // three leases
		if err := context.Cause(lease.Context()); err != nil {
			t.Fatalf("the lease ended: %v", err)
		}
		if _, err := lease.Enter(t.Context(), waybill.StageStage); err != nil {
			t.Error(err)
		}
	})
}

func TestALostLeaseEndsItsContext(t *testing.T) {
	servers(t, ledger.Options{Lease: 200 * time.Millisecond}, func(t *testing.T, b bundle) {
		b.plan(t, run("job_1"), 4)
		lease := b.begin(t, b.one(t))
		replaced := run("job_1")
		replaced.RowCount, replaced.Replace = 9, true
		b.plan(t, replaced, 4)
		<-lease.Context().Done()
		if err := lease.Close(errors.New("cut short")); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
	})
}

func TestTheFirstReadPinsTheSource(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.plan(t, run("job_1"), 4)
		lease := b.begin(t, b.one(t))
		if pin, err := lease.PinnedSource(t.Context()); err != nil || pin != "" {
			t.Fatalf("pinned %q, %v before any read", pin, err)
		}
		for _, etag := range []string{"one", "two"} {
			if pin, err := lease.PinSource(t.Context(), etag); err != nil || pin != "one" {
				t.Errorf("pinned %q, %v", pin, err)
			}
		}
	})
}

// awaitDue polls, as the sweep does, until one delivery is due.
func (b bundle) awaitDue(t *testing.T) ledger.Due {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		due, err := b.Due(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(due) > 0 {
			return due[0]
		}
	}
	t.Fatal("nothing became due")
	return ledger.Due{}
}
