// Package sqltext writes the customer's side of a storage connector: the SQL
// that makes what arrives there readable in a warehouse. It is text for a
// person to look at and run; what only the customer knows stands in it as YOUR….
package sqltext

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
)

// Warehouse is one that the SQL is for.
type Warehouse string

// The warehouses.
const (
	Snowflake  Warehouse = "snowflake"
	BigQuery   Warehouse = "bigquery"
	Redshift   Warehouse = "redshift"
	Databricks Warehouse = "databricks"
)

// Warehouses lists the warehouses.
func Warehouses() []Warehouse { return []Warehouse{Snowflake, BigQuery, Redshift, Databricks} }

// Input is what the text is made of.
type Input struct {
	Connector connectors.Connector // of kind storage, valid
	Brand     string               // begins the names of what is created
	Path      string               // the connector's template, or the default one
	Workflow  string
	Version   int            // n of the schema version that Schema is
	Schema    waybill.Schema // without fields: not known, no run has been handed in
}

// Text returns the SQL for a warehouse. Its error says why the warehouse
// cannot read this connector, and what to change.
func Text(w Warehouse, in Input) (string, error) {
	place, err := locate(in)
	if err != nil {
		return "", err
	}
	write, ok := map[Warehouse]func(page) (string, error){
		Snowflake: snowflake, BigQuery: bigquery, Redshift: redshift, Databricks: databricks}[w]
	if !ok {
		return "", fmt.Errorf("%q is not a warehouse; use one of %s", string(w), join(Warehouses()))
	}
	columns := columnsOf(in.Schema)
	return write(page{Input: in, place: place, Columns: columns, Twins: twins(columns),
		Object: strings.ToLower(in.Brand + "_" + strings.ReplaceAll(in.Connector.ID, "-", "_")), Table: tableName(in.Workflow)})
}

// page is what the texts show.
type page struct {
	Input
	place
	Columns []Column
	Twins   []string // columns whose names differ in case only
	Object  string   // name of what the connector's tables share: a stage, a location
	Table   string   // name of the workflow's table, lower-case
}

// Head says what the text is about. None of it can hold a line's end: ids have
// no blanks, and URLs and templates no control characters.
func (p page) Head() string {
	head := fmt.Sprintf("-- What connector %s delivers of workflow %s: %s%s%s\n", p.Connector.ID, p.Workflow, p.root, p.fixed, p.glob())
	if len(p.Columns) > 0 {
		head += fmt.Sprintf("-- Columns of schema version V%d. Replace what begins with YOUR.\n", p.Version)
	} else {
		head += "-- No run of the workflow is known yet, so no columns are named. Replace what begins with YOUR.\n"
	}
	if timed.MatchString(p.Path) {
		head += "-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer\n-- one names the one that it replaces.\n"
	}
	if len(p.Twins) > 0 {
		head += fmt.Sprintf("-- %s differ in case only; where names are not told apart by case, one of them is lost.\n", strings.Join(p.Twins, ", "))
	}
	return head
}

// timed is a template whose folders are named by when a run finished.
var timed = regexp.MustCompile(`\{(timestamp|date|runDatetimeSafe|runDatetime|runDate)\}`)

// render fills a text in. Its functions quote; a text that puts a name or a
// value anywhere else is a fault that the golden files show.
func render(text string, p any, quoting template.FuncMap) (string, error) {
	t, err := template.New("sql").Funcs(quoting).Parse(text)
	if err != nil {
		return "", fmt.Errorf("the text of the SQL: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, p); err != nil {
		return "", fmt.Errorf("write the SQL: %w", err)
	}
	return b.String(), nil
}

// quoted puts a name into the given marks, doubling those in it.
func quoted(mark string) func(string) string {
	return func(name string) string { return mark + strings.ReplaceAll(name, mark, mark+mark) + mark }
}

// doubling writes a string literal where ” stands for a quote and \ may begin
// an escape: Snowflake and Redshift.
func doubling(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}

// escaping writes a string literal where \' stands for a quote: BigQuery, and
// Databricks, which takes ” for the end of one text and the begin of another.
func escaping(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// shell writes one word of a POSIX shell.
func shell(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func join[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}

// notOnly refuses a store that is not the vendor's public one.
func (p place) notOnly(w string, schemes ...string) error {
	if !slices.Contains(schemes, p.scheme) {
		return fmt.Errorf("%s does not read %s://; it reads %s://", w, p.scheme, strings.Join(schemes, ":// and "))
	}
	if p.endpoint != "" {
		return fmt.Errorf("%s reads the vendor's own store, and storage.endpoint names another one", w)
	}
	return nil
}
