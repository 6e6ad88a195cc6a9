package sharing

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/waybillhq/waybill/warehouses/delta"
)

// possible says what a condition may be of a file's rows. A row of which it is
// neither true nor false, for a value is NULL, counts for neither.
type possible struct {
	some bool // it may be true of some row
	none bool // it may be false of some row
}

// anything is what is said of a condition that is not understood: the file stays.
var anything = possible{true, true}

// condition is a predicate, as far as the statistics of a file can tell.
type condition interface {
	of(delta.Statistics) possible
}

type (
	and     []condition
	or      []condition
	not     struct{ condition }
	unknown struct{}
)

func (unknown) of(delta.Statistics) possible { return anything }

func (c and) of(s delta.Statistics) possible {
	p := possible{some: true}
	for _, each := range c {
		q := each.of(s)
		p.some, p.none = p.some && q.some, p.none || q.none
	}
	return p
}

func (c or) of(s delta.Statistics) possible {
	p := possible{none: true}
	for _, each := range c {
		q := each.of(s)
		p.some, p.none = p.some || q.some, p.none && q.none
	}
	return p
}

func (c not) of(s delta.Statistics) possible {
	p := c.condition.of(s)
	return possible{some: p.none, none: p.some}
}

// isNull: the column has no value.
type isNull struct{ column column }

func (c isNull) of(s delta.Statistics) possible {
	nulls, known := s.NullCount[c.column.name]
	if !known || s.NumRecords < 0 {
		return anything
	}
	return possible{some: nulls > 0, none: nulls < s.NumRecords}
}

// hints are what a query says of the rows that it wants; nil: nothing that is understood.
func hints(q query, schema string) condition {
	columns := columnsOf(schema)
	var all and
	for _, text := range q.PredicateHints {
		all = append(all, columns.sql(text))
	}
	if q.JSONPredicateHints != nil {
		all = append(all, columns.json(*q.JSONPredicateHints))
	}
	if !slices.ContainsFunc(all, func(c condition) bool { return c != unknown{} }) {
		return nil
	}
	return all
}

// column is one of the table's columns.
type column struct {
	name string
	is   string // Delta's type, e.g. decimal(38,9)
}

// columns are those of a table, by their names in lower case.
type columns map[string]column

func columnsOf(schema string) columns {
	var s struct {
		Fields []struct {
			Name string `json:"name"`
			Type any    `json:"type"` // a nested one is an object
		} `json:"fields"`
	}
	if json.Unmarshal([]byte(schema), &s) != nil {
		return nil
	}
	all := columns{}
	for _, f := range s.Fields {
		if t, plain := f.Type.(string); plain {
			all[strings.ToLower(f.Name)] = column{f.Name, t}
		}
	}
	return all
}

// node is a node of a JSON predicate.
// https://github.com/delta-io/delta-sharing/blob/main/PROTOCOL.md#json-predicates-for-filtering
type node struct {
	Op        string `json:"op"`
	Children  []node `json:"children"`
	Name      string `json:"name"`
	Value     any    `json:"value"`
	ValueType string `json:"valueType"`
}

// maxDepth bounds how deeply predicates are nested.
const maxDepth = 100

func (c columns) json(text string) condition {
	var n node
	if json.Unmarshal([]byte(text), &n) != nil {
		return unknown{}
	}
	return c.node(n, maxDepth)
}

func (c columns) node(n node, depth int) condition {
	if depth == 0 {
		return unknown{}
	}
	var children []condition
	switch n.Op {
	case "and", "or", "not":
		for _, child := range n.Children {
			children = append(children, c.node(child, depth-1))
		}
	}
	switch {
	case n.Op == "and" && len(children) > 0:
		return and(children)
	case n.Op == "or" && len(children) > 0:
		return or(children)
	case n.Op == "not" && len(children) == 1:
		return not{children[0]}
	case n.Op == "isNull" && len(n.Children) == 1:
		if col, ok := c[strings.ToLower(n.Children[0].Name)]; ok && n.Children[0].Op == "column" {
			return isNull{col}
		}
	case operators[n.Op] != "" && len(n.Children) == 2:
		return c.compare(operators[n.Op], n.Children[0], n.Children[1])
	case n.Op == "in" && len(n.Children) > 1:
		var each or
		for _, value := range n.Children[1:] {
			each = append(each, c.compare("=", n.Children[0], value))
		}
		return each
	}
	return unknown{}
}

var operators = map[string]string{"equal": "=", "lessThan": "<", "lessThanOrEqual": "<=", "greaterThan": ">", "greaterThanOrEqual": ">="}

// mirrored is an operator with its sides exchanged.
var mirrored = map[string]string{"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

func (c columns) compare(operator string, left, right node) condition {
	if left.Op == "literal" && right.Op == "column" {
		left, right, operator = right, left, mirrored[operator]
	}
	text, isText := right.Value.(string)
	col, known := c[strings.ToLower(left.Name)]
	if left.Op != "column" || right.Op != "literal" || !known || !isText {
		return unknown{}
	}
	return compare(col, operator, text, right.ValueType)
}

// sql reads the one form of SQL that is worth it: column operator literal.
// https://github.com/delta-io/delta-sharing/blob/main/PROTOCOL.md#sql-expressions-for-filtering
func (c columns) sql(text string) condition {
	text = strings.TrimSpace(text)
	end := strings.IndexFunc(text, func(r rune) bool { return !isNameRune(r) })
	if end <= 0 {
		return unknown{}
	}
	col, known := c[strings.ToLower(text[:end])]
	if !known {
		return unknown{}
	}
	rest := strings.TrimSpace(text[end:])
	switch strings.ToUpper(strings.Join(strings.Fields(rest), " ")) {
	case "IS NULL":
		return isNull{col}
	case "IS NOT NULL":
		return not{isNull{col}}
	}
	for _, operator := range []string{"<=", ">=", "<>", "<", ">", "="} { // the longer ones first
		literal, is := strings.CutPrefix(rest, operator)
		if !is {
			continue
		}
		literal = strings.TrimSpace(literal)
		kind := numberText
		if quoted, is := strings.CutPrefix(literal, "'"); is {
			inner, ended := strings.CutSuffix(quoted, "'")
			if !ended || strings.ContainsAny(inner, `'\`) {
				return unknown{}
			}
			literal, kind = inner, quotedText
		}
		if operator == "<>" {
			return not{compare(col, "=", literal, kind)}
		}
		return compare(col, operator, literal, kind)
	}
	return unknown{}
}

func isNameRune(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}
