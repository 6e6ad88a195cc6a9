package sqltext

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	parquetfile "github.com/apache/arrow-go/v18/parquet/file"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/internal/connectors"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// everyType has a field of each data type, a reserved word, and a MONEY field
// whose currency's name is taken.
func everyType() waybill.Schema {
	var s waybill.Schema
	for _, t := range waybill.DataTypes() {
		s.Fields = append(s.Fields, waybill.Field{Name: "f_" + strings.ToLower(string(t)), DataType: t})
	}
	return waybill.Schema{Fields: append(s.Fields,
		waybill.Field{Name: "Order", DataType: waybill.Money}, waybill.Field{Name: "Order_currency", DataType: waybill.String},
		waybill.Field{Name: "_internal", DataType: waybill.String})}
}

func storage(id string, s connectors.Storage) connectors.Connector {
	return connectors.Connector{ID: id, Team: "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d", Kind: waybill.KindStorage, Storage: &s}
}

func cases() map[string]Input {
	const standard = "kadoa/{teamId}/{workflowId}/{timestamp}-{jobId}/"
	azure := connectors.Access{Account: "acmelake"}
	return map[string]Input{
		"s3": {Version: 3, Schema: everyType(), Path: standard, Workflow: "wf_movies",
			Connector: storage("acme-lake", connectors.Storage{URL: "s3://acme-bucket", Region: "eu-central-1", Formats: []string{"parquet", "jsonl", "csv"}})},
		"s3-parquet": {Version: 1, Path: "it's $$here/{workflowId}/dt={date}/job={jobId}/", Workflow: "Prices.of-'all'",
			Schema: waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String}, {Name: "dt", DataType: waybill.Date}}},
			Connector: storage("acme-quotes", connectors.Storage{URL: "s3://acme-bucket/o'neil & $$/in", Region: "eu-central-1", Formats: []string{"parquet"},
				KMSKeyID: "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"})},
		"s3-twins": {Version: 2, Path: "{date}/{workflowId}/{jobId}/", Workflow: "wf_prices",
			Schema:    waybill.Schema{Fields: []waybill.Field{{Name: "Price", DataType: waybill.Number}, {Name: "price", DataType: waybill.Money}}},
			Connector: storage("acme-twins", connectors.Storage{URL: "s3://acme-bucket", Region: "eu-central-1", Formats: []string{"parquet"}})},
		"gs-csv": {Version: 1, Schema: everyType(), Path: "{workflowId}/dt={date}/{runId}/", Workflow: "wf_movies",
			Connector: storage("acme-gs", connectors.Storage{URL: "gs://acme-lake/in", Formats: []string{"json", "csv"}, MaxFileBytes: 1 << 30, Compression: connectors.Compression{CSV: "gzip"}})},
		"gs-new": {Path: standard, Workflow: "wf_movies",
			Connector: storage("acme-gs", connectors.Storage{URL: "gs://acme-lake", Formats: []string{"parquet"}})},
		"azure": {Version: 1, Schema: everyType(), Path: standard, Workflow: "wf_movies",
			Connector: storage("acme-azure", connectors.Storage{URL: "azblob://exports/in", Formats: []string{"parquet"}, Access: azure})},
		"azure-jsonl": {Version: 1, Schema: everyType(), Path: standard, Workflow: "wf_movies",
			Connector: storage("acme-azure", connectors.Storage{URL: "azblob://exports", Formats: []string{"jsonl"}, Compression: connectors.Compression{JSONL: "gzip"}, Access: azure})},
		"s3-jsonl": {Version: 1, Schema: everyType(), Path: standard, Workflow: "wf_movies",
			Connector: storage("acme-jsonl", connectors.Storage{URL: "s3://acme-bucket", Region: "us-east-1", Formats: []string{"jsonl"}, Compression: connectors.Compression{JSONL: "zstd"}})},
		"s3-split": {Version: 1, Path: standard, Workflow: "wf_movies", Schema: waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String}}},
			Connector: storage("acme-split", connectors.Storage{URL: "s3://acme-bucket", Region: "us-east-1", MaxFileBytes: 1 << 30, Formats: []string{"csv", "parquet"}})},
		"folder": {Path: standard, Workflow: "wf_movies", Connector: storage("local", connectors.Storage{URL: "file:///srv/out", Formats: []string{"parquet"}})},
		"minio": {Path: standard, Workflow: "wf_movies",
			Connector: storage("minio", connectors.Storage{URL: "s3://acme", Endpoint: "https://minio.example", Formats: []string{"parquet"}})},
		"json": {Path: standard, Workflow: "wf_movies", Connector: storage("json", connectors.Storage{URL: "gs://acme", Formats: []string{"json"}})},
		"star": {Path: "a*b/{jobId}/", Workflow: "wf_movies", Connector: storage("star", connectors.Storage{URL: "gs://acme", Formats: []string{"parquet"}})},
	}
}

// The texts are the product: read them. A text that cannot be written is the
// sentence that says why.
func TestGoldenTexts(t *testing.T) {
	for name, in := range cases() {
		in.Brand = "kadoa"
		for _, w := range Warehouses() {
			text, err := Text(w, in)
			if err != nil {
				text = "error: " + err.Error() + "\n"
			}
			path := filepath.Join("testdata", fmt.Sprintf("%s.%s.sql", name, w))
			if *update {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if text != string(want) {
				t.Errorf("%s is not what is written; if it should be, run: go test ./internal/connectors/sqltext -update\n%s", path, text)
			}
			balanced(t, path, text)
		}
	}
}

// balanced looks for a quote that is not closed, in what is neither a comment
// nor a word of a shell: each literal and each name ends in its line.
func balanced(t *testing.T, path, text string) {
	t.Helper()
	text = regexp.MustCompile(`(?ms)^/\*.*?^\*/\n|--[^\n]*`).ReplaceAllString(text, "")
	if strings.HasPrefix(text, "error:") {
		return
	}
	literal := regexp.MustCompile(`'(?:[^'\\]|''|\\.)*'|"(?:[^"]|"")*"|` + "`(?:[^`]|``)*`")
	for line := range strings.Lines(text) {
		if rest := literal.ReplaceAllString(line, ""); strings.ContainsAny(rest, "'\"`") {
			t.Errorf("%s: a quote is open in %s", path, line)
		}
	}
}

func TestUnknownWarehouse(t *testing.T) {
	_, err := Text("oracle", cases()["s3"])
	if err == nil || !strings.Contains(err.Error(), "use one of snowflake, bigquery, redshift, databricks") {
		t.Error(err)
	}
}

// The columns and their types are what the converter writes, in its order.
func TestColumnsAreThoseOfTheParquetFile(t *testing.T) {
	schema := everyType()
	var out bytes.Buffer
	_, err := formats.Convert(t.Context(), strings.NewReader("{}\n"), map[formats.Format]formats.Output{formats.Parquet: formats.To(&out)}, formats.Options{Schema: schema, CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := parquetfile.NewParquetReader(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	columns := columnsOf(schema)
	if got := reader.MetaData().Schema.NumColumns(); got != len(columns) {
		t.Fatalf("the file has %d columns, want %d", got, len(columns))
	}
	for i, c := range columns {
		got := reader.MetaData().Schema.Column(i)
		physical, logical, _ := strings.Cut(types[c.Class].Parquet, ", ")
		if got.Name() != c.Name || !strings.HasPrefix(physical, got.PhysicalType().String()) || !sameLogical(logical, got.LogicalType().String()) {
			t.Errorf("column %d is %s %s %s, want %s %s", i, got.Name(), got.PhysicalType(), got.LogicalType(), c.Name, types[c.Class].Parquet)
		}
	}
}

// sameLogical compares the converter's words with the library's.
func sameLogical(want, got string) bool {
	switch {
	case want == "":
		return got == "None" || got == "Null" || got == "Unknown"
	case strings.HasPrefix(want, "Decimal"):
		return got == "Decimal(precision=38, scale=9)"
	case strings.HasPrefix(want, "Timestamp"):
		return strings.Contains(got, "isAdjustedToUTC=true") && strings.Contains(got, "timeUnit=microseconds")
	}
	return got == want
}

func TestTypesAreThoseOfTheCastTable(t *testing.T) {
	for _, rule := range formats.CastTable() {
		column, _, _ := strings.Cut(rule.Column, ", and ") // MONEY's second column
		if got := TypesOf(ClassOf(rule.Type)).Parquet; got != column {
			t.Errorf("%s: %s, want %s", rule.Type, got, column)
		}
	}
}

func TestTableNames(t *testing.T) {
	for workflow, want := range map[string]string{
		"wf_movies":              "movies",
		"wf_Movies":              "movies_", // another workflow: its hash follows
		"movies":                 "movies_",
		"Prices.of-all":          "prices_of_all_",
		strings.Repeat("x", 128): strings.Repeat("x", 100) + "_",
	} {
		got := tableName(workflow)
		if !strings.HasPrefix(got, want) || (strings.HasSuffix(want, "_") && len(got) != len(want)+8) {
			t.Errorf("%s became %s", workflow, got)
		}
	}
}

// What Snowflake's pattern and the glob take is the files, and nothing beside them.
func TestPattern(t *testing.T) {
	for name, in := range cases() {
		p, err := locate(in)
		if err != nil {
			continue
		}
		re := regexp.MustCompile("^(?:" + p.pattern() + ")$")
		folder := p.prefix + p.fixed
		for _, segment := range p.varying {
			folder += variable.ReplaceAllString(segment, "2025-01-15") + "/"
		}
		for file, want := range map[string]bool{
			"data." + p.file.extension: true, "data-00002." + p.file.extension: true, "_manifest.json": false, "data.json": false,
			"data.txt": false, "dataX" + p.file.extension + "x": false, "sub/data." + p.file.extension + "/": false,
		} {
			if got := re.MatchString(folder + file); got != want {
				t.Errorf("%s: %q matches %s: %t", name, p.pattern(), folder+file, got)
			}
		}
	}
}
