package sqltext

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
)

// bigqueryText: an external table, and a transfer that loads new files into a
// table of BigQuery's own.
//
// https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_external_table_statement
// https://cloud.google.com/bigquery/docs/cloud-storage-transfer
// https://cloud.google.com/bigquery/docs/s3-transfer
// https://cloud.google.com/bigquery/docs/blob-storage-transfer
// https://cloud.google.com/bigquery/docs/omni-aws-create-external-table
const bigqueryText = `{{.Head}}{{if .Mixed}}-- The path holds other variables before {workflowId}, and BigQuery knows one * only: the files
-- of all workflows of the connector are read. Put {workflowId} first, or give each workflow a connector.
{{end}}
-- 1. Read the files where they are.{{if .Connection}} The dataset is in BigQuery Omni's region of the store,
-- and a connection of it may read the store.{{end}} The suffix leaves _manifest.json and the other formats out.
-- {{.Page}}
CREATE OR REPLACE EXTERNAL TABLE {{.Dataset}}{{ident .Table}}{{template "columns" .}}{{if .Connection}}
WITH CONNECTION {{ident .Connection}}{{end}}
OPTIONS (
  format = '{{.Format}}',
  uris = [{{lit .URI}}]{{range .Options}},
  {{.}}{{end}}
);

-- 2. Or load each new file into a table of BigQuery's own{{if .Connection}}, in a dataset outside Omni's regions{{end}}. A file that is
-- replaced is loaded again, beside the rows of the old one.
-- {{.TransferPage}}
CREATE TABLE IF NOT EXISTS {{.Native}}{{ident .Loaded}}{{template "columns" .}}{{if not .Columns}}
AS SELECT * FROM {{.Dataset}}{{ident .Table}} WHERE FALSE{{end}};

-- The transfer runs once a day; in the console its schedule can be as short as {{.Shortest}}.
/* In a shell:
bq mk --transfer_config \
  --project_id=YOUR_PROJECT \
  --target_dataset=YOUR_DATASET \
  --display_name={{shell .Display}} \
  --data_source={{.Source}} \
  --params={{shell .Params}}
*/
{{define "columns"}}{{if .Columns}} (
{{- range $i, $row := .Rows}}{{if $i}},{{end}}
  {{$row}}
{{- end}}
){{end}}{{end}}`

type bigqueryPage struct {
	page
	Mixed                           bool
	Dataset, Connection, Page       string
	Format, URI                     string
	Options, Rows                   []string
	Loaded, Display, Source, Params string
	Native, TransferPage, Shortest  string
}

func bigquery(p page) (string, error) {
	if err := p.notOnly("BigQuery", "s3", "gs", "azblob"); err != nil {
		return "", err
	}
	if p.file.compression == "zstd" { // https://cloud.google.com/bigquery/docs/batch-loading-data#loading_compressed_and_uncompressed_data
		return "", errors.New("BigQuery reads gzip and not zstd; deliver parquet, or set storage.compression to gzip")
	}
	out := bigqueryPage{page: p, Mixed: p.mixed, Native: "`YOUR_PROJECT`.`YOUR_DATASET`.", Shortest: "an hour", Loaded: p.Table + "_loaded", Display: p.Connector.ID + " " + p.Workflow,
		Format: map[string]string{"parquet": "PARQUET", "csv": "CSV", "jsonl": "NEWLINE_DELIMITED_JSON"}[p.file.format], Options: bigqueryOptions(p.file)}
	for _, c := range p.Columns {
		out.Rows = append(out.Rows, quoted("`")(c.Name)+" "+bigqueryType(p.file, c))
	}
	// One asterisk, which matches slashes too:
	// https://cloud.google.com/bigquery/docs/external-data-cloud-storage#wildcard-support
	keys := p.fixed + "*." + p.file.extension
	params := map[string]string{"destination_table_name_template": out.Loaded}
	// Omni's datasets are read where they are, and nothing is transferred there.
	out.Dataset = map[bool]string{true: out.Native, false: "`YOUR_PROJECT`.`YOUR_OMNI_DATASET`."}[p.scheme == "gs"]
	params["write_disposition"] = "WRITE_APPEND"
	switch p.scheme {
	case "gs":
		out.Shortest, params["write_disposition"] = "15 minutes", "APPEND"
		out.Page = "https://cloud.google.com/bigquery/docs/external-data-cloud-storage"
		out.URI = p.root + keys
		out.Source, out.TransferPage = "google_cloud_storage", "https://cloud.google.com/bigquery/docs/cloud-storage-transfer"
		params["data_path_template"] = out.URI
	case "s3":
		out.Page = "https://cloud.google.com/bigquery/docs/omni-aws-create-external-table"
		out.URI, out.Connection = p.root+keys, "aws-"+p.Connector.Storage.Region+".YOUR_CONNECTION"
		out.Source, out.TransferPage = "amazon_s3", "https://cloud.google.com/bigquery/docs/s3-transfer"
		params["data_path"], params["access_key_id"], params["secret_access_key"] = out.URI, "YOUR_ACCESS_KEY_ID", "YOUR_SECRET_ACCESS_KEY"
	case "azblob":
		out.Page = "https://cloud.google.com/bigquery/docs/omni-azure-create-external-table"
		out.URI = fmt.Sprintf("azure://%s.blob.core.windows.net/%s/%s%s", p.account, p.bucket, p.prefix, keys)
		out.Connection = "azure-YOUR_REGION.YOUR_CONNECTION"
		out.Source, out.TransferPage = "azure_blob_storage", "https://cloud.google.com/bigquery/docs/blob-storage-transfer"
		params["storage_account"], params["container"], params["sas_token"] = p.account, p.bucket, "YOUR_SAS_TOKEN"
		params["data_path"] = p.prefix + keys
	}
	var err error
	if out.Params, err = bigqueryParams(p.file, params); err != nil {
		return "", err
	}
	return render(bigqueryText, out, template.FuncMap{"ident": quoted("`"), "lit": escaping, "shell": shell})
}

func bigqueryParams(f file, params map[string]string) (string, error) {
	params["file_format"] = map[string]string{"parquet": "PARQUET", "csv": "CSV", "jsonl": "JSON"}[f.format]
	switch f.format {
	case "csv":
		params["skip_leading_rows"], params["allow_quoted_newlines"] = "1", "true"
	case "jsonl":
		params["ignore_unknown_values"] = "true"
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(params)
	// The text stands in a comment, which its values must not end.
	return strings.ReplaceAll(strings.TrimSpace(b.String()), "*/", `*\/`), err
}

func bigqueryOptions(f file) (options []string) {
	switch f.format {
	case "csv":
		options = []string{"skip_leading_rows = 1", "allow_quoted_newlines = TRUE"}
	case "jsonl":
		options = []string{"ignore_unknown_values = TRUE"}
	}
	if f.compression == "gzip" {
		options = append(options, "compression = 'GZIP'")
	}
	return options
}

// bigqueryType: JSONL keeps the source's values, which are of no one type.
func bigqueryType(f file, c Column) string {
	if f.format == "jsonl" && c.Class != ClassText {
		return "JSON"
	}
	return types[c.Class].BigQuery
}
