package delta

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/delta"
)

var (
	rows   = flag.Int("rows", 1_000_000, "rows of the table that is written")
	rounds = flag.Int("rounds", 5, "how often each side writes it")
)

var schema = waybill.Schema{Fields: []waybill.Field{{Name: "title", DataType: waybill.String}, {Name: "body", DataType: waybill.String},
	{Name: "price", DataType: waybill.Number}, {Name: "sold", DataType: waybill.Number}, {Name: "listed", DataType: waybill.Boolean}}}

var finished = time.Date(2025, 3, 1, 10, 30, 0, 0, time.UTC)

func columns() []waybill.Column { return schema.Columns("kadoa") }

var arrowSchema = arrow.NewSchema([]arrow.Field{{Name: "TITLE", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "BODY", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "PRICE", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "SOLD", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "LISTED", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}, {Name: "KADOA_JOB_ID", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "KADOA_RUN_FINISHED_AT", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true}}, nil)

// records are n rows of a run, the same each time.
func records(n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema)
	defer b.Release()
	words := strings.Fields("stone river lamp garden paper window cloud harbour letter engine winter market")
	for i := range n {
		seed := uint64(i)*0x9e3779b97f4a7c15 + 1
		b.Field(0).(*array.StringBuilder).Append(words[seed%12] + " " + words[seed>>8%12] + " " + strconv.Itoa(i))
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("%x %s %s", seed, words[seed>>16%12], words[seed>>24%12]))
		b.Field(2).(*array.Float64Builder).Append(float64(seed%100_000) / 100)
		b.Field(3).(*array.Float64Builder).Append(float64(seed >> 40 % 500))
		b.Field(4).(*array.BooleanBuilder).Append(seed%3 == 0)
		b.Field(5).(*array.StringBuilder).Append("job-1")
		b.Field(6).(*array.TimestampBuilder).Append(arrow.Timestamp(finished.UnixMicro()))
	}
	return b.NewRecordBatch()
}

// lines are the same rows as a producer hands them in.
func lines(batch arrow.RecordBatch) []byte {
	var out bytes.Buffer
	for i := range int(batch.NumRows()) {
		fmt.Fprintf(&out, `{"title":%q,"body":%q,"price":%v,"sold":%v,"listed":%t}`+"\n", batch.Column(0).ValueStr(i), batch.Column(1).ValueStr(i),
			batch.Column(2).(*array.Float64).Value(i), batch.Column(3).(*array.Float64).Value(i), batch.Column(4).(*array.Boolean).Value(i))
	}
	return out.Bytes()
}

// write puts a run's rows as a data file below a table, and returns its name.
func write(b *testing.B, store storage.Store, key string, run []byte) string {
	b.Helper()
	var out bytes.Buffer
	must(formats.Convert(b.Context(), bytes.NewReader(run), map[formats.Format]formats.Output{formats.Parquet: formats.To(&out)},
		formats.Options{Schema: schema, Warehouse: &formats.WarehouseColumns{Brand: "kadoa", JobID: "job-1", FinishedAt: finished}}))(b)
	must(store.Put(b.Context(), key, &out, storage.PutOptions{}))(b)
	return filepath.Base(key)
}

// written is what it took to write a table once.
type written struct {
	seconds, cpu float64
	bytes        int64 // of its data file
}

func (w written) String() string {
	return fmt.Sprintf("%.2f s (%.2f s CPU, %.1f MB)", w.seconds, w.cpu, float64(w.bytes)/1e6)
}

// timed makes a table of the data file that put puts below it.
func timed(b *testing.B, store storage.Store, prefix string, put func(table *delta.Table, name string) delta.DataFile) written {
	b.Helper()
	begun, cpu := time.Now(), cpuSeconds()
	table := delta.Open(store, prefix, delta.Options{})
	must(table.Create(b.Context(), definition))(b)
	file := put(table, "d-1-1-00000.parquet")
	must(table.Append(b.Context(), delta.Load{Delivery: "d", Generation: 1, Fence: 1, JobID: "job-1", Files: []delta.DataFile{file}}))(b)
	return written{time.Since(begun).Seconds(), cpuSeconds() - cpu, file.Size}
}

// cpuSeconds is what this process took of the cores so far.
func cpuSeconds() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// BenchmarkWrite writes the same rows, in memory on all sides, as a table, in
// turns with delta-rs: the table here from Arrow data, and, as in a delivery, from
// the JSON lines of a run, whose parsing and casting is part of what is
// measured, with zstd at level 1; delta-rs from Arrow data, with zstd at level 1 and
// with Snappy, its default. The figure is from Arrow on both sides with zstd.
func BenchmarkWrite(b *testing.B) {
	batch := records(*rows)
	run, peer := lines(batch), startPeer(b, batch)
	store, dir := folder(b)
	ratios := map[string][]float64{}
	for turn := 0; b.Loop(); turn++ {
		for round := range *rounds {
			name := func(who string) string { return fmt.Sprintf("%s-%d-%d", who, turn, round) }
			arrows := timed(b, store, name("arrow"), func(table *delta.Table, name string) delta.DataFile {
				return must(table.PutArrow(b.Context(), name, definition.Columns, []arrow.RecordBatch{batch}))(b)
			})
			theirs := peer(b, "zstd", filepath.Join(dir, name("zstd")))
			lines := timed(b, store, name("lines"), func(table *delta.Table, file string) delta.DataFile {
				write(b, store, name("lines")+"/"+file, run)
				return must(table.Describe(b.Context(), file, definition.Columns))(b)
			})
			snappy := peer(b, "snappy", filepath.Join(dir, name("snappy")))
			fmt.Printf("round %d: waybill from Arrow %v, from JSON lines %v; delta-rs from Arrow %v, with Snappy %v\n", turn**rounds+round+1, arrows, lines, theirs, snappy)
			for key, ratio := range map[string]float64{"arrow": theirs.seconds / arrows.seconds, "arrow-cpu": theirs.cpu / arrows.cpu,
				"snappy": snappy.seconds / arrows.seconds, "lines": theirs.seconds / lines.seconds} {
				ratios[key] = append(ratios[key], ratio)
			}
		}
	}
	fmt.Printf("%d rows, medians of the rounds' ratios: from Arrow waybill has %.2fx the throughput of delta-rs (%.2fx for each second of CPU), %.2fx that of delta-rs with Snappy; from JSON lines %.2fx\n",
		*rows, median(ratios["arrow"]), median(ratios["arrow-cpu"]), median(ratios["snappy"]), median(ratios["lines"]))
	b.ReportMetric(median(ratios["arrow"]), "x-of-delta-rs")
	b.ReportMetric(median(ratios["lines"]), "x-of-delta-rs-from-lines")
}

// startPeer gives delta-rs the data, and returns what has it write once, with a codec, to a folder.
func startPeer(b *testing.B, batch arrow.RecordBatch) func(t testing.TB, codec, folder string) written {
	b.Helper()
	file := filepath.Join(b.TempDir(), "records.arrow")
	out := must(os.Create(file))(b)
	w := must(ipc.NewFileWriter(out, ipc.WithSchema(arrowSchema)))(b)
	if err := w.Write(batch); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if err := out.Close(); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), "../../.tools/interop/bin/python", "../../tools/interop/write.py", file)
	cmd.Stderr = os.Stderr
	in, answers := must(cmd.StdinPipe())(b), must(cmd.StdoutPipe())(b)
	if err := cmd.Start(); err != nil {
		b.Fatalf("%v; delta-rs is installed by: make interop", err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	lines := bufio.NewReader(answers)
	return func(t testing.TB, codec, folder string) (w written) {
		t.Helper()
		if _, err := fmt.Fprintln(in, codec, folder); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fscan(lines, &w.seconds, &w.cpu, &w.bytes); err != nil {
			t.Fatal(err)
		}
		return w
	}
}
