package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/waybillhq/waybill"
)

// decoder sets a Go value from a YAML tree. The library's own strict decoding
// ends at the first fault and shows the source around it; this one collects
// every fault with its path and line, and shows no value that may be a secret.
type decoder struct {
	lines    map[string]int
	problems waybill.Problems
}

func (d *decoder) value(path string, node ast.Node, v reflect.Value) {
	if node == nil || node.Type() == ast.NullType {
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(path, node, v.Elem())
		return
	}
	switch {
	case isLeaf(v.Type()):
		d.leaf(path, node, v)
	case v.Kind() == reflect.Struct:
		d.mapping(path, node, v)
	case v.Kind() == reflect.Slice:
		d.sequence(path, node, v)
	default:
		panic(fmt.Sprintf("config: no YAML form for %s", v.Type()))
	}
}

func (d *decoder) mapping(path string, node ast.Node, v reflect.Value) {
	m, ok := node.(ast.MapNode)
	if !ok {
		d.problems.Addf(path, "is %s where a mapping of keys is wanted", describe(node))
		return
	}
	fields := fieldsOf(v.Type())
	for it := m.MapRange(); it.Next(); {
		key := it.Key().GetToken()
		field := join(path, quoteKey(key.Value))
		d.lines[field] = key.Position.Line
		if index, known := fields[key.Value]; known {
			d.value(field, it.Value(), v.FieldByIndex(index))
		} else {
			d.problems.Addf(field, "is not a key here; %s", hint(key.Value, fields))
		}
	}
}

func (d *decoder) sequence(path string, node ast.Node, v reflect.Value) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		d.problems.Addf(path, "is %s where a list is wanted; write [a, b]", describe(node))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values)))
	for i, item := range list.Values {
		at := element(path, i)
		d.lines[at] = item.GetToken().Position.Line
		d.value(at, item, v.Index(i))
	}
}

func (d *decoder) leaf(path string, node ast.Node, v reflect.Value) {
	text, ok := scalarText(node)
	switch {
	case !ok:
		d.problems.Addf(path, "is %s where %s is wanted%s", describe(node), wanted(v.Type()), quoting(node))
	case node.Type() == ast.BoolType && v.Kind() == reflect.String:
		d.problems.Addf(path, "is true or false where text is wanted; put it in quotes if it is text")
	default:
		if err := setText(v, text); err != nil {
			d.problems.Addf(path, "%s", err)
		}
	}
}

func scalarText(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true // as written: a team id of digits stays what it is
	}
	return "", false
}

func describe(node ast.Node) string {
	switch node.(type) {
	case ast.MapNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return "a YAML anchor, alias or tag, none of which is used here,"
	}
	return "a single value"
}

// quoting is advice for host:port in a list in braces, which the parser takes
// for a mapping.
func quoting(node ast.Node) string {
	if m, ok := node.(*ast.MappingNode); ok && m.IsFlowStyle {
		return ""
	}
	if _, ok := node.(ast.MapNode); ok {
		return "; put text with a colon in quotes"
	}
	return ""
}

var (
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType = reflect.TypeFor[time.Duration]()
)

// isLeaf reports whether a value of type t is written as one scalar.
func isLeaf(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		return true
	}
	return reflect.PointerTo(t).Implements(textType)
}

func wanted(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration such as 15s"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		return "a whole number"
	}
	return "text"
}

// setText sets a leaf from text, which came from YAML or from the environment.
// It repeats the text in an error only where it cannot be a secret.
func setText(v reflect.Value, text string) error {
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return u.UnmarshalText([]byte(text))
	}
	var err error
	switch {
	case v.Type() == durationType:
		var d time.Duration
		d, err = time.ParseDuration(text)
		v.SetInt(int64(d))
	case v.Kind() == reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(text)
		v.SetBool(b)
	case v.Kind() == reflect.String:
		v.SetString(text)
	default:
		var n int64
		n, err = strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
	}
	if err != nil {
		return fmt.Errorf("%s is not %s", waybill.Quote(text), wanted(v.Type()))
	}
	return nil
}

// fieldsOf maps the yaml keys of a struct, those of embedded structs included,
// to its fields' indexes. A field without a key is not read from YAML.
func fieldsOf(t reflect.Type) map[string][]int {
	fields := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		if key := f.Tag.Get("yaml"); key != "" {
			fields[key] = f.Index
		}
	}
	return fields
}

func hint(name string, fields map[string][]int) string {
	known := slices.Sorted(maps.Keys(fields))
	if meant := nearest(name, known); meant != "" {
		return fmt.Sprintf("did you mean %s?", meant)
	}
	return "known are " + strings.Join(known, ", ")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func quoteKey(key string) string {
	if waybill.ValidID(key) && !strings.Contains(key, ".") {
		return key
	}
	return waybill.Quote(key)
}

func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
