package formats

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

func openParquet(t *testing.T, data []byte) *file.Reader {
	t.Helper()
	r, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestParquetSchema(t *testing.T) {
	fields := []string{"s STRING", "n NUMBER", "b BOOLEAN", "d DATE", "t DATETIME", "m MONEY", "i IMAGE", "l LINK", "c CLASSIFICATION", "o OBJECT", "a ARRAY"}
	o := mustRun(t, "{}", Options{Schema: schemaOf(fields...)}, Parquet)
	r := openParquet(t, o.files[Parquet])
	var got []string
	for i := range r.MetaData().Schema.NumColumns() {
		c := r.MetaData().Schema.Column(i)
		got = append(got, fmt.Sprintf("%s %s %s %s", c.Name(), c.PhysicalType(), c.LogicalType(), c.SchemaNode().RepetitionType()))
	}
	want := []string{
		"s BYTE_ARRAY String optional",
		"n DOUBLE None optional",
		"b BOOLEAN None optional",
		"d INT32 Date optional",
		"t INT64 " + schema.NewTimestampLogicalType(true, schema.TimeUnitMicros).String() + " optional",
		"m FIXED_LEN_BYTE_ARRAY Decimal(precision=38, scale=9) optional",
		"m_currency BYTE_ARRAY String optional",
		"i BYTE_ARRAY String optional", "l BYTE_ARRAY String optional", "c BYTE_ARRAY String optional",
		"o BYTE_ARRAY String optional", "a BYTE_ARRAY String optional",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if c := r.MetaData().GetCreatedBy(); !strings.HasPrefix(c, "waybill version ") {
		t.Errorf("created by %q", c)
	}
	if n := len(r.MetaData().KeyValueMetadata()); n != 0 {
		t.Errorf("%d key-value pairs", n)
	}
}

func TestParquetRowGroupsPagesAndIndexes(t *testing.T) {
	o := mustRun(t, string(products(16_000)), Options{Schema: productSchema, rowGroupRows: 5000}, Parquet)
	r := openParquet(t, o.files[Parquet])
	if r.NumRowGroups() < 3 || r.NumRows() != 16_000 {
		t.Fatalf("%d row groups, %d rows", r.NumRowGroups(), r.NumRows())
	}
	index := r.GetPageIndexReader()
	dictionaries := map[string]bool{}
	for g := range r.NumRowGroups() {
		meta := r.MetaData().RowGroup(g)
		if meta.NumRows() > 5000 {
			t.Errorf("row group %d has %d rows", g, meta.NumRows())
		}
		pages, err := index.RowGroup(g)
		if err != nil {
			t.Fatal(err)
		}
		for i := range meta.NumColumns() {
			chunk, err := meta.ColumnChunk(i)
			if err != nil {
				t.Fatal(err)
			}
			name := chunk.PathInSchema().String()
			if chunk.Compression() != compress.Codecs.Zstd {
				t.Errorf("%s is compressed with %s", name, chunk.Compression())
			}
			dictionaries[name] = dictionaries[name] || chunk.HasDictionaryPage()
			if stats, err := chunk.Statistics(); err != nil || stats == nil || !stats.HasMinMax() || !stats.HasNullCount() {
				t.Errorf("%s has no statistics: %v", name, err)
			}
			columnIndex, err := pages.GetColumnIndex(i)
			if err != nil || columnIndex == nil {
				t.Errorf("%s has no column index: %v", name, err)
			}
			offsets, err := pages.GetOffsetIndex(i)
			if err != nil || offsets == nil || len(offsets.GetPageLocations()) == 0 {
				t.Errorf("%s has no offset index: %v", name, err)
			}
		}
	}
	for name, want := range map[string]bool{"brand": true, "category": true, "price_currency": true, "sku": false, "rating": true, "tags": true, "url": false, "title": false, "listPrice": false} {
		if dictionaries[name] != want {
			t.Errorf("%s has a dictionary: %t, want %t", name, dictionaries[name], want)
		}
	}
}

func TestParquetRowGroupsAreBoundedByBytes(t *testing.T) {
	record := `{"s":"` + strings.Repeat("x", 1<<20) + `"}` + "\n"
	o, err := run(&repeat{part: record, n: 150}, Options{Schema: schemaOf("s STRING")}, Parquet)
	if err != nil {
		t.Fatal(err)
	}
	r := openParquet(t, o.files[Parquet])
	var rows []int64
	for g := range r.NumRowGroups() {
		rows = append(rows, r.MetaData().RowGroup(g).NumRows())
	}
	if fmt.Sprint(rows) != "[63 63 24]" { // 64 of them and their lengths are a little more than 64 MiB
		t.Errorf("row groups of %v rows", rows)
	}
}

// Minima and maxima must be those of the values that were written, though the
// buffers they came from are filled again while the file is still open. (A
// version of the Parquet library kept references; readers then skipped row
// groups that hold what they look for.)
func TestParquetStatisticsDoNotAliasReusedBuffers(t *testing.T) {
	o := mustRun(t, string(products(16_000)), Options{Schema: productSchema, rowGroupRows: 4000, CPUs: 2}, Parquet)
	tab := readTable(t, o.files[Parquet])
	r := openParquet(t, o.files[Parquet])
	first := 0
	for g := range r.NumRowGroups() {
		meta := r.MetaData().RowGroup(g)
		rows := tab.rows[first : first+int(meta.NumRows())]
		first += len(rows)
		for i := range tab.names {
			chunk, err := meta.ColumnChunk(i)
			if err != nil {
				t.Fatal(err)
			}
			stats, err := chunk.Statistics()
			if err != nil {
				t.Fatal(err)
			}
			if text, ok := stats.(*metadata.ByteArrayStatistics); ok {
				least, most := extremes(rows, i)
				if string(text.Min()) != least || string(text.Max()) != most {
					t.Errorf("row group %d, %s: %q to %q, want %q to %q", g, tab.names[i], text.Min(), text.Max(), least, most)
				}
			}
		}
	}
}

func extremes(rows [][]any, column int) (least, most string) {
	var values []string
	for _, row := range rows {
		if v, ok := row[column].(string); ok {
			values = append(values, v)
		}
	}
	return slices.Min(values), slices.Max(values)
}

// A dictionary that the first batch suggests must stand what comes later:
// values that are all distinct, and a row group of NULLs only.
func TestParquetDictionaryThatTurnsOutWrong(t *testing.T) {
	var input strings.Builder
	for i := range 60_000 {
		switch {
		case i < 20_000:
			fmt.Fprintf(&input, "{\"s\":\"one of %d\"}\n", i%5)
		case i < 40_000:
			fmt.Fprintf(&input, "{\"s\":\"%0150d\"}\n", i)
		default:
			input.WriteString("{}\n")
		}
	}
	o := mustRun(t, input.String(), Options{Schema: schemaOf("s STRING"), rowGroupRows: 10_000}, Parquet)
	rows := readTable(t, o.files[Parquet]).rows
	if len(rows) != 60_000 || rows[19_999][0] != "one of 4" || rows[20_000][0] != fmt.Sprintf("%0150d", 20_000) || rows[59_999][0] != nil {
		t.Errorf("%d rows", len(rows))
	}
}

// Statistics of empty strings, and of long ones, which are left out.
func TestParquetStatisticsAtTheirLimits(t *testing.T) {
	long := strings.Repeat("z", statBytes+1)
	o := mustRun(t, "{\"a\":\"\",\"b\":\"x\"}\n{\"a\":\"y\",\"b\":\""+long+"\"}\n", Options{Schema: schemaOf("a STRING", "b STRING")}, Parquet)
	meta := openParquet(t, o.files[Parquet]).MetaData().RowGroup(0)
	for i, want := range []string{"y", ""} {
		chunk, err := meta.ColumnChunk(i)
		if err != nil {
			t.Fatal(err)
		}
		stats, err := chunk.Statistics()
		if err != nil {
			t.Fatal(err)
		}
		if got := stats.(*metadata.ByteArrayStatistics).Max(); string(got) != want {
			t.Errorf("column %d has the maximum %q, want %q", i, got, want)
		}
	}
	if rows := readTable(t, o.files[Parquet]).rows; rows[1][1] != long {
		t.Error("the long value is not what was written")
	}
}

func TestParquetNeedsNoFieldNamedTwice(t *testing.T) {
	node, err := parquetSchema(newLayout(schemaOf("a MONEY", "a_currency MONEY", "a_currency_currency STRING")))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for i := range node.NumFields() {
		if name := node.Field(i).Name(); names[name] {
			t.Errorf("%s stands twice", name)
		} else {
			names[name] = true
		}
	}
	if node.NumFields() != 5 {
		t.Errorf("%d columns", node.NumFields())
	}
}
