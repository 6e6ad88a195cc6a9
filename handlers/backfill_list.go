package handlers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/source"
	"github.com/waybillhq/waybill/tasks"
)

// History lists the runs of the past: the platform's own history.
type History interface {
	Runs(ctx context.Context, workflowID string) iter.Seq2[source.PastRun, error]
	Workflow(ctx context.Context, id string) (source.Workflow, error)
	Records(workflowID, runID string) waybill.Source
}

var _ History = source.History{}

// list lists the runs, sorts them and writes them down in chunks, with bounded
// memory. Who lists them once more, after a crash or beside us, does it under
// names of its own; the last one who began counts.
func (b *backfill) list(ctx context.Context) error {
	if err := b.revise(ctx, func(p *ledger.BackfillPlan) { p.Attempt++ }); err != nil {
		return err
	}
	attempt := b.Attempt
	size, err := b.h.measure(ctx, b.connector, b.BackfillPlan, b.writeChunk)
	if err != nil {
		return err
	}
	b.h.Log.Info("backfill planned", "connector", b.Connector, "runs", size.Runs, "rows", size.Rows, "chunks", size.Chunks)
	return b.revise(ctx, func(p *ledger.BackfillPlan) {
		if p.Attempt != attempt || p.Size.Chunks > 0 {
			return
		}
		p.Size = size
		if move(p, ledger.BackfillPlanning, ledger.BackfillWaiting); size.Runs == 0 {
			move(p, ledger.BackfillWaiting, ledger.BackfillComplete)
			p.EndedAt, p.Note = b.now, "There is no finished run in the wanted time."
		}
	})
}

// MeasureBackfill is what a backfill would have to do.
func (h *Handlers) MeasureBackfill(ctx context.Context, c connectors.Connector, p ledger.BackfillPlan) (ledger.BackfillSize, error) {
	return h.measure(ctx, c, p, func(context.Context, int, []waybill.Run) error { return nil })
}

// measure lists the wanted runs, the oldest first, in chunks.
func (h *Handlers) measure(ctx context.Context, c connectors.Connector, p ledger.BackfillPlan, each func(ctx context.Context, n int, runs []waybill.Run) error) (size ledger.BackfillSize, err error) {
	s := &runSorter{}
	defer s.close()
	l := lister{Handlers: h, connector: c, plan: p}
	for run, err := range l.runs(ctx) {
		if err == nil {
			err = s.add(run)
		}
		if err != nil {
			return size, err
		}
		tasks.Progress(ctx)
	}
	var chunk []waybill.Run
	write := func() error {
		if len(chunk) == 0 {
			return nil
		}
		err := each(ctx, size.Chunks, chunk)
		size.Chunks, chunk = size.Chunks+1, chunk[:0]
		tasks.Progress(ctx)
		return err
	}
	for run, err := range s.sorted() {
		if err != nil {
			return size, err
		}
		size.Runs, size.Rows, chunk = size.Runs+1, size.Rows+run.RowCount, append(chunk, run)
		if len(chunk) == h.chunkRuns() {
			if err := write(); err != nil {
				return size, err
			}
		}
	}
	if err := write(); err != nil {
		return size, err
	}
	size.Unfinished = l.unfinished
	return size, h.estimate(ctx, c, l.workflows, &size)
}

// What a delivery takes where nothing is known of the connector: guesses, on
// the careful side.
const (
	guessedRowBytes = 600.0
	guessedOverhead = 2 * time.Second // of each delivery
	guessedSpeed    = 20 << 20        // bytes a second of each delivery
)

// estimate says what the runs will take: by what the connector's last
// deliveries held, and by guesses.
func (h *Handlers) estimate(ctx context.Context, c connectors.Connector, workflows int, size *ledger.BackfillSize) error {
	page, err := h.Ledger.List(ctx, ledger.Filter{Team: c.Team, Connector: c.ID, State: waybill.StateComplete, Limit: 50})
	if err != nil {
		return err
	}
	rowBytes, rows, sum := guessedRowBytes, int64(0), int64(0)
	for _, d := range page.Deliveries {
		rows, sum = rows+d.Rows, sum+d.Bytes
	}
	if rows > 0 {
		rowBytes = float64(sum) / float64(rows)
	}
	size.Bytes = int64(rowBytes * float64(size.Rows))
	d := h.Describe(c)
	atOnce := max(d.MaxInFlight, 1)
	if d.Ordered {
		atOnce = min(atOnce, max(workflows, 1))
	}
	work := time.Duration(size.Runs)*guessedOverhead + time.Duration(float64(size.Bytes)/guessedSpeed*float64(time.Second))
	size.Time = (work / time.Duration(atOnce)).Round(time.Second)
	size.Objects = 4 * size.Runs // data, log, metadata tables
	if c.Storage != nil {
		size.Objects = (len(c.Storage.Formats) + 1) * size.Runs
	}
	if c.Kind == waybill.KindSnowflake {
		size.Credits = size.Time.Hours() // the smallest warehouse: one an hour
	}
	return nil
}

// lister finds the runs that a backfill wants, in any order.
type lister struct {
	*Handlers
	connector  connectors.Connector
	plan       ledger.BackfillPlan
	unfinished int
	workflows  int
}

func (l *lister) runs(ctx context.Context) iter.Seq2[waybill.Run, error] {
	return func(yield func(waybill.Run, error) bool) {
		var err error
		if l.plan.Manifest != "" {
			err = l.fromManifest(ctx, yield)
		} else {
			err = l.fromHistory(ctx, yield)
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(waybill.Run{}, err)
		}
	}
}

var errEnough = errors.New("nobody wants more")

// wants reports whether a run of that workflow and time is wanted.
func (l *lister) wants(workflowID string, finished time.Time) bool {
	return l.connector.Subscribes(workflowID) && (len(l.plan.Workflows) == 0 || slices.Contains(l.plan.Workflows, workflowID)) &&
		!finished.Before(l.plan.From) && finished.Before(l.plan.To)
}

// fromHistory asks the platform. A run that is known here already has the
// descriptor that it was handed in with; others get their workflow's present one.
func (l *lister) fromHistory(ctx context.Context, yield func(waybill.Run, error) bool) error {
	workflows, err := l.workflowsOf(ctx)
	if err != nil {
		return err
	}
	l.workflows = len(workflows)
	for _, id := range workflows {
		w, err := l.History.Workflow(ctx, id)
		if err != nil {
			return err
		}
		if w.Team != "" && w.Team != l.plan.Team {
			return waybill.Failf(waybill.Blocked, "backfill.foreign_workflow", "The workflow belongs to another team than the connector; name one of the connector's own team.", "workflow %s", id)
		}
		for past, err := range l.History.Runs(ctx, id) {
			if err != nil {
				return err
			}
			if past.State != waybill.RunFinished {
				l.unfinished++
				continue
			}
			if !l.wants(id, past.FinishedAt) {
				continue
			}
			run := waybill.Run{RunKey: waybill.RunKey{TeamID: l.plan.Team, WorkflowID: id, JobID: past.ID}, State: past.State,
				FinishedAt: past.FinishedAt.UTC(), RowCount: past.Records, Source: l.History.Records(id, past.ID), Schema: w.Schema}
			if err := run.Validate(); err != nil {
				return waybill.Failf(waybill.Permanent, "backfill.bad_run", "The platform's history holds a run that cannot be delivered; list the wanted runs in a manifest.", "job %s: %w", waybill.Quote(past.ID), err)
			}
			if !yield(run, nil) {
				return errEnough
			}
		}
	}
	return nil
}

// workflowsOf are the workflows whose history is wanted. Whose they are is not
// left to the platform alone: the connector names them, or runs of them were
// handed in for its team.
func (l *lister) workflowsOf(ctx context.Context) ([]string, error) {
	known, err := l.Ledger.Workflows(ctx, l.plan.Team)
	if err != nil {
		return nil, err
	}
	known = append(known, l.connector.Workflows...)
	wanted := l.plan.Workflows
	if len(wanted) == 0 {
		wanted = l.connector.Workflows
	}
	if len(wanted) == 0 {
		wanted = known
	}
	wanted = slices.Compact(slices.Sorted(slices.Values(wanted)))
	for _, id := range wanted {
		if !slices.Contains(known, id) || !l.connector.Subscribes(id) {
			return nil, waybill.Failf(waybill.Blocked, "backfill.unknown_workflow",
				"Nobody handed in a run of workflow "+id+" for the connector's team, or the connector does not take it; name it in the connector, or list its runs in a manifest.", "workflow %s", id)
		}
	}
	return wanted, nil
}

// fromManifest reads the list that was uploaded.
func (l *lister) fromManifest(ctx context.Context, yield func(waybill.Run, error) bool) error {
	body, _, err := l.Bucket.Get(ctx, l.plan.Manifest, readAll)
	if err != nil {
		return fmt.Errorf("our own bucket: read %s: %w", l.plan.Manifest, err)
	}
	defer body.Close()
	seen := map[string]bool{}
	for run, err := range ReadManifest(body, l.plan.Team) {
		switch {
		case err != nil:
			return waybill.Failf(waybill.Permanent, "backfill.manifest", "The uploaded manifest cannot be read; start the backfill with it anew.", "%w", err)
		case !l.wants(run.WorkflowID, run.FinishedAt):
			continue
		case !yield(run, nil):
			return errEnough
		}
		seen[run.WorkflowID] = true
	}
	l.workflows = len(seen)
	return nil
}

// ReadManifest yields the runs of a manifest: a run document in each line. Its
// errors name the line. A run of another team is refused.
func ReadManifest(r io.Reader, team string) iter.Seq2[waybill.Run, error] {
	return func(yield func(waybill.Run, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 64<<10), waybill.MaxRunBytes)
		n := 0
		for lines.Scan() {
			if n++; len(bytes.TrimSpace(lines.Bytes())) == 0 {
				continue
			}
			run, err := waybill.DecodeRun(bytes.NewReader(lines.Bytes()))
			if err == nil && run.TeamID != team {
				err = waybill.Problems{{Field: "teamId", Message: fmt.Sprintf("is %s; the connector's team is %s", waybill.Quote(run.TeamID), team)}}
			}
			if problems, ok := errors.AsType[waybill.Problems](err); ok {
				var here waybill.Problems
				here.Add(fmt.Sprintf("line %d", n), problems)
				err = here
			}
			if !yield(run, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(waybill.Run{}, fmt.Errorf("line %d: %w", n+1, err))
		}
	}
}
