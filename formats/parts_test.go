package formats

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testsize"
)

// compressAll is one compression of every text format.

// expand undoes a compression, with the library's decoder for all of a file.

// rowsOf reads one file on its own and returns its rows, each as one text.

func rowsOf(t testing.TB, f Format, plain []byte) []string {
	t.Helper()
	var rows []string
	switch f {
	case Parquet:
		for _, row := range readTable(t, plain).rows {
			rows = append(rows, fmt.Sprintf("%q", row))
		}
	case CSV:
		records, err := csv.NewReader(bytes.NewReader(plain)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records[1:] {
			rows = append(rows, fmt.Sprintf("%q by %q", r, records[0]))
		}
	case JSONL:
		for line := range bytes.Lines(plain) {
			rows = append(rows, string(line))
		}
	case JSON:
		var doc struct {
			WorkflowID string
			Data       []json.RawMessage
		}
		if err := json.Unmarshal(plain, &doc); err != nil || doc.WorkflowID != "wf" {
			t.Fatalf("an envelope of %q: %v", doc.WorkflowID, err)
		}
		for _, r := range doc.Data {
			rows = append(rows, string(r))
		}
	}
	return rows
}

// noise are records that hardly compress: random doubles, amounts and times.

func noise(records int) string {
	r := mathrand.New(mathrand.NewPCG(5, 6))
	var b strings.Builder
	for range records {
		fmt.Fprintf(&b, `{"n":%v,"m":{"amount":%d%d,"currencyCode":"EUR"},"t":"%04d-%02d-%02dT10:00:%02d.%06dZ","s":"%x"}`+"\n",
			r.Float64(), r.Uint64()>>1, r.Uint64()>>1, 1+r.IntN(9999), 1+r.IntN(12), 1+r.IntN(28), r.IntN(60), r.IntN(1e6), r.Uint64())
	}
	return b.String()
}

var noiseSchema = schemaOf("n NUMBER", "m MONEY", "t DATETIME", "s STRING")

// sized are records of very different sizes, some beyond the limits of the

// tests, with values that stand in quotes over several lines.

func sized(records int) string {
	r := mathrand.New(mathrand.NewPCG(8, 9))
	var b strings.Builder
	for i := range records {
		text := make([]byte, []int{0, 1, 10, 200, 3000, 40_000}[r.IntN(6)])
		for j := range text {
			text[j] = "abcdefghijklmnopqrstuvwxyz0123456789, '"[r.IntN(39)]
		}
		fmt.Fprintf(&b, `{"n":%d,"s":"%s\n\"","o":{"i":%d}}`+"\n", i, text, i%7)
	}
	return b.String()
}

var sizedSchema = schemaOf("n NUMBER", "s STRING", "o OBJECT", "none STRING")

func TestFilesStayWithinTheLimit(t *testing.T) {
	for _, c := range []struct {
		name   string
		schema waybill.Schema
		input  string
		limits []int64
	}{
		{"products", productSchema, string(products(testsize.Of(2000, 500))), []int64{60_000, 150_000, 1 << 40}},
		{"noise", noiseSchema, noise(testsize.Of(2500, 500)), []int64{20_000, 50_000}},
		{"sizes", sizedSchema, sized(120), []int64{10_000, 100_000}},
		{"ugly", uglySchema, uglyInput(testsize.Of(800, 200)), []int64{20_000}},
		{"every record alone", uglySchema, uglyInput(60), []int64{1}},
		{"hardly a value", schemaOf("b BOOLEAN", "n NUMBER"), strings.Repeat("{\"b\":true}\n{}\n", testsize.Of(4000, 1000)), []int64{2000, 9000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := Options{Schema: c.schema, Envelope: Envelope{WorkflowID: "wf"}, CPUs: 2}
			whole := mustRun(t, c.input, opts, All()...)
			want := map[Format][]string{}
			for _, f := range All() {
				want[f] = rowsOf(t, f, whole.files[f])
			}
			for _, opts.MaxFileBytes = range c.limits {
				for _, compression := range []Compression{Uncompressed, Gzip, Zstd} {
					opts.Compression = compressAll(compression)
					wanted := All()
					if compression != Uncompressed {
						wanted = []Format{CSV, JSONL, JSON} // Parquet would be the same again
					}
					o := mustRun(t, c.input, opts, wanted...)
					if !reflect.DeepEqual(o.Conversion, whole.Conversion) {
						t.Errorf("limit %d, %q: another report", opts.MaxFileBytes, compression)
					}
					for _, f := range wanted {
						checkParts(t, f, o, opts, want[f])
					}
				}
			}
		})
	}
}

// checkParts checks that the files of a format are within the limit, stand

// alone, hold all rows in order, and are no smaller than they must be.

func checkParts(t *testing.T, f Format, o outcome, opts Options, want []string) {
	t.Helper()
	name := fmt.Sprintf("%s %s, limit %d", f, opts.Compression[f], opts.MaxFileBytes)
	var got []string
	var sizes []int
	for i, file := range o.parts[f] {
		rows := rowsOf(t, f, expand(t, opts.Compression[f], file))
		if int64(len(rows)) != o.Parts[f][i].Rows {
			t.Errorf("%s: part %d has %d rows and is said to have %d", name, i, len(rows), o.Parts[f][i].Rows)
		}
		if int64(len(file)) > opts.MaxFileBytes && len(rows) != 1 {
			t.Errorf("%s: part %d of %d rows has %d bytes", name, i, len(rows), len(file))
		}
		if len(rows) == 0 && len(o.parts[f]) > 1 {
			t.Errorf("%s: part %d of %d is empty", name, i, len(o.parts[f]))
		}
		got = append(got, rows...)
		sizes = append(sizes, len(file))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %d rows in %d files, want %d, or others", name, len(got), len(sizes), len(want))
	}
	t.Logf("%s: %d files %v", name, len(sizes), sizes[:min(12, len(sizes))])
}

// Text that is not compressed is cut by exact bytes: the next record would not

// have fitted.

func TestTextIsCutByExactBytes(t *testing.T) {
	const limit = 50_000
	opts := Options{Schema: sizedSchema, MaxFileBytes: limit, Envelope: Envelope{WorkflowID: "wf"}}
	o := mustRun(t, sized(2000), opts, CSV, JSONL, JSON)
	for f, around := range map[Format]int{CSV: len("n,s,o,none\n"), JSONL: 0, JSON: len(opts.Envelope.header()) + len("\n]}\n") - 1} {
		parts := o.parts[f]
		for i, file := range parts[:len(parts)-1] {
			first := len(parts[i+1]) - around // of the next file: one record at least
			if o.Parts[f][i+1].Rows > 1 {
				continue
			}
			if len(file)+first <= limit {
				t.Errorf("%s: part %d has %d bytes and the next one's only record %d: both fit", f, i, len(file), first)
			}
		}
		if len(parts) < 5 {
			t.Errorf("%s: only %d parts", f, len(parts))
		}
	}
}

// What is cut is nearly full, though it is cut before it is compressed.

func TestSameFilesWhateverTheCores(t *testing.T) {
	input := uglyInput(testsize.Of(4000, 1000))
	for _, compression := range []Compression{Uncompressed, Gzip, Zstd} {
		opts := Options{Schema: uglySchema, MaxFileBytes: 40_000, Compression: compressAll(compression), CPUs: 1}
		want := mustRun(t, input, opts, All()...)
		for cpus := 1; cpus <= 4; cpus++ {
			opts.CPUs = cpus
			o, err := run(randomReader{strings.NewReader(input), mathrand.New(mathrand.NewPCG(1, uint64(cpus)))}, opts, All()...)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(o, want) {
				t.Errorf("%d cores, %q: other files", cpus, compression)
			}
		}
		for _, f := range All() {
			if o := mustRun(t, input, opts, f); !reflect.DeepEqual(o.parts[f], want.parts[f]) {
				t.Errorf("%s alone, %q: other files", f, compression)
			}
		}
	}
}

// A limit that is never met changes names and nothing else; compression

// changes bytes and nothing else.

func TestOneFileIsTheSameWithALimit(t *testing.T) {
	input := uglyInput(3000)
	opts := Options{Schema: uglySchema, Envelope: Envelope{WorkflowID: "wf"}}
	want := mustRun(t, input, opts, All()...)
	limited := opts
	limited.MaxFileBytes = 1 << 40
	o := mustRun(t, input, limited, All()...)
	for _, f := range []Format{JSONL, CSV, JSON} {
		if !reflect.DeepEqual(o.parts[f], want.parts[f]) {
			t.Errorf("%s: other bytes under a limit", f)
		}
	}
	for _, c := range Compressions() {
		opts.Compression = compressAll(c)
		o := mustRun(t, input, opts, All()...)
		for _, f := range All() {
			if plain := expand(t, opts.Compression[f], o.files[f]); f != Parquet && !bytes.Equal(plain, want.files[f]) || f == Parquet && !bytes.Equal(o.files[f], want.files[f]) {
				t.Errorf("%s: other bytes behind %s", f, c)
			}
		}
	}
}

func TestNoRecordsAreOneFileEach(t *testing.T) {
	for _, c := range []Compression{Uncompressed, Gzip, Zstd} {
		opts := Options{Schema: schemaOf("a NUMBER"), MaxFileBytes: 1, Compression: compressAll(c), Envelope: Envelope{WorkflowID: "wf"}}
		o := mustRun(t, "", opts, All()...)
		for f, want := range map[Format]string{CSV: "a\n", JSONL: "", JSON: string(opts.Envelope.header()) + "\n]}\n"} {
			if len(o.parts[f]) != 1 || string(expand(t, c, o.files[f])) != want {
				t.Errorf("%s %q: %d files, %q", f, c, len(o.parts[f]), o.files[f])
			}
		}
		if len(o.parts[Parquet]) != 1 || len(readTable(t, o.files[Parquet]).rows) != 0 {
			t.Errorf("%d Parquet files", len(o.parts[Parquet]))
		}
	}
}

// Bytes that do not compress become no more than was reckoned with, however

// they are cut into writes and flushes.

func TestNamesOfFiles(t *testing.T) {
	plain := Options{}
	packed := Options{Compression: map[Format]Compression{CSV: Gzip, JSONL: Zstd}}
	split := Options{MaxFileBytes: 1, Compression: packed.Compression}
	for _, c := range []struct {
		opts Options
		f    Format
		part int
		want string
	}{
		{plain, CSV, 0, "data.csv text/csv; charset=utf-8"},
		{plain, Parquet, 0, "data.parquet application/vnd.apache.parquet"},
		{packed, CSV, 0, "data.csv.gz application/gzip"},
		{packed, JSONL, 0, "data.jsonl.zst application/zstd"},
		{packed, JSON, 0, "data.json application/json"},
		{split, Parquet, 0, "data-00000.parquet application/vnd.apache.parquet"},
		{split, CSV, 12, "data-00012.csv.gz application/gzip"},
		{split, JSONL, 123456, "data-123456.jsonl.zst application/zstd"},
	} {
		if got := c.opts.FileName(c.f, c.part) + " " + c.opts.ContentType(c.f); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// A compressed file says nothing of when, where or by what it was made.

func TestPartsThatAreRefused(t *testing.T) {
	good := schemaOf("a NUMBER")
	for want, opts := range map[string]Options{
		"a largest file of -1 bytes":                            {MaxFileBytes: -1},
		`"brotli" is not a compression of csv; use gzip`:        {Compression: map[Format]Compression{CSV: "brotli"}},
		"parquet is compressed inside and is not compressed as": {Compression: map[Format]Compression{Parquet: Gzip}},
	} {
		opts.Schema = good
		if _, err := run(strings.NewReader(""), opts, CSV); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	_, err := Convert(context.Background(), bytes.NewReader(products(100)), to(map[Format]io.Writer{CSV: io.Discard}), Options{Schema: productSchema, MaxFileBytes: 1000})
	if o, ok := errors.AsType[*OutputError](err); !ok || o.Format != CSV || !strings.Contains(err.Error(), "room for one file only") {
		t.Error(err)
	}
}

// Whatever call to whichever output fails: that is the conversion's error.

// Files through pipes that are read at very different speeds, each to its end

// before the next begins.

// An output that hangs while it opens or closes a file does not keep a

// conversion that is over, and nothing else is asked of it.

// The size of a Parquet file is reckoned before it is written: with many

// columns and hardly a value, where nearly all of it is what describes it; with

// statistics as long as they may be; with dictionaries that are given up.

func TestParquetSizeIsNeverUnderestimated(t *testing.T) {
	var wide []string
	for i := range 60 {
		wide = append(wide, fmt.Sprintf("a_column_with_a_rather_long_name_%d %s", i, []string{"STRING", "NUMBER", "MONEY", "DATE", "DATETIME", "BOOLEAN"}[i%6]))
	}
	r := mathrand.New(mathrand.NewPCG(3, 1))
	record := func(schema waybill.Schema, text func() string) string {
		var members []string
		for _, f := range schema.Fields {
			value := map[waybill.DataType]string{
				waybill.Number: fmt.Sprint(r.Float64()), waybill.Money: fmt.Sprintf(`{"amount":%d,"currencyCode":"EUR"}`, r.Uint64()),
				waybill.Date: fmt.Sprintf(`"%04d-01-02"`, 1+r.IntN(9999)), waybill.DateTime: fmt.Sprintf(`"%04d-01-02T01:02:03.%06dZ"`, 1+r.IntN(9999), r.IntN(1e6)),
				waybill.Boolean: fmt.Sprint(r.IntN(2) > 0)}[f.DataType]
			if value == "" {
				value = `"` + text() + `"`
			}
			if r.IntN(5) > 0 {
				members = append(members, fmt.Sprintf("%q:%s", f.Name, value))
			}
		}
		return "{" + strings.Join(members, ",") + "}\n"
	}
	runes := func(n int) func() string {
		return func() string {
			text := make([]rune, n)
			for i := range text {
				text[i] = rune(0x4E00 + r.IntN(20_000))
			}
			return string(text)
		}
	}
	turns, many := 0, testsize.Of(14_000, 4000)
	for name, c := range map[string]struct {
		schema  waybill.Schema
		records int
		text    func() string
	}{
		"wide":            {schemaOf(wide...), 60, runes(1)},
		"long statistics": {schemaOf("a STRING", "b STRING", "c STRING", "d STRING"), 200, runes(170)},
		"dictionary given up": {schemaOf("a STRING", "b STRING"), many, func() string {
			if turns++; turns < many/2 {
				return "same"
			}
			return runes(40)()
		}},
	} {
		var input strings.Builder
		for range c.records {
			input.WriteString(record(c.schema, c.text))
		}
		for limit := int64(8000); limit < 4_000_000; limit *= 4 {
			o := mustRun(t, input.String(), Options{Schema: c.schema, MaxFileBytes: limit}, Parquet)
			for i, file := range o.parts[Parquet] {
				if int64(len(file)) > limit && o.Parts[Parquet][i].Rows > 1 {
					t.Errorf("%s, limit %d: part %d of %d rows has %d bytes", name, limit, i, o.Parts[Parquet][i].Rows, len(file))
				}
			}
			if len(o.parts[Parquet]) == 1 {
				break
			}
		}
	}
}
