package formats

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/waybillhq/waybill"
)

// The reference is a converter as one writes it without a care for speed: the
// standard library's decoder, big rationals, time.Parse.

// referenceRow casts one record, or returns nil where it is malformed.
func referenceRow(schema waybill.Schema, record string) []any {
	var members map[string]json.RawMessage
	if !utf8.ValidString(record) || json.Unmarshal([]byte(record), &members) != nil || members == nil {
		return nil
	}
	var row []any
	for _, f := range schema.Exported() {
		cells := []any{nil}
		if f.DataType == waybill.Money {
			cells = []any{nil, nil}
		}
		if raw, ok := members[f.Name]; ok && string(raw) != "null" {
			referenceCast(f, raw, cells)
		}
		row = append(row, cells...)
	}
	return row
}

func referenceCast(f waybill.Field, raw json.RawMessage, cells []any) {
	var compact bytes.Buffer
	_ = json.Compact(&compact, raw)
	source := compact.String()
	text, isString := source, false
	if raw[0] == '"' {
		isString = true
		_ = json.Unmarshal(raw, &text)
	}
	trimmed := strings.TrimSpace(text)
	switch f.DataType {
	case waybill.Object, waybill.Array:
		cells[0] = source
	case waybill.Number:
		if json.Valid([]byte(trimmed)) && strings.ContainsAny(trimmed[:1], "-0123456789") {
			if v, err := strconv.ParseFloat(trimmed, 64); err == nil {
				cells[0] = v
			}
		}
	case waybill.Boolean:
		if lower := strings.ToLower(trimmed); lower == "true" || lower == "false" {
			cells[0] = lower == "true"
		}
	case waybill.Money:
		referenceMoney(raw, trimmed, cells)
	case waybill.Date, waybill.DateTime:
		if isString {
			cells[0] = referenceTime(trimmed, f.DataType)
		}
	default:
		cells[0] = text
	}
}

func referenceMoney(raw json.RawMessage, trimmed string, cells []any) {
	exponent := 0
	if raw[0] == '{' {
		var m struct {
			Amount       any
			CurrencyCode string
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if d.Decode(&m) != nil {
			return
		}
		exponents := map[string]int{"EUR": 2, "JPY": 0, "KWD": 3}
		e, known := exponents[m.CurrencyCode]
		if !known {
			return
		}
		exponent, trimmed = e, strings.TrimSpace(fmt.Sprint(m.Amount))
		defer func() {
			if cells[0] != nil {
				cells[1] = m.CurrencyCode
			}
		}()
	}
	if !json.Valid([]byte(trimmed)) || !strings.ContainsAny(trimmed[:1], "-0123456789") {
		return
	}
	v, ok := new(big.Rat).SetString(trimmed)
	if !ok {
		return
	}
	v.Quo(v, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(exponent)), nil)))
	text := v.FloatString(9) // rounds half away from zero
	if whole, _, _ := strings.Cut(strings.TrimPrefix(text, "-"), "."); len(whole) > 29 {
		return
	}
	text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	if text == "-0" {
		text = "0"
	}
	cells[0] = text
}

func referenceTime(s string, dataType waybill.DataType) any {
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05",
		"Jan 2 2006", "January 2, 2006", "2 January 2006", "02-Jan-2006", time.RFC1123, time.RFC1123Z, time.ANSIC, "Jan 2, 2006 3:04 PM"} {
		v, err := time.Parse(layout, s)
		if err != nil || v.Year() < 1 {
			continue
		}
		if dataType == waybill.Date {
			return v.Format("2006-01-02")
		}
		if v = v.UTC(); v.Year() < 1 || v.Year() > 9999 {
			return nil
		}
		return v.Truncate(time.Microsecond).Format("2006-01-02T15:04:05.999999Z")
	}
	return nil
}

var uglySchema = schemaOf("s STRING", "n NUMBER", "m MONEY", "b BOOLEAN", "d DATE", "t DATETIME", "o OBJECT", "a ARRAY", "l LINK")

var uglyValues = []string{
	`null`, `true`, `false`, `"TRUE"`, `"false "`, `0`, `-0`, `1`, `-12.50`, `1e3`, `1E-9`, `3.141592653589793`, `0.30000000000000004`,
	`9007199254740993`, `1e308`, `1e309`, `123456789012345678901234567890`, `""`, `" "`, `"x"`, `" 42 "`, `"4,2"`, `"NaN"`, `"é\u00e9\n\"q\""`,
	`"\ud83d\ude00 \ud83d"`, `"2018-02-07"`, `"2018-02-29"`, `"2018-02-07T01:26:13.840Z"`, `"2018-02-07T01:26:13.1234567+05:30"`, `"2018-02-07 01:26:13"`,
	`"Jun 12 1998"`, `"June 12, 1998"`, `"12 June 1998"`, `"12-Jun-1998"`, `"01/31/2015"`, `"Wed, 07 Feb 2018 01:26:13 GMT"`, `"Wed, 07 Feb 2018 01:26:13 +0100"`,
	`"Wed Feb  7 01:26:13 2018"`, `"Jan 2, 2006 3:04 PM"`, `"0001-01-01T00:00:00+01:00"`, `{"amount":1999,"currencyCode":"EUR"}`,
	`{"amount":"-5","currencyCode":"KWD"}`, `{"amount":1e2,"currencyCode":"JPY"}`, `{"amount":1,"currencyCode":"???"}`, `{}`, `[]`,
	`[ 1 , "two" , { "three" : null } ]`, `{ "deep" : { "er" : [ [ ] , { } ] } }`, `"a,b"`, `"line\r\nbreak"`, `"\\."`, "\"tab\\t\"",
	"\"\u2028\"", // a line separator, which is no newline here
}

var uglyRecords = []string{
	`{`, `[]`, `{"s":01}`, `{"s":"` + "\xff" + `"}`, `{"s":1,}`, `nope`, `{"s":1}}`, `"s"`,
}

// uglyRecord makes a record with some of the fields, in any order, with
// duplicates, unknown fields and white space; sometimes a malformed one.
func uglyRecord(r *rand.Rand) string {
	if r.IntN(25) == 0 {
		return uglyRecords[r.IntN(len(uglyRecords))]
	}
	var members []string
	for _, f := range uglySchema.Fields {
		key := strconv.Quote(f.Name)
		if r.IntN(10) == 0 {
			key = fmt.Sprintf(`"\u%04x"`, f.Name[0])
		}
		for range []int{1, 1, 1, 1, 1, 0, 2}[r.IntN(7)] {
			members = append(members, key+pick(r, ":", " : ")+pick(r, uglyValues...))
		}
	}
	if r.IntN(3) == 0 {
		members = append(members, `"unknown":`+pick(r, uglyValues...))
	}
	if r.IntN(3) == 0 {
		r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	}
	return pick(r, "{", " { ") + strings.Join(members, pick(r, ",", " , ", ",\t")) + pick(r, "}", " } \r")
}

func pick(r *rand.Rand, choices ...string) string { return choices[r.IntN(len(choices))] }

func TestAgreesWithTheReference(t *testing.T) {
	const records = 10_000
	r := rand.New(rand.NewPCG(7, 7))
	var input strings.Builder
	var want [][]any
	var lines []string
	for range records {
		record := uglyRecord(r)
		input.WriteString(record + "\n")
		if row := referenceRow(uglySchema, strings.TrimSpace(record)); row != nil {
			want = append(want, row)
			lines = append(lines, record)
		}
	}
	o := mustRun(t, input.String(), Options{Schema: uglySchema, CPUs: 3, rowGroupRows: 4500}, All()...)
	if o.Rows != int64(len(want)) || o.Rows+o.Quarantined != records {
		t.Fatalf("%d rows and %d quarantined, want %d of %d", o.Rows, o.Quarantined, len(want), records)
	}
	compareRows(t, readTable(t, o.files[Parquet]).rows, want)
	compareStats(t, o.Conversion, uglySchema, want)
	compareJSONL(t, o.text(JSONL), lines, uglySchema)
	compareCSV(t, o.text(CSV), want)
	compareEnvelope(t, o)
	compareDuckDB(t, o, want)
}

func compareRows(t *testing.T, got, want [][]any) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("row %d:\n%q, want\n%q", i, got[i], want[i])
		}
	}
}

func compareStats(t *testing.T, c waybill.Conversion, schema waybill.Schema, want [][]any) {
	t.Helper()
	column := 0
	for i, f := range schema.Exported() {
		var nonNull int64
		for _, row := range want {
			if row[column] != nil {
				nonNull++
			}
		}
		if c.Fields[i].Name != f.Name || c.Fields[i].NonNull != nonNull {
			t.Errorf("%s: %+v, want %d values", f.Name, c.Fields[i], nonNull)
		}
		if column++; f.DataType == waybill.Money {
			column++
		}
	}
}

// compareJSONL checks that each line has the record's known fields, in the
// descriptor's order, with their original text.
func compareJSONL(t *testing.T, got string, records []string, schema waybill.Schema) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != len(records) {
		t.Fatalf("%d lines of JSONL, want %d", len(lines), len(records))
	}
	for i, record := range records {
		var members map[string]json.RawMessage
		_ = json.Unmarshal([]byte(record), &members)
		var want []string
		for _, f := range schema.Exported() {
			if raw, ok := members[f.Name]; ok {
				var compact bytes.Buffer
				_ = json.Compact(&compact, raw)
				want = append(want, strconv.Quote(f.Name)+":"+compact.String())
			}
		}
		if line := "{" + strings.Join(want, ",") + "}"; lines[i] != line {
			t.Fatalf("JSONL line %d:\n%s, want\n%s", i, lines[i], line)
		}
	}
}

// compareCSV checks the text columns, and which cells are empty.
func compareCSV(t *testing.T, got string, want [][]any) {
	t.Helper()
	// The standard library's reader turns a line break within quotes into \n.
	records, err := csv.NewReader(strings.NewReader(got)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != len(want)+1 || strings.Join(records[0], ",") != "s,n,m,m_currency,b,d,t,o,a,l" {
		t.Fatalf("%d lines of CSV, header %v", len(records), records[0])
	}
	for i, record := range records[1:] {
		for c, cell := range record {
			switch v := want[i][c].(type) {
			case nil:
				if cell != "" {
					t.Fatalf("CSV row %d column %d is %q, want nothing", i, c, cell)
				}
			case bool:
				if cell != strconv.FormatBool(v) {
					t.Fatalf("CSV row %d column %d is %q, want %t", i, c, cell, v)
				}
			case float64:
				if n, err := strconv.ParseFloat(cell, 64); err != nil || n != v {
					t.Fatalf("CSV row %d column %d is %q, want %v", i, c, cell, v)
				}
			case string:
				if text := strings.ReplaceAll(v, "\r\n", "\n"); c != 2 && c != 6 && cell != text {
					t.Fatalf("CSV row %d column %d is %q, want %q", i, c, cell, text)
				}
			}
		}
	}
}

// compareEnvelope checks that the JSON format is one document with JSONL's records.
func compareEnvelope(t *testing.T, o outcome) {
	t.Helper()
	var doc struct{ Data []json.RawMessage }
	if err := json.Unmarshal(o.files[JSON], &doc); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, record := range doc.Data {
		lines.Write(record)
		lines.WriteByte('\n')
	}
	if lines.String() != o.text(JSONL) {
		t.Error("the envelope's records are not JSONL's")
	}
}

func TestBundledRuns(t *testing.T) {
	for _, c := range []struct {
		name     string
		failures string // field and count
		unknown  string
		csv      string // first record
	}{
		{"movies", "", "", "The Land Girls,146083,146083,,8000000,1998-06-12,R,,Gramercy,,,,,,6.1,1071"},
		{"earthquakes-1", "", "_sourceIndex 1000", `ci37868143,"M 2.0 - 4km W of Castaic, CA","4km W of Castaic, CA",2,2018-02-07T01:26:13.840Z,` +
			`https://earthquake.usgs.gov/earthquakes/eventpage/ci37868143,false,"{""longitude"":-118.6671667,""latitude"":34.4945,""depthKm"":26.49}"`},
		{"earthquakes-2", "", "_sourceIndex 707", `ak18301484,"M 2.7 - 37km WNW of Valdez, Alaska","37km WNW of Valdez, Alaska",2.7,ml,2018-02-03T03:28:08.481Z,` +
			`https://earthquake.usgs.gov/earthquakes/eventpage/ak18301484,,false,,"{""longitude"":-147.0063,""latitude"":61.2401,""depthKm"":21.8}","[""geoserve"",""origin"",""phase-data""]"`},
		{"contributions", "Coverage_End_Date 58", "", `H4AL03061,"SMITH, JESSE TREMAIN",C,1,DEM,3500,,0,,3500,,0,,0,,0,,3500,,0,,0,,0,,3500,,0,,0,,AL,3,0,,0,,,0,,0,`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, data := bundledRun(t, c.name)
			o := mustRun(t, string(data), Options{Schema: r.Schema}, All()...)
			if o.Rows != r.RowCount || o.Quarantined != 0 {
				t.Fatalf("%d rows, %s", o.Rows, quarantined(o.Conversion))
			}
			var want [][]any
			records := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
			for _, record := range records {
				want = append(want, referenceRow(r.Schema, record))
			}
			compareRows(t, readTable(t, o.files[Parquet]).rows, want)
			compareStats(t, o.Conversion, r.Schema, want)
			compareJSONL(t, o.text(JSONL), records, r.Schema)
			compareEnvelope(t, o)
			if line := strings.Split(o.text(CSV), "\n")[1]; line != c.csv {
				t.Errorf("CSV %s", line)
			}
			var failures, unknown []string
			for _, f := range o.Fields {
				if f.CastFailures > 0 {
					failures = append(failures, fmt.Sprint(f.Name, " ", f.CastFailures))
				}
			}
			for _, n := range o.UnknownNames {
				unknown = append(unknown, fmt.Sprint(n.Name, " ", n.Count))
			}
			if strings.Join(failures, ", ") != c.failures || strings.Join(unknown, ", ") != c.unknown {
				t.Errorf("failures %v, unknown %v", failures, unknown)
			}
			if bytes.Contains(o.files[Parquet], []byte("_sourceIndex")) || strings.Contains(o.text(CSV)+o.text(JSONL), "_sourceIndex") {
				t.Error("an internal field was delivered")
			}
		})
	}
}

// The contributions' dates are US dates, which the descriptor may say.
func TestBundledRunWithDateOrder(t *testing.T) {
	r, data := bundledRun(t, "contributions")
	for i := range r.Schema.Fields {
		if r.Schema.Fields[i].DataType == waybill.Date {
			r.Schema.Fields[i].DateOrder = waybill.MDY
		}
	}
	o := mustRun(t, string(data), Options{Schema: r.Schema}, Parquet)
	tab := readTable(t, o.files[Parquet])
	for i, name := range tab.names {
		if name == "Coverage_End_Date" && (tab.rows[0][i] != "2015-01-31" || tab.rows[1][i] != "2015-01-01") {
			t.Errorf("%v, %v", tab.rows[0][i], tab.rows[1][i])
		}
	}
	if o.CastFailures() != 0 {
		t.Errorf("%d failed casts: %v", o.CastFailures(), o.FailedCasts[0])
	}
}
