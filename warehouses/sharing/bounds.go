package sharing

import (
	"cmp"
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill/warehouses/delta"
)

// comparison holds a column against a value.
type comparison struct {
	column   column
	operator string
	value    any // as read returns it
}

// quotedText is the type of a literal in quotes, which may be a text, a date or a time.
const quotedText = "quoted"

// numberText is the type of a number as SQL has it.
const numberText = "number"

// literals are the types of literals that a column's values can be held
// against without a conversion of which clients may think differently.
var literals = map[string][]string{
	"string": {"string", quotedText}, "date": {"date", quotedText}, "timestamp": {"timestamp", quotedText},
	"long":    {"int", "long", "short", "byte", numberText},
	"double":  {"int", "long", "double", numberText},
	"decimal": {"int", "long", "decimal", numberText},
}

// compare is the comparison of a column with a literal of a type; unknown where
// it cannot be told exactly.
func compare(c column, operator, literal, literalType string) condition {
	kind, _, _ := strings.Cut(c.is, "(")
	value := read(kind, literal)
	if value == nil || !slices.Contains(literals[kind], literalType) {
		return unknown{}
	}
	return comparison{c, operator, value}
}

var (
	plainDate   = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	plainNumber = regexp.MustCompile(`^[+-]?\d{1,60}(\.\d{1,60})?([eE][+-]?\d{1,3})?$`)
)

// read returns a value as what it is compared as: string, *big.Rat or
// time.Time; nil where the text is none.
func read(kind, text string) any {
	switch kind {
	case "string":
		return text
	case "date":
		if plainDate.MatchString(text) {
			return text // ISO dates are in order as texts
		}
	case "timestamp":
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return t
		}
	case "long", "double", "decimal":
		return readNumber(kind, text)
	}
	return nil
}

// readNumber returns nothing, not a nil number, where the text is no value of the type.
func readNumber(kind, text string) any {
	if !plainNumber.MatchString(text) {
		return nil
	}
	v := new(big.Rat)
	if kind == "double" { // the value that readers see
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || v.SetFloat64(f) == nil {
			return nil
		}
		return v
	}
	if _, ok := v.SetString(text); !ok || (kind == "long" && !v.IsInt()) {
		return nil
	}
	return v
}

// order compares two values of one type.
func order(a, b any) int {
	switch a := a.(type) {
	case *big.Rat:
		return a.Cmp(b.(*big.Rat)) //nolint:forcetypeassert // read gave both
	case time.Time:
		return a.Compare(b.(time.Time)) //nolint:forcetypeassert // read gave both
	}
	return cmp.Compare(a.(string), b.(string)) //nolint:forcetypeassert // read gave both
}

// of holds the bounds of the column's values against the value.
func (c comparison) of(s delta.Statistics) possible {
	if nulls, known := s.NullCount[c.column.name]; known && s.NumRecords >= 0 && nulls == s.NumRecords {
		return possible{} // of NULL it is neither true nor false
	}
	low, high := c.bound(s.MinValues), c.bound(s.MaxValues)
	if low == nil || high == nil {
		return anything
	}
	least, most := order(low, c.value), order(high, c.value)
	switch c.operator {
	case "=":
		return possible{some: least <= 0 && most >= 0, none: least != 0 || most != 0}
	case "<":
		return possible{some: least < 0, none: most >= 0}
	case "<=":
		return possible{some: least <= 0, none: most > 0}
	case ">":
		return possible{some: most > 0, none: least <= 0}
	case ">=":
		return possible{some: most >= 0, none: least < 0}
	}
	return anything
}

func (c comparison) bound(values map[string]any) any {
	kind, _, _ := strings.Cut(c.column.is, "(")
	switch v := values[c.column.name].(type) {
	case string:
		return read(kind, v)
	case json.Number:
		return read(kind, v.String())
	}
	return nil
}
