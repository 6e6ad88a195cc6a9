package formats

import "github.com/waybillhq/waybill"

// cast is how values of a data type become values of a column.
type cast uint8

const (
	castText cast = iota
	castNumber
	castMoney
	castBool
	castDate
	castDateTime
	castJSON
)

func castOf(t waybill.DataType) cast {
	switch t {
	case waybill.Number:
		return castNumber
	case waybill.Money:
		return castMoney
	case waybill.Boolean:
		return castBool
	case waybill.Date:
		return castDate
	case waybill.DateTime:
		return castDateTime
	case waybill.Object, waybill.Array:
		return castJSON
	}
	return castText
}

// Policy says what a cast may do to a value.
type Policy string

// The cast policies.
const (
	Exact   Policy = "exact"    // never fails: every value has this form
	TryCast Policy = "try_cast" // a value that does not fit becomes NULL and is counted
	AsJSON  Policy = "json"     // never fails: the value's JSON text
)

// CastRule is one line of the table of types: what becomes of a workflow type.
type CastRule struct {
	Type    waybill.DataType
	Column  string // in Parquet
	Policy  Policy
	Accepts string // values that are not NULL in the column
	CSV     string // how the value stands in CSV
}

// CastTable lists what becomes of each data type, in the order of
// [waybill.DataTypes]. JSON null and an absent key are NULL everywhere and no
// failure.
func CastTable() []CastRule {
	rules := make([]CastRule, 0, len(waybill.DataTypes()))
	for _, t := range waybill.DataTypes() {
		rule := castRules[castOf(t)]
		rule.Type = t
		rules = append(rules, rule)
	}
	return rules
}

var castRules = map[cast]CastRule{
	castText: {Column: "BYTE_ARRAY, String", Policy: Exact, CSV: "the text; an empty string is \"\"",
		Accepts: "strings; numbers and booleans as their source text; objects and arrays as JSON text"},
	castNumber: {Column: "DOUBLE", Policy: TryCast, CSV: "the source's digits",
		Accepts: "JSON numbers, and strings that are one after trimming; beyond 2^53 they count as inexact"},
	castMoney: {Column: "FIXED_LEN_BYTE_ARRAY(16), Decimal(38,9), and <name>_currency: BYTE_ARRAY, String", Policy: TryCast,
		CSV:     "the amount in major units, and its currency's code",
		Accepts: "{\"amount\",\"currencyCode\"} with the amount in minor units of an ISO 4217 currency; numbers and numeric strings are major units without a currency; a tenth decimal is rounded and counts as inexact"},
	castBool: {Column: "BOOLEAN", Policy: TryCast, CSV: "true or false",
		Accepts: "true and false, and the strings \"true\" and \"false\" in any case"},
	castDate: {Column: "INT32, Date", Policy: TryCast, CSV: "2006-01-02",
		Accepts: "ISO 8601 dates; dates with an English month name; slash and dot dates where the field has a dateOrder; of a date with a time, the date as written"},
	castDateTime: {Column: "INT64, Timestamp(microseconds, UTC)", Policy: TryCast, CSV: "2006-01-02T15:04:05Z, with .000 or .000000 where needed",
		Accepts: "the dates of DATE, with or without a time; without a zone they are read as UTC and counted; finer than a microsecond is cut and counts as inexact"},
	castJSON: {Column: "BYTE_ARRAY, String", Policy: AsJSON, CSV: "JSON text",
		Accepts: "every value, as JSON text without insignificant white space"},
}

// reason is why a cast failed. The zero reason is none: the cast succeeded.
type reason uint8

const (
	castOK reason = iota
	reasonEmpty
	reasonNotNumber
	reasonNumberRange
	reasonNotBool
	reasonNotMoney
	reasonNoAmount
	reasonCurrency
	reasonAmountRange
	reasonNotDate
	reasonDateNumber
	reasonDateOrder
	reasonOtherOrder
	reasonTwoDigitYear
	reasonYear
	reasonNoSuchDay
	reasonNoSuchTime
	reasonZone
)

// castReasons are the sentences of receipts. They never quote the value.
var castReasons = [...]string{
	castOK:             "",
	reasonEmpty:        "empty string",
	reasonNotNumber:    "not a number",
	reasonNumberRange:  "number too large for a double",
	reasonNotBool:      "not a boolean",
	reasonNotMoney:     "not an amount of money",
	reasonNoAmount:     "money without an amount",
	reasonCurrency:     "money with an unknown currency code",
	reasonAmountRange:  "amount with more than 29 digits before the point",
	reasonNotDate:      "not a date",
	reasonDateNumber:   "a number is not read as a date",
	reasonDateOrder:    "slash or dot date without dateOrder",
	reasonOtherOrder:   "date in another order than dateOrder",
	reasonTwoDigitYear: "date with a two-digit year",
	reasonYear:         "year outside 0001 to 9999",
	reasonNoSuchDay:    "no such day",
	reasonNoSuchTime:   "no such time of day",
	reasonZone:         "unknown time zone",
}

func (r reason) String() string { return castReasons[r] }

// trim removes white space as JSON and ASCII know it.
func trim(s []byte) []byte {
	for len(s) > 0 && asciiSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && asciiSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func asciiSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// parseBool reads a boolean's text.
func parseBool(s []byte) (bool, reason) {
	switch {
	case len(s) == 0:
		return false, reasonEmpty
	case equalFold(s, "true"):
		return true, castOK
	case equalFold(s, "false"):
		return false, castOK
	}
	return false, reasonNotBool
}

// equalFold compares with a lower-case ASCII word.
func equalFold(s []byte, word string) bool {
	if len(s) != len(word) {
		return false
	}
	for i, c := range s {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
