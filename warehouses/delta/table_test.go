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

func TestATableTakesItsOwnColumnsOnlyAndKeepsItsIdentity(t *testing.T) {
	table := Open(folder(t), "v1", Options{})
	created := must[Committed](t)(table.Create(t.Context(), cities()))
	if _, err := table.Create(t.Context(), Definition{Columns: otherSchema.Columns("kadoa")}); !errors.Is(err, ErrSchema) {
		t.Errorf("a table of other columns is answered with %v", err)
	}
	other := delivery("a", 1)
	other = other.put(t, table, otherSchema, `{"town":"Rome"}`)
	if _, err := table.Replace(t.Context(), other); !errors.Is(err, ErrSchema) {
		t.Errorf("a file of other columns is answered with %v", err)
	}
	if _, err := table.Describe(t.Context(), other.Files[0].Name, cities().Columns); !errors.Is(err, ErrSchema) {
		t.Errorf("a file that is said to have other columns is answered with %v", err)
	}
	c := must[Committed](t)(table.Overwrite(t.Context(), Definition{Columns: otherSchema.Columns("kadoa")}, other))
	if rows, _ := c.Rows(); rows != 1 || c.Metadata.ID != created.Metadata.ID || c.Columns()[0] != "TOWN" {
		t.Errorf("overwritten it is %+v", c.Metadata)
	}
	gone := delivery("b", 1)
	gone = gone.put(t, table, otherSchema, `{"town":"Oslo"}`)
	if err := table.store.Delete(t.Context(), table.key(gone.Files[0].Name)); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Replace(t.Context(), gone); !errors.Is(err, ErrMissingFile) {
		t.Errorf("a file that is gone is answered with %v", err)
	}
}
