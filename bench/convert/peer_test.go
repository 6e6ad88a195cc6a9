package convert

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2" // the peer

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
)

// peerJob is what a process of the peer does.
type peerJob struct {
	In, Out string
	Schema  waybill.Schema
	Formats []formats.Format
	Threads int
	Table   bool // read once into a table, and copy that
}

const peerVariable = "WAYBILL_BENCH_PEER"

// TestMain makes this program the peer's process where it was told to be: each
// side runs in a process of its own, which alone has its memory and CPU time.
func TestMain(m *testing.M) {
	text := os.Getenv(peerVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var job peerJob
	err := json.Unmarshal([]byte(text), &job)
	if err == nil {
		err = job.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run lets DuckDB read the records by explicit columns, which is its fastest
// way, keep their order, which is its default, and copy them to each format.
// Money stays the structure that it is: DuckDB is spared the decimals.
func (j peerJob) run() error {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	statements := []string{fmt.Sprintf("SET threads = %d", j.Threads)}
	from := "(SELECT * FROM " + j.source() + ")"
	if j.Table {
		statements = append(statements, "CREATE TABLE records AS SELECT * FROM "+j.source())
		from = "records"
	}
	for _, f := range j.Formats {
		options := map[formats.Format]string{formats.Parquet: "FORMAT parquet, COMPRESSION zstd", formats.JSONL: "FORMAT json", formats.CSV: "FORMAT csv, HEADER"}[f]
		statements = append(statements, fmt.Sprintf("COPY %s TO '%s' (%s)", from, filepath.Join(j.Out, f.FileName()), options))
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (j peerJob) source() string {
	var columns []string
	for _, f := range j.Schema.Fields {
		columns = append(columns, fmt.Sprintf("%s: '%s'", f.Name, peerTypes[f.DataType]))
	}
	return fmt.Sprintf("read_json('%s', format = 'newline_delimited', columns = {%s})", j.In, strings.Join(columns, ", "))
}

var peerTypes = map[waybill.DataType]string{
	waybill.String: "VARCHAR", waybill.Link: "VARCHAR", waybill.Image: "VARCHAR", waybill.Classification: "VARCHAR", waybill.Number: "DOUBLE",
	waybill.Boolean: "BOOLEAN", waybill.Date: "DATE", waybill.DateTime: "TIMESTAMP", waybill.Object: "JSON", waybill.Array: "JSON",
	waybill.Money: "STRUCT(amount BIGINT, currencyCode VARCHAR)",
}
