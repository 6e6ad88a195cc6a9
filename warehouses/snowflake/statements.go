package snowflake

import (
	"embed"
	"fmt"
	"maps"
	"strings"
	"text/template"

	"github.com/waybillhq/waybill"
)

// Every statement that this package sends is one file of sql/. Values stand in
// them as literals: a scripting block takes no bind variables, and one form for
// all is read in one way. Only the events of the activity log are bound.
//
//go:embed sql/*.sql
var statementFiles embed.FS

var statements = template.Must(template.New("").Option("missingkey=error").Funcs(template.FuncMap{
	"ident":   ident,
	"lit":     literal,
	"yaml":    yamlText,
	"time":    timeLiteral,
	"bool":    func(b bool) string { return strings.ToUpper(fmt.Sprint(b)) },
	"inc":     func(i int) int { return i + 1 },
	"columns": func(names []string) string { return list(names, ident) },
	"names":   func(columns []column) string { return list(columns, func(c column) string { return ident(c.Name) }) },
	"values": func(alias string, columns []column) string {
		return list(columns, func(c column) string { return c.value(alias) })
	},
	"value": func(alias string, c column) string { return c.value(alias) },
	"prefixed": func(alias string, names []string) string {
		return list(names, func(n string) string { return alias + "." + ident(n) })
	},
}).ParseFS(statementFiles, "sql/*.sql"))

// args are what a statement's file asks for. Those of every statement of a
// place are set by [place.statement].
type args map[string]any

// Data, Staging and Shared qualify a name with its schema.
func (a args) Data(name string) string    { return a.qualified(schemaData, name) }
func (a args) Staging(name string) string { return a.qualified(schemaStaging, name) }
func (a args) Shared(name string) string  { return a.qualified(schemaShared, name) }

func (a args) qualified(schema, name string) string {
	return ident(fmt.Sprint(a["Database"])) + "." + ident(schema) + "." + ident(name)
}

// statement renders a file of sql/ for the place. A file that asks for what is
// not given is a fault of this package, which the golden files show.
func (p place) statement(name string, a args) string {
	data := args{"Database": p.Database, "Share": p.Database, "Mark": p.mark(), "Brand": p.Brand,
		"RunColumns": namesOf(waybill.TableRuns), "FieldColumns": namesOf(waybill.TableFields),
		"ActivityColumns": columnsOf(waybill.TableActivity)}
	maps.Copy(data, a)
	var text strings.Builder
	if err := statements.ExecuteTemplate(&text, name+".sql", data); err != nil {
		panic(fmt.Sprintf("statement %s: %v", name, err))
	}
	return strings.TrimSpace(text.String())
}

// table finds a table about workflows.
func metadataTable(name string) waybill.Table {
	for _, t := range waybill.MetadataTables() {
		if t.Name == name {
			return t
		}
	}
	panic("no table " + name)
}

func columnsOf(table string) (columns []column) {
	for _, c := range metadataTable(table).Columns {
		columns = append(columns, columnOf(c))
	}
	return columns
}

func namesOf(table string) (names []string) {
	for _, c := range metadataTable(table).Columns {
		names = append(names, c.Name)
	}
	return names
}
