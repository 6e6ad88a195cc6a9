//go:build interop

// Package interop lets programs that others wrote read what formats writes:
// pyarrow and Python's csv module. It needs Python with pyarrow, and is run by
// make interop, which gets it; DuckDB's part is among the tests of formats.
package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/bench/data"
	"github.com/waybillhq/waybill/formats"
)

const python = "../../.tools/interop/bin/python"

// convert writes Parquet, JSONL and CSV of some records to a folder, with the
// schema beside them.
func convert(t *testing.T, schema waybill.Schema, records io.Reader) string {
	t.Helper()
	folder := t.TempDir()
	outputs := map[formats.Format]formats.Output{}
	for _, f := range []formats.Format{formats.Parquet, formats.JSONL, formats.CSV} {
		outputs[f] = func(int) (io.WriteCloser, error) { return os.Create(filepath.Join(folder, f.FileName())) }
	}
	result, err := formats.Convert(context.Background(), records, outputs, formats.Options{Schema: schema})
	if err != nil || result.Quarantined > 0 {
		t.Fatalf("%d quarantined: %v", result.Quarantined, err)
	}
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "schema.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// check runs a function of check.py on a folder.
func check(t *testing.T, what, folder string) {
	t.Helper()
	if _, err := os.Stat(python); err != nil {
		t.Fatal("there is no Python with pyarrow in .tools/interop; make interop installs it, from PyPI")
	}
	out, err := exec.CommandContext(t.Context(), python, "check.py", what, folder).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

func TestPythonReadsTheSameValuesFromEveryFormat(t *testing.T) {
	for _, set := range data.All() {
		t.Run(set.Name, func(t *testing.T) {
			check(t, "values", convert(t, set.Schema, bytes.NewReader(set.Records(2000))))
		})
	}
	runs, err := filepath.Glob("../../cmd/sandbox/testdata/runs/*.run.json")
	if err != nil || len(runs) == 0 {
		t.Fatalf("%d bundled runs: %v", len(runs), err)
	}
	for _, name := range runs {
		t.Run(filepath.Base(name), func(t *testing.T) {
			file, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			run, err := waybill.DecodeRun(file)
			if err != nil {
				t.Fatal(err)
			}
			records, err := os.ReadFile(filepath.Join(filepath.Dir(name), run.Source.URI))
			if err != nil {
				t.Fatal(err)
			}
			check(t, "values", convert(t, run.Schema, bytes.NewReader(records)))
		})
	}
}

// Row groups that a filter rules out by their statistics are not read, and the
// page index is there.
func TestPythonSkipsRowGroupsByTheirStatistics(t *testing.T) {
	schema := waybill.Schema{Fields: []waybill.Field{{Name: "id", DataType: waybill.Number}, {Name: "name", DataType: waybill.String}, {Name: "pad", DataType: waybill.String}}}
	var records strings.Builder
	pad := strings.Repeat("padding ", 12_500)
	for i := range 2000 {
		fmt.Fprintf(&records, "{\"id\":%d,\"name\":\"name-%06d\",\"pad\":\"%s\"}\n", i, i, pad)
	}
	check(t, "statistics", convert(t, schema, strings.NewReader(records.String())))
}
