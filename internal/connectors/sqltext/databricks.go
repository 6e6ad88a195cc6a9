package sqltext

import (
	"fmt"
	"strings"
	"text/template"
)

// databricksText: an external location lets Unity Catalog read the store, a
// view reads the files, a streaming table loads each once.
//
// https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-location.html
// https://docs.databricks.com/en/sql/language-manual/functions/read_files.html
// https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-streaming-table.html
const databricksText = `{{.Head}}
-- 1. The store, with a storage credential that may list and read it{{if .KMS}}, and kms:Decrypt with the key
-- {{.KMS}}{{end}}.
-- https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-location.html
CREATE EXTERNAL LOCATION IF NOT EXISTS {{ident .Object}}
URL {{lit .URL}}
WITH (STORAGE CREDENTIAL {{ident "YOUR_STORAGE_CREDENTIAL"}});

-- 2. Read the files where they are. The pattern leaves _manifest.json and the other formats out.
-- https://docs.databricks.com/en/sql/language-manual/functions/read_files.html
CREATE OR REPLACE VIEW {{.Target}}{{ident .Table}} AS
SELECT *, _metadata.file_path AS {{ident .FileColumn}}
FROM read_files(
  {{lit .Files}}{{range .Options}},
  {{.}}{{end}}
);

-- 3. Or load each new file once.
-- https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-streaming-table.html
CREATE OR REFRESH STREAMING TABLE {{.Target}}{{ident .Loaded}} AS
SELECT *, _metadata.file_path AS {{ident .FileColumn}}
FROM STREAM read_files(
  {{lit .Files}}{{range .Options}},
  {{.}}{{end}}
);
`

type databricksPage struct {
	page
	URL, Files, KMS, Loaded, Target, FileColumn string
	Options                                     []string
}

func databricks(p page) (string, error) {
	if err := p.notOnly("Databricks", "s3", "gs", "azblob"); err != nil {
		return "", err
	}
	out := databricksPage{page: p, URL: p.root, KMS: p.Connector.Storage.KMSKeyID, Loaded: p.Table + "_loaded",
		Target: "`YOUR_CATALOG`.`YOUR_SCHEMA`.", FileColumn: p.Brand + "_file_path", Options: databricksOptions(p)}
	if p.scheme == "azblob" { // https://learn.microsoft.com/en-us/azure/storage/blobs/data-lake-storage-introduction-abfs-uri
		out.URL = fmt.Sprintf("abfss://%s@%s.dfs.core.windows.net/%s", p.bucket, p.account, p.prefix)
	}
	out.Files = out.URL + p.fixed + p.glob()
	return render(databricksText, out, template.FuncMap{"ident": quoted("`"), "lit": escaping})
}

func databricksOptions(p page) []string {
	options := []string{"format => '" + map[string]string{"parquet": "parquet", "csv": "csv", "jsonl": "json"}[p.file.format] + "'"}
	if p.file.format == "csv" {
		options = append(options, "header => true", "multiLine => true", `escape => '"'`)
	}
	if len(p.Columns) == 0 {
		return options
	}
	rows := make([]string, len(p.Columns))
	for i, c := range p.Columns {
		kind := types[c.Class].Databricks
		if p.file.format == "jsonl" { // keeps the source's values, which are of no one type
			kind = types[ClassText].Databricks
		}
		rows[i] = quoted("`")(c.Name) + " " + kind
	}
	return append(options, "schema => "+escaping(strings.Join(rows, ", ")))
}
