package snowflake

import (
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// function is a function's number of arguments and what DuckDB calls it. A name
// with %s takes the arguments where they stand; max < 0: any number.
type function struct {
	min, max int
	duck     string
}

// functions that are modelled: a name that is not here is unknown.
//
// https://docs.snowflake.com/en/sql-reference/functions-all
var functions = map[string]function{
	"ABS": {1, 1, "abs"}, "ARRAY_AGG": {1, 1, "to_json(list(%s))"}, "AVG": {1, 1, "avg"}, "BOOLAND_AGG": {1, 1, "bool_and"}, "BOOLOR_AGG": {1, 1, "bool_or"},
	"CEIL": {1, 1, "ceil"}, "COALESCE": {2, -1, "coalesce"}, "CONCAT": {1, -1, "concat"}, "CONCAT_WS": {2, -1, "concat_ws"},
	"CONTAINS": {2, 2, "contains"}, "COUNT": {0, -1, "count"}, "COUNT_IF": {1, 1, "count_if"}, "DENSE_RANK": {0, 0, "dense_rank"},
	"ENDSWITH": {2, 2, "ends_with"}, "EQUAL_NULL": {2, 2, "(%s IS NOT DISTINCT FROM %s)"}, "FIRST_VALUE": {1, 1, "first_value"}, "FLOOR": {1, 1, "floor"},
	"GREATEST": {1, -1, "greatest"}, "HASH": {1, -1, "hash"}, "IFF": {3, 3, "CASE WHEN %s THEN %s ELSE %s END"}, "IFNULL": {2, 2, "ifnull"},
	"LAG": {1, 3, "lag"}, "LAST_VALUE": {1, 1, "last_value"}, "LEAD": {1, 3, "lead"}, "LEAST": {1, -1, "least"}, "LEFT": {2, 2, "left"}, "LENGTH": {1, 1, "length"}, "LOWER": {1, 1, "lower"},
	"LISTAGG": {1, 2, "string_agg"}, "LTRIM": {1, 2, "ltrim"}, "MAX": {1, 1, "max"}, "MIN": {1, 1, "min"}, "MOD": {2, 2, "mod"}, "NULLIF": {2, 2, "nullif"},
	"NVL": {2, 2, "ifnull"}, "PARSE_JSON": {1, 1, "CAST(%s AS JSON)"}, "RANK": {0, 0, "rank"}, "REPLACE": {3, 3, "replace"}, "RIGHT": {2, 2, "right"},
	"ROUND": {1, 2, "round"}, "ROW_NUMBER": {0, 0, "row_number"}, "RTRIM": {1, 2, "rtrim"}, "SHA2": {1, 2, "sha256(%s)"}, "SHA2_HEX": {1, 2, "sha256(%s)"},
	"SPLIT_PART": {3, 3, "split_part"}, "STARTSWITH": {2, 2, "starts_with"}, "SUBSTR": {2, 3, "substr"}, "SUBSTRING": {2, 3, "substr"}, "SUM": {1, 1, "sum"},
	"TO_DATE": {1, 1, "CAST(%s AS DATE)"}, "TO_JSON": {1, 1, "CAST(%s AS VARCHAR)"}, "TO_NUMBER": {1, 1, "CAST(%s AS DECIMAL(38,0))"}, "TO_TIMESTAMP_NTZ": {1, 1, "CAST(%s AS TIMESTAMP)"},
	"TO_VARCHAR": {1, 1, "CAST(%s AS VARCHAR)"}, "TO_CHAR": {1, 1, "CAST(%s AS VARCHAR)"}, "TO_VARIANT": {1, 1, "to_json(%s)"}, "TRIM": {1, 2, "trim"}, "TRY_PARSE_JSON": {1, 1, "TRY_CAST(%s AS JSON)"},
	"TRY_TO_DATE": {1, 1, "TRY_CAST(%s AS DATE)"}, "TRY_TO_NUMBER": {1, 1, "TRY_CAST(%s AS DECIMAL(38,0))"}, "TRY_TO_DOUBLE": {1, 1, "TRY_CAST(%s AS DOUBLE)"},
	"TYPEOF": {1, 1, "upper(json_type(%s))"}, "UPPER": {1, 1, "upper"},
}

// constants are functions of the moment and the session: with or without ().
var constants = map[string]func(t *translator) string{
	"CURRENT_TIMESTAMP": func(t *translator) string { return t.moment("TIMESTAMPTZ", "2006-01-02 15:04:05.000000+00") },
	"CURRENT_DATE":      func(t *translator) string { return t.moment("DATE", "2006-01-02") },
	"CURRENT_ACCOUNT":   ofSession(func(s *session) string { return s.account.Locator }),
	"CURRENT_DATABASE":  ofSession(func(s *session) string { return s.db }),
	"CURRENT_ROLE":      ofSession(func(s *session) string { return s.role }),
	"CURRENT_SCHEMA":    ofSession(func(s *session) string { return s.schema }),
	"CURRENT_USER":      ofSession(func(s *session) string { return s.user.name }),
	"CURRENT_WAREHOUSE": ofSession(func(s *session) string { return s.warehouse }),
}

// calls are functions of the moment and the session: with () only.
var calls = map[string]func(t *translator) string{
	"SYSDATE":                   func(t *translator) string { return t.moment("TIMESTAMP", "2006-01-02 15:04:05.000000") },
	"CURRENT_ACCOUNT_NAME":      ofSession(func(s *session) string { return s.account.Name }),
	"CURRENT_ORGANIZATION_NAME": ofSession(func(s *session) string { return s.account.Org }),
	"CURRENT_REGION":            ofSession(func(s *session) string { return s.account.Region }),
	"CURRENT_SESSION":           ofSession(func(s *session) string { return strconv.FormatInt(s.id, 10) }),
	"CURRENT_TRANSACTION":       ofSession(func(s *session) string { return s.transactionID() }),
	"CURRENT_VERSION":           ofSession(func(*session) string { return serverVersion }),
	"LAST_QUERY_ID":             ofSession(func(s *session) string { return s.lastQuery }),
}

func ofSession(of func(s *session) string) func(t *translator) string {
	return func(t *translator) string {
		if t.inView {
			panic(notModelled("a view that asks for the session"))
		}
		return quoteText(of(t.s))
	}
}

// moment is the time of the statement; in a view, of the query that reads it.
func (t *translator) moment(typ, layout string) string {
	if t.inView {
		return map[string]string{"TIMESTAMPTZ": "now()", "DATE": "current_date", "TIMESTAMP": "(now() AT TIME ZONE 'UTC')"}[typ]
	}
	return typ + " '" + t.s.srv.now().UTC().Format(layout) + "'"
}

// call rewrites name(arguments).
func (t *translator) call(name token) string {
	if of := calls[name.text]; of != nil {
		t.expect("(", ")")
		return of(t)
	}
	if of := constants[name.text]; of != nil && t.ahead(1).text == ")" {
		t.expect("(", ")")
		return of(t)
	}
	f, known := functions[name.text]
	if !known {
		panic(errorf(2140, "42601", "SQL compilation error:\nUnknown function %s", name.text))
	}
	t.expect("(")
	distinct := ""
	if name.text == "COUNT" || name.text == "LISTAGG" || name.text == "ARRAY_AGG" {
		if t.accept("DISTINCT") {
			distinct = "DISTINCT "
		}
	}
	args := t.list(")")
	t.expect(")")
	if len(args) < f.min || (f.max >= 0 && len(args) > f.max) {
		panic(errorf(939, "22023", "SQL compilation error: error line 1 at position %d\nwrong number of arguments for function [%s]: %d", name.pos, name.text, len(args)))
	}
	if (name.text == "SHA2" || name.text == "SHA2_HEX") && len(args) == 2 && args[1] != "256" {
		panic(notModelled("SHA2 of %s bits", args[1]))
	}
	if !strings.Contains(f.duck, "%s") {
		return f.duck + "(" + distinct + strings.Join(args, ", ") + ")"
	}
	out := f.duck
	for _, arg := range args {
		out = strings.Replace(out, "%s", arg, 1)
	}
	return out
}
