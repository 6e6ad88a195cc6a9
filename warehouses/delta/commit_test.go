package delta

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// answering carries out or not what it is asked to put conditionally, and
// answers as it is told.
type answering struct {
	storage.Store
	put     bool
	answers []error // of the first puts; then all is well
}

func (a *answering) Put(ctx context.Context, key string, r io.Reader, opts storage.PutOptions) (storage.Object, error) {
	if !opts.IfAbsent || len(a.answers) == 0 {
		return a.Store.Put(ctx, key, r, opts)
	}
	err := a.answers[0]
	a.answers = a.answers[1:]
	if a.put {
		if o, failed := a.Store.Put(ctx, key, r, opts); failed != nil {
			return o, failed
		}
	}
	return storage.Object{}, err
}

// Whatever a store answers to a commit that it took, or did not take, the
// commit is there once, and our caller is told the truth.
func TestACommitWithoutAnAnswerIsReadBack(t *testing.T) {
	lost := waybill.Failf(waybill.Transient, "storage.unreachable", "Try again.", "no answer")
	undecided := waybill.Failf(waybill.Transient, "storage.contended", "Try again.", "409 ConditionalRequestConflict")
	denied := waybill.Failf(waybill.Blocked, "storage.access_denied", "Allow it.", "403")
	met := &waybill.Failure{Verdict: waybill.Transient, Code: "storage.conflict", Action: "Look again.", Err: storage.ErrPrecondition}
	for name, tc := range map[string]struct {
		put     bool
		answers []error
		want    error
	}{
		"taken, the answer lost":             {true, []error{lost}, nil},
		"taken, and our repetition refused":  {true, []error{met}, nil},
		"not taken, the answer lost":         {false, []error{lost}, nil},
		"not decided, twice":                 {false, []error{undecided, undecided}, nil},
		"not taken, and never an answer":     {false, []error{lost, lost, lost, lost}, lost},
		"not allowed":                        {false, []error{denied}, denied},
		"refused, though nobody's was taken": {false, []error{met}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			store := folder(t)
			table := Open(store, "v1", Options{})
			must[Committed](t)(table.Create(t.Context(), cities()))
			a := delivery("a", 1)
			a = a.put(t, table, citySchema, cityRecords(a, 1)...)
			c, err := Open(&answering{store, tc.put, tc.answers}, "v1", Options{}).Replace(t.Context(), a)
			if !errors.Is(err, tc.want) || err == nil && (!c.Changed || c.Version != 1) {
				t.Errorf("it is answered with %+v, %v; want %v", c, err, tc.want)
			}
			if err != nil { // the step is repeated
				must[Committed](t)(table.Replace(t.Context(), a))
			}
			wantContents(t, table, "a/1/0")
			if s := must[*Snapshot](t)(table.Snapshot(t.Context())); s.Version != 1 {
				t.Errorf("the table is at version %d", s.Version)
			}
		})
	}
}

// What a commit costs beyond the upload of its data, with the table known:
// a look for newer commits, a look at the data file, and the commit.
func TestACommitToAKnownTableTakesThreeRequests(t *testing.T) {
	store := &faultyStore{Store: folder(t)}
	table := Open(store, "v1", Options{})
	must[Committed](t)(table.Create(t.Context(), cities()))
	a := delivery("a", 1)
	a = a.put(t, table, citySchema, cityRecords(a, 1)...)
	store.calls = nil
	must[Committed](t)(table.Replace(t.Context(), a))
	if len(store.calls) != 3 {
		t.Errorf("it took %d requests", len(store.calls))
	}
}

func TestEveryFaultSaysWhatToDo(t *testing.T) {
	table := Open(folder(t), "v1", Options{})
	codes := map[string]bool{}
	for means := range faults {
		f, ok := errors.AsType[*waybill.Failure](table.fail(means, "because"))
		if !ok || f.Verdict == "" || f.Code == "" || codes[f.Code] || f.Action == "" || !errors.Is(f, means) {
			t.Errorf("%v is %+v", means, f)
		}
		codes[f.Code] = true
	}
}
