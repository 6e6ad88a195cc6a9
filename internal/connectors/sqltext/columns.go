package sqltext

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/waybillhq/waybill"
)

// Column is a column of the Parquet and CSV files.
type Column struct {
	Name  string
	Class Class
	Alias string // the name where Name is taken but for case, or too long
}

// Class is what a column holds.
type Class int

// The classes of columns.
const (
	ClassText Class = iota
	ClassNumber
	ClassMoney
	ClassBoolean
	ClassDate
	ClassDateTime
	ClassJSON // JSON text
)

// Types names a class in each warehouse. Parquet is how the converter's own
// table of casts puts it.
type Types struct{ Parquet, Snowflake, BigQuery, Redshift, Databricks string }

// types is the one table of types.
//
// Snowflake: https://docs.snowflake.com/en/sql-reference/intro-summary-data-types;
// BigQuery, whose NUMERIC is decimal(38,9): https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types;
// Redshift: https://docs.aws.amazon.com/redshift/latest/dg/c_Supported_data_types.html;
// Databricks: https://docs.databricks.com/en/sql/language-manual/sql-ref-datatypes.html
var types = map[Class]Types{
	ClassText:     {"BYTE_ARRAY, String", "VARCHAR", "STRING", "VARCHAR(65535)", "STRING"},
	ClassNumber:   {"DOUBLE", "FLOAT", "FLOAT64", "DOUBLE PRECISION", "DOUBLE"},
	ClassMoney:    {"FIXED_LEN_BYTE_ARRAY(16), Decimal(38,9)", "NUMBER(38,9)", "NUMERIC", "DECIMAL(38,9)", "DECIMAL(38,9)"},
	ClassBoolean:  {"BOOLEAN", "BOOLEAN", "BOOL", "BOOLEAN", "BOOLEAN"},
	ClassDate:     {"INT32, Date", "DATE", "DATE", "DATE", "DATE"},
	ClassDateTime: {"INT64, Timestamp(microseconds, UTC)", "TIMESTAMP_NTZ", "TIMESTAMP", "TIMESTAMP", "TIMESTAMP"},
	ClassJSON:     {"BYTE_ARRAY, String", "VARCHAR", "STRING", "VARCHAR(65535)", "STRING"},
}

// ClassOf is the class of a data type's column.
func ClassOf(t waybill.DataType) Class {
	switch t {
	case waybill.Number:
		return ClassNumber
	case waybill.Money:
		return ClassMoney
	case waybill.Boolean:
		return ClassBoolean
	case waybill.Date:
		return ClassDate
	case waybill.DateTime:
		return ClassDateTime
	case waybill.Object, waybill.Array:
		return ClassJSON
	}
	return ClassText
}

// TypesOf returns the names of a class.
func TypesOf(c Class) Types { return types[c] }

// columnsOf lists the columns of the files, as the converter lays them out.
func columnsOf(s waybill.Schema) (columns []Column) {
	taken := map[string]bool{}
	for _, f := range s.Exported() {
		taken[f.Name] = true
	}
	for _, f := range s.Exported() {
		columns = append(columns, Column{Name: f.Name, Class: ClassOf(f.DataType)})
		if f.DataType == waybill.Money {
			name := currencyColumn(f.Name, taken)
			taken[name] = true
			columns = append(columns, Column{Name: name, Class: ClassText})
		}
	}
	alias(columns)
	return columns
}

// currencyColumn is the converter's rule; a test holds it against its files.
func currencyColumn(name string, taken map[string]bool) string {
	column := name + "_currency"
	if taken[column] {
		column += "_" + digits(name)
	}
	for taken[column] {
		column += "_"
	}
	return column
}

// alias gives columns whose names collide in a warehouse without case, or are
// longer than Redshift's 127 bytes, another one.
// https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
func alias(columns []Column) {
	count := map[string]int{}
	for _, c := range columns {
		count[strings.ToLower(c.Name)]++
	}
	for i, c := range columns {
		columns[i].Alias = c.Name
		if count[strings.ToLower(c.Name)] > 1 || len(c.Name) > 127 {
			columns[i].Alias = c.Name[:min(len(c.Name), 118)] + "_" + digits(c.Name)
		}
	}
}

func digits(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:4])
}

// twins lists the columns whose names differ in case only.
func twins(columns []Column) (names []string) {
	count := map[string]int{}
	for _, c := range columns {
		count[strings.ToLower(c.Name)]++
	}
	for _, c := range columns {
		if count[strings.ToLower(c.Name)] > 1 {
			names = append(names, c.Name)
		}
	}
	return names
}
