package formats

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// The short way of dates gives what the long way gives, or nothing.
func FuzzISODates(f *testing.F) {
	for _, s := range []string{"2018-02-07", "2018-02-29", "2020-02-29", "0000-01-01", "0001-01-01", "9999-12-31T23:59:59.999999Z", "2018-02-07T01:26:13.840Z",
		"2018-02-07T24:00:00Z", "2018-02-07T01:26:60Z", "2018-02-07T01:26:13Z", "2018-02-07t01:26:13z", "2018-13-07", "2018-02-07T01:26:13.84Z", "2018-2-7", "18-02-0711"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		got, ok := isoMoment(s)
		if !ok {
			return
		}
		want, r := readMoment(s, "")
		want.iso = got.iso // which only the short way says
		if r != castOK || got != want {
			t.Fatalf("%q: %+v, want %+v, %q", s, got, want, r)
		}
		days := daysOf(got.year, got.month, got.day)
		if text := appendDate(nil, days); string(text) != string(s[:10]) {
			t.Fatalf("%q is written as %q", s, text)
		}
		if !got.iso {
			return
		}
		micros, _, _ := parseDateTime(s, "")
		if text := appendDateTime(nil, micros); len(text) != dateTimeLen(micros) || len(s) == len(text) && string(s) != string(text) {
			t.Fatalf("%q is written as %q", s, text)
		}
	})
}

// The short way of texts that need no look for quotes and line breaks writes
// what the long way writes.
func FuzzPlainCSV(f *testing.F) {
	for _, s := range []string{"", " ", "a", " a", "a ", "a,b", ",", "a b", "=1", "café, crème", strings.Repeat("long ", 40) + ","} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		end, escaped, fault := stringEnd(append(s, '"'), 0)
		if fault != faultNone || escaped || end != len(s)+1 {
			return // not the inside of such a string
		}
		if got, want := appendCSVPlain(nil, s), appendCSVText(nil, s); string(got) != string(want) {
			t.Fatalf("%q is written as %q, want %q", s, got, want)
		}
	})
}

// The short way of amounts gives what the long way gives, or nothing; and an
// amount's text stands for the amount.
func FuzzMoney(f *testing.F) {
	for _, s := range []string{`{"amount":1999,"currencyCode":"EUR"}`, `{"amount":0,"currencyCode":"JPY"}`, `{"amount":01,"currencyCode":"EUR"}`, `{"amount":999999999999999,"currencyCode":"KWD"}`,
		`{"amount":1,"currencyCode":"clf"}`, `{"amount":1,"currencyCode":"XXX"}`, `{"amount":100,"currencyCode":"JPY"}`, `{"amount":-5,"currencyCode":"EUR"}`, `{"amount":1e40,"currencyCode":"EUR"}`,
		`{"amount":123456789012345678901234567.5,"currencyCode":"EUR"}`, `{"amount":1,"currencyCode":"EUR","amount":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		short, ok := shortMoney(object)
		if ok && !json.Valid(object) {
			t.Fatalf("%q is no JSON and is read", object)
		}
		if !json.Valid(object) || object[0] != '{' {
			return
		}
		want, r := readMoney(object)
		if ok && (r != castOK || !reflect.DeepEqual(short, want)) {
			t.Fatalf("%q: %+v, want %+v, %q", object, short, want, r)
		}
		if r != castOK {
			return
		}
		text := want.amount.appendText(nil, want.decimals)
		if again, inexact, r := parseDecimal(text, 0); r != castOK || inexact || again != want.amount {
			t.Fatalf("%q is written as %q", object, text)
		}
	})
}

// A text comes out of CSV as it went in, between others, and with the guard
// behind an apostrophe at most.
func FuzzCSVText(f *testing.F) {
	for _, s := range []string{"", "a", "a,b", `"`, `a"b`, "\n", "\r\n", " a", `\.`, "=1+1", strings.Repeat(`x"`, 100), "é,😀"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		if !utf8.Valid(s) {
			return
		}
		for guard, line := range map[string][]byte{"": appendCSVText([]byte("1,"), s), "'": appendGuarded([]byte("1,"), s)} {
			records, err := csv.NewReader(bytes.NewReader(append(line, ",2\n"...))).ReadAll()
			if err != nil || len(records) != 1 || len(records[0]) != 3 {
				t.Fatalf("%q is written as %q: %q, %v", s, line, records, err)
			}
			if want := guard + strings.ReplaceAll(string(s), "\r\n", "\n"); records[0][1] != want { // as the reader has it
				t.Fatalf("%q is written as %q and read as %q", s, line, records[0][1])
			}
		}
	})
}

// Parquet gives back what went in, whatever repeats and wherever a dictionary
// is given up: the first two bytes say how often a value stands and how many
// NULLs come behind it, the rest are the values.
func FuzzParquetColumns(f *testing.F) {
	f.Add([]byte{9, 1, 'a', 'b', 'a', 0, 'c'})
	f.Add([]byte{255, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Add(bytes.Repeat([]byte{40, 3}, 200))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 3 || len(b) > 2000 {
			return
		}
		var input strings.Builder
		var want [][]any
		for i, v := range b[2:] {
			for range 1 + int(b[0]) {
				fmt.Fprintf(&input, "{\"s\":\"%0*d\",\"n\":%d,\"b\":%t}\n", v, i, int(v)-128, v > 9)
				want = append(want, []any{fmt.Sprintf("%0*d", v, i), float64(int(v) - 128), v > 9})
			}
			for range b[1] % 8 {
				input.WriteString("{}\n")
				want = append(want, []any{nil, nil, nil})
			}
			if input.Len() > 1<<20 {
				break
			}
		}
		o := mustRun(t, input.String(), Options{Schema: schemaOf("s STRING", "n NUMBER", "b BOOLEAN"), rowGroupRows: 700}, Parquet)
		compareRows(t, readTable(t, o.files[Parquet]).rows, want)
	})
}
