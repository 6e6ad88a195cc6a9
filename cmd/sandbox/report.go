package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/waybillhq/waybill"
)

// report prints what arrived where, and returns how many deliveries are not complete.
func (s *sandbox) report(w io.Writer, deliveries []waybill.Delivery) (incomplete int) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WORKFLOW\tJOB\tKIND\tSCHEMA\tSTATE\tROWS\tFAILED CASTS\tBYTES\tFILES OR TABLE")
	var folders, failures []string
	tables := map[waybill.Kind]map[string]bool{waybill.KindDeltaSharing: {}, waybill.KindDatabricks: {}, waybill.KindSnowflake: {}}
	for _, d := range deliveries {
		if d.State != waybill.StateComplete {
			incomplete++
			failures = append(failures, fmt.Sprintf("%s %s to %s: %s at %s: %s %s", d.WorkflowID, d.JobID, d.Connector, d.State, d.Stage, d.Code, d.Action))
			fmt.Fprintf(table, "%s\t%s\t%s\tV%d\t%s\t-\t-\t-\t-\n", d.WorkflowID, d.JobID, d.Kind, d.SchemaVersion, d.State)
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
		location := strings.TrimPrefix(receipt.Location, "file://")
		switch d.Kind {
		case waybill.KindStorage:
			folders = append(folders, location)
		case waybill.KindSnowflake:
			names = []string{filepath.Base(location)}
			tables[d.Kind][d.Connector] = true
		default:
			names = []string{filepath.Base(location)}
			tables[d.Kind][filepath.Dir(location)] = true
		}
		fmt.Fprintf(table, "%s\t%s\t%s\tV%d\t%s\t%d\t%d\t%d\t%s\n", d.WorkflowID, d.JobID, d.Kind, d.SchemaVersion, d.State, d.Rows,
			receipt.Conversion.CastFailures(), d.Bytes, strings.Join(names, " "))
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
		s.reportTables(w, tables)
		for _, connector := range slices.Sorted(maps.Keys(tables[waybill.KindSnowflake])) {
			if err := s.warehouse.report(context.Background(), w, s.dir, connector); err != nil {
				incomplete++
				fmt.Fprintln(w, err)
			}
		}
		fmt.Fprintf(w, "\nReceipts (ours): %s\n", filepath.Join(s.dir, "own", "receipts"))
	}
	return incomplete
}

// reportTables prints where the Delta tables are, and what customers see of them.
func (s *sandbox) reportTables(w io.Writer, tables map[waybill.Kind]map[string]bool) {
	fmt.Fprintf(w, "\nDelta tables, shared at %s (to be read with %s while the sandbox runs):\n", s.Config.Sharing.URL, filepath.Join(s.dir, "profile.share"))
	for _, place := range slices.Sorted(maps.Keys(tables[waybill.KindDeltaSharing])) {
		fmt.Fprintln(w, "  "+place)
	}
	fmt.Fprintf(w, "Read them:\n  python3 -c \"import delta_sharing; print(delta_sharing.load_as_pandas('%s#%s.%s.WORKFLOW_RUNS'))\"    # pip install delta-sharing\n",
		filepath.Join(s.dir, "profile.share"), tablesID(1), s.Config.Brand)
	fmt.Fprintln(w, "\nDelta tables, shared by the test server that stands for Databricks; its customers see:")
	for _, place := range slices.Sorted(maps.Keys(tables[waybill.KindDatabricks])) {
		var names []string
		for _, seen := range s.vendor.Sees(s.Config.Brand + "_" + strings.ReplaceAll(filepath.Base(place), "-", "_")) {
			names = append(names, seen.Name)
		}
		fmt.Fprintf(w, "  %s: %s\n", place, strings.Join(names, " "))
	}
}
