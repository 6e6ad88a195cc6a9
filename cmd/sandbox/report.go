package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/waybillhq/waybill"
)

// report prints what arrived where, and returns how many deliveries are not complete.
func (s *sandbox) report(w io.Writer, deliveries []waybill.Delivery) (incomplete int) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WORKFLOW\tJOB\tSCHEMA\tSTATE\tROWS\tFAILED CASTS\tBYTES\tFILES")
	var folders, failures []string
	for _, d := range deliveries {
		if d.State != waybill.StateComplete {
			incomplete++
			failures = append(failures, fmt.Sprintf("%s %s: %s at %s: %s %s", d.WorkflowID, d.JobID, d.State, d.Stage, d.Code, d.Action))
			fmt.Fprintf(table, "%s\t%s\tV%d\t%s\t-\t-\t-\t-\n", d.WorkflowID, d.JobID, d.SchemaVersion, d.State)
			continue
		}
		receipt, err := s.Ledger.Receipt(context.Background(), d)
		if err != nil {
			incomplete++
			failures = append(failures, fmt.Sprintf("%s %s: %v", d.WorkflowID, d.JobID, err))
			continue
		}
		var names []string
		for _, f := range receipt.Files {
			names = append(names, f.Name)
		}
		fmt.Fprintf(table, "%s\t%s\tV%d\t%s\t%d\t%d\t%d\t%s\n", d.WorkflowID, d.JobID, d.SchemaVersion, d.State, d.Rows,
			receipt.Conversion.CastFailures(), d.Bytes, strings.Join(names, " "))
		folders = append(folders, strings.TrimPrefix(receipt.Location, "file://"))
	}
	_ = table.Flush() // to the user's terminal
	for _, f := range failures {
		fmt.Fprintln(w, f)
	}
	fmt.Fprintln(w, "\nThe customer's bucket, one folder a run, each with its _manifest.json:")
	for _, f := range folders {
		fmt.Fprintln(w, "  "+f)
	}
	if len(folders) > 0 {
		fmt.Fprintf(w, "\nRead it:\n  duckdb -c \"SELECT * FROM '%s' LIMIT 5\"\n  head -n 3 %s\n", filepath.Join(folders[0], "data.parquet"), filepath.Join(folders[0], "data.csv"))
		fmt.Fprintf(w, "Receipts (ours): %s\n", filepath.Join(s.dir, "own", "receipts"))
	}
	return incomplete
}
