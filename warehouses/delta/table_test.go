package delta

import (
	"errors"
	"testing"
)

func TestAJobIsReplacedRemovedAndNeverDoubled(t *testing.T) {
	table := Open(folder(t), "wf/v1", Options{})
	must[Committed](t)(table.Create(t.Context(), cities()))
	a := delivery("a", 1)
	a = a.put(t, table, citySchema, cityRecords(a, 2)...)
	b := delivery("b", 1)
	b = b.put(t, table, citySchema, cityRecords(b, 1)...)
	for range 2 {
		must[Committed](t)(table.Replace(t.Context(), a))
	}
	must[Committed](t)(table.Replace(t.Context(), b))
	wantContents(t, table, "a/1/0", "a/1/1", "b/1/0")

	second := delivery("a", 2)
	second = second.put(t, table, citySchema, cityRecords(second, 1)...)
	must[Committed](t)(table.Replace(t.Context(), second))
	wantContents(t, table, "a/2/0", "b/1/0")
	// The first generation's attempt comes late.
	if _, err := table.Replace(t.Context(), a); !errors.Is(err, ErrSuperseded) {
		t.Errorf("a stale attempt is answered with %v", err)
	}
	a.Fence = 9
	if c := must[Committed](t)(table.Replace(t.Context(), a)); c.Changed {
		t.Error("an older generation has changed the table")
	}
	must[Committed](t)(table.Remove(t.Context(), Load{Delivery: "d-a", Generation: 2, Fence: 10, JobID: "a"}))
	wantContents(t, table, "b/1/0")
	second.Fence = 11
	if c := must[Committed](t)(table.Replace(t.Context(), second)); c.Changed {
		t.Error("an attempt at a removed generation has brought its rows back")
	}
	wantContents(t, table, "b/1/0")
}
