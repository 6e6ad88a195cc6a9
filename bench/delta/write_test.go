package delta

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"golang.org/x/sync/errgroup"

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

// writeArrow puts Arrow data below a table, a file for each core, and returns their names.
func writeArrow(b *testing.B, store storage.Store, prefix string, batch arrow.RecordBatch) []string {
	b.Helper()
	files := int64(runtime.GOMAXPROCS(0))
	names := make([]string, files)
	var group errgroup.Group
	for i := range files {
		names[i] = fmt.Sprintf("d-1-1-%d.parquet", i)
		group.Go(func() error {
			part := batch.NewSlice(batch.NumRows()*i/files, batch.NumRows()*(i+1)/files)
			defer part.Release()
			var out bytes.Buffer
			w, err := pqarrow.NewFileWriter(arrowSchema, &out, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1)),
				pqarrow.DefaultWriterProps())
			if err != nil {
				return err
			}
			if err := errors.Join(w.Write(part), w.Close()); err != nil {
				return err
			}
			_, err = store.Put(b.Context(), prefix+"/"+names[i], &out, storage.PutOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return names
}

// publish makes a table of data files, and returns what that took since then.
func publish(b *testing.B, store storage.Store, prefix string, begun time.Time, names ...string) float64 {
	b.Helper()
	table := delta.Open(store, prefix, delta.Options{})
	must(table.Create(b.Context(), definition))(b)
	load := delta.Load{Delivery: "d", Generation: 1, Fence: 1, JobID: "job-1"}
	for _, name := range names {
		load.Files = append(load.Files, must(table.Describe(b.Context(), name, definition.Columns))(b))
	}
	must(table.Append(b.Context(), load))(b)
	return time.Since(begun).Seconds()
}

// BenchmarkWrite writes the same rows, in memory on all sides, as a table, in
// turns with delta-rs, zstd at level 1 everywhere. delta-rs is given Arrow; so
// is the table here, by Arrow's own Parquet writer; and then, as in a delivery,
// the JSON lines of a run, whose parsing and casting is part of what is measured.
func BenchmarkWrite(b *testing.B) {
	batch := records(*rows)
	run, peer := lines(batch), startPeer(b, batch)
	store, dir := folder(b)
	var fromArrow, fromLines, theirs []float64
	for turn := 0; b.Loop(); turn++ {
		for round := range *rounds {
			name := func(who string) string { return fmt.Sprintf("%s-%d-%d", who, turn, round) }
			begun := time.Now()
			fromArrow = append(fromArrow, publish(b, store, name("arrow"), begun, writeArrow(b, store, name("arrow"), batch)...))
			begun = time.Now()
			fromLines = append(fromLines, publish(b, store, name("lines"), begun, write(b, store, name("lines")+"/d-1-1-0.parquet", run)))
			theirs = append(theirs, peer(b, filepath.Join(dir, name("theirs"))))
			n := len(theirs) - 1
			fmt.Printf("round %d: waybill from Arrow %.2f s, from JSON lines %.2f s; delta-rs from Arrow %.2f s\n", n+1, fromArrow[n], fromLines[n], theirs[n])
		}
	}
	arrowRatio, linesRatio := median(theirs)/median(fromArrow), median(theirs)/median(fromLines)
	fmt.Printf("%d rows: waybill has %.2fx the throughput of delta-rs from Arrow, %.2fx from JSON lines\n", *rows, arrowRatio, linesRatio)
	b.ReportMetric(arrowRatio, "x-of-delta-rs")
	b.ReportMetric(linesRatio, "x-of-delta-rs-from-lines")
}

// startPeer gives delta-rs the data, and returns what has it write once.
func startPeer(b *testing.B, batch arrow.RecordBatch) func(testing.TB, string) float64 {
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
	return func(t testing.TB, folder string) float64 {
		t.Helper()
		if _, err := fmt.Fprintln(in, folder); err != nil {
			t.Fatal(err)
		}
		line := must(lines.ReadString('\n'))(t)
		return must(strconv.ParseFloat(strings.TrimSpace(line), 64))(t)
	}
}
