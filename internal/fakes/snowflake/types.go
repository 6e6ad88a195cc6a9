package snowflake

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"
)

var plainName = regexp.MustCompile(`^[A-Z_][A-Z0-9_$]*$`)

// dataType is a column's type: its name in DESC, DuckDB's name of the same, and
// what a result set says of it.
type dataType struct {
	name      string
	duck      string
	wire      string
	precision int
	scale     int
	length    int
}

const maxLength = 16777216

var simpleTypes = map[string]dataType{
	"FLOAT":   {"FLOAT", "DOUBLE", "real", 0, 0, 0},
	"BOOLEAN": {"BOOLEAN", "BOOLEAN", "boolean", 0, 0, 0},
	"DATE":    {"DATE", "DATE", "date", 0, 0, 0},
	"TIME":    {"TIME(9)", "TIME", "time", 0, 9, 0},
	"NTZ":     {"TIMESTAMP_NTZ(9)", "TIMESTAMP", "timestamp_ntz", 0, 9, 0},
	"LTZ":     {"TIMESTAMP_LTZ(9)", "TIMESTAMPTZ", "timestamp_ltz", 0, 9, 0},
	"VARIANT": {"VARIANT", "JSON", "variant", 0, 0, 0},
	"BINARY":  {"BINARY(8388608)", "BLOB", "binary", 0, 0, 8388608},
}

// aliases of the types' names.
//
// https://docs.snowflake.com/en/sql-reference/intro-summary-data-types
var typeAliases = map[string]string{
	"FLOAT": "FLOAT", "FLOAT4": "FLOAT", "FLOAT8": "FLOAT", "DOUBLE": "FLOAT", "REAL": "FLOAT",
	"BOOLEAN": "BOOLEAN", "DATE": "DATE", "TIME": "TIME", "DATETIME": "NTZ",
	"TIMESTAMP": "NTZ", "TIMESTAMP_NTZ": "NTZ", "TIMESTAMPNTZ": "NTZ", "TIMESTAMP_LTZ": "LTZ", "TIMESTAMPLTZ": "LTZ",
	"VARIANT": "VARIANT", "BINARY": "BINARY", "VARBINARY": "BINARY",
}

func numberType(precision, scale int) dataType {
	name := fmt.Sprintf("(%d,%d)", precision, scale)
	return dataType{"NUMBER" + name, "DECIMAL" + name, "fixed", precision, scale, 0}
}

func textType(length int) dataType {
	return dataType{fmt.Sprintf("VARCHAR(%d)", length), "VARCHAR", "text", 0, 0, length}
}

// dataType reads a type's name.
func (p *parser) dataType() dataType {
	t := p.next()
	if t.kind != kindWord {
		p.at--
		p.fail()
	}
	sizes := p.sizes()
	at := func(i, otherwise int) int {
		if i < len(sizes) {
			return sizes[i]
		}
		return otherwise
	}
	switch t.text {
	case "NUMBER", "DECIMAL", "NUMERIC":
		if at(0, 38) < 1 || at(0, 38) > 38 || at(1, 0) > at(0, 38) {
			panic(errorf(2274, "42601", "SQL compilation error: Invalid precision or scale of %s", t.text))
		}
		return numberType(at(0, 38), at(1, 0))
	case "INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT":
		return numberType(38, 0)
	case "VARCHAR", "STRING", "TEXT":
		return textType(at(0, maxLength))
	}
	alias, ok := typeAliases[t.text]
	if !ok {
		panic(errorf(2040, "42601", "SQL compilation error:\nUnsupported data type '%s'.", t.text))
	}
	return simpleTypes[alias]
}

func (p *parser) sizes() (sizes []int) {
	if !p.accept("(") {
		return nil
	}
	for {
		sizes = append(sizes, p.number())
		if !p.accept(",") {
			p.expect(")")
			return sizes
		}
	}
}

var duckDecimal = regexp.MustCompile(`^DECIMAL\((\d+),(\d+)\)$`)

// duckType is the type of a result's column from DuckDB's name of it.
func duckType(name string) (dataType, error) {
	if m := duckDecimal.FindStringSubmatch(name); m != nil {
		precision, _ := strconv.Atoi(m[1])
		scale, _ := strconv.Atoi(m[2])
		return numberType(precision, scale), nil
	}
	switch name {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER":
		return numberType(18, 0), nil
	case "HUGEINT", "UBIGINT":
		return numberType(38, 0), nil
	case "VARCHAR":
		return textType(maxLength), nil
	case "FLOAT":
		name = "DOUBLE"
	}
	for _, t := range simpleTypes {
		if t.duck == name {
			return t, nil
		}
	}
	return dataType{}, notModelled("a result of type %s", name)
}

// bind is a value that the driver sends for a ?.
type bind struct {
	kind  string
	value *string
}

// literal writes the bind for DuckDB.
func (b bind) literal() string {
	if b.value == nil {
		return "NULL"
	}
	v := *b.value
	switch b.kind {
	case "FIXED":
		if _, ok := new(big.Int).SetString(v, 10); ok {
			return "(" + v + ")"
		}
	case "REAL":
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			return fmt.Sprintf("CAST('%s' AS DOUBLE)", strconv.FormatFloat(f, 'g', -1, 64))
		}
	case "BOOLEAN":
		return strconv.FormatBool(strings.EqualFold(v, "true"))
	case "DATE":
		if ms, err := strconv.ParseInt(v, 10, 64); err == nil {
			return "DATE '" + time.UnixMilli(ms).UTC().Format(time.DateOnly) + "'"
		}
	case "TIMESTAMP_NTZ":
		if ns, err := strconv.ParseInt(v, 10, 64); err == nil {
			return "TIMESTAMP '" + time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05.000000") + "'"
		}
	case "TIMESTAMP_LTZ":
		if ns, err := strconv.ParseInt(v, 10, 64); err == nil {
			return "TIMESTAMPTZ '" + time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05.000000+00") + "'"
		}
	case "TEXT":
		return quoteText(v)
	}
	panic(notModelled("a bind of type %s with the value %q", b.kind, v))
}

func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// encode writes an identifier for DuckDB, which takes upper and lower case for
// the same: a lower-case letter is marked, and the mark is doubled.
func encode(name string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range name {
		switch {
		case r == '"':
			out.WriteString(`""`)
			continue
		case r == '~', r >= 'a' && r <= 'z':
			out.WriteByte('~')
		}
		out.WriteRune(r)
	}
	out.WriteByte('"')
	return out.String()
}

func decode(name string) string {
	var out strings.Builder
	marked := false
	for _, r := range name {
		if marked = r == '~' && !marked; !marked {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// wireValue writes a value as a result set carries it.
func wireValue(v any, t dataType) *string {
	if v == nil {
		return nil
	}
	text := func() string {
		switch v := v.(type) {
		case string:
			return v
		case duckdb.Decimal:
			return decimalText(v)
		case float64:
			return strconv.FormatFloat(v, 'g', -1, 64)
		case bool:
			return map[bool]string{true: "1", false: "0"}[v]
		case []byte:
			return strings.ToUpper(hex.EncodeToString(v))
		case time.Time:
			return timeText(v, t.wire)
		}
		return fmt.Sprint(v)
	}
	s := text()
	if t.wire == "variant" {
		s = variantText(s)
	}
	return &s
}

func decimalText(d duckdb.Decimal) string {
	if d.Scale == 0 {
		return d.Value.String()
	}
	digits := new(big.Int).Abs(d.Value).String()
	if missing := int(d.Scale) + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	sign := ""
	if d.Value.Sign() < 0 {
		sign = "-"
	}
	cut := len(digits) - int(d.Scale)
	return sign + digits[:cut] + "." + digits[cut:]
}

func timeText(v time.Time, wire string) string {
	switch wire {
	case "date":
		days := v.Unix() / 86400
		if v.Unix() < 0 && v.Unix()%86400 != 0 {
			days--
		}
		return strconv.FormatInt(days, 10)
	case "time":
		return fmt.Sprintf("%d.%09d", v.Hour()*3600+v.Minute()*60+v.Second(), v.Nanosecond())
	}
	return fmt.Sprintf("%d.%09d", v.Unix(), v.Nanosecond())
}

// variantText is how a VARIANT is shown: its keys in order, indented.
func variantText(s string) string {
	decoder := json.NewDecoder(strings.NewReader(s))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return s
	}
	indented, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return s
	}
	return string(indented)
}

// column is a column of a table or of a result set.
type column struct {
	name    string
	typ     dataType
	notNull bool
	comment string
}

func find(columns []column, name string) int {
	return slices.IndexFunc(columns, func(c column) bool { return c.name == name })
}
