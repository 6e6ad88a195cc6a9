package snowflake

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// asText wraps a query so that its JSON columns come as text.
func asText(sql string, columns []column) string {
	items, names := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		names[i] = fmt.Sprintf("c%d", i)
		if items[i] = names[i]; c.typ.wire == "variant" {
			items[i] = "CAST(" + names[i] + " AS VARCHAR)"
		}
	}
	return fmt.Sprintf("SELECT %s FROM (%s) AS q(%s)", strings.Join(items, ", "), sql, strings.Join(names, ", "))
}

// duckRead reads rows, as the given columns or as those that DuckDB names.
func (s *session) duckRead(sql string, columns []column) (*result, error) {
	rows, err := s.conn.QueryContext(context.Background(), sql)
	if err != nil {
		return nil, translated(err)
	}
	defer rows.Close()
	r := &result{columns: columns, typeID: typeSelect}
	if columns == nil {
		types, err := rows.ColumnTypes()
		if err != nil {
			return nil, err
		}
		for _, t := range types {
			typ, err := duckType(t.DatabaseTypeName())
			if err != nil {
				return nil, err
			}
			r.columns = append(r.columns, column{name: decode(t.Name()), typ: typ})
		}
	}
	for rows.Next() {
		values, into := make([]any, len(r.columns)), make([]any, len(r.columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		texts := make([]*string, len(values))
		for i, v := range values {
			texts[i] = wireValue(v, r.columns[i].typ)
		}
		r.rows = append(r.rows, texts)
	}
	if err := rows.Err(); err != nil {
		return nil, translated(err)
	}
	return r, nil
}

// duckErrors: what DuckDB says, and what the service says of the same.
var duckErrors = []struct {
	pattern *regexp.Regexp
	number  int
	state   string
	message string
}{
	{regexp.MustCompile(`Binder Error: Referenced (?:update )?column "?([^"]*?)"? not found`), 904, "42000", "SQL compilation error: error line 1 at position 0\ninvalid identifier '%s'"},
	{regexp.MustCompile(`Binder Error: (?:Table|Values list) "[^"]*" does not have a column (?:named|with name) "([^"]*)"`), 904, "42000", "SQL compilation error: error line 1 at position 0\ninvalid identifier '%s'"},
	{regexp.MustCompile(`Binder Error: Referenced table "([^"]*)" not found`), 904, "42000", "SQL compilation error: error line 1 at position 0\ninvalid identifier '%s'"},
	{regexp.MustCompile(`Binder Error: Ambiguous reference to column name "([^"]*)"`), 2028, "42601", "SQL compilation error:\nambiguous column name '%s'"},
	{regexp.MustCompile(`Binder Error: column "([^"]*)" must appear in the GROUP BY`), 979, "42601", "SQL compilation error:\n[%s] is not a valid group by expression"},
	{regexp.MustCompile(`Binder Error: .*?(expected \d+ columns but \d+ values|values lists must all be the same length|has \d+ columns but \d+ values)`), 2020, "21S01", "SQL compilation error:\nInsert value list does not match column list: %s"},
	{regexp.MustCompile(`Catalog Error: (?:Table|View) with name (\S+) does not exist`), 2037, "42601", "SQL compilation error:\nFailure during expansion of view: Object '%s' does not exist or not authorized."},
	{regexp.MustCompile(`Parser Error: syntax error at or near "([^"]*)"`), 1003, "42000", "SQL compilation error:\nsyntax error line 1 at position 0 unexpected '%s'."},
	{regexp.MustCompile(`Constraint Error: NOT NULL constraint failed: \S+\.(\S+)`), 100072, "22000", "NULL result in a non-nullable column: %s"},
	{regexp.MustCompile(`Conversion Error: (.*)`), 100038, "22018", "Numeric or other value is not recognized: %s"},
	{regexp.MustCompile(`Out of Range Error: (.*)`), 100039, "22003", "Numeric value out of range: %s"},
	{regexp.MustCompile(`Malformed JSON|Invalid Input Error: (Malformed JSON.*)`), 100069, "22P02", "Error parsing JSON: %s"},
	{regexp.MustCompile(`Binder Error: (.*)`), 2001, "42601", "SQL compilation error:\n%s"},
}

// translated turns an error of DuckDB into the service's own.
func translated(err error) error {
	text := err.Error()
	for _, known := range duckErrors {
		m := known.pattern.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		return errorf(known.number, known.state, known.message, decode(m[len(m)-1]))
	}
	return errorf(603, "XX000", "SQL execution internal error: %s", text)
}
