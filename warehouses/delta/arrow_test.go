package delta

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// cityBatch is n cities of a job as Arrow data; every fifth has no people.
func cityBatch(job string, n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "CITY", Type: arrow.BinaryTypes.String}, {Name: "PEOPLE", Type: arrow.PrimitiveTypes.Float64},
		{Name: "KADOA_JOB_ID", Type: arrow.BinaryTypes.String}, {Name: "KADOA_RUN_FINISHED_AT", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}}}, nil))
	defer b.Release()
	for i := range n {
		b.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("city %d", i))
		if i%5 == 4 {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.Float64Builder).Append(float64(i%3) + 0.5)
		}
		b.Field(2).(*array.StringBuilder).Append(job)
		b.Field(3).(*array.TimestampBuilder).Append(arrow.Timestamp(finished.UnixMicro()))
	}
	return b.NewRecordBatch()
}

// putCities puts cities below a table as Arrow data.
func (l Load) putCities(t *testing.T, table *Table, n int) Load {
	t.Helper()
	file, err := table.PutArrow(t.Context(), FileName(l.Delivery, l.Generation, l.Fence, 0), cities().Columns, []arrow.RecordBatch{cityBatch(l.JobID, n)})
	if err != nil {
		t.Fatal(err)
	}
	l.Files = []DataFile{file}
	return l
}

// What is said of a file of Arrow data is what reading it back tells; and its
// rows can be replaced, compacted and read like those of a run.
func TestArrowDataIsPartOfATableLikeARun(t *testing.T) {
	table := Open(folder(t), "v1", Options{CompactAbove: 1})
	must[Committed](t)(table.Create(t.Context(), cities()))
	l := delivery("arrow", 1).putCities(t, table, 1000)
	described := must[DataFile](t)(table.Describe(t.Context(), l.Files[0].Name, cities().Columns))
	if !reflect.DeepEqual(described, l.Files[0]) {
		t.Errorf("it is said to be\n%+v\nand is\n%+v", l.Files[0], described)
	}
	must[Committed](t)(table.Append(t.Context(), l))
	must[Committed](t)(table.Append(t.Context(), delivery("run", 1).put(t, table, citySchema, `{"city":"Bern","people":1}`)))
	must[Committed](t)(table.Replace(t.Context(), delivery("arrow", 2).putCities(t, table, 10)))
	must[Committed](t)(table.Compact(t.Context()))
	rows := must[[]Row](t)(table.Rows(t.Context(), must[*Snapshot](t)(table.Snapshot(t.Context()))))
	want := []Row{{"CITY": "Bern", "PEOPLE": 1.0, "KADOA_JOB_ID": "run", "KADOA_RUN_FINISHED_AT": finished}}
	for i := range 10 {
		row := Row{"CITY": fmt.Sprintf("city %d", i), "PEOPLE": float64(i%3) + 0.5, "KADOA_JOB_ID": "arrow", "KADOA_RUN_FINISHED_AT": finished}
		if i%5 == 4 {
			delete(row, "PEOPLE")
		}
		want = append(want, row)
	}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("%v\nwant\n%v", rows, want)
	}
}

func TestArrowDataOfOtherColumnsIsNoFile(t *testing.T) {
	store := folder(t)
	table := Open(store, "v1", Options{})
	_, err := table.PutArrow(t.Context(), "a.parquet", cities().Columns[:2], []arrow.RecordBatch{cityBatch("j", 3)})
	if err == nil {
		t.Fatal("a file of other columns is put")
	}
	if _, err := store.Stat(t.Context(), "v1/a.parquet"); err == nil {
		t.Error("it was put all the same")
	}
}
