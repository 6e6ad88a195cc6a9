package snowflake

import (
	"github.com/waybillhq/waybill"
)

// The provider's own tables. All but the fences are insert-only: an INSERT
// waits for no lock, so that the lanes of a connector do not wait for each other.
const (
	tableRuns     = "RUNS"            // every word on each run; RUNS_CURRENT has the newest
	tableLoads    = "LOADS"           // which loads lie in the tables, and which were swept
	tableVersions = "SCHEMA_VERSIONS" // a row means: the version's table is there
	tableFields   = "SCHEMA_FIELDS"   //
	tableMoves    = "LATEST_MOVES"    // every place that LATEST pointed to
	tableHidden   = "WORKFLOWS"       // workflows that were narrowed away, and those that came back
)

// providerTables lists them with their columns.
func providerTables() []waybill.Table {
	text := func(names ...string) (columns []waybill.Column) {
		for _, n := range names {
			columns = append(columns, waybill.Column{Name: n, Type: waybill.ColumnText})
		}
		return columns
	}
	number := func(names ...string) (columns []waybill.Column) {
		for _, n := range names {
			columns = append(columns, waybill.Column{Name: n, Type: waybill.ColumnInteger})
		}
		return columns
	}
	join := func(parts ...[]waybill.Column) (columns []waybill.Column) {
		for _, p := range parts {
			columns = append(columns, p...)
		}
		return columns
	}
	boolean := func(name string) []waybill.Column { return []waybill.Column{{Name: name, Type: waybill.ColumnBoolean}} }
	versions := metadataTable(waybill.TableVersions).Columns
	return []waybill.Table{
		{Name: tableRuns, Comment: "every word on each run", Columns: join(metadataTable(waybill.TableRuns).Columns, number("GENERATION"), text("LOAD_ID"), number("FENCE"))},
		{Name: tableLoads, Comment: "which loads lie in the tables", Columns: join(text("LOAD_ID", "WORKFLOW_ID", "JOB_ID"), number("SCHEMA_VERSION", "GENERATION", "ROW_COUNT"), text("STATE"), number("FENCE"))},
		{Name: tableVersions, Comment: "schema versions whose tables are there", Columns: versions[:len(versions)-1]}, // IS_LATEST is the view's
		{Name: tableFields, Comment: "their columns", Columns: metadataTable(waybill.TableFields).Columns},
		{Name: tableMoves, Comment: "where each LATEST pointed", Columns: join(text("WORKFLOW_ID"), number("SCHEMA_VERSION"), boolean("PINNED"),
			[]waybill.Column{{Name: "MOVED_AT", Type: waybill.ColumnTimestamp}}, number("FENCE"))},
		{Name: tableHidden, Comment: "workflows narrowed away", Columns: join(text("WORKFLOW_ID"), boolean("HIDDEN"), number("FENCE"))},
	}
}

// createTable renders a table of the data schema.
func (p place) createTable(t waybill.Table) string {
	var columns []column
	for _, c := range t.Columns {
		columns = append(columns, columnOf(c))
	}
	return p.createDataTable(t.Name, t.Comment, columns)
}

func (p place) createDataTable(name, comment string, columns []column) string {
	return p.statement("table_create", args{"Name": name, "Columns": columns, "Comment": comment})
}

// createVersionTable renders the provider table of a run's schema version: the
// columns of its view, and the load that each row came with.
func (p place) createVersionTable(r Run) string {
	columns := p.versionColumns(r.Schema)
	return p.createDataTable(r.table(), "provider table of workflow "+r.WorkflowID, append(columns, column{Name: "_LOAD_ID", Type: snowflakeTypes[waybill.ColumnText]}))
}

// versionColumns are the columns of a version's view.
func (p place) versionColumns(s waybill.Schema) (columns []column) {
	for _, c := range s.Columns(p.Brand) {
		columns = append(columns, columnOf(c))
	}
	return columns
}

func (p place) createFenceTable(l Lane) string {
	return p.createDataTable(l.fenceTable(), "fence of workflow "+l.WorkflowID,
		[]column{{Name: "LANE", Type: "VARCHAR"}, {Name: "FENCE", Type: "NUMBER(38,0)"}})
}

// createVersionView renders a version's view. It is never changed.
func (p place) createVersionView(r Run) string {
	a := r.args(p.Brand)
	a["Columns"], a["Comment"] = p.versionColumns(r.Schema), waybill.VersionComment
	return p.statement("version_view", a)
}

// field is a row of SCHEMA_FIELDS.
type field struct {
	Position                                     int
	Source, Column, SourceType, TargetType, Cast string
	IsKey                                        bool
}

// recordVersion renders the row that says: the version's table is there.
func (p place) recordVersion(r Run) string {
	var fields []field
	for i, c := range r.Schema.Columns(p.Brand) {
		if c.Field != "" {
			fields = append(fields, field{Position: i + 1, Source: c.Field, Column: c.Name, SourceType: string(c.DataType),
				TargetType: targetType(c), Cast: string(c.Cast), IsKey: c.IsKey})
		}
	}
	a := r.args(p.Brand)
	a["Fields"], a["FieldCount"], a["Fingerprint"] = fields, len(r.Schema.Exported()), r.Schema.Fingerprint()
	return p.statement("version_record", a)
}
