package waybill

// The tables about workflows that every warehouse connector has, beside the
// workflows' own.
const (
	TableRuns     = "WORKFLOW_RUNS"
	TableVersions = "WORKFLOW_SCHEMA_VERSIONS"
	TableFields   = "WORKFLOW_SCHEMA_FIELDS"
	TableActivity = "ACTIVITY_LOG"
)

// The values of WORKFLOW_RUNS' column STATUS.
const (
	StatusPublished   = "PUBLISHED"
	StatusUnpublished = "UNPUBLISHED"
)

// What a warehouse's catalogue says of a workflow's tables.
const (
	VersionComment = "stable; for downstream models"
	LatestComment  = "follows the newest schema; for exploration"
)

// Table is a table about workflows: what it is called, what it is for, and its columns.
type Table struct {
	Name    string   `json:"name"`
	Comment string   `json:"comment"`
	Columns []Column `json:"columns"`
	Key     []string `json:"key"` // columns that together name one row
}

// MetadataTables lists the tables about workflows.
func MetadataTables() []Table {
	return []Table{
		{Name: TableRuns, Comment: "one row for each shared run; it appears when the run is complete", Key: []string{"WORKFLOW_ID", "JOB_ID"},
			Columns: []Column{
				{Name: "WORKFLOW_ID", Type: ColumnText},
				{Name: "JOB_ID", Type: ColumnText},
				{Name: "SCHEMA_VERSION", Type: ColumnInteger},
				{Name: "ROW_COUNT", Type: ColumnInteger},
				{Name: "QUARANTINED_COUNT", Type: ColumnInteger},
				{Name: "CAST_FAILURE_COUNT", Type: ColumnInteger},
				{Name: "STATUS", Type: ColumnText},
				{Name: "RUN_FINISHED_AT", Type: ColumnTimestamp},
				{Name: "PUBLISHED_AT", Type: ColumnTimestamp},
				{Name: "REVISION", Type: ColumnText},
			}},
		{Name: TableVersions, Comment: "one row for each schema version of a workflow", Key: []string{"WORKFLOW_ID", "SCHEMA_VERSION"},
			Columns: []Column{
				{Name: "WORKFLOW_ID", Type: ColumnText},
				{Name: "SCHEMA_VERSION", Type: ColumnInteger},
				{Name: "TABLE_NAME", Type: ColumnText},
				{Name: "FIELD_COUNT", Type: ColumnInteger},
				{Name: "FINGERPRINT", Type: ColumnText},
				{Name: "FIRST_SEEN_AT", Type: ColumnTimestamp},
				{Name: "IS_LATEST", Type: ColumnBoolean},
			}},
		{Name: TableFields, Comment: "one row for each column of a schema version, in order", Key: []string{"WORKFLOW_ID", "SCHEMA_VERSION", "POSITION"},
			Columns: []Column{
				{Name: "WORKFLOW_ID", Type: ColumnText},
				{Name: "SCHEMA_VERSION", Type: ColumnInteger},
				{Name: "POSITION", Type: ColumnInteger},
				{Name: "SOURCE_NAME", Type: ColumnText},
				{Name: "COLUMN_NAME", Type: ColumnText},
				{Name: "SOURCE_TYPE", Type: ColumnText},
				{Name: "TARGET_TYPE", Type: ColumnText},
				{Name: "CAST_POLICY", Type: ColumnText},
				{Name: "IS_KEY", Type: ColumnBoolean},
			}},
		{Name: TableActivity, Comment: "activity events, as the activity log shows them", Key: []string{"EVENT_ID"},
			Columns: []Column{
				{Name: "EVENT_ID", Type: ColumnText},
				{Name: "OCCURRED_AT", Type: ColumnTimestamp},
				{Name: "TITLE", Type: ColumnText},
				{Name: "REQUEST_SOURCE", Type: ColumnText},
				{Name: "USER_ID", Type: ColumnText},
				{Name: "USER_EMAIL", Type: ColumnText},
				{Name: "RESOURCE_TYPE", Type: ColumnText},
				{Name: "WORKFLOW_ID", Type: ColumnText},
				{Name: "RESOURCE_ID", Type: ColumnText},
				{Name: "RESOURCE_NAME", Type: ColumnText},
				{Name: "DETAILS", Type: ColumnJSON},
			}},
	}
}
