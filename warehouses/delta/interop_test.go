//go:build interop

package delta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

// Readers that none of us wrote, in a Python environment that make interop makes.
const python = "../../.tools/interop/bin/python"

func runPython(t *testing.T, script string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(python, append([]string{filepath.Join("../../tools/interop", script)}, args...)...)
	var faults bytes.Buffer
	cmd.Stderr = &faults
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v; the readers are installed by: make interop\n%s", script, err, &faults)
	}
	return out
}

// seen is what a reader says of a table.
type seen struct {
	Table, Reader string
	Columns       [][2]string
	Rows          []map[string]*string
}

func (s seen) lines() (lines []string) {
	for _, row := range s.Rows {
		text, _ := json.Marshal(row) // sorts the keys
		lines = append(lines, string(text))
	}
	slices.Sort(lines)
	return lines
}

func readAll(t *testing.T, tables ...string) (all []seen) {
	t.Helper()
	for line := range bytes.Lines(runPython(t, "read.py", tables...)) {
		var s seen
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

var everyType = func() (s waybill.Schema) {
	for _, d := range waybill.DataTypes() {
		s.Fields = append(s.Fields, waybill.Field{Name: "a" + string(d), DataType: d})
	}
	return s
}()

var (
	deltaRSTypes = map[waybill.ColumnType]string{waybill.ColumnText: "string", waybill.ColumnJSON: "string", waybill.ColumnDouble: "double",
		waybill.ColumnMoney: "decimal(38,9)", waybill.ColumnBoolean: "boolean", waybill.ColumnDate: "date", waybill.ColumnTimestamp: "timestamp"}
	clickhouseTypes = map[waybill.ColumnType]string{waybill.ColumnText: "Nullable(String)", waybill.ColumnJSON: "Nullable(String)", waybill.ColumnDouble: "Nullable(Float64)",
		waybill.ColumnMoney: "Nullable(Decimal(38, 9))", waybill.ColumnBoolean: "Nullable(Bool)", waybill.ColumnDate: "Nullable(Date32)", waybill.ColumnTimestamp: "Nullable(DateTime64(6))"}
)

// wanted are the rows that a table of every type should have: of each job its values.
type wanted map[string][]int

func everyRecord(n int) string {
	if n%7 == 6 {
		return "{}"
	}
	return fmt.Sprintf(`{"aSTRING":"text %d ü","aNUMBER":%d.5,"aBOOLEAN":%t,"aDATE":"2025-01-%02d","aDATETIME":"2025-01-02T10:00:00.%06dZ",`+
		`"aMONEY":{"amount":%d,"currencyCode":"EUR"},"aLINK":"https://example.com/%d","aOBJECT":{"n":%d},"aARRAY":[%d]}`, n, n, n%2 == 0, n%28+1, n, 100*n+1, n, n, n)
}

func everyRow(job string, n int) string {
	row := map[string]*string{"KADOA_JOB_ID": &job, "KADOA_RUN_FINISHED_AT": new("2025-03-01T10:30:00.123456Z")}
	for _, c := range everyType.Columns("kadoa")[:12] {
		row[c.Name] = nil
	}
	if n%7 != 6 {
		for name, value := range map[string]string{"ASTRING": fmt.Sprintf("text %d ü", n), "ANUMBER": fmt.Sprintf("%d.5", n), "ABOOLEAN": fmt.Sprint(n%2 == 0),
			"ADATE": fmt.Sprintf("2025-01-%02d", n%28+1), "ADATETIME": fmt.Sprintf("2025-01-02T10:00:00.%06dZ", n), "AMONEY": fmt.Sprintf("%d.01", n),
			"AMONEY_CURRENCY": "EUR", "ALINK": fmt.Sprintf("https://example.com/%d", n), "AOBJECT": fmt.Sprintf(`{"n":%d}`, n), "AARRAY": fmt.Sprintf("[%d]", n)} {
			row[name] = &value
		}
	}
	text, _ := json.Marshal(row)
	return string(text)
}

func (w wanted) check(t *testing.T, stage string, all []seen) {
	t.Helper()
	var want []string
	for job, rows := range w {
		for _, n := range rows {
			want = append(want, everyRow(job, n))
		}
	}
	slices.Sort(want)
	for _, s := range all {
		types := deltaRSTypes
		if s.Reader == "clickhouse" {
			types = clickhouseTypes
		}
		for i, c := range everyType.Columns("kadoa") {
			if i >= len(s.Columns) || s.Columns[i] != [2]string{c.Name, types[c.Type]} {
				t.Fatalf("%s: %s sees the columns %v; column %d should be %s %s", stage, s.Reader, s.Columns, i, c.Name, types[c.Type])
			}
		}
		if got := s.lines(); !slices.Equal(got, want) {
			t.Fatalf("%s: %s sees in %s\n%s\nwant\n%s", stage, s.Reader, s.Table, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestForeignReadersSeeWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	store := openDir(t, dir)
	options := Options{CheckpointEvery: 20, CompactAbove: 40}
	table, latest := Open(store, "v1", options), Open(store, "latest", options)
	definition := Definition{Name: "WF_ALL__V1", Comment: waybill.VersionComment, Columns: everyType.Columns("kadoa")}
	want := wanted{}
	load := func(job string, generation int, numbers ...int) {
		t.Helper()
		l := Load{Delivery: "d-" + job, Generation: generation, JobID: job}
		var records []string
		for _, n := range numbers {
			records = append(records, everyRecord(n))
		}
		l = l.put(t, table, everyType, records...)
		must[Committed](t)(table.Replace(t.Context(), l))
		must[Committed](t)(latest.Follow(t.Context(), Mirror{Definition: definition, Source: table, SchemaVersion: 1}))
		want[job] = numbers
	}
	check := func(stage string) {
		t.Helper()
		want.check(t, stage, readAll(t, filepath.Join(dir, "v1"), filepath.Join(dir, "latest")))
	}
	must[Committed](t)(table.Create(t.Context(), definition))
	for i := range 3 {
		load(fmt.Sprintf("job%03d", i), 1, i, i+6)
	}
	check("appended")
	load("job001", 2, 11)
	check("replaced")
	for i := 3; i < 200; i++ {
		load(fmt.Sprintf("job%03d", i), 1, i)
	}
	check("after 200 commits and their checkpoints")
	must[Committed](t)(table.Compact(t.Context()))
	must[Committed](t)(latest.Follow(t.Context(), Mirror{Definition: definition, Source: table, SchemaVersion: 1}))
	check("compacted")
	load("job007", 2, 70, 71)
	must[Committed](t)(table.Remove(t.Context(), Load{Delivery: "d-job008", Generation: 2, JobID: "job008"}))
	must[Committed](t)(latest.Follow(t.Context(), Mirror{Definition: definition, Source: table, SchemaVersion: 1}))
	delete(want, "job008")
	check("replaced and removed in a compacted file")

	other := Open(store, "v2", options)
	second := Definition{Name: "WF_ALL__V2", Columns: citySchema.Columns("kadoa")}
	must[Committed](t)(other.Create(t.Context(), second))
	must[Committed](t)(latest.Follow(t.Context(), Mirror{Definition: second, Source: other, SchemaVersion: 2}))
	for _, s := range readAll(t, filepath.Join(dir, "latest")) {
		if len(s.Columns) != 4 || s.Columns[0][0] != "CITY" || len(s.Rows) != 0 {
			t.Errorf("with another schema %s sees %+v", s.Reader, s)
		}
	}
	must[Committed](t)(latest.Follow(t.Context(), Mirror{Definition: definition, Source: table, SchemaVersion: 1}))
	check("with the schema of before")

	o := options
	o.Now = func() time.Time { return time.Now().Add(60 * 24 * time.Hour) }
	for _, name := range []string{"v1", "latest"} {
		later := Open(store, name, o)
		if err := later.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if logs, files := must[int](t)(later.CleanLog(t.Context())), must[int](t)(later.Vacuum(t.Context())); logs == 0 || files == 0 {
			t.Errorf("%s: %d objects of the log and %d files were swept", name, logs, files)
		}
	}
	check("swept")
}

func TestForeignReadersSeeOldVersions(t *testing.T) {
	table, store := life(t, Options{})
	dir := strings.TrimPrefix(table.URL(), "file://")
	for _, version := range []int64{1, 4, 5, 11} {
		s := must[*Snapshot](t)(Open(store, "v1", Options{}).SnapshotAt(t.Context(), version))
		for _, other := range readAll(t, fmt.Sprintf("%s@%d", dir, version)) {
			if rows, _ := s.Rows(); int64(len(other.Rows)) != rows {
				t.Errorf("%s sees %d rows at version %d, we %d", other.Reader, len(other.Rows), version, rows)
			}
		}
	}
}

func TestWhatAForeignWriterAddsIsRead(t *testing.T) {
	table, store := life(t, Options{})
	before := contents(t, table)
	runPython(t, "append.py", strings.TrimPrefix(table.URL(), "file://"))
	want := append(slices.Clone(before), "")
	fresh := Open(store, "v1", Options{}) // begins at the other's checkpoint
	s := must[*Snapshot](t)(fresh.Snapshot(t.Context()))
	if s.checkpoint != 12 || s.Version != 12 || len(s.Files()) != len(want) {
		t.Errorf("version %d from checkpoint %d has %d files", s.Version, s.checkpoint, len(s.Files()))
	}
	for _, reader := range []*Table{table, fresh} {
		if got := contents(t, reader); len(got) != len(want) {
			t.Errorf("%q are seen, want one more than %q", got, before)
		}
	}
	l := delivery("ours", 1)
	l = l.put(t, table, citySchema, cityRecords(l, 1)...)
	must[Committed](t)(table.Replace(t.Context(), l))
	for _, other := range readAll(t, strings.TrimPrefix(table.URL(), "file://")) {
		if len(other.Rows) != len(want)+1 {
			t.Errorf("%s sees %d rows, want %d", other.Reader, len(other.Rows), len(want)+1)
		}
	}
}

func TestForeignReadersSeeArrowData(t *testing.T) {
	dir := t.TempDir()
	table := Open(openDir(t, dir), "v1", Options{})
	must[Committed](t)(table.Create(t.Context(), cities()))
	must[Committed](t)(table.Append(t.Context(), delivery("arrow", 1).putCities(t, table, 20_000)))
	var want []string
	for i := range 20_000 {
		row := map[string]*string{"CITY": new(fmt.Sprintf("city %d", i)), "PEOPLE": new(fmt.Sprintf("%d.5", i%3)), "KADOA_JOB_ID": new("arrow"),
			"KADOA_RUN_FINISHED_AT": new("2025-03-01T10:30:00.123456Z")}
		if i%5 == 4 {
			row["PEOPLE"] = nil
		}
		text, _ := json.Marshal(row)
		want = append(want, string(text))
	}
	slices.Sort(want)
	for _, s := range readAll(t, filepath.Join(dir, "v1")) {
		if got := s.lines(); !slices.Equal(got, want) {
			t.Errorf("%s sees %d rows, first %s, want %d, first %s", s.Reader, len(got), got[0], len(want), want[0])
		}
	}
}
