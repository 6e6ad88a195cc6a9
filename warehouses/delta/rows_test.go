package delta

import (
	"errors"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

func TestRowsTakeThePlaceOfThoseWithTheirKey(t *testing.T) {
	versions := waybill.MetadataTables()[1]
	table := Open(folder(t), "versions", Options{})
	must[Committed](t)(table.Create(t.Context(), Definition{Name: versions.Name, Comment: versions.Comment, Columns: versions.Columns}))
	row := func(n int64, latest bool) Row {
		return Row{"WORKFLOW_ID": "wf", "SCHEMA_VERSION": n, "IS_LATEST": latest, "FIRST_SEEN_AT": finished.In(time.FixedZone("", 3600))}
	}
	put := func(rows ...Row) Committed {
		t.Helper()
		return must[Committed](t)(table.Upsert(t.Context(), versions.Key, rows))
	}
	put(row(1, true))
	if c := put(row(1, true)); c.Changed {
		t.Error("a row that is there was written again")
	}
	put(row(1, false), row(2, true))
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	rows := must[[]Row](t)(table.Rows(t.Context(), s))
	latest := map[int64]bool{}
	for _, r := range rows {
		latest[r["SCHEMA_VERSION"].(int64)] = r["IS_LATEST"].(bool)
		if r["FIRST_SEEN_AT"] != finished || r["TABLE_NAME"] != nil {
			t.Errorf("a row is %v", r)
		}
	}
	if len(rows) != 2 || latest[1] || !latest[2] {
		t.Errorf("the rows are %v", rows)
	}
	for name, bad := range map[string]Row{"an unknown column": {"NO": "x"}, "another type": {"WORKFLOW_ID": 5}} {
		_, err := table.Upsert(t.Context(), versions.Key, []Row{bad})
		if f, ok := errors.AsType[*waybill.Failure](err); !ok || f.Code != "delta.bad_rows" {
			t.Errorf("%s is answered with %v", name, err)
		}
	}
}

func TestRowsOfAnApplicationsVersionAreAddedOnce(t *testing.T) {
	events := waybill.MetadataTables()[3]
	table := Open(folder(t), "events", Options{})
	must[Committed](t)(table.Create(t.Context(), Definition{Name: events.Name, Columns: events.Columns}))
	for _, version := range []int64{1, 1, 2, 1} {
		must[Committed](t)(table.AppendRows(t.Context(), "activity", version, []Row{{"EVENT_ID": "e"}}))
	}
	must[Committed](t)(table.AppendRows(t.Context(), "activity", 3, nil))
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	rows, _ := s.Rows()
	if done, ok := s.Txn("activity"); rows != 2 || done != 3 || !ok {
		t.Errorf("%d rows, at %d", rows, done)
	}
}
