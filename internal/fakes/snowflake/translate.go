package snowflake

import (
	"slices"
	"strings"
)

// translator rewrites a data statement for DuckDB: names are looked up in the
// catalog (for the session's role), functions and types are those of the tables
// below, and any other word is an identifier, so that a clause which is not
// modelled is a syntax error.
type translator struct {
	*parser

	s      *session
	vars   *scope               // of a scripting block, or nil
	bare   bool                 // variables are named without a colon (in the block's own expressions)
	inView bool                 // the text is kept: nothing of the session goes into it
	named  bool                 // the columns are returned, and need names
	depth  int                  // of parentheses
	ctes   map[string]bool      // names of WITH
	uses   map[*relation]string // objects that the statement reads, and as what
}

func (s *session) translator(p *parser, vars *scope) *translator {
	return &translator{parser: p, s: s, vars: vars, ctes: map[string]bool{}, uses: map[*relation]string{}}
}

// reserved words cannot be an identifier; the rest of the keywords can only
// stand where they are known.
//
// https://docs.snowflake.com/en/sql-reference/reserved-keywords
var reserved = words(`ALL ALTER AND ANY AS BETWEEN BY CASE CAST COLUMN CONNECT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME
	CURRENT_TIMESTAMP CURRENT_USER DELETE DISTINCT DROP ELSE EXISTS FALSE FOLLOWING FOR FROM FULL GRANT GROUP HAVING ILIKE IN
	INCREMENT INNER INSERT INTERSECT INTO IS JOIN LATERAL LEFT LIKE LOCALTIME LOCALTIMESTAMP MINUS NATURAL NOT NULL OF ON OR ORDER
	QUALIFY REGEXP REVOKE RIGHT RLIKE ROW ROWS SAMPLE SELECT SET SOME START TABLE TABLESAMPLE THEN TO TRIGGER TRUE TRY_CAST UNION
	UNIQUE UPDATE USING VALUES VIEW WHEN WHENEVER WHERE WITH`)

// keywords of queries and DML, and of expressions, which DuckDB writes alike.
var keywords = words(`ALL AND AS BETWEEN BY CASE CROSS DELETE DISTINCT ELSE EXISTS FALSE FOLLOWING FROM FULL GROUP HAVING ILIKE IN INNER
	INSERT INTERSECT INTO IS JOIN LEFT LIKE NOT NULL ON OR ORDER QUALIFY RIGHT ROWS SELECT SET THEN TRUE UNION UPDATE USING
	VALUES WHEN WHERE WITH`)

// weak keywords are identifiers elsewhere: each stands after one of the words
// beside it.
var weak = map[string]string{
	"ASC": "", "DESC": "", "END": "", "NULLS": "ASC DESC", "FIRST": "NULLS", "LAST": "NULLS", "OVER": ")", "PARTITION": "(", "LIMIT": "", "OFFSET": "",
	"OUTER": "LEFT RIGHT FULL", "MATCHED": "WHEN NOT", "UNBOUNDED": "BETWEEN AND ROWS", "PRECEDING": "UNBOUNDED", "CURRENT": "AND BETWEEN", "ROW": "CURRENT", "ESCAPE": "", "EXCEPT": "", "MINUS": "",
}

func words(text string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(text) {
		set[word] = true
	}
	return set
}

// convert rewrites the parser's tokens up to one of the given words or marks at
// its own level, which stays; ";" among them stands for the end as well.
func (t *translator) convert(until ...string) string {
	var out strings.Builder
	clause, last := "", token{}
	if t.at > 0 {
		last = t.tokens[t.at-1]
	}
	for {
		next := t.peek()
		if next.kind == kindEnd && (len(until) == 0 || slices.Contains(until, ";")) || last.text != "DISTINCT" && t.isOne(until...) {
			return out.String()
		}
		if out.Len() > 0 {
			out.WriteByte(' ')
		}
		if next.kind == kindWord && clauses[next.text] && (next.text != "FROM" || last.text != "DISTINCT") {
			clause = next.text
		}
		switch {
		case next.kind == kindWord && next.text == "SELECT" && t.named && t.depth == 0:
			out.WriteString(t.selectList())
		case next.kind == kindWord && next.text == "WITH":
			out.WriteString(t.with())
		case opensTable(next, last, clause):
			t.next()
			out.WriteString(next.text + " " + t.table())
			last = token{kind: kindMark, text: "table"}
			continue
		default:
			out.WriteString(t.one(last))
		}
		last = t.tokens[t.at-1]
	}
}

// selectList rewrites the columns that a query returns: an expression without a
// name is named as it is written.
func (t *translator) selectList() string {
	t.expect("SELECT")
	head := "SELECT "
	if t.accept("DISTINCT") {
		head += "DISTINCT "
	}
	var items []string
	for {
		from := t.at
		item := t.convert(";", ",", "FROM", "WHERE", "GROUP", "HAVING", "QUALIFY", "ORDER", "LIMIT", "UNION")
		if tokens := t.tokens[from:t.at]; len(tokens) == 0 {
			t.fail()
		} else if !isNamed(tokens) {
			if t.inView {
				panic(errorf(2026, "42601", "SQL compilation error:\nMissing column specification"))
			}
			item += " AS " + encode(strings.ToUpper(t.source(tokens)))
		}
		items = append(items, item)
		if !t.accept(",") {
			return head + strings.Join(items, ", ")
		}
	}
}

// isNamed tells whether a column of a query is a plain column or has an alias.
func isNamed(tokens []token) bool {
	isName := func(t token) bool {
		_, isWeak := weak[t.text]
		return t.kind == kindQuoted || t.kind == kindWord && !isWeak && !keywords[t.text] && constants[t.text] == nil
	}
	last := tokens[len(tokens)-1]
	if last.text == "*" && last.kind == kindMark {
		return true
	}
	if !isName(last) {
		return false
	}
	if len(tokens) == 1 {
		return true
	}
	before := tokens[len(tokens)-2]
	return before.kind != kindMark || before.text == ")" || before.text == "."
}

// with rewrites WITH name AS (query), …, and knows the names from then on.
func (t *translator) with() string {
	t.expect("WITH")
	var queries []string
	for {
		name := t.ident()
		t.expect("AS", "(")
		queries = append(queries, encode(name)+" AS "+t.parenthesis())
		t.ctes[name] = true
		if !t.accept(",") {
			return "WITH " + strings.Join(queries, ", ")
		}
	}
}

var clauses = words("SELECT FROM WHERE GROUP HAVING QUALIFY ORDER LIMIT UNION SET ON VALUES JOIN USING")

// opensTable: a table follows FROM, JOIN and USING, and each comma of FROM.
func opensTable(next, last token, clause string) bool {
	if next.kind == kindMark {
		return next.text == "," && clause == "FROM"
	}
	return next.kind == kindWord && (next.text == "JOIN" || next.text == "USING" || next.text == "FROM" && last.text != "DISTINCT")
}

// one rewrites the next token, and what belongs to it.
func (t *translator) one(last token) string {
	next := t.peek()
	switch next.kind {
	case kindString:
		t.next()
		return quoteText(next.text)
	case kindNumber:
		t.next()
		return next.text
	case kindBind:
		t.next()
		return t.bind().literal()
	case kindQuoted:
		t.next()
		return encode(next.text)
	case kindMark:
		return t.mark()
	case kindWord:
		return t.word(last)
	}
	t.fail()
	return ""
}

func (t *translator) mark() string {
	next := t.next()
	switch next.text {
	case "(":
		return t.parenthesis()
	case "::":
		return "::" + t.dataType().duck
	case ":":
		if t.vars == nil || t.bare || t.peek().pos != next.end {
			t.at--
			t.fail()
		}
		return t.vars.literal(t.ident())
	case ":=", "=>", "{", "}", "[", "]", ";":
		t.at--
		t.fail()
	}
	return next.text
}

func (t *translator) parenthesis() string {
	t.depth++
	inner := t.convert(")")
	t.depth--
	t.expect(")")
	return "(" + inner + ")"
}

func (t *translator) word(last token) string {
	next := t.next()
	after, isWeak := weak[next.text]
	if isWeak && (after == "" || slices.Contains(strings.Fields(after), last.text)) && last.text != "." && !t.is(".") {
		return map[bool]string{true: "EXCEPT", false: next.text}[next.text == "MINUS"]
	}
	switch {
	case keywords[next.text]:
		return next.text
	case next.text == "CAST" || next.text == "TRY_CAST":
		return t.cast(next.text)
	case t.is("(") && last.text != "." && last.text != "AS" && last.text != "table" && last.text != "INTO":
		return t.call(next)
	case constants[next.text] != nil:
		return constants[next.text](t)
	case reserved[next.text]:
		t.at--
		t.fail()
	}
	if t.bare && t.vars != nil && last.text != "." && !t.is(".") {
		return t.vars.literal(next.text)
	}
	return encode(next.text)
}

func (t *translator) cast(word string) string {
	t.expect("(")
	value := t.convert("AS")
	t.expect("AS")
	typ := t.dataType()
	t.expect(")")
	return word + "(" + value + " AS " + typ.duck + ")"
}

// table rewrites what FROM, JOIN or USING reads.
func (t *translator) table() string {
	switch {
	case t.is("("):
		t.next()
		text := t.parenthesis()
		return text
	case t.is("VALUES"):
		t.next()
		return t.values()
	case t.is("TABLE"):
		return t.tableFunction()
	}
	name := t.name()
	as := encode(name[len(name)-1])
	alias := t.peek().kind == kindQuoted || t.is("AS") || t.peek().kind == kindWord && !keywords[t.peek().text] && !reserved[t.peek().text] && !slices.Contains([]string{"LIMIT", "OFFSET", "EXCEPT", "MINUS"}, t.peek().text)
	if alias {
		as = ""
	}
	if len(name) == 1 && t.ctes[name[0]] {
		return encode(name[0])
	}
	r := t.s.relation(name)
	t.reads(r)
	if alias {
		return r.duck
	}
	return r.duck + " AS " + as
}

func (t *translator) reads(r *relation) {
	if r.schema.db.account == t.s.account {
		t.s.need("SELECT", r)
	}
	t.uses[r] = "SELECT"
}

// values rewrites FROM VALUES (…), (…): its columns are COLUMN1, COLUMN2, ….
//
// https://docs.snowflake.com/en/sql-reference/constructs/values
func (t *translator) values() string {
	var rows []string
	var width int
	for {
		t.expect("(")
		row := t.list(")")
		t.expect(")")
		width = len(row)
		rows = append(rows, "("+strings.Join(row, ", ")+")")
		if !t.accept(",") {
			break
		}
	}
	t.accept("AS")
	alias := `"VALUES"`
	if k := t.peek().kind; k == kindQuoted || k == kindWord && !keywords[t.peek().text] {
		alias = encode(t.ident())
	}
	names := make([]string, width)
	for i := range names {
		names[i] = encode("COLUMN" + itoa(i+1))
	}
	if t.accept("(") {
		for i := range names {
			if i > 0 {
				t.expect(",")
			}
			names[i] = encode(t.ident())
		}
		t.expect(")")
	}
	return "(VALUES " + strings.Join(rows, ", ") + ") AS " + alias + "(" + strings.Join(names, ", ") + ")"
}

// list rewrites expressions between commas.
func (t *translator) list(until string) (items []string) {
	for !t.is(until) {
		items = append(items, t.convert(",", until))
		if !t.accept(",") {
			break
		}
	}
	return items
}

// tableFunction knows RESULT_SCAN(LAST_QUERY_ID()) alone.
//
// https://docs.snowflake.com/en/sql-reference/functions/result_scan
func (t *translator) tableFunction() string {
	t.expect("TABLE", "(")
	if !t.accept("RESULT_SCAN", "(") {
		panic(notModelled("this table function"))
	}
	id := t.s.lastQuery
	if t.accept("LAST_QUERY_ID") {
		t.expect("(", ")")
	} else {
		id = t.str()
	}
	t.expect(")", ")")
	r := t.s.results[id]
	if r == nil {
		panic(errorf(1003, "02000", "SQL compilation error:\nStatement %s not found", id))
	}
	return r.asValues()
}

// asValues writes a kept result as a table for DuckDB.
func (r *result) asValues() string {
	names, rows := make([]string, len(r.columns)), make([]string, len(r.rows))
	for i, c := range r.columns {
		names[i] = encode(c.name)
	}
	for i, row := range r.rows {
		texts := make([]string, len(row))
		for j, v := range row {
			texts[j] = r.columns[j].literal(v)
		}
		rows[i] = "(" + strings.Join(texts, ", ") + ")"
	}
	if len(rows) == 0 {
		none := make([]string, len(names))
		for i := range none {
			none[i] = "NULL"
		}
		return "(SELECT " + strings.Join(none, ", ") + " WHERE FALSE) AS \"RESULT_SCAN\"(" + strings.Join(names, ", ") + ")"
	}
	return "(VALUES " + strings.Join(rows, ", ") + ") AS \"RESULT_SCAN\"(" + strings.Join(names, ", ") + ")"
}

func (c column) literal(v *string) string {
	switch {
	case v == nil:
		return "NULL"
	case c.typ.wire == "fixed" || c.typ.wire == "real":
		return "(" + *v + ")"
	case c.typ.wire == "date":
		return "(DATE '1970-01-01' + " + *v + ")"
	case strings.HasPrefix(c.typ.wire, "timestamp"):
		return "make_timestamp(CAST(CAST('" + *v + "' AS DECIMAL(30,9)) * 1000000 AS BIGINT))"
	}
	return quoteText(*v)
}
