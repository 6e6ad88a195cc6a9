package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// compare holds what every connector's customer has of each run against what
// the run had: no row less, no run twice.
func (b *brought) compare(ctx context.Context, w io.Writer) error {
	wrong := 0
	for _, c := range b.connectors {
		counts, err := b.counts(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.ID, err)
		}
		equal, twice := 0, 0
		for _, run := range b.runs {
			if counts[run.WorkflowID+"/"+run.JobID] == run.RowCount {
				equal++
			}
			events, err := b.Ledger.History(ctx, waybill.DeliveryID(run.RunKey, c.ID))
			if err != nil {
				return err
			}
			complete := 0
			for _, e := range events {
				if e.What == "complete" {
					complete++
				}
			}
			if complete > 1 {
				twice++
			}
		}
		more := len(counts) - len(b.runs)
		wrong += len(b.runs) - equal + twice + max(more, -more)
		fmt.Fprintf(w, "  %s: %d of %d runs have the rows that they were made with, %d were delivered twice\n", c.ID, equal, len(b.runs), twice)
	}
	if wrong > 0 {
		return errors.New("what the customers have of the backfill is not what was made")
	}
	return nil
}

// counts are how many rows a connector's customer reads of each run of the
// backfill's workflows, by workflow and job.
func (b *brought) counts(ctx context.Context, c connectors.Connector) (map[string]int64, error) {
	counts := map[string]int64{}
	for _, workflow := range []string{pastWorkflow, otherWorkflow} {
		var err error
		switch c.Kind {
		case waybill.KindStorage:
			err = b.countFiles(workflow, counts)
		case waybill.KindSnowflake:
			err = b.countView(ctx, c.ID, workflow, counts)
		default:
			err = b.countTable(ctx, c, workflow, counts)
		}
		if err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// countFiles counts the lines of a customer's folders, each of which is named by its job.
func (b *brought) countFiles(workflow string, counts map[string]int64) error {
	files, err := filepath.Glob(filepath.Join(b.dir, "bucket", "kadoa", b.team, workflow, "*", "data.jsonl"))
	for _, file := range files {
		text, failed := os.ReadFile(file)
		err = errors.Join(err, failed)
		_, job, _ := strings.Cut(filepath.Base(filepath.Dir(file)), "Z-")
		counts[workflow+"/"+job] += int64(bytes.Count(text, []byte("\n")))
	}
	return err
}

func (b *brought) countTable(ctx context.Context, c connectors.Connector, workflow string, counts map[string]int64) error {
	rows, err := b.rows(ctx, c, waybill.VersionTable(workflow, 1))
	for _, row := range rows {
		counts[fmt.Sprint(workflow, "/", row["KADOA_JOB_ID"])]++
	}
	return err
}

// rows reads a Delta table as a fresh reader finds it.
func (s *sandbox) rows(ctx context.Context, c connectors.Connector, name string) ([]delta.Row, error) {
	store, err := s.Tables(ctx, c)
	if err != nil {
		return nil, err
	}
	table := delta.Open(store, name, delta.Options{})
	snapshot, err := table.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return table.Rows(ctx, snapshot)
}

func (b *brought) countView(ctx context.Context, connector, workflow string, counts map[string]int64) (err error) {
	db := b.warehouse.open(connector)
	defer db.Close()
	rows, err := db.QueryContext(ctx, fmt.Sprintf("SELECT KADOA_JOB_ID, COUNT(*) FROM %s.%s GROUP BY KADOA_JOB_ID", importedSchema, waybill.VersionTable(workflow, 1)))
	if err != nil {
		return fmt.Errorf("count rows: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var job string
		var n int64
		if err := rows.Scan(&job, &n); err != nil {
			return fmt.Errorf("count rows: %w", err)
		}
		counts[workflow+"/"+job] += n
	}
	return rows.Err()
}
