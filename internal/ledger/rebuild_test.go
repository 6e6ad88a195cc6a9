package ledger_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// filled is a ledger with something of everything: two connectors of which one
// was deleted, two schema versions, delivered runs, a replaced one, one that is
// half delivered, and one that waits.
func (b bundle) filled(t *testing.T) {
	t.Helper()
	if err := errors.Join(b.put(t, "lake", "team-a", `{"id":"lake"}`), b.put(t, "pond", "team-a", `{"id":"pond"}`), b.DeleteConnector(t.Context(), "pond")); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		b.hand(t, run(fmt.Sprintf("job_%d", i)), "lake")
	}
	b.deliver(t)
	replacement := run("job_0")
	replacement.RowCount, replacement.Replace = 4, true
	b.hand(t, replacement, "lake")
	b.deliver(t)
	pending := run("job_1")
	pending.RowCount, pending.Replace = 5, true
	b.hand(t, pending, "lake") // generation 2, which is not delivered
	b.hand(t, live("job_live", "Other"), "lake", "second")
	ready := b.queue.take()
	i := slices.IndexFunc(ready, func(r ledger.Ready) bool {
		return r.Delivery == waybill.DeliveryID(run("job_live").RunKey, "lake")
	})
	b.queue.ready = ready[i : i+1]
	b.deliver(t) // to the lake, and not to the second
}

func TestARebuiltLedgerDeliversNothingTwice(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.filled(t)
		before := map[string]waybill.Delivery{}
		page, err := b.List(t.Context(), ledger.Filter{State: waybill.StateComplete})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Deliveries {
			before[d.ID] = d
		}
		if _, err := b.Rebuild(t.Context(), ledger.RebuildOptions{}); !errors.Is(err, ledger.ErrNotEmpty) {
			t.Errorf("rebuilding over a ledger: %v", err)
		}
		b.rdb.FlushAll(t.Context())
		done, err := b.Rebuild(t.Context(), ledger.RebuildOptions{})
		if want := (ledger.Rebuilt{Documents: 2, Schemas: 2, Runs: 6, Deliveries: 6, Unfinished: 2}); err != nil || done != want {
			t.Errorf("rebuilt %+v, %v; want %+v", done, err, want)
		}
		if again, err := b.Rebuild(t.Context(), ledger.RebuildOptions{Merge: true}); err != nil || again.Runs+again.Deliveries != 0 {
			t.Errorf("once more: %+v, %v; want nothing new", again, err)
		}
		for id, was := range before {
			d := b.wantState(t, id, waybill.StateComplete)
			if d.RunKey != was.RunKey || d.Rows != 3 || d.Receipt != was.Receipt || d.Generation != was.Generation || d.CompletedAt.Sub(was.CompletedAt).Abs() > time.Minute {
				t.Errorf("%+v, was %+v", d, was)
			}
		}
		b.planAll(t, "lake", "second", "created-since")
		var got []string
		for _, r := range b.queue.take() {
			lease := b.begin(t, r)
			got = append(got, fmt.Sprintf("%s to %s, generation %d", lease.Delivery.JobID, lease.Delivery.Connector, r.Generation))
			if was, err := lease.Replaces(t.Context()); r.Generation == 2 && (err != nil || was.Location != "file:///job_1/1/") {
				t.Errorf("the replacement replaces %+v, %v", was, err)
			}
		}
		slices.Sort(got)
		if want := []string{"job_1 to lake, generation 2", "job_live to second, generation 1"}; !slices.Equal(got, want) {
			t.Errorf("under way again %v, want %v", got, want)
		}
		for i := range 5 {
			r := run(fmt.Sprintf("job_%d", i))
			if i < 2 {
				r.RowCount = int64(4 + i)
			}
			if a := b.hand(t, r, "lake"); a.Outcome != ledger.OutcomeSame {
				t.Errorf("%s handed in again: %+v", r.JobID, a)
			}
		}
		if n := b.version(t, live("job_new", "Third")); n != 3 {
			t.Errorf("a new schema has version %d, want 3", n)
		}
		if err := b.put(t, "pond", "team-a", `{"id":"pond"}`); !errors.Is(err, waybill.ErrIDUsed) {
			t.Errorf("a deleted id was taken again: %v", err)
		}
	})
}

// Who forgets to rebuild does no harm: what was delivered is looked up when it
// is handed in again.
func TestALostRedisDeliversNothingTwiceEvenWithoutARebuild(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.filled(t)
		b.rdb.FlushAll(t.Context())
		for i := range 5 {
			r := run(fmt.Sprintf("job_%d", i))
			if i < 2 {
				r.RowCount = int64(4 + i)
			}
			if a := b.hand(t, r, "lake"); a.Outcome != ledger.OutcomeSame {
				t.Errorf("%s handed in again: %+v", r.JobID, a)
			}
		}
		if ready := b.queue.take(); len(ready) != 1 || ready[0].Generation != 2 {
			t.Errorf("under way: %+v, want the replacement that was not delivered", ready)
		}
	})
}

func TestARebuildLeavesWhatIsOldInOurBucket(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.filled(t)
		b.rdb.FlushAll(t.Context())
		done, err := b.Rebuild(t.Context(), ledger.RebuildOptions{Since: time.Now().Add(time.Hour)})
		if want := (ledger.Rebuilt{Documents: 2, Schemas: 2, Skipped: 6}); err != nil || done != want {
			t.Errorf("rebuilt %+v, %v; want %+v", done, err, want)
		}
		if a := b.hand(t, run("job_3"), "lake"); a.Outcome != ledger.OutcomeSame || b.deliver(t) != 0 {
			t.Errorf("an old run handed in again: %+v", a)
		}
	})
}

func TestWhatWasCancelledDoesNotComeBack(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.hand(t, run("job_1"), "lake", "pond")
		d, err := b.Delivery(t.Context(), waybill.DeliveryID(run("job_1").RunKey, "pond"))
		if err != nil {
			t.Fatal(err)
		}
		b.queue.ready = slices.DeleteFunc(b.queue.take(), func(r ledger.Ready) bool { return r.Delivery == d.ID })
		b.deliver(t)
		if err := b.Withdraw(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		b.rdb.FlushAll(t.Context())
		if done, err := b.Rebuild(t.Context(), ledger.RebuildOptions{}); err != nil || done.Deliveries != 1 || done.Unfinished != 0 {
			t.Errorf("%+v, %v", done, err)
		}
	})
}

func TestARebuildThatIsCutOffIsRepeated(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.filled(t)
		b.rdb.FlushAll(t.Context())
		cut := errors.New("the power is off")
		var reads atomic.Int64
		b.bucket.during(func(call string) error {
			if reads.Add(1) > 12 && strings.HasPrefix(call, "get ") {
				return cut
			}
			return nil
		})
		if _, err := b.Rebuild(t.Context(), ledger.RebuildOptions{}); !errors.Is(err, cut) {
			t.Fatalf("got %v", err)
		}
		b.bucket.during(nil)
		if _, err := b.Rebuild(t.Context(), ledger.RebuildOptions{Merge: true}); err != nil {
			t.Fatal(err)
		}
		page, err := b.List(t.Context(), ledger.Filter{State: waybill.StateComplete})
		if err != nil || len(page.Deliveries) != 6 {
			t.Errorf("%d complete deliveries, %v; want 6", len(page.Deliveries), err)
		}
	})
}

func TestTheExportHoldsTheWholeLedgerOnce(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.filled(t)
		b.hand(t, run("job_idle"))
		signed := run("job_signed")
		signed.Source.URI = "https://runs.example/1.jsonl?X-Amz-Signature=secret"
		if _, err := b.Accept(t.Context(), signed); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := b.Export(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "secret") {
			t.Error("a signature is in the export")
		}
		counts, runs := map[ledger.RecordType]int{}, map[waybill.RunKey]bool{}
		last := ledger.RecordDocument
		for line := range strings.Lines(out.String()) {
			var r ledger.Record
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			counts[r.Type]++
			switch r.Type {
			case ledger.RecordDocument:
				if last != ledger.RecordDocument || r.Deleted != (r.ID == "pond") || r.Kind != "connectors" {
					t.Errorf("%s", line)
				}
			case ledger.RecordRun:
				runs[r.Run.RunKey] = true
			case ledger.RecordDelivery:
				d, err := b.Delivery(t.Context(), r.Delivery.ID)
				if err != nil || !reflect.DeepEqual(d, *r.Delivery) || len(r.History) == 0 {
					t.Errorf("%s is not %+v, %v", line, d, err)
				}
				if !runs[r.Delivery.RunKey] {
					t.Errorf("delivery %s stands before its run", d.ID)
				}
			}
			last = r.Type
		}
		want := map[ledger.RecordType]int{ledger.RecordDocument: 2, ledger.RecordSchema: 2, ledger.RecordRun: 8, ledger.RecordDelivery: 7}
		if !reflect.DeepEqual(counts, want) || len(runs) != 8 {
			t.Errorf("%v of %d runs, want %v", counts, len(runs), want)
		}
	})
}
