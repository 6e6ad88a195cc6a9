package formats

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/waybillhq/waybill"
)

var arrowColumns = []waybill.Column{{Name: "TEXT", Type: waybill.ColumnText}, {Name: "OBJECT", Type: waybill.ColumnJSON}, {Name: "NUMBER", Type: waybill.ColumnDouble},
	{Name: "COUNT", Type: waybill.ColumnInteger}, {Name: "PRICE", Type: waybill.ColumnMoney}, {Name: "SOLD", Type: waybill.ColumnBoolean},
	{Name: "DAY", Type: waybill.ColumnDate}, {Name: "AT", Type: waybill.ColumnTimestamp}}

func arrowSchemaOf(columns []waybill.Column) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.Name, Type: arrowTypeOf[c.Type], Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// drawn makes rows of every type. In some columns values repeat so that they have a
// dictionary, in some they do not; in some there are NULLs, or nothing else.
func drawn(r *rand.Rand, rows int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchemaOf(arrowColumns))
	defer b.Release()
	for i := range arrowColumns {
		distinct, nulls := []int64{1, 2, 3, 40, 300, 5000, math.MaxInt32}[r.IntN(7)], []float64{0, 0, 0.001, 0.3, 1}[r.IntN(5)]
		for range rows {
			if r.Float64() < nulls {
				b.Field(i).AppendNull()
				continue
			}
			appendDrawn(b.Field(i), r.Int64N(distinct)-distinct/3)
		}
	}
	return b.NewRecordBatch()
}

func appendDrawn(column array.Builder, n int64) {
	switch c := column.(type) {
	case *array.StringBuilder:
		c.Append(strings.Repeat("ü", int(n&7)) + fmt.Sprint(n)[1:])
	case *array.Float64Builder:
		c.Append(float64(n) + 0.25)
	case *array.Int64Builder:
		c.Append(n << 30)
	case *array.Decimal128Builder:
		c.Append(decimal128.FromI64(n).Mul(decimal128.FromI64(math.MaxInt64)))
	case *array.BooleanBuilder:
		c.Append(n%2 == 0)
	case *array.Date32Builder:
		c.Append(arrow.Date32(n % 100_000))
	case *array.TimestampBuilder:
		c.Append(arrow.Timestamp(n * 1_000_003))
	}
}

// sliced cuts a batch into some batches, which begin in the middle of its buffers.
func sliced(r *rand.Rand, b arrow.RecordBatch) (parts []arrow.RecordBatch) {
	for from := int64(0); from < b.NumRows(); {
		to := min(b.NumRows(), from+1+r.Int64N(b.NumRows()))
		parts = append(parts, b.NewSlice(from, to))
		from = to
	}
	return parts
}

func arrowFileOf(t testing.TB, columns []waybill.Column, groupRows int64, batches ...arrow.RecordBatch) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := writeArrow(t.Context(), &out, columns, batches, groupRows); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sameRows reads a file back with the library's reader.
func sameRows(t testing.TB, data []byte, want arrow.RecordBatch) {
	t.Helper()
	table, err := pqarrow.ReadTable(t.Context(), bytes.NewReader(data), nil, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	if table.NumRows() != want.NumRows() {
		t.Fatalf("%d rows, want %d", table.NumRows(), want.NumRows())
	}
	for i := range int(want.NumCols()) {
		got, err := array.Concatenate(table.Column(i).Data().Chunks(), memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		if !array.Equal(got, want.Column(i)) && fmt.Sprint(got) != fmt.Sprint(want.Column(i)) { // as text, NaN equals NaN
			t.Fatalf("column %s is\n%v\nwant\n%v", want.ColumnName(i), got, want.Column(i))
		}
	}
}

func TestArrowDataIsReadBackAsItWas(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		batch := drawn(r, 1+r.IntN(20_000))
		sameRows(t, arrowFileOf(t, arrowColumns, 1+r.Int64N(20_000), sliced(r, batch)...), batch)
	}
}

// DuckDB reads the very values, and finds statistics that are the least and
// the greatest of them.
func TestDuckDBReadsArrowDataAndItsStatistics(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 2))
		batch := drawn(r, 3000)
		o := outcome{files: map[Format][]byte{Parquet: arrowFileOf(t, arrowColumns, 4000, sliced(r, batch)...)}}
		db, folder := openDuckDB(t, o)
		file := folder + "/data.parquet"
		rows := query(t, db, fmt.Sprintf(`SELECT "TEXT", "NUMBER", "COUNT", CAST("PRICE" AS VARCHAR), "SOLD", CAST("DAY" AS VARCHAR), epoch_us("AT") FROM '%s'`, file))
		if len(rows) != int(batch.NumRows()) {
			t.Fatalf("%d rows", len(rows))
		}
		for i, row := range rows {
			if got, want := fmt.Sprint(row), fmt.Sprint(arrowRow(batch, i)); got != want {
				t.Fatalf("row %d: %s, want %s", i, got, want)
			}
		}
		for _, c := range arrowColumns {
			stats := query(t, db, fmt.Sprintf(`SELECT stats_min_value, stats_max_value, stats_null_count FROM parquet_metadata('%s') WHERE path_in_schema = '%s'`, file, c.Name))
			want := query(t, db, fmt.Sprintf(`SELECT CAST(min(%[1]q) AS VARCHAR), CAST(max(%[1]q) AS VARCHAR), count(*) - count(%[1]q) FROM '%[2]s'`, c.Name, file))
			if got, want := fmt.Sprint(stats[0]), fmt.Sprint(want[0]); got != want {
				t.Errorf("seed %d: the statistics of %s are %s, want %s", seed, c.Name, got, want)
			}
		}
	}
}

// arrowRow is a row as DuckDB is asked for it.
func arrowRow(b arrow.RecordBatch, i int) (row []any) {
	for _, column := range []int{0, 2, 3, 4, 5, 6, 7} {
		a := b.Column(column)
		switch a := a.(type) {
		case *array.String:
			row = append(row, a.Value(i))
		case *array.Float64:
			row = append(row, a.Value(i))
		case *array.Int64:
			row = append(row, a.Value(i))
		case *array.Decimal128:
			row = append(row, a.Value(i).ToString(decimalScale))
		case *array.Boolean:
			row = append(row, a.Value(i))
		case *array.Date32:
			row = append(row, a.Value(i).FormattedString())
		case *array.Timestamp:
			row = append(row, int64(a.Value(i)))
		}
		if a.IsNull(i) {
			row[len(row)-1] = nil
		}
	}
	return row
}

func oneColumn(c waybill.Column, fill func(array.Builder)) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchemaOf([]waybill.Column{c}))
	defer b.Release()
	fill(b.Field(0))
	return b.NewRecordBatch()
}

func statisticsOf(t *testing.T, data []byte) metadata.TypedStatistics {
	t.Helper()
	chunk, err := openParquet(t, data).MetaData().RowGroup(0).ColumnChunk(0)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := chunk.Statistics()
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// Readers skip by statistics: NaN has no place in them, and a zero is as well
// the other zero.
func TestArrowStatisticsOfNaNAndZero(t *testing.T) {
	column := waybill.Column{Name: "NUMBER", Type: waybill.ColumnDouble}
	negative := math.Copysign(0, -1)
	for name, test := range map[string]struct {
		values    []float64
		low, high float64
		none      bool
	}{
		"NaN among others":  {values: []float64{math.NaN(), 2, math.NaN(), 1}, low: 1, high: 2},
		"only NaN":          {values: []float64{math.NaN(), math.NaN()}, none: true},
		"a zero":            {values: []float64{0, 5}, low: negative, high: 5},
		"a negative zero":   {values: []float64{-5, negative}, low: -5, high: 0},
		"repeated zeros":    {values: []float64{0, negative, 0, negative, 0, 0}, low: negative, high: 0},
		"infinite":          {values: []float64{math.Inf(1), math.Inf(-1)}, low: math.Inf(-1), high: math.Inf(1)},
		"descending":        {values: []float64{3, 2, 1}, low: 1, high: 3},
		"repeated with NaN": {values: []float64{1, 1, 1, math.NaN(), math.NaN(), math.NaN(), 1, 1}, low: 1, high: 1},
	} {
		t.Run(name, func(t *testing.T) {
			batch := oneColumn(column, func(b array.Builder) { b.(*array.Float64Builder).AppendValues(test.values, nil) })
			data := arrowFileOf(t, []waybill.Column{column}, 100, batch)
			sameRows(t, data, batch)
			stats := statisticsOf(t, data).(*metadata.Float64Statistics)
			if stats.HasMinMax() == test.none {
				t.Fatalf("statistics: %t", stats.HasMinMax())
			}
			if !test.none && (math.Float64bits(stats.Min()) != math.Float64bits(test.low) || math.Float64bits(stats.Max()) != math.Float64bits(test.high)) {
				t.Errorf("from %v to %v, want %v to %v", stats.Min(), stats.Max(), test.low, test.high)
			}
		})
	}
}

func TestArrowStatisticsLeaveLongTextsOut(t *testing.T) {
	column := waybill.Column{Name: "TEXT", Type: waybill.ColumnText}
	batch := oneColumn(column, func(b array.Builder) {
		b.(*array.StringBuilder).AppendValues([]string{"", "a", strings.Repeat("z", statBytes+1)}, nil)
	})
	stats, ok := statisticsOf(t, arrowFileOf(t, []waybill.Column{column}, 100, batch)).(*metadata.ByteArrayStatistics)
	if !ok || stats.HasMinMax() {
		t.Errorf("statistics %v", stats)
	}
	batch = batch.NewSlice(0, 2)
	stats, ok = statisticsOf(t, arrowFileOf(t, []waybill.Column{column}, 100, batch)).(*metadata.ByteArrayStatistics)
	if !ok || !stats.HasMinMax() || len(stats.Min()) != 0 || string(stats.Max()) != "a" {
		t.Errorf("from %q to %q", stats.Min(), stats.Max())
	}
}

func TestArrowDataWithoutRowsIsAFileWithASchema(t *testing.T) {
	r := openParquet(t, arrowFileOf(t, arrowColumns, 100))
	if r.NumRows() != 0 || r.MetaData().Schema.NumColumns() != len(arrowColumns) {
		t.Errorf("%d rows of %d columns", r.NumRows(), r.MetaData().Schema.NumColumns())
	}
}

func TestArrowDataOfOtherColumnsIsRefused(t *testing.T) {
	number := waybill.Column{Name: "N", Type: waybill.ColumnDouble}
	batch := oneColumn(number, func(b array.Builder) { b.(*array.Float64Builder).Append(1) })
	for want, columns := range map[string][]waybill.Column{
		"the data has 1 columns, the file 2":                                   {number, number},
		"column 0 of the data is N float64, that of the file M float64":        {{Name: "M", Type: waybill.ColumnDouble}},
		"column 0 of the data is N float64, that of the file N utf8":           {{Name: "N", Type: waybill.ColumnText}},
		"column 0 of the data is N float64, that of the file N decimal(38, 9)": {{Name: "N", Type: waybill.ColumnMoney}},
	} {
		var out bytes.Buffer
		if err := WriteArrow(t.Context(), &out, columns, []arrow.RecordBatch{batch}); err == nil || err.Error() != want || out.Len() > 0 {
			t.Errorf("%v after %d bytes, want %s", err, out.Len(), want)
		}
	}
}

func TestArrowDataThatIsNotWrittenIsAnError(t *testing.T) {
	batch := drawn(rand.New(rand.NewPCG(7, 3)), 500)
	size := len(arrowFileOf(t, arrowColumns, 200, batch))
	for room := 0; room < size; room += 1 + size/200 {
		for _, once := range []bool{true, false} {
			if err := writeArrow(t.Context(), &failingWriter{left: room, once: once}, arrowColumns, []arrow.RecordBatch{batch}, 200); !errors.Is(err, errFull) {
				t.Fatalf("after %d of %d bytes: %v", room, size, err)
			}
		}
	}
	if err := WriteArrow(t.Context(), shortWriter{}, arrowColumns, []arrow.RecordBatch{batch}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("by a writer that takes half: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := WriteArrow(ctx, io.Discard, arrowColumns, []arrow.RecordBatch{batch}); !errors.Is(err, context.Canceled) {
		t.Errorf("after it was cancelled: %v", err)
	}
}

// What repeats and what does not, with NULLs anywhere, is read back as it was.
func FuzzArrow(f *testing.F) {
	f.Add([]byte("aaaaaaaabbbbbbbb\x00\x00aabb"), uint8(1))
	f.Add(bytes.Repeat([]byte("ab\xffc"), 300), uint8(7))
	f.Add(binary.LittleEndian.AppendUint64(make([]byte, 700), math.MaxUint64), uint8(3))
	f.Fuzz(func(t *testing.T, text []byte, spread uint8) {
		columns := []waybill.Column{{Name: "TEXT", Type: waybill.ColumnText}, {Name: "COUNT", Type: waybill.ColumnInteger}}
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchemaOf(columns))
		defer b.Release()
		for i, c := range text {
			if c == 0xff {
				b.Field(0).AppendNull()
				b.Field(1).AppendNull()
				continue
			}
			n := int64(c) * (1 + int64(i)%(1+int64(spread)))
			b.Field(0).(*array.StringBuilder).Append(fmt.Sprint(n))
			b.Field(1).(*array.Int64Builder).Append(n << (c % 40))
		}
		if len(text) > 0 {
			batch := b.NewRecordBatch()
			sameRows(t, arrowFileOf(t, columns, 1+int64(len(text)), batch), batch)
		}
	})
}
