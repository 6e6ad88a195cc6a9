package formats

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"go.uber.org/goleak"

	"github.com/waybillhq/waybill"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// schemaOf builds a schema from "name TYPE" or "name TYPE ORDER".
func schemaOf(fields ...string) waybill.Schema {
	var s waybill.Schema
	for _, f := range fields {
		parts := strings.Fields(f)
		field := waybill.Field{Name: parts[0], DataType: waybill.DataType(parts[1])}
		if len(parts) > 2 {
			field.DateOrder = waybill.DateOrder(parts[2])
		}
		s.Fields = append(s.Fields, field)
	}
	return s
}

// outcome is what a conversion made.
type outcome struct {
	Result
	files map[Format][]byte   // the files of each format, joined
	parts map[Format][][]byte // and one by one
}

func (o outcome) text(f Format) string { return string(o.files[f]) }

// to are outputs of one file each.
func to(writers map[Format]io.Writer) map[Format]Output {
	outputs := map[Format]Output{}
	for f, w := range writers {
		outputs[f] = To(w)
	}
	return outputs
}

// shelf keeps the files of a format in memory, and complains where they are
// not written one after the other.
type shelf struct{ files []*memoryFile }

type memoryFile struct {
	bytes.Buffer
	closed bool
}

func (f *memoryFile) Close() error {
	f.closed = true
	return nil
}

func (s *shelf) open(part int) (io.WriteCloser, error) {
	if part != len(s.files) {
		return nil, fmt.Errorf("part %d is opened after %d others", part, len(s.files))
	}
	if part > 0 && !s.files[part-1].closed {
		return nil, fmt.Errorf("part %d is opened before the one before is closed", part)
	}
	f := &memoryFile{}
	s.files = append(s.files, f)
	return f, nil
}

func run(r io.Reader, opts Options, formats ...Format) (outcome, error) {
	shelves := map[Format]*shelf{}
	outputs := map[Format]Output{}
	for _, f := range formats {
		shelves[f] = &shelf{}
		outputs[f] = shelves[f].open
	}
	c, err := Convert(context.Background(), r, outputs, opts)
	o := outcome{Result: c, files: map[Format][]byte{}, parts: map[Format][][]byte{}}
	for f, s := range shelves {
		for i, file := range s.files {
			if err == nil && (!file.closed || c.Parts[f][i].Bytes != int64(file.Len())) {
				return o, fmt.Errorf("part %d of %s is closed: %t, has %d bytes and is said to have %+v", i, f, file.closed, file.Len(), c.Parts[f])
			}
			o.files[f] = append(o.files[f], file.Bytes()...)
			o.parts[f] = append(o.parts[f], file.Bytes())
		}
	}
	return o, err
}

func mustRun(t *testing.T, input string, opts Options, formats ...Format) outcome {
	t.Helper()
	o, err := run(strings.NewReader(input), opts, formats...)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// table is a Parquet file read back: column names, and rows of nil, string,
// float64, bool or the ISO form of a date, time or decimal.
type table struct {
	names []string
	rows  [][]any
}

func readTable(t testing.TB, data []byte) table {
	t.Helper()
	r, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out table
	schema := r.MetaData().Schema
	for i := range schema.NumColumns() {
		out.names = append(out.names, schema.Column(i).Name())
	}
	for g := range r.NumRowGroups() {
		group := r.RowGroup(g)
		first := len(out.rows)
		for range group.NumRows() {
			out.rows = append(out.rows, make([]any, len(out.names)))
		}
		for i := range out.names {
			column, err := group.Column(i)
			if err != nil {
				t.Fatal(err)
			}
			for n, v := range readColumn(t, column, int(group.NumRows())) {
				out.rows[first+n][i] = v
			}
		}
	}
	return out
}

func readColumn(t testing.TB, r file.ColumnChunkReader, rows int) []any {
	t.Helper()
	switch r := r.(type) {
	case *file.ByteArrayColumnChunkReader:
		return readValues(t, r.ReadBatch, rows, func(v parquet.ByteArray) any { return string(v) })
	case *file.FixedLenByteArrayColumnChunkReader:
		return readValues(t, r.ReadBatch, rows, func(v parquet.FixedLenByteArray) any { return decimalText(v) })
	case *file.Float64ColumnChunkReader:
		return readValues(t, r.ReadBatch, rows, func(v float64) any { return v })
	case *file.BooleanColumnChunkReader:
		return readValues(t, r.ReadBatch, rows, func(v bool) any { return v })
	case *file.Int32ColumnChunkReader:
		return readValues(t, r.ReadBatch, rows, func(v int32) any {
			return time.Unix(int64(v)*86400, 0).UTC().Format("2006-01-02")
		})
	case *file.Int64ColumnChunkReader:
		return readValues(t, r.ReadBatch, rows, func(v int64) any {
			return time.UnixMicro(v).UTC().Format("2006-01-02T15:04:05.999999Z")
		})
	}
	t.Fatalf("column of type %T", r)
	return nil
}

func readValues[T any](t testing.TB, read func(int64, []T, []int16, []int16) (int64, int, error), rows int, text func(T) any) []any {
	t.Helper()
	out := make([]any, 0, rows)
	values, levels := make([]T, 1024), make([]int16, 1024)
	for len(out) < rows {
		total, n, err := read(1024, values, levels, nil)
		if err != nil || total == 0 {
			t.Fatalf("read %d of %d rows: %v", len(out), rows, err)
		}
		next := 0
		for _, level := range levels[:total] {
			if level == 0 {
				out = append(out, nil)
				continue
			}
			out = append(out, text(values[next]))
			next++
		}
		if next != n {
			t.Fatalf("%d values for %d levels", n, next)
		}
	}
	return out
}

// decimalText is a DECIMAL(38,9) with its trailing zeros cut.
func decimalText(b []byte) string {
	v := new(big.Int).SetBytes(b)
	if b[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	text := new(big.Rat).SetFrac(v, big.NewInt(1_000_000_000)).FloatString(9)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// bundledRun opens one of the real runs.
func bundledRun(t testing.TB, name string) (waybill.Run, []byte) {
	t.Helper()
	folder := filepath.Join("..", "cmd", "sandbox", "testdata", "runs")
	f, err := os.Open(filepath.Join(folder, name+".run.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := waybill.DecodeRun(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(folder, r.Source.URI))
	if err != nil {
		t.Fatal(err)
	}
	return r, data
}

func quarantined(c waybill.Conversion) string {
	var lines []string
	for _, q := range c.Quarantine {
		lines = append(lines, fmt.Sprintf("%d %s", q.Line, q.Reason))
	}
	return strings.Join(lines, "; ")
}
