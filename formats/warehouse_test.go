package formats

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParquetOfAWarehouseHasItsColumnsAndTheRun(t *testing.T) {
	opts := Options{Schema: schemaOf("unitPrice MONEY", "_id STRING", "day DATE", "kadoa_job_id STRING"),
		Warehouse: &WarehouseColumns{Brand: "kadoa", JobID: "job-1", FinishedAt: time.Date(2025, 3, 1, 10, 30, 0, 123456000, time.UTC)}}
	const record = `{"unitPrice":{"amount":100,"currencyCode":"EUR"},"day":"2025-01-02","kadoa_job_id":"own"}` + "\n"
	want := []any{"1", "EUR", "2025-01-02", "own", "job-1", "2025-03-01T10:30:00.123456Z"}
	for rows, limit := range map[int]int64{0: 0, 1: 0, 20_000: 0, 20_001: 32 << 10} {
		opts.MaxFileBytes = limit
		o := mustRun(t, strings.Repeat(record, rows), opts, Parquet)
		if limit > 0 && len(o.parts[Parquet]) < 2 {
			t.Errorf("%d rows are in %d file", rows, len(o.parts[Parquet]))
		}
		read := 0
		for _, part := range o.parts[Parquet] {
			got := readTable(t, part)
			if names := "UNITPRICE UNITPRICE_CURRENCY DAY KADOA_JOB_ID_44BB769E KADOA_JOB_ID KADOA_RUN_FINISHED_AT"; strings.Join(got.names, " ") != names {
				t.Errorf("the columns are %s, want %s", got.names, names)
			}
			for _, row := range got.rows {
				if !slices.Equal(row, want) {
					t.Fatalf("a row is %v, want %v", row, want)
				}
			}
			read += len(got.rows)
		}
		if read != rows {
			t.Errorf("%d rows can be read, want %d", read, rows)
		}
	}
}

func TestTextCannotHaveAWarehousesColumns(t *testing.T) {
	_, err := Convert(t.Context(), strings.NewReader(""), map[Format]Output{CSV: To(io.Discard)},
		Options{Schema: schemaOf("a STRING"), Warehouse: &WarehouseColumns{Brand: "kadoa"}})
	if fmt.Sprint(err) != "csv cannot have a warehouse's columns; only parquet can" {
		t.Errorf("it is answered with %v", err)
	}
}
