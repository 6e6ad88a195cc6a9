package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/internal/ledger"
)

// The workflows of the backfill: one has a history, and live runs that share
// its lanes; of the other there are live runs alone.
const (
	pastWorkflow  = "wf_prices"
	otherWorkflow = "wf_visits"
)

// liveEvery is how often a live run arrives while a history is brought; on a
// machine that is slower than that, when the one before was delivered.
const liveEvery = time.Second

var pastSchema = waybill.Schema{Fields: []waybill.Field{{Name: "Product", DataType: waybill.String, IsKey: true}, {Name: "Price", DataType: waybill.Number}}}

// brought is a history, the live runs that arrived while it was brought, and
// whom both went to.
type brought struct {
	*sandbox
	team       string
	connectors []connectors.Connector
	runs       []waybill.Run                // all of them
	handedIn   map[waybill.RunKey]time.Time // the live ones
}

// backfill brings n runs of the past to each of a team's connectors, as
// `waybill backfill start` does, while live runs keep arriving; then it holds
// what arrived against what was made.
func (s *sandbox) backfill(ctx context.Context, w io.Writer, team string, n int) error {
	b := &brought{sandbox: s, team: team, connectors: s.connectors(team, 1), handedIn: map[waybill.RunKey]time.Time{}}
	fmt.Fprintf(w, "\nA backfill of %d runs of %s to each of %d connectors, from the history of the test server that stands for the platform, while live runs arrive:\n",
		n, pastWorkflow, len(b.connectors))
	b.happen(n)
	for _, workflow := range []string{pastWorkflow, otherWorkflow} {
		if err := b.live(ctx, workflow); err != nil {
			return err
		}
		if err := b.delivered(ctx, b.runs[len(b.runs)-1].RunKey); err != nil {
			return err
		}
	}
	began := time.Now()
	for _, c := range b.connectors {
		if _, err := s.Ledger.StartBackfill(ctx, ledger.BackfillPlan{Connector: c.ID, Team: team, Workflows: []string{pastWorkflow}, To: began}, false); err != nil {
			return fmt.Errorf("backfill: %w", err)
		}
	}
	if err := b.arrive(ctx); err != nil {
		return err
	}
	fmt.Fprintf(w, "  complete after %s, with %d live runs meanwhile\n", time.Since(began).Round(time.Second), len(b.handedIn))
	if err := b.starts(ctx, w); err != nil {
		return err
	}
	return b.compare(ctx, w)
}

// happen gives the platform a history, and what is to be expected of it.
func (b *brought) happen(n int) {
	b.platform.AddWorkflow(pastWorkflow, b.team, pastSchema)
	for i := range n {
		at := time.Now().UTC().Truncate(time.Second).Add(-time.Duration(n-i) * time.Hour)
		run := b.run(pastWorkflow, fmt.Sprintf("past_%04d", i), at, 1+i%7)
		b.platform.AddRuns(pastWorkflow, platform.Run{ID: run.JobID, State: waybill.RunFinished, StartedAt: at.Add(-time.Minute), FinishedAt: at,
			Records: records(run)})
	}
}

// run is a run of so many records, which is to arrive.
func (b *brought) run(workflow, job string, at time.Time, rows int) waybill.Run {
	run := waybill.Run{RunKey: waybill.RunKey{TeamID: b.team, WorkflowID: workflow, JobID: job}, State: waybill.RunFinished,
		FinishedAt: at, RowCount: int64(rows), Schema: pastSchema}
	b.runs = append(b.runs, run)
	return run
}

func records(run waybill.Run) []byte {
	var text strings.Builder
	for i := range run.RowCount {
		fmt.Fprintf(&text, "{\"Product\":\"%s-%d\",\"Price\":%d}\n", run.JobID, i, i)
	}
	return []byte(text.String())
}

// live hands in a run that has just finished.
func (b *brought) live(ctx context.Context, workflow string) error {
	n := len(b.handedIn)
	run := b.run(workflow, fmt.Sprintf("live_%04d", n), time.Now().UTC().Truncate(time.Millisecond), 1+n%5)
	file := filepath.Join(b.dir, "runs", run.JobID+".jsonl")
	if err := os.WriteFile(file, records(run), 0o600); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	run.Source = waybill.Source{URI: fileURL(file)}
	b.handedIn[run.RunKey] = time.Now()
	if _, err := b.Producer().Submit(ctx, run); err != nil {
		return fmt.Errorf("hand in %s: %w", run.RunKey, err)
	}
	return nil
}

// arrive hands in live runs until every backfill has ended, and waits for each.
func (b *brought) arrive(ctx context.Context) error {
	next := time.NewTicker(liveEvery)
	defer next.Stop()
	for open := true; open; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next.C:
		}
		if err := b.live(ctx, []string{pastWorkflow, otherWorkflow}[len(b.handedIn)%2]); err != nil {
			return err
		}
		if err := b.delivered(ctx, b.runs[len(b.runs)-1].RunKey); err != nil {
			return err
		}
		open = false
		for _, c := range b.connectors {
			plan, err := b.Ledger.Backfill(ctx, c.ID)
			if err == nil && plan.State == ledger.BackfillFailed {
				err = errors.New(plan.Note)
			}
			if err != nil {
				return fmt.Errorf("backfill of %s: %w", c.ID, err)
			}
			open = open || !plan.Ended()
		}
	}
	return nil
}

// delivered waits until every delivery of a run has ended.
func (b *brought) delivered(ctx context.Context, run waybill.RunKey) error {
	var ids []string
	for _, c := range b.connectors {
		ids = append(ids, waybill.DeliveryID(run, c.ID))
	}
	_, err := b.await(ctx, ids)
	return err
}

// starts prints how long live deliveries waited from when their run was handed
// in until an attempt began. One whose lane had a historical delivery under way
// waits for that, as it must: those of the history's workflow are told apart.
func (b *brought) starts(ctx context.Context, w io.Writer) error {
	var own, others []time.Duration
	for key, at := range b.handedIn {
		for _, c := range b.connectors {
			events, err := b.Ledger.History(ctx, waybill.DeliveryID(key, c.ID))
			if err != nil {
				return err
			}
			i := slices.IndexFunc(events, func(e waybill.Event) bool { return e.What == "started" })
			if i < 0 {
				return fmt.Errorf("no attempt at %s of %s began", key, c.ID)
			}
			waited := max(0, events[i].At.Sub(at))
			if key.WorkflowID == pastWorkflow && c.Kind != waybill.KindStorage {
				own = append(own, waited)
			} else {
				others = append(others, waited)
			}
		}
	}
	fmt.Fprintf(w, "  live deliveries began after %s; those in the lanes of the history's own workflow after %s\n", percentiles(others), percentiles(own))
	return nil
}

func percentiles(waits []time.Duration) string {
	if len(waits) == 0 {
		return "-"
	}
	slices.Sort(waits)
	at := func(p int) float64 { return waits[min(len(waits)*p/100, len(waits)-1)].Seconds() }
	return fmt.Sprintf("%.2f s (p50), %.2f s (p95 of %d)", at(50), at(95), len(waits))
}
