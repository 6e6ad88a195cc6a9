package formats

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// Columns of every type that can have a dictionary, with NULLs, both zeros and
// empty texts in it; after some row groups there are too many values for it, in
// the midst of a row group.
func TestDictionariesOfEveryType(t *testing.T) {
	const rows = 60_000
	var input strings.Builder
	var want [][]any
	for i := range rows {
		v := i % 7
		if i > 45_000 {
			v = i // each once
		}
		switch {
		case i%11 == 0:
			input.WriteString("{}\n")
			want = append(want, []any{nil, nil, nil, nil, nil, nil})
			continue
		case i%11 == 1 && i <= 45_000:
			input.WriteString(`{"s":"","n":-0}` + "\n")
			want = append(want, []any{"", 0.0, nil, nil, nil, nil})
			continue
		}
		text := strings.Repeat("x", v%60) + fmt.Sprint(v)
		day := fmt.Sprintf("%04d-03-%02d", 1+v%9000, 1+v%28)
		fmt.Fprintf(&input, `{"s":"%s","n":%d,"d":"%s","t":"%sT10:00:00Z","m":{"amount":%d,"currencyCode":"EUR"}}`+"\n", text, v, day, day, v*100)
		want = append(want, []any{text, float64(v), day, day + "T10:00:00Z", fmt.Sprint(v), "EUR"})
	}
	o := mustRun(t, input.String(), Options{Schema: schemaOf("s STRING", "n NUMBER", "d DATE", "t DATETIME", "m MONEY"), rowGroupRows: 20_000}, Parquet)
	compareRows(t, readTable(t, o.files[Parquet]).rows, want)

	first := openParquet(t, o.files[Parquet]).MetaData().RowGroup(0)
	for i := range first.NumColumns() {
		chunk, err := first.ColumnChunk(i)
		if err != nil {
			t.Fatal(err)
		}
		if !chunk.HasDictionaryPage() {
			t.Errorf("%s has no dictionary", chunk.PathInSchema())
		}
		stats, err := chunk.Statistics()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if s := stats.(*metadata.ByteArrayStatistics); string(s.Min()) != "" || string(s.Max()) != "xxxxxx6" {
				t.Errorf("texts are from %q to %q", s.Min(), s.Max())
			}
		}
		var nulls int64
		for _, row := range want[:first.NumRows()] {
			if row[i] == nil {
				nulls++
			}
		}
		if stats.NullCount() != nulls {
			t.Errorf("%s: %d NULLs, want %d", chunk.PathInSchema(), stats.NullCount(), nulls)
		}
	}
}

func TestWhichColumnsGetADictionary(t *testing.T) {
	texts := func(n int, text func(i int) string) *column {
		c := &column{}
		for i := range n {
			c.text = append(c.text, []byte(text(i)))
		}
		return c
	}
	for _, c := range []struct {
		name string
		c    *column
		want bool
	}{
		{"the same value", texts(300, func(int) string { return "EUR" }), true},
		{"too few to tell", texts(200, func(int) string { return "EUR" }), false},
		{"each once", texts(3000, func(i int) string { return fmt.Sprint(i) }), false},
		{"half of them twice", texts(3000, func(i int) string { return fmt.Sprint(i % 2000) }), true},
		{"too long", texts(3000, func(i int) string { return strings.Repeat("x", 1000) + fmt.Sprint(i%2000) }), false},
		{"no values", texts(0, nil), false},
	} {
		if got := fewValues(c.c); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
