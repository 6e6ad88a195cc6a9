package sqltext

import (
	"strings"
	"text/template"
)

// redshiftText: COPY loads a run; Spectrum reads the files where they are.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_COPY.html
// https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-columnar.html
// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_EXTERNAL_SCHEMA.html
// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_EXTERNAL_TABLE.html
const redshiftText = `{{.Head}}
-- 1. Load a run: COPY takes every key that begins as it is told, so that it is told of one run's
-- files of one format; _manifest.json, which lists them, begins otherwise. The cluster and the
-- bucket are in one region, and the role may list and read the bucket{{if .KMS}}, and kms:Decrypt
-- with the key {{.KMS}}{{end}}.{{if .Split}} Load every file of the format that _manifest.json lists, one
-- after the other: a prefix of several would take the other formats' too.{{end}}
-- https://docs.aws.amazon.com/redshift/latest/dg/r_COPY.html
{{if .Columns}}CREATE TABLE IF NOT EXISTS {{ident "YOUR_SCHEMA"}}.{{ident .Table}} (
{{- range $i, $row := .Rows}}{{if $i}},{{end}}
  {{$row}}
{{- end}}
);
{{else}}-- Create {{ident "YOUR_SCHEMA"}}.{{ident .Table}} with the files' columns, in their order.
{{end}}
COPY {{ident "YOUR_SCHEMA"}}.{{ident .Table}}
FROM {{lit .Run}}
IAM_ROLE 'arn:aws:iam::YOUR_ACCOUNT_ID:role/YOUR_REDSHIFT_ROLE'
FORMAT AS {{.Format}};

-- 2. Or read the files where they are, with Spectrum.
-- https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_EXTERNAL_TABLE.html
{{if .Why}}-- {{.Why}}
{{else}}-- It reads all files below a folder but those whose names begin with a period or an underscore, as
-- _manifest.json does.
CREATE EXTERNAL SCHEMA IF NOT EXISTS {{ident .Object}}
FROM DATA CATALOG DATABASE {{lit .Object}}
IAM_ROLE 'arn:aws:iam::YOUR_ACCOUNT_ID:role/YOUR_REDSHIFT_ROLE'
CREATE EXTERNAL DATABASE IF NOT EXISTS;

CREATE EXTERNAL TABLE {{ident .Object}}.{{ident .Table}} (
{{- range $i, $row := .External}}{{if $i}},{{end}}
  {{$row}}
{{- end}}
)
STORED AS PARQUET
LOCATION {{lit .Folder}};
{{end}}`

type redshiftPage struct {
	page
	KMS, Run, Folder, RunFolder, Format, Why string
	Split                                    bool // several files, which no prefix tells from those of other formats
	Rows, External                           []string
}

func redshift(p page) (string, error) {
	if err := p.notOnly("Redshift", "s3"); err != nil {
		return "", err
	}
	ident := quoted(`"`)
	out := redshiftPage{page: p, KMS: p.Connector.Storage.KMSKeyID, Folder: p.root + p.fixed, Format: redshiftFormat(p), Why: spectrumCannot(p)}
	for _, segment := range p.varying {
		out.RunFolder += variable.ReplaceAllStringFunc(segment, func(v string) string { return "YOUR_" + upper(snake(strings.Trim(v, "{}"))) }) + "/"
	}
	out.Run = out.Folder + out.RunFolder + "data"
	switch out.Split = p.Connector.Storage.MaxFileBytes > 0 && !p.only; {
	case out.Split:
		out.Run += "-00000." + p.file.extension
	case !p.only: // the other formats' files begin with data, too
		out.Run += "." + p.file.extension
	}
	for _, c := range p.Columns {
		out.Rows = append(out.Rows, ident(c.Alias)+" "+redshiftType(p.file, c))
		out.External = append(out.External, ident(c.Name)+" "+types[c.Class].Redshift)
	}
	return render(redshiftText, out, template.FuncMap{"ident": ident, "lit": doubling})
}

// spectrumCannot says why an external table cannot be made, or nothing.
func spectrumCannot(p page) string {
	switch {
	case p.file.format != "parquet":
		return "Not for " + p.file.format + ": deliver parquet, with its types, to read it this way."
	case !p.only:
		return "It reads every file of a folder, and the connector puts " + strings.Join(p.Connector.Storage.Formats, ", ") +
			" into one: give Spectrum a connector of its own, with formats: [parquet]."
	case p.mixed:
		return "It reads every file of a folder, and the path puts {workflowId} behind what differs from run to run: put {workflowId} first."
	case len(p.Columns) == 0:
		return "Its columns must be named, and no run of the workflow is known yet: ask again after the first one."
	case len(p.Twins) > 0:
		return "It does not tell columns apart by case: " + strings.Join(p.Twins, ", ") + "."
	}
	return ""
}

// redshiftFormat: COPY takes a column's place in Parquet and CSV, and its name in JSON.
// https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-format.html
func redshiftFormat(p page) string {
	compression := map[string]string{"": "", "gzip": " GZIP", "zstd": " ZSTD"}[p.file.compression]
	switch p.file.format {
	case "csv":
		return "CSV IGNOREHEADER 1 EMPTYASNULL DATEFORMAT 'auto' TIMEFORMAT 'auto'" + compression
	case "jsonl":
		return "JSON 'auto ignorecase'" + compression
	}
	return "PARQUET"
}

// redshiftType: JSONL keeps the source's values, which are of no one type.
func redshiftType(f file, c Column) string {
	if f.format == "jsonl" && c.Class != ClassText {
		return "SUPER"
	}
	return types[c.Class].Redshift
}
