package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/internal/ledger"
)

// pastRuns is how many older runs the platform's history has of the first
// bundled workflow.
const pastRuns = 3

// remember gives the platform a history of the run's workflow: it had fewer
// records in the years before.
func (p *platformServer) remember(run waybill.Run) error {
	text, err := os.ReadFile(strings.TrimPrefix(run.Source.URI, "file://"))
	if err != nil {
		return fmt.Errorf("read the bundled records: %w", err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	p.AddWorkflow(run.WorkflowID, run.TeamID, run.Schema)
	for year := 1; year <= pastRuns; year++ {
		at := run.FinishedAt.AddDate(-year, 0, 0)
		p.AddRuns(run.WorkflowID, platform.Run{ID: fmt.Sprintf("job_%d", at.Year()), State: waybill.RunFinished, StartedAt: at.Add(-time.Minute), FinishedAt: at,
			Records: bytes.Join(lines[:len(lines)/(year+1)], nil)})
	}
	return nil
}

// backfill brings the past of a run's workflow to its team's first two
// connectors, as `waybill backfill start` does, and prints what came.
func (s *sandbox) backfill(ctx context.Context, w io.Writer, run waybill.Run) error {
	fmt.Fprintf(w, "\nThe past of %s, from the history of the test server that stands for the platform, behind all live work:\n", run.WorkflowID)
	for _, c := range s.connectors(run.TeamID, 1)[:2] {
		b, err := s.Ledger.StartBackfill(ctx, ledger.BackfillPlan{Connector: c.ID, Team: c.Team, Workflows: []string{run.WorkflowID}, To: run.FinishedAt}, false)
		if err != nil {
			return fmt.Errorf("backfill: %w", err)
		}
		for !b.Ended() && b.State != ledger.BackfillFailed {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
			if b, err = s.Ledger.Backfill(ctx, c.ID); err != nil {
				return fmt.Errorf("backfill: %w", err)
			}
		}
		fmt.Fprintf(w, "  %s: %s, %d of %d runs, %d rows %s\n", c.ID, b.State, b.Done.Complete, b.Size.Runs, b.Done.Rows, b.Note)
		if b.State != ledger.BackfillComplete || b.Done.Complete != pastRuns {
			return fmt.Errorf("the backfill of %s brought %d of %d runs", c.ID, b.Done.Complete, pastRuns)
		}
	}
	return nil
}
