package formats

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2" // a reader that others wrote
)

// openDuckDB opens a database of the test's own, and writes the outcome's files
// to a folder that queries may read.
func openDuckDB(t *testing.T, o outcome) (db *sql.DB, folder string) {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	folder = t.TempDir()
	for f, data := range o.files {
		if err := os.WriteFile(filepath.Join(folder, f.FileName()), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return db, folder
}

func query(t *testing.T, db *sql.DB, text string) [][]any {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]any
	for rows.Next() {
		row, into := make([]any, len(names)), make([]any, len(names))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// uglyColumns ask for the columns of uglySchema in the reference's forms.
const uglyColumns = `s, n, CAST(m AS VARCHAR), m_currency, b, CAST(d AS VARCHAR), epoch_us(t), o, a, l`

// DuckDB reads from Parquet the values that the reference has, and from JSONL
// and CSV as many records.
func compareDuckDB(t *testing.T, o outcome, want [][]any) {
	t.Helper()
	db, folder := openDuckDB(t, o)
	got := query(t, db, fmt.Sprintf("SELECT %s FROM '%s/data.parquet'", uglyColumns, folder))
	for _, row := range got {
		if text, ok := row[2].(string); ok {
			row[2] = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
		}
		if micros, ok := row[6].(int64); ok {
			row[6] = time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.999999Z")
		}
	}
	compareRows(t, got, want)
	count := fmt.Sprintf("SELECT count(*) FROM read_csv('%s/data.csv', header = true, all_varchar = true, quote = '\"', escape = '\"', delim = ',')", folder)
	if n := query(t, db, count)[0][0]; n != int64(len(want)) {
		t.Errorf("%v records of CSV, want %d", n, len(want))
	}
	// Half a surrogate pair is grammatical, and JSONL keeps it; DuckDB refuses it.
	var whole []string
	for line := range strings.Lines(o.text(JSONL)) {
		if !strings.Contains(line, ` \ud83d"`) {
			whole = append(whole, line)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "whole.jsonl"), []byte(strings.Join(whole, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := query(t, db, fmt.Sprintf("SELECT count(s), count(*) FROM read_json('%s/whole.jsonl', format = 'newline_delimited', columns = {s: 'JSON', o: 'JSON'})", folder))
	if n := lines[0][1]; n != int64(len(whole)) {
		t.Errorf("%v records of JSONL, want %d", n, len(whole))
	}
}

// Texts come out of CSV as they went in: every corner of RFC 4180.
func TestDuckDBReadsTheCornersOfCSV(t *testing.T) {
	texts := []string{`plain`, `a,b`, `say "hi"`, `"`, `""`, `line` + "\n" + `break`, `carriage` + "\r\n" + `return`, ` lead`, `trail `, `\.`, `'`, `é€😀`, `;|`, `0`, `NULL`, ``}
	var input strings.Builder
	for i, text := range texts {
		fmt.Fprintf(&input, "{\"n\":%d,\"s\":%s}\n", i, jsonText(text))
	}
	input.WriteString("{\"n\":-1}\n")
	o := mustRun(t, input.String(), Options{Schema: schemaOf("n NUMBER", "s STRING")}, CSV)
	db, folder := openDuckDB(t, o)
	got := query(t, db, fmt.Sprintf("SELECT s FROM read_csv('%s/data.csv', header = true, columns = {n: 'DOUBLE', s: 'VARCHAR'}, quote = '\"', escape = '\"', delim = ',', nullstr = '', allow_quoted_nulls = false)", folder))
	if len(got) != len(texts)+1 {
		t.Fatalf("%d records, want %d", len(got), len(texts)+1)
	}
	for i, text := range texts {
		if got[i][0] != text {
			t.Errorf("%q came as %q", text, got[i][0])
		}
	}
	if got[len(texts)][0] != nil {
		t.Errorf("NULL came as %q", got[len(texts)][0])
	}
}

// A filter finds the one row that it asks for: what a reader skips by minima
// and maxima, of columns with and without dictionaries, holds none.
func TestDuckDBFindsRowsByTheirStatistics(t *testing.T) {
	o := mustRun(t, string(products(16_000)), Options{Schema: productSchema, rowGroupRows: 2000, CPUs: 2}, Parquet)
	db, folder := openDuckDB(t, o)
	table := fmt.Sprintf("'%s/data.parquet'", folder)
	groups := query(t, db, "SELECT count(DISTINCT row_group_id) FROM parquet_metadata("+table+")")[0][0].(int64)
	if groups < 5 {
		t.Fatalf("%d row groups", groups)
	}
	for i, row := range query(t, db, "SELECT sku, url, attributes FROM "+table+" USING SAMPLE 20 ROWS (reservoir, 1)") {
		for c, column := range []string{"sku", "url"} {
			where := fmt.Sprintf("SELECT count(*) FROM %s WHERE %s = '%s'", table, column, row[c])
			if n := query(t, db, where)[0][0]; n != int64(1) {
				t.Errorf("row %d: %v rows for %s", i, n, where)
			}
		}
		all := query(t, db, fmt.Sprintf("SELECT count(*) FROM (SELECT attributes || '' AS a FROM %s) WHERE a = '%s'", table, row[2]))[0][0]
		if n := query(t, db, fmt.Sprintf("SELECT count(*) FROM %s WHERE attributes = '%s'", table, row[2]))[0][0]; n != all || n == int64(0) {
			t.Errorf("row %d: %v rows by a filter, %v without statistics", i, n, all)
		}
	}
}
