package formats

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	xcurrency "golang.org/x/text/currency"

	"github.com/waybillhq/waybill"
)

// castOne converts one record with one value and returns its columns, the CSV
// line, the reason of a failed cast, and the field's counts.
func castOne(t *testing.T, field, value string) (cells []any, csv, why string, stats waybill.FieldStats) {
	t.Helper()
	o := mustRun(t, `{"v":`+value+`}`, Options{Schema: schemaOf("v " + field)}, Parquet, CSV)
	if o.Rows != 1 {
		t.Fatalf("%s: %s", value, quarantined(o.Conversion))
	}
	if len(o.FailedCasts) > 0 {
		why = o.FailedCasts[0].Reason
	}
	_, csv, _ = strings.Cut(o.text(CSV), "\n")
	return readTable(t, o.files[Parquet]).rows[0], strings.TrimSuffix(csv, "\n"), why, o.Fields[0]
}

func TestCastText(t *testing.T) {
	for _, c := range []struct{ value, want, csv string }{
		{`"plain"`, "plain", "plain"},
		{`""`, "", `""`},
		{`"a,\"b\"\nc"`, "a,\"b\"\nc", "\"a,\"\"b\"\"\nc\""},
		{`" lead"`, " lead", `" lead"`},
		{`"\\."`, `\.`, `"\."`},
		{`"\u00fc \ud83d\ude00 \/ \b\f\t"`, "ü 😀 / \b\f\t", "ü 😀 / \b\f\t"},
		{`"\ud800"`, "\ufffd", "\ufffd"},
		{`"\udc00\ud83d"`, "\ufffd\ufffd", "\ufffd\ufffd"},
		{`"\ud800A"`, "\ufffdA", "\ufffdA"},
		{`"\u0000"`, "\x00", "\x00"},
		{`1.50e+3`, "1.50e+3", "1.50e+3"},
		{`true`, "true", "true"},
		{`{ "a" : [ 1 , "x y" ] }`, `{"a":[1,"x y"]}`, `"{""a"":[1,""x y""]}"`},
		{`[ ]`, "[]", "[]"},
	} {
		for _, field := range []string{"STRING", "LINK", "IMAGE", "CLASSIFICATION"} {
			cells, csv, why, stats := castOne(t, field, c.value)
			if cells[0] != c.want || csv != c.csv || why != "" || stats.NonNull != 1 {
				t.Errorf("%s %s: %q, CSV %q, %q, %+v; want %q, CSV %q", field, c.value, cells[0], csv, why, stats, c.want, c.csv)
			}
		}
	}
}

func TestCastJSON(t *testing.T) {
	for value, want := range map[string]string{
		`{ "a": [1.0, 2e5], "b" : "\u00fc" }`: `{"a":[1.0,2e5],"b":"\u00fc"}`,
		`"text"`:                              `"text"`,
		`"\ud800"`:                            `"\ud800"`,
		`12`:                                  `12`,
		`false`:                               `false`,
	} {
		for _, field := range []string{"OBJECT", "ARRAY"} {
			if cells, _, why, _ := castOne(t, field, value); cells[0] != want || why != "" {
				t.Errorf("%s %s: %q, %q; want %q", field, value, cells[0], why, want)
			}
		}
	}
}

func TestCastNumber(t *testing.T) {
	for _, c := range []struct {
		value   string
		want    any
		csv     string
		inexact int64
		why     reason
	}{
		{`0`, 0.0, "0", 0, castOK},
		{`-0`, math.Copysign(0, -1), "-0", 0, castOK},
		{`0.1`, 0.1, "0.1", 0, castOK},
		{`19.90`, 19.9, "19.90", 0, castOK},
		{`1E-7`, 1e-7, "1E-7", 0, castOK},
		{`123456789012345.678`, 123456789012345.678, "123456789012345.678", 0, castOK},
		{`" 12.5\n"`, 12.5, "12.5", 0, castOK},
		{`9007199254740992`, 9007199254740992.0, "9007199254740992", 0, castOK},
		{`-9007199254740992`, -9007199254740992.0, "-9007199254740992", 0, castOK},
		{`9007199254740993`, 9007199254740992.0, "9007199254740993", 1, castOK},
		{`-12345678901234567890`, -12345678901234567890.0, "-12345678901234567890", 1, castOK},
		{`1e400`, nil, "", 0, reasonNumberRange},
		{`""`, nil, "", 0, reasonEmpty},
		{`"  "`, nil, "", 0, reasonEmpty},
		{`"1,000"`, nil, "", 0, reasonNotNumber},
		{`"12 kg"`, nil, "", 0, reasonNotNumber},
		{`"NaN"`, nil, "", 0, reasonNotNumber},
		{`"Infinity"`, nil, "", 0, reasonNotNumber},
		{`"+1"`, nil, "", 0, reasonNotNumber},
		{`"01"`, nil, "", 0, reasonNotNumber},
		{`"-01"`, nil, "", 0, reasonNotNumber},
		{`".5"`, nil, "", 0, reasonNotNumber},
		{`"5."`, nil, "", 0, reasonNotNumber},
		{`"-"`, nil, "", 0, reasonNotNumber},
		{`"0x10"`, nil, "", 0, reasonNotNumber},
		{`"1_000"`, nil, "", 0, reasonNotNumber},
		{`true`, nil, "", 0, reasonNotNumber},
		{`{}`, nil, "", 0, reasonNotNumber},
		{`[1]`, nil, "", 0, reasonNotNumber},
	} {
		cells, csv, why, stats := castOne(t, "NUMBER", c.value)
		if !sameNumber(cells[0], c.want) || csv != c.csv || why != c.why.String() || stats.Inexact != c.inexact {
			t.Errorf("%s: %v, CSV %q, %q, %+v", c.value, cells[0], csv, why, stats)
		}
	}
}

func sameNumber(got, want any) bool {
	a, ok := got.(float64)
	b, ok2 := want.(float64)
	return ok == ok2 && math.Float64bits(a) == math.Float64bits(b)
}

// The short way through parseNumber must agree with the long one.
func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"0", "-0.0", "1.5", "123456789012345", "0.000000000000001", "99999999999999.9", "1.", "00", "-", "1e5", "0.30000000000000004"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		got, _, why := parseNumber(s)
		want, err := strconv.ParseFloat(string(s), 64)
		if ok := isNumber(s) && err == nil; ok != (why == castOK) {
			t.Fatalf("%q: %v, want a number: %t", s, why, ok)
		} else if ok && math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%q: %v, want %v", s, got, want)
		}
	})
}

func TestCastBoolean(t *testing.T) {
	for _, c := range []struct {
		value string
		want  any
		csv   string
		why   reason
	}{
		{`true`, true, "true", castOK},
		{`false`, false, "false", castOK},
		{`"TRUE"`, true, "true", castOK},
		{`" False "`, false, "false", castOK},
		{`"tr\u0075e"`, true, "true", castOK},
		{`1`, nil, "", reasonNotBool},
		{`0`, nil, "", reasonNotBool},
		{`"yes"`, nil, "", reasonNotBool},
		{`""`, nil, "", reasonEmpty},
		{`[]`, nil, "", reasonNotBool},
		{`{}`, nil, "", reasonNotBool},
	} {
		cells, csv, why, _ := castOne(t, "BOOLEAN", c.value)
		if cells[0] != c.want || csv != c.csv || why != c.why.String() {
			t.Errorf("%s: %v, CSV %q, %q", c.value, cells[0], csv, why)
		}
	}
}

func TestCastMoney(t *testing.T) {
	object := func(amount, code string) string { return `{"amount":` + amount + `,"currencyCode":` + code + `}` }
	nines := strings.Repeat("9", 29)
	for _, c := range []struct {
		value    string
		amount   any
		currency any
		csv      string
		inexact  int64
		why      reason
	}{
		{object("1050", `"USD"`), "10.5", "USD", "10.50,USD", 0, castOK},
		{object("1050", `"JPY"`), "1050", "JPY", "1050,JPY", 0, castOK},
		{object("1050", `"KWD"`), "1.05", "KWD", "1.050,KWD", 0, castOK},
		{object("1050", `"IDR"`), "10.5", "IDR", "10.50,IDR", 0, castOK},
		{object("1050", `"CLF"`), "0.105", "CLF", "0.1050,CLF", 0, castOK},
		{object("5", `"usd"`), "0.05", "USD", "0.05,USD", 0, castOK},
		{object("-5", `"USD"`), "-0.05", "USD", "-0.05,USD", 0, castOK},
		{object("0", `"USD"`), "0", "USD", "0.00,USD", 0, castOK},
		{object("-0", `"USD"`), "0", "USD", "0.00,USD", 0, castOK},
		{object(`" 1234.5 "`, `"EUR"`), "12.345", "EUR", "12.345,EUR", 0, castOK},
		{object("12e2", `"EUR"`), "12", "EUR", "12.00,EUR", 0, castOK},
		{`{"currencyCode":"EUR", "formatted":"1 €", "\u0061mount" : 100}`, "1", "EUR", "1.00,EUR", 0, castOK},
		{`{"amount":1,"currencyCode":"EUR","amount":200}`, "2", "EUR", "2.00,EUR", 0, castOK},
		{object("1050", `"XXX"`), nil, nil, ",", 0, reasonCurrency},
		{object("1050", `"DOLLAR"`), nil, nil, ",", 0, reasonCurrency},
		{object("1050", "null"), nil, nil, ",", 0, reasonCurrency},
		{`{"amount":1050}`, nil, nil, ",", 0, reasonCurrency},
		{object("null", `"USD"`), nil, nil, ",", 0, reasonNoAmount},
		{`{}`, nil, nil, ",", 0, reasonNoAmount},
		{object(`"10,50"`, `"USD"`), nil, nil, ",", 0, reasonNotMoney},
		{object("[]", `"USD"`), nil, nil, ",", 0, reasonNotMoney},
		{`3500`, "3500", nil, "3500,", 0, castOK},
		{`"0"`, "0", nil, "0,", 0, castOK},
		{`" 19.90 "`, "19.9", nil, "19.90,", 0, castOK},
		{`-1.5e3`, "-1500", nil, "-1.5e3,", 0, castOK},
		{`0.30000000000000004`, "0.3", nil, "0.30000000000000004,", 1, castOK},
		{`0.0000000005`, "0.000000001", nil, "0.0000000005,", 1, castOK},
		{`-0.00000000049`, "0", nil, "-0.00000000049,", 1, castOK},
		{`1.5000000000000`, "1.5", nil, "1.5000000000000,", 0, castOK},
		{`1e-99999999999999999999`, "0", nil, "1e-99999999999999999999,", 1, castOK},
		{`0e99999999999999999999`, "0", nil, "0e99999999999999999999,", 0, castOK},
		{nines, nines, nil, nines + ",", 0, castOK},
		{"-" + nines + ".999999999", "-" + nines + ".999999999", nil, "-" + nines + ".999999999,", 0, castOK},
		{nines + ".9999999995", nil, nil, ",", 0, reasonAmountRange},
		{`1e29`, nil, nil, ",", 0, reasonAmountRange},
		{`1e99999999999999999999`, nil, nil, ",", 0, reasonAmountRange},
		{`"$5"`, nil, nil, ",", 0, reasonNotMoney},
		{`""`, nil, nil, ",", 0, reasonEmpty},
		{`true`, nil, nil, ",", 0, reasonNotMoney},
		{`[5]`, nil, nil, ",", 0, reasonNotMoney},
	} {
		cells, csv, why, stats := castOne(t, "MONEY", c.value)
		if cells[0] != c.amount || cells[1] != c.currency || csv != c.csv || why != c.why.String() || stats.Inexact != c.inexact {
			t.Errorf("%s: %v %v, CSV %q, %q, %+v", c.value, cells[0], cells[1], csv, why, stats)
		}
	}
}

// The figures of ISO 4217, not CLDR's, which differ for more than 20 codes.
func TestCurrencies(t *testing.T) {
	newerThanCLDR := "MRU SLE UYW VED VES XAD XCG ZWG"
	known := 0
	for _, c := range currencies {
		if c.code == nil {
			continue
		}
		known++
		code := string(c.code)
		unit, err := xcurrency.ParseISO(code)
		if err != nil {
			if !strings.Contains(newerThanCLDR, code) {
				t.Errorf("%s: %v", code, err)
			}
			continue
		}
		if digits, _ := xcurrency.Standard.Rounding(unit); digits != c.decimals && digits != 0 {
			t.Errorf("%s has %d decimals, CLDR has %d", code, c.decimals, digits)
		}
	}
	for code, want := range map[string]int{"EUR": 2, "JPY": 0, "KWD": 3, "IQD": 3, "CLF": 4, "COP": 2, "PKR": 2, "HUF": 2, "ISK": 0} {
		if got, decimals := currencyOf([]byte(code)); string(got) != code || decimals != want {
			t.Errorf("%s: %s, %d decimals; want %d", code, got, decimals, want)
		}
	}
	if known < 170 {
		t.Errorf("%d currencies", known)
	}
}

func TestNullAndAbsentAreNoFailures(t *testing.T) {
	for _, dataType := range waybill.DataTypes() {
		o := mustRun(t, "{\"v\":null}\n{}\n", Options{Schema: schemaOf("v " + string(dataType))}, Parquet, JSONL)
		if f := o.Fields[0]; f.NonNull != 0 || f.CastFailures != 0 || o.Rows != 2 {
			t.Errorf("%s: %+v", dataType, f)
		}
		for _, row := range readTable(t, o.files[Parquet]).rows {
			if slices.ContainsFunc(row, func(v any) bool { return v != nil }) {
				t.Errorf("%s: %v", dataType, row)
			}
		}
		if o.text(JSONL) != "{\"v\":null}\n{}\n" {
			t.Errorf("%s: %q", dataType, o.text(JSONL))
		}
	}
}

func TestCastTableNamesEveryType(t *testing.T) {
	rules := CastTable()
	for i, dataType := range waybill.DataTypes() {
		r := rules[i]
		if r.Type != dataType || r.Column == "" || r.Policy == "" || r.Accepts == "" || r.CSV == "" {
			t.Errorf("%s: %+v", dataType, r)
		}
	}
}

func TestFailedCastsKeepTheFirst(t *testing.T) {
	var input strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&input, `{"n":"bad %d"}`+"\n", i)
	}
	o := mustRun(t, input.String(), Options{Schema: schemaOf("n NUMBER"), CPUs: 4}, JSONL)
	if o.Fields[0].CastFailures != 30_000 || len(o.FailedCasts) != maxFailedCasts {
		t.Fatalf("%+v, %d kept", o.Fields[0], len(o.FailedCasts))
	}
	for i, c := range o.FailedCasts {
		if c != (waybill.FailedCast{Line: int64(i + 1), Field: "n", Reason: "not a number"}) {
			t.Fatalf("%d: %+v", i, c)
		}
	}
}
