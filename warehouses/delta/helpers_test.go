package delta

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var finished = time.Date(2025, 3, 1, 10, 30, 0, 123456000, time.UTC)

var citySchema = waybill.Schema{Fields: []waybill.Field{{Name: "city", DataType: waybill.String}, {Name: "people", DataType: waybill.Number}}}

func cities() Definition {
	return Definition{Name: "WF_CITIES__V1", Comment: waybill.VersionComment, Columns: citySchema.Columns("kadoa")}
}

func folder(t testing.TB) storage.Store {
	t.Helper()
	store, err := storage.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// clock ticks a second at each look.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time { return finished.Add(time.Duration(c.at.Add(1)) * time.Second) }

func numbered() func() string {
	var n atomic.Int64
	return func() string { return fmt.Sprintf("id-%d", n.Add(1)) }
}

// put converts records below a table and describes them.
func (l Load) put(t testing.TB, table *Table, schema waybill.Schema, records ...string) Load {
	t.Helper()
	l, err := l.staged(t.Context(), table, schema, records...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l Load) staged(ctx context.Context, table *Table, schema waybill.Schema, records ...string) (Load, error) {
	var out bytes.Buffer
	_, err := formats.Convert(ctx, strings.NewReader(strings.Join(records, "\n")), map[formats.Format]formats.Output{formats.Parquet: formats.To(&out)},
		formats.Options{Schema: schema, CPUs: 1, Warehouse: &formats.WarehouseColumns{Brand: "kadoa", JobID: l.JobID, FinishedAt: finished}})
	if err != nil {
		return l, err
	}
	name := FileName(l.Delivery, l.Generation, l.Fence, 0)
	if _, err := table.store.Put(ctx, table.key(name), &out, storage.PutOptions{}); err != nil {
		return l, err
	}
	file, err := table.Describe(ctx, name)
	l.Files = []DataFile{file}
	return l, err
}

// delivery is a load of a job with a number of cities, named after the job and
// the generation.
func delivery(job string, generation int) Load {
	return Load{Delivery: "d-" + job, Generation: generation, Fence: int64(generation), JobID: job}
}

func cityRecords(l Load, n int) (records []string) {
	for i := range n {
		records = append(records, fmt.Sprintf(`{"city":"%s/%d/%d","people":%d}`, l.JobID, l.Generation, i, i))
	}
	return records
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// contents are the cities of a table, sorted.
func contents(t testing.TB, table *Table) []string {
	t.Helper()
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	return contentsOf(t, table, s)
}

func contentsOf(t testing.TB, table *Table, s *Snapshot) (cities []string) {
	t.Helper()
	for _, row := range must[[]Row](t)(table.Rows(t.Context(), s)) {
		cities = append(cities, fmt.Sprint(row["CITY"]))
	}
	if rows, known := s.Rows(); !known || rows != int64(len(cities)) {
		t.Errorf("the statistics say %d rows (known: %t), there are %d", rows, known, len(cities))
	}
	slices.Sort(cities)
	return cities
}

func wantContents(t testing.TB, table *Table, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := contents(t, table); !slices.Equal(got, want) {
		t.Errorf("the table holds %q, want %q", got, want)
	}
	// A reader who knows nothing sees the same.
	if got := contents(t, Open(table.store, table.prefix, table.opts)); !slices.Equal(got, want) {
		t.Errorf("a fresh reader sees %q, want %q", got, want)
	}
}

// names are the objects of a store.
func names(t testing.TB, store storage.Store) (keys []string) {
	t.Helper()
	for o, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func state(s *Snapshot) string {
	return fmt.Sprint(slices.Sorted(maps.Keys(s.files)), s.Metadata.SchemaString, s.Metadata.Configuration)
}
