package handlers_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testsize"
	"github.com/waybillhq/waybill/storage"
)

// effects fails the nth call that writes: before it takes effect, or after.
type effects struct {
	storage.Store
	calls, failAt int
	after         bool
}

func (e *effects) around(do func() (storage.Object, error)) (storage.Object, error) {
	e.calls++
	now := e.calls == e.failAt
	cut := waybill.Failf(waybill.Transient, "storage.unavailable", "It is tried again by itself.", "%w", errInjected)
	if now && !e.after {
		return storage.Object{}, cut
	}
	o, err := do()
	if now && err == nil {
		return storage.Object{}, cut
	}
	return o, err
}

func (e *effects) Put(ctx context.Context, key string, r io.Reader, opts storage.PutOptions) (storage.Object, error) {
	return e.around(func() (storage.Object, error) { return e.Store.Put(ctx, key, r, opts) })
}

func (e *effects) Delete(ctx context.Context, key string) error {
	_, err := e.around(func() (storage.Object, error) { return storage.Object{}, e.Store.Delete(ctx, key) })
	return err
}

func (e *effects) Copy(ctx context.Context, from, to string) (storage.Object, error) {
	return e.around(func() (storage.Object, error) { return e.Store.Copy(ctx, from, to) })
}

// The guarantee: whatever write the handler dies at, before or after it took
// effect, the next attempt ends with the same tables; and until then no row of
// WORKFLOW_RUNS promises what is not there.
func TestAFaultAtAnyWriteEndsInTheSameTables(t *testing.T) {
	prepare := func(t *testing.T, r *deltaRig) waybill.Run {
		r.publish(t, r.run(1, schemaA, `{"Title":"a1"}`))
		r.publish(t, r.run(2, schemaA, `{"Title":"a2"}`))
		run := r.run(2, schemaB, `{"Title":"b2"}`, `{"Title":"b2-2"}`) // all at once: another descriptor, in place of a run
		run.Replace = true
		return run
	}
	all := []string{v1, v2, latest, runRows, waybill.TableFields, waybill.TableVersions}
	reference := setupDelta(t)
	reference.publish(t, prepare(t, reference))
	want := map[string][]string{}
	for _, name := range all {
		want[name] = reference.rows(t, name)
	}
	every := testsize.Of(1, 4)
	for _, after := range []bool{false, true} {
		first := 1 + rand.IntN(every)
		t.Logf("faults at every %dth write from the %dth", every, first)
		for n := first; ; n += every {
			r := setupDelta(t)
			run := prepare(t, r)
			faulty := &effects{Store: r.tables, failAt: n, after: after}
			r.place = faulty
			ref := r.plan(t, run)
			err := r.DeltaPublish(t.Context(), ref)
			if err == nil && faulty.calls < n {
				if faulty.calls < 9 {
					t.Errorf("only %d writes were met", faulty.calls)
				}
				break // the delivery writes no more often
			}
			if err != nil {
				attempt, ok := errors.AsType[*ledger.Attempt](err)
				if !ok {
					t.Fatalf("write %d: %v", n, err)
				}
				if promised := r.column(t, runRows, "SCHEMA_VERSION"); promised == "1 2" && r.titles(t, v2) != "b2 b2-2" {
					t.Errorf("write %d failed, and WORKFLOW_RUNS promises what is not there", n)
				}
				if _, err := attempt.Settle(t.Context(), ledger.Decision{State: waybill.StateQueued}); err != nil {
					t.Fatal(err)
				}
				if err := r.DeltaPublish(t.Context(), ref); err != nil {
					t.Fatalf("second attempt after a fault at write %d, after its effect: %t: %v", n, after, err)
				}
			}
			for _, name := range all {
				if got := r.rows(t, name); !slices.Equal(got, want[name]) {
					t.Errorf("a fault at write %d, after its effect: %t, left in %s\n%s\nwant\n%s", n, after, name, strings.Join(got, "\n"), strings.Join(want[name], "\n"))
				}
			}
		}
	}
}
