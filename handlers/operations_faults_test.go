package handlers_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testsize"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// state is all that is in the connector's place, as the customer and we find it.
func (o *operated) state(t *testing.T) []string {
	t.Helper()
	all := o.names(t)
	for _, name := range slices.Clone(all) {
		if name != "_withheld" {
			for _, row := range o.rows(t, name) {
				all = append(all, name+" "+row)
			}
		}
	}
	for _, name := range []string{runRows, waybill.TableVersions, waybill.TableFields} {
		for _, row := range o.rows(t, "_withheld/"+name) {
			all = append(all, "withheld "+name+" "+row)
		}
	}
	return all
}

// promised reports whether WORKFLOW_RUNS promises a run whose rows are not all there.
func (o *operated) promised(t *testing.T) {
	t.Helper()
	runs, err := delta.Open(o.deltaRig.tables, runRows, delta.Options{}).PublishedRuns(t.Context(), "wf_movies")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		table := delta.Open(o.deltaRig.tables, waybill.VersionTable("wf_movies", r.SchemaVersion), delta.Options{})
		s, err := table.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := table.JobRows(t.Context(), s, r.JobID); err != nil || n != 1 {
			t.Errorf("WORKFLOW_RUNS promises %s, of which there are %d rows, %v", r.JobID, n, err)
		}
	}
}

// The guarantee: whatever write an operation dies at, before or after it took
// effect, a repetition by a person or by a scheduler ends as if nothing had
// happened, with one receipt that tells what was there at first; and meanwhile
// no run is promised that is not there.
func TestAFaultAtAnyWriteOfAnOperationEndsTheSame(t *testing.T) {
	align := func(t *testing.T, o *operated, workflows ...string) error {
		o.connector.Workflows = workflows
		o.apply(t)
		_, err := o.Align(t.Context(), who, o.connector)
		return err
	}
	narrowed := func(t *testing.T, o *operated) {
		if err := align(t, o, "wf_other"); err != nil {
			t.Fatal(err)
		}
	}
	operations := map[string]struct {
		before func(t *testing.T, o *operated)
		do     func(t *testing.T, o *operated) error
	}{
		"latest": {do: func(t *testing.T, o *operated) error {
			_, err := o.PointLatest(t.Context(), who, o.connector, "wf_movies", 1)
			return err
		}},
		"unpublish": {do: func(t *testing.T, o *operated) error {
			_, err := o.Unpublish(t.Context(), who, id(o.run(2, schemaB)))
			return err
		}},
		"narrow":  {do: func(t *testing.T, o *operated) error { return align(t, o, "wf_other") }},
		"readmit": {narrowed, func(t *testing.T, o *operated) error { return align(t, o) }},
		"purge of a workflow": {func(t *testing.T, o *operated) { o.Keep = time.Nanosecond; narrowed(t, o) },
			func(t *testing.T, o *operated) error { return o.Resume(t.Context()) }},
		"delete and purge": {do: func(t *testing.T, o *operated) error {
			_, err := o.Delete(t.Context(), who, "lake", true)
			return err
		}},
	}
	prepared := func(t *testing.T, before func(*testing.T, *operated)) *operated {
		o := setupOperated(t)
		o.Abandoned = time.Nanosecond
		o.publish(t, o.run(1, schemaA, `{"Title":"a1"}`))
		o.publish(t, o.run(2, schemaB, `{"Title":"b2"}`))
		o.publish(t, o.other(3, `{"Title":"o3"}`))
		if before != nil {
			before(t, o)
		}
		return o
	}
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			reference := prepared(t, op.before)
			if err := op.do(t, reference); err != nil {
				t.Fatal(err)
			}
			want, done := reference.state(t), reference.receipts(t)
			for _, after := range []bool{false, true} {
				every := testsize.Of(4, 12)
				if after { // what an effect leaves, the fault before the next one leaves too
					every *= 2
				}
				first := 1 + rand.IntN(every)
				t.Logf("faults at every %dth write from the %dth", every, first)
				for n := first; ; n += every {
					o := prepared(t, op.before)
					faulty := &effects{Store: o.deltaRig.tables, failAt: n, after: after}
					o.place = faulty
					err := op.do(t, o)
					if err == nil && faulty.calls < n {
						if faulty.calls < 2 {
							t.Errorf("only %d writes were met", faulty.calls)
						}
						break
					}
					when := fmt.Sprintf("a fault at write %d, after its effect: %t", n, after)
					if err != nil {
						if name == "latest" || name == "unpublish" || name == "narrow" || name == "readmit" {
							o.promised(t)
						}
						if after {
							if err := o.Resume(t.Context()); err != nil {
								t.Fatalf("%s: resumed: %v", when, err)
							}
						}
						// What a scheduler cannot know of is asked for again.
						if !after || name == "delete and purge" {
							if err := op.do(t, o); err != nil && !errors.Is(err, waybill.ErrNotFound) {
								t.Fatalf("%s: repeated: %v", when, err)
							}
						}
					}
					if got := o.state(t); !slices.Equal(got, want) {
						t.Errorf("%s left\n%q\nwant\n%q", when, got, want)
					}
					got := o.receipts(t)
					for _, r := range done {
						if !slices.ContainsFunc(got, func(g waybill.OperationReceipt) bool {
							return g.Operation == r.Operation && slices.Equal(g.Changes, r.Changes)
						}) {
							t.Errorf("%s: of the receipts %+v none is %+v", when, got, r)
						}
					}
				}
			}
		})
	}
}
