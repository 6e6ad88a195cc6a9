package delta

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// Statistics are what an Add says of its rows. Minima and maxima bound the
// values, they need not be values: texts are cut, times are of milliseconds.
// Values are string, json.Number or bool; dates and times are ISO 8601.
// https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics
type Statistics struct {
	NumRecords int64            `json:"numRecords"`
	MinValues  map[string]any   `json:"minValues,omitempty"`
	MaxValues  map[string]any   `json:"maxValues,omitempty"`
	NullCount  map[string]int64 `json:"nullCount,omitempty"`
}

// Statistics of the file, if it has them.
func (a Add) Statistics() (s Statistics, ok bool) {
	if a.Stats == "" {
		return s, false
	}
	var raw struct {
		Statistics
		NumRecords *int64         `json:"numRecords"`
		NullCount  map[string]any `json:"nullCount"` // nested columns of other writers are objects
	}
	d := json.NewDecoder(strings.NewReader(a.Stats))
	d.UseNumber()
	if d.Decode(&raw) != nil || raw.NumRecords == nil {
		return s, false
	}
	s = raw.Statistics
	s.NumRecords, s.NullCount = *raw.NumRecords, map[string]int64{}
	for name, count := range raw.NullCount {
		if n, isNumber := count.(json.Number); isNumber {
			s.NullCount[name], _ = n.Int64() // a fraction is no count
		}
	}
	return s, true
}

const (
	// statText is where the texts of minima and maxima are cut: at no less than
	// the longest job id, so that equal bounds of a job column are its value.
	statText = 128
	// statColumns is how many columns have statistics, from the left; Delta's own default.
	// The last two, which tell the run, have them always.
	statColumns = 32
)

// footer is what is known of a Parquet file without reading its rows.
type footer struct {
	rows    int64
	nonNull map[string]int64 // by column
	stats   Statistics
}

// readFooter collects the statistics of a file whose columns have the table's
// types. What the file does not say is left out, not guessed.
func readFooter(r *file.Reader, fields []field) (footer, error) {
	f := footer{rows: r.NumRows(), nonNull: map[string]int64{}}
	f.stats = Statistics{NumRecords: f.rows, MinValues: map[string]any{}, MaxValues: map[string]any{}, NullCount: map[string]int64{}}
	schema := r.MetaData().Schema
	if schema.NumColumns() != len(fields) {
		return f, fmt.Errorf("the file has %d columns, its table %d", schema.NumColumns(), len(fields))
	}
	for i, want := range fields {
		node, err := want.node()
		if err != nil {
			return f, err
		}
		if !schema.Root().Field(i).Equals(node) {
			return f, fmt.Errorf("column %d of the file is %s, that of its table %s", i, schema.Column(i), want.Name)
		}
		if err := f.column(r.MetaData(), i, want, i < statColumns || i >= len(fields)-2); err != nil {
			return f, err
		}
	}
	return f, nil
}

// column takes in the statistics of one column.
func (f *footer) column(m *metadata.FileMetaData, i int, of field, wanted bool) error {
	var nulls int64
	var all extent
	known := true
	for g := range m.NumRowGroups() {
		chunk, err := m.RowGroup(g).ColumnChunk(i)
		if err != nil {
			return err
		}
		stats, err := chunk.Statistics()
		if err != nil {
			return err
		}
		if stats == nil || !stats.HasNullCount() {
			return fmt.Errorf("column %s has no count of its NULLs", of.Name)
		}
		nulls += stats.NullCount()
		if stats.NullCount() == m.RowGroup(g).NumRows() {
			continue
		}
		known = all.add(stats, of.Type) && known
	}
	f.nonNull[of.Name] = f.rows - nulls
	if !wanted {
		return nil
	}
	f.stats.NullCount[of.Name] = nulls
	if low, high, ok := all.bounds(of.Type); known && ok {
		f.stats.MinValues[of.Name], f.stats.MaxValues[of.Name] = low, high
	}
	return nil
}

// extent is from the least to the greatest value of a column, in the one of
// its fields that the column's type has.
type extent struct {
	text   *[2]string
	double *[2]float64
	whole  *[2]int64
	money  *[2]*big.Int
}

// add widens the extent by a chunk's; false: the chunk does not tell its.
func (e *extent) add(s metadata.TypedStatistics, deltaType any) bool {
	if !s.HasMinMax() {
		return false
	}
	switch s := s.(type) {
	case *metadata.ByteArrayStatistics:
		if len(s.Max()) == 0 { // or it is too long to be there: the library does not tell the two apart
			return false
		}
		widen(&e.text, string(s.Min()), string(s.Max()), strings.Compare)
	case *metadata.Float64Statistics:
		widen(&e.double, s.Min(), s.Max(), cmp.Compare)
		return !math.IsNaN(s.Min()) && !math.IsNaN(s.Max())
	case *metadata.Int32Statistics:
		widen(&e.whole, int64(s.Min()), int64(s.Max()), cmp.Compare)
	case *metadata.Int64Statistics:
		widen(&e.whole, s.Min(), s.Max(), cmp.Compare)
	case *metadata.FixedLenByteArrayStatistics:
		widen(&e.money, signed(s.Min()), signed(s.Max()), (*big.Int).Cmp)
		return deltaType == "decimal(38,9)"
	default: // booleans have none in Delta
		return false
	}
	return true
}

func widen[T any](e **[2]T, low, high T, compare func(a, b T) int) {
	if *e == nil {
		*e = &[2]T{low, high}
		return
	}
	if compare(low, (*e)[0]) < 0 {
		(*e)[0] = low
	}
	if compare(high, (*e)[1]) > 0 {
		(*e)[1] = high
	}
}

// bounds are the extent as statistics have it; one that would not be exact
// enough takes both away.
func (e extent) bounds(deltaType any) (low, high any, ok bool) {
	switch {
	case e.text != nil:
		high, ok := cutHigh(e.text[1])
		return cutLow(e.text[0]), high, ok && utf8.ValidString(e.text[0]) && utf8.ValidString(e.text[1])
	case e.double != nil:
		return number(e.double[0]), number(e.double[1]), !math.IsInf(e.double[0], 0) && !math.IsInf(e.double[1], 0)
	case e.money != nil:
		low, exactLow := decimal(e.money[0])
		high, exactHigh := decimal(e.money[1])
		return low, high, exactLow && exactHigh
	case e.whole != nil && deltaType == "date":
		return day(e.whole[0]), day(e.whole[1]), true
	case e.whole != nil && deltaType == "timestamp":
		return milliseconds(floor(e.whole[0], 1000)), milliseconds(-floor(-e.whole[1], 1000)), true
	case e.whole != nil:
		return json.Number(strconv.FormatInt(e.whole[0], 10)), json.Number(strconv.FormatInt(e.whole[1], 10)), true
	}
	return nil, nil, false
}

func signed(b []byte) *big.Int {
	v := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return v
}

// number writes zero without its sign: a reader may not take -0 for 0.
func number(v float64) json.Number {
	return json.Number(strconv.FormatFloat(v+0, 'g', -1, 64))
}

// decimal is exact only as far as readers that take it for a double see it so.
func decimal(v *big.Int) (text json.Number, exact bool) {
	digits := new(big.Rat).SetFrac(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(moneyScale), nil)).FloatString(moneyScale)
	if digits = strings.TrimSuffix(strings.TrimRight(digits, "0"), "."); digits == "-0" {
		digits = "0"
	}
	f, err := strconv.ParseFloat(digits, 64)
	return json.Number(digits), err == nil && strconv.FormatFloat(f, 'f', -1, 64) == digits
}

func floor(v, by int64) int64 {
	q := v / by
	if v%by < 0 {
		q--
	}
	return q
}

func day(days int64) string {
	return time.Unix(days*24*60*60, 0).UTC().Format(time.DateOnly)
}

func milliseconds(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// cutLow cuts a text that is not to become greater.
func cutLow(s string) string {
	if len(s) <= statText {
		return s
	}
	end := statText
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// cutHigh cuts a text that is not to become less: the last character that can
// be is made the next greater one.
func cutHigh(s string) (string, bool) {
	if len(s) <= statText {
		return s, true
	}
	for s = cutLow(s); s != ""; {
		last, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
		switch last {
		case utf8.MaxRune:
			continue
		case 0xD7FF: // what follows are surrogates
			last = 0xE000
		default:
			last++
		}
		return s + string(last), true
	}
	return "", false
}

func (s Statistics) text() string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) //nolint:errchkjson // texts and numbers always marshal
	return strings.TrimSuffix(out.String(), "\n")
}
