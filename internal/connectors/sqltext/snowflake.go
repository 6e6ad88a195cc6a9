package sqltext

import (
	"fmt"
	"text/template"
)

// snowflakeText: an integration lets Snowflake read without keys, a stage names
// the workflow's folder, and an external table reads it, or a pipe loads it.
//
// https://docs.snowflake.com/en/sql-reference/sql/create-storage-integration
// https://docs.snowflake.com/en/sql-reference/sql/create-stage
// https://docs.snowflake.com/en/sql-reference/sql/create-external-table
const snowflakeText = `{{.Head}}
-- 1. Snowflake's own identity, which the store's owner lets read.
-- https://docs.snowflake.com/en/sql-reference/sql/create-storage-integration
CREATE STORAGE INTEGRATION IF NOT EXISTS {{ident .Integration}}
  TYPE = EXTERNAL_STAGE
  STORAGE_PROVIDER = '{{.Provider}}'
{{- range .Identity}}
  {{.}}
{{- end}}
  ENABLED = TRUE
  STORAGE_ALLOWED_LOCATIONS = ({{lit .URL}});

-- Names the identity; give it the right to list and read the location above{{if .KMS}},
-- and kms:Decrypt with the key {{.KMS}}{{end}}.
DESC STORAGE INTEGRATION {{ident .Integration}};

-- 2. The workflow's folder.
-- https://docs.snowflake.com/en/sql-reference/sql/create-stage
CREATE STAGE IF NOT EXISTS {{ident .Stage}}
  URL = {{lit .Folder}}
  STORAGE_INTEGRATION = {{ident .Integration}};

-- 3. The table. The pattern leaves _manifest.json and the other formats out.
-- https://docs.snowflake.com/en/sql-reference/sql/create-external-table
CREATE OR REPLACE EXTERNAL TABLE {{ident .Name}}{{if or .Rows .Parts}} (
{{- range $i, $row := .Rows}}{{if $i}},{{end}}
  {{$row}}
{{- end}}{{$rows := .Rows}}
{{- range $i, $part := .Parts}}{{if or $i $rows}},{{end}}
  {{ident $part.Name}} VARCHAR AS ({{$part.Value}})
{{- end}}
){{end}}{{if .Parts}}
  PARTITION BY ({{range $i, $part := .Parts}}{{if $i}}, {{end}}{{ident $part.Name}}{{end}}){{end}}
  LOCATION = @{{ident .Stage}}
  REFRESH_ON_CREATE = TRUE
  AUTO_REFRESH = FALSE
  PATTERN = {{lit .Pattern}}
  FILE_FORMAT = ({{.Format}});

-- Shows the files that came since. By itself, with events of the store:
-- https://docs.snowflake.com/en/user-guide/tables-external-auto
ALTER EXTERNAL TABLE {{ident .Name}} REFRESH;
{{- if .Pipe}}

-- 4. Or load each file once, as it arrives, by a pipe of your own into a table that is inferred from a first file.
-- https://docs.snowflake.com/en/user-guide/data-load-snowpipe-auto-s3
CREATE FILE FORMAT IF NOT EXISTS {{ident .FileFormat}} TYPE = PARQUET USE_LOGICAL_TYPE = TRUE;
CREATE TABLE IF NOT EXISTS {{ident .Loaded}} USING TEMPLATE (
  SELECT ARRAY_AGG(OBJECT_CONSTRUCT(*)) WITHIN GROUP (ORDER BY ORDER_ID)
  FROM TABLE(INFER_SCHEMA(LOCATION => {{lit .StageRef}}, FILE_FORMAT => {{lit (ident .FileFormat)}},
    FILES => ('YOUR_RUN_FOLDER/{{.FileName}}'))));
CREATE PIPE IF NOT EXISTS {{ident .Pipe}} AUTO_INGEST = TRUE AS
COPY INTO {{ident .Loaded}} FROM @{{ident .Stage}}
  PATTERN = {{lit .Pattern}}
  FILE_FORMAT = (FORMAT_NAME = {{ident .FileFormat}})
  MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE;
-- Its notification_channel is the queue that the bucket is to tell of each new object (s3:ObjectCreated:*).
SHOW PIPES LIKE {{lit .Pipe}};
-- A path that was loaded is passed over for 14 days, so that a run which is handed in again with replace, and the same
-- finish time, is not loaded again; a new schema version has columns that this table has not.
{{- end}}
`

type snowflakePage struct {
	page
	Provider, URL, Folder, KMS, Format, Pattern string
	Integration, Stage, Name                    string
	Pipe, Loaded, FileFormat, StageRef          string // Pipe is empty where there is none
	FileName                                    string // of a first file
	Identity, Rows                              []string
	Parts                                       []snowflakePart
}

type snowflakePart struct{ Name, Value string }

var snowflakeIdent = quoted(`"`)

func snowflake(p page) (string, error) {
	if err := p.notOnly("Snowflake", "s3", "gs", "azblob"); err != nil {
		return "", err
	}
	out := snowflakePage{page: p, KMS: p.Connector.Storage.KMSKeyID, Pattern: p.pattern(), Format: snowflakeFormat(p.file),
		Integration: upper(p.Object), Stage: upper(p.Object + "_" + p.Table), Name: upper(p.Table)}
	switch p.scheme {
	case "s3":
		out.Provider, out.URL = "S3", p.root
		out.Identity = []string{"STORAGE_AWS_ROLE_ARN = 'arn:aws:iam::YOUR_ACCOUNT_ID:role/YOUR_SNOWFLAKE_ROLE'"}
	case "gs":
		out.Provider, out.URL = "GCS", fmt.Sprintf("gcs://%s/%s", p.bucket, p.prefix)
	case "azblob":
		out.Provider, out.URL = "AZURE", fmt.Sprintf("azure://%s.blob.core.windows.net/%s/%s", p.account, p.bucket, p.prefix)
		out.Identity = []string{"AZURE_TENANT_ID = 'YOUR_TENANT_ID'"}
	}
	out.Folder = out.URL + p.fixed
	if p.scheme == "s3" && p.file.format == "parquet" { // elsewhere Snowpipe takes an integration for notifications too
		out.Pipe, out.Loaded, out.FileFormat = out.Stage+"_PIPE", out.Name+"_LOADED", out.Stage+"_PARQUET"
		out.StageRef, out.FileName = "@"+snowflakeIdent(out.Stage), "data."+p.file.extension
		if p.Connector.Storage.MaxFileBytes > 0 {
			out.FileName = "data-00000." + p.file.extension
		}
	}
	for i, c := range p.Columns {
		out.Rows = append(out.Rows, fmt.Sprintf("%s %s AS (%s)", snowflakeIdent(c.Name), snowflakeType(p.file, c), snowflakeValue(p.file, i, c)))
	}
	for _, q := range p.partitions(p.Brand) {
		// METADATA$FILENAME is the key within the bucket:
		// https://docs.snowflake.com/en/user-guide/querying-metadata
		value := fmt.Sprintf("SPLIT_PART(METADATA$FILENAME, '/', %d)", q.Index)
		if q.Hive {
			value = fmt.Sprintf("SPLIT_PART(%s, '=', 2)", value)
		}
		name := q.Name
		if !q.Hive {
			name = upper(name)
		}
		out.Parts = append(out.Parts, snowflakePart{p.free(name), value})
	}
	return render(snowflakeText, out, template.FuncMap{"ident": snowflakeIdent, "lit": doubling})
}

// snowflakeValue takes a column out of a row, which Snowflake sees as VALUE.
// Depending on its reader, a Parquet date is a date or a number of days, and a
// time is a timestamp or a number of microseconds; both are understood.
func snowflakeValue(f file, i int, c Column) string {
	at := "VALUE:" + snowflakeIdent(c.Name)
	if f.format == "csv" {
		at = fmt.Sprintf("VALUE:c%d", i+1)
	}
	switch {
	case f.format == "jsonl":
		return at
	case f.format == "parquet" && c.Class == ClassDate:
		return fmt.Sprintf("IFF(IS_INTEGER(%[1]s), DATEADD(DAY, %[1]s::INTEGER, '1970-01-01'::DATE), %[1]s::DATE)", at)
	case f.format == "parquet" && c.Class == ClassDateTime:
		return fmt.Sprintf("IFF(IS_INTEGER(%[1]s), TO_TIMESTAMP_NTZ(%[1]s::NUMBER(38,0), 6), %[1]s::TIMESTAMP_NTZ)", at)
	}
	return at + "::" + types[c.Class].Snowflake
}

// snowflakeType: JSONL keeps the source's values, which are of no one type.
func snowflakeType(f file, c Column) string {
	if f.format == "jsonl" {
		return "VARIANT"
	}
	return types[c.Class].Snowflake
}

// https://docs.snowflake.com/en/sql-reference/sql/create-file-format
func snowflakeFormat(f file) string {
	compression := map[string]string{"": "NONE", "gzip": "GZIP", "zstd": "ZSTD"}[f.compression]
	switch f.format {
	case "csv":
		return `TYPE = CSV SKIP_HEADER = 1 FIELD_OPTIONALLY_ENCLOSED_BY = '"' EMPTY_FIELD_AS_NULL = TRUE NULL_IF = () COMPRESSION = ` + compression
	case "jsonl":
		return "TYPE = JSON COMPRESSION = " + compression
	}
	return "TYPE = PARQUET"
}
