package delta

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestBoundsNeverExcludeAValue(t *testing.T) {
	long := strings.Repeat("a", statText)
	for name, tc := range map[string]struct {
		low, high any
		of        string
		min, max  any
		ok        bool
	}{
		"short text":        {"a", "b", "string", "a", "b", true},
		"long text":         {long + "x", long + "x", "string", long, long[1:] + "b", true},
		"cut in a letter":   {long[1:] + "ü!", long[1:] + "ü!", "string", long[1:], long[2:] + "b", true},
		"before surrogates": {"a", long[3:] + "\ud7ff" + "!", "string", "a", long[3:] + "\ue000", true},
		"nothing greater":   {"a", strings.Repeat("\U0010ffff", 40), "string", nil, nil, false},
		"not UTF-8":         {"\xff", "\xff", "string", nil, nil, false},
		"negative zero":     {math.Copysign(0, -1), 1.5, "double", "0", "1.5", true},
		"infinite":          {1.0, math.Inf(1), "double", nil, nil, false},
		"date":              {int64(-719162), int64(2932896), "date", "0001-01-01", "9999-12-31", true},
		"time":              {int64(-1), int64(1), "timestamp", "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00.001Z", true},
		"whole millisecond": {int64(-1000), int64(1000), "timestamp", "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00.001Z", true},
		"long":              {int64(math.MinInt64), int64(math.MaxInt64), "long", "-9223372036854775808", "9223372036854775807", true},
		"money":             {big.NewInt(-12_340_000_000), big.NewInt(5), "decimal(38,9)", "-12.34", "0.000000005", true},
		"money past double": {big.NewInt(0), new(big.Int).Exp(big.NewInt(10), big.NewInt(37), nil), "decimal(38,9)", "0", "10000000000000000000000000000", true},
		"inexact money":     {big.NewInt(0), new(big.Int).Add(new(big.Int).Exp(big.NewInt(10), big.NewInt(37), nil), big.NewInt(1)), "decimal(38,9)", nil, nil, false},
	} {
		low, high, ok := extentOf(tc.low, tc.high).bounds(tc.of)
		if ok != tc.ok || ok && (textOf(low) != tc.min || textOf(high) != tc.max) {
			t.Errorf("%s: %v to %v (%t), want %v to %v (%t)", name, low, high, ok, tc.min, tc.max, tc.ok)
		}
	}
}

func extentOf(low, high any) (e extent) {
	switch low := low.(type) {
	case string:
		e.text = &[2]string{low, high.(string)}
	case float64:
		e.double = &[2]float64{low, high.(float64)}
	case int64:
		e.whole = &[2]int64{low, high.(int64)}
	case *big.Int:
		e.money = &[2]*big.Int{low, high.(*big.Int)}
	}
	return e
}

func textOf(v any) string {
	if n, ok := v.(interface{ String() string }); ok {
		return n.String()
	}
	return v.(string)
}

func FuzzCutTexts(f *testing.F) {
	f.Add("a")
	f.Add(strings.Repeat("ü", 100))
	f.Add(strings.Repeat("\U0010ffff", 60) + "a")
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		low := cutLow(s)
		high, ok := cutHigh(s)
		if low > s || ok && high < s || !utf8.ValidString(low) || !utf8.ValidString(high) || len(high) > statText+utf8.UTFMax {
			t.Errorf("%q is cut to %q and %q", s, low, high)
		}
	})
}

func TestStatisticsOfOtherWritersAreRead(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "{}": false, "[": false, `{"numRecords":null}`: false,
		`{"numRecords":3}`: true, `{"numRecords":3,"nullCount":{"a":1,"s":{"t":2}},"minValues":{"s":{"t":1}}}`: true,
	} {
		s, ok := Add{Stats: text}.Statistics()
		if ok != want || ok && s.NumRecords != 3 {
			t.Errorf("%s: %+v (%t), want %t", text, s, ok, want)
		}
	}
}

// Parquet leaves texts out that are long: what is left of the statistics must
// not make readers skip the file.
func TestStatisticsNeverExcludeALongText(t *testing.T) {
	long := strings.Repeat("z", 2000)
	for name, values := range map[string][]string{"the greatest": {"a", long}, "the greatest beside an empty one": {"", long},
		"both": {long, long + "z"}, "the least": {long, "~"}} {
		t.Run(name, func(t *testing.T) {
			var records []string
			for _, v := range values {
				records = append(records, fmt.Sprintf(`{"city":%q}`, v))
			}
			file := delivery("j", 1).put(t, Open(folder(t), "v1", Options{}), citySchema, records...).Files[0]
			stats, ok := Add{Stats: file.Stats}.Statistics()
			if !ok {
				t.Fatal(file.Stats)
			}
			if low, has := stats.MinValues["CITY"].(string); has && low > slices.Min(values) {
				t.Errorf("the least text is said to be %q", low)
			}
			if high, has := stats.MaxValues["CITY"].(string); has && high < slices.Max(values) {
				t.Errorf("the greatest text is said to be %q", high)
			}
		})
	}
}

func TestOnlyCertainFilesOfAJobAreTakenAsAWhole(t *testing.T) {
	for text, want := range map[string][2]bool{
		"": {false, false},
		`{"numRecords":1,"minValues":{"J":"b"},"maxValues":{"J":"b"}}`:                       {true, true},
		`{"numRecords":2,"minValues":{"J":"b"},"maxValues":{"J":"b"},"nullCount":{"J":1}}`:   {true, false},
		`{"numRecords":2,"minValues":{"J":"a"},"maxValues":{"J":"c"}}`:                       {false, false},
		`{"numRecords":2,"minValues":{"J":"c"},"maxValues":{"J":"d"}}`:                       {false, true},
		`{"numRecords":2,"minValues":{"J":"a"},"maxValues":{"J":"az"},"nullCount":{"J":0}}`:  {false, true},
		`{"numRecords":2,"minValues":{"X":"a"},"maxValues":{"X":"az"}}`:                      {false, false},
		`{"numRecords":2,"minValues":{"J":{"x":1}},"maxValues":{"J":5},"nullCount":{"J":0}}`: {false, false},
	} {
		all, certain := jobOf(Add{Stats: text}, "J", "b")
		if [2]bool{all, certain} != want {
			t.Errorf("%s: %t %t, want %v", text, all, certain, want)
		}
	}
}
