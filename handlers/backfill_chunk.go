package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/tasks"
)

// ChunkRuns is how many runs are one chunk of a backfill.
const ChunkRuns = 100

const chunksAhead = 20 // chunks under way at most, should single deliveries of them take long

// BackfillChunk takes a connector's backfill as far as it can go just now: lists
// its runs, waits for the first live delivery, counts the chunks that have
// ended, and hands in the next while few deliveries are left. Each part is
// idempotent and noted when it is done, so that whoever comes next goes on.
//
// What fails is tried again by the task's policy; the backfill itself counts
// the tries.
func (h *Handlers) BackfillChunk(ctx context.Context, ref tasks.BackfillRef) error {
	hold, err := h.Ledger.Hold(ctx, "backfill/"+ref.Connector)
	if _, busy := errors.AsType[*ledger.BusyError](err); busy {
		return nil // somebody is at it
	}
	if err != nil {
		return err
	}
	defer hold.LetGo(ctx, 0)
	now, err := h.Ledger.Now(ctx)
	if err != nil {
		return err
	}
	plan, err := h.Ledger.Backfill(ctx, ref.Connector)
	if errors.Is(err, waybill.ErrNotFound) || err == nil && (plan.Number != ref.Number || !plan.Active() || now.Before(plan.NextAt)) {
		return nil
	}
	if err != nil {
		return err
	}
	b := &backfill{BackfillPlan: plan, h: h, now: now}
	err = b.goOn(hold.Context())
	if err == nil || hold.Context().Err() != nil || errors.Is(err, ledger.ErrBackfillEnded) {
		return nil // if it was cut off, the next tick goes on
	}
	return b.failed(ctx, err)
}

// backfill is one look after a backfill.
type backfill struct {
	ledger.BackfillPlan
	h         *Handlers
	connector connectors.Connector
	now       time.Time
}

func (b *backfill) goOn(ctx context.Context) (err error) {
	b.connector, err = b.h.Connector(ctx, b.Connector)
	switch {
	case errors.Is(err, waybill.ErrNotFound):
		return b.revise(ctx, func(p *ledger.BackfillPlan) {
			p.State, p.EndedAt, p.Note = ledger.BackfillCancelled, b.now, "The connector was deleted."
		})
	case err != nil:
		return err
	}
	switch b.State {
	case ledger.BackfillPlanning:
		return b.list(ctx)
	case ledger.BackfillWaiting:
		return b.await(ctx)
	case ledger.BackfillRunning:
		return b.advance(ctx)
	default:
		return b.takeBack(ctx)
	}
}

// revise changes the backfill, as it stands now; a try that got so far was none
// of those that failed.
func (b *backfill) revise(ctx context.Context, change func(*ledger.BackfillPlan)) error {
	plan, err := b.h.Ledger.ReviseBackfill(ctx, b.Connector, b.Number, func(p *ledger.BackfillPlan) error {
		p.Failures, p.NextAt, p.Code = 0, time.Time{}, ""
		change(p)
		return nil
	})
	if err == nil {
		b.BackfillPlan = plan
	}
	return err
}

// move takes the backfill to its next state; one that is paused, when it resumes.
func move(p *ledger.BackfillPlan, from, to ledger.BackfillState) {
	switch {
	case p.State == from:
		p.State, p.Note = to, ""
	case p.State == ledger.BackfillPaused && p.Before == from:
		p.Before = to
	}
}

// await waits until something that was delivered live is complete: published,
// and verified.
func (b *backfill) await(ctx context.Context) error {
	page, err := b.h.Ledger.List(ctx, ledger.Filter{Team: b.Team, Connector: b.Connector, State: waybill.StateComplete, Limit: 1})
	if err != nil {
		return err
	}
	if len(page.Deliveries) > 0 {
		return b.revise(ctx, func(p *ledger.BackfillPlan) {
			move(p, ledger.BackfillWaiting, ledger.BackfillRunning)
			p.StartedAt = b.now
		})
	}
	note := "It waits until a first live delivery to the connector is complete. If its workflows no longer run, cancel it and start it with --first JOB."
	if b.First != "" {
		if note, err = b.bringFirst(ctx); err != nil {
			return err
		}
	}
	if note == b.Note {
		return nil
	}
	return b.revise(ctx, func(p *ledger.BackfillPlan) { p.Note = note })
}

// bringFirst delivers the run that was named as a live one.
func (b *backfill) bringFirst(ctx context.Context) (note string, err error) {
	for n := range b.Size.Chunks {
		c, err := b.chunk(ctx, n)
		if err != nil {
			return "", err
		}
		tasks.Progress(ctx)
		for i, run := range c.runs {
			if run.JobID != b.First {
				continue
			}
			d := b.planned()
			d.Queue = d.Live
			if err := b.h.Ledger.Bring(ctx, []waybill.Run{run}, d); err != nil {
				return "", err
			}
			return fmt.Sprintf("It waits until delivery %s, of job %s, is complete.", c.Deliveries[i], b.First), nil
		}
	}
	return "", waybill.Failf(waybill.Blocked, "backfill.no_first", "No run of the plan has the job that --first names; cancel the backfill and start it with one that has.", "job %s", b.First)
}

// planned is a historical delivery to the connector.
func (b *backfill) planned() ledger.Planned {
	first, _ := tasks.Starting(b.connector.Kind)
	return ledger.Planned{Task: first.Name, Queue: ledger.Backfill, Connector: b.h.Describe(b.connector)}
}

// advance counts what has ended, and hands in what comes next.
func (b *backfill) advance(ctx context.Context) error {
	left, err := b.count(ctx)
	if err != nil {
		return err
	}
	for left < b.h.chunkRuns() && b.State == ledger.BackfillRunning && b.Next < b.Size.Chunks && b.Next-b.Past < chunksAhead {
		n, err := b.bring(ctx)
		if err != nil {
			return err
		}
		left += n
	}
	if b.Past < b.Size.Chunks || b.State != ledger.BackfillRunning {
		return nil
	}
	b.h.Log.Info("backfill complete", "connector", b.Connector, "runs", b.Size.Runs, "complete", b.Done.Complete, "failed", b.Done.Failed)
	return b.revise(ctx, func(p *ledger.BackfillPlan) {
		move(p, ledger.BackfillRunning, ledger.BackfillComplete)
		p.EndedAt = b.now
	})
}

func (h *Handlers) chunkRuns() int { return cmp.Or(h.ChunkRuns, ChunkRuns) }

// bring makes deliveries of the next chunk; then the checkpoint moves.
func (b *backfill) bring(ctx context.Context) (int, error) {
	n := b.Next
	c, err := b.chunk(ctx, n)
	if err != nil {
		return 0, err
	}
	runs := c.runs[:0]
	for _, run := range c.runs {
		if b.connector.Subscribes(run.WorkflowID) { // it may have been narrowed
			runs = append(runs, run)
		}
	}
	if err := b.h.Ledger.Bring(ctx, runs, b.planned()); err != nil {
		return 0, err
	}
	tasks.Progress(ctx)
	return len(runs), b.revise(ctx, func(p *ledger.BackfillPlan) { p.Next = max(p.Next, n+1) })
}

// count moves past the chunks whose deliveries have all ended, and returns how
// many deliveries of the others have not.
func (b *backfill) count(ctx context.Context) (left int, err error) {
	for n := b.Past; n < b.Next; n++ {
		done, open, err := b.ended(ctx, n)
		if err != nil {
			return 0, err
		}
		left += open
		if open > 0 || n > b.Past {
			continue
		}
		err = b.revise(ctx, func(p *ledger.BackfillPlan) {
			if p.Past == n {
				p.Past, p.Done = n+1, p.Done.Add(done)
			}
		})
		if err != nil {
			return 0, err
		}
	}
	return left, nil
}

// ended counts the deliveries of a chunk that have ended, and those that have
// not. One that is not there is not wanted any more.
func (b *backfill) ended(ctx context.Context, n int) (done ledger.BackfillCount, open int, err error) {
	c, err := b.chunkDeliveries(ctx, n)
	if err != nil {
		return done, 0, err
	}
	list, err := b.h.Ledger.Deliveries(ctx, c.Deliveries)
	if err != nil {
		return done, 0, err
	}
	var failed []string
	for _, d := range list {
		switch d.State {
		case waybill.StateComplete:
			done.Complete, done.Rows, done.Bytes = done.Complete+1, done.Rows+d.Rows, done.Bytes+d.Bytes
		case waybill.StateFailed, waybill.StateBlocked:
			done.Failed++
			failed = append(failed, d.ID)
		case waybill.StateCancelled, "":
			done.Cancelled++
		default:
			open++
		}
	}
	if open == 0 && len(failed) > 0 {
		err = b.noteFailed(ctx, n, failed)
	}
	return done, open, err
}

// takeBack cancels what waits of the chunks that were handed in; the last one
// may have been handed in only half.
func (b *backfill) takeBack(ctx context.Context) error {
	for n := b.Past; n < min(b.Next+1, b.Size.Chunks); n++ {
		c, err := b.chunkDeliveries(ctx, n)
		if err != nil {
			return err
		}
		for _, id := range c.Deliveries {
			if err := b.h.Ledger.CancelHistorical(ctx, id, "backfill cancelled"); err != nil {
				return err
			}
			tasks.Progress(ctx)
		}
	}
	if err := b.h.Ledger.HoldHistorical(ctx, b.Team, b.Connector, false); err != nil {
		return err
	}
	return b.revise(ctx, func(p *ledger.BackfillPlan) { p.State, p.EndedAt, p.Note = ledger.BackfillCancelled, b.now, "" })
}

// failed notes a try that failed, and when the next one is.
func (b *backfill) failed(ctx context.Context, err error) error {
	f := waybill.At(waybill.StageStage, err)
	delays := tasks.BackfillChunk.Retry.Delays
	_, err = b.h.Ledger.ReviseBackfill(ctx, b.Connector, b.Number, func(p *ledger.BackfillPlan) error {
		p.Note, p.Code = f.Action, f.Code
		switch {
		case f.Verdict == waybill.Throttled:
			p.NextAt = b.now.Add(f.After)
		case f.Verdict == waybill.Transient && p.Failures < len(delays):
			p.NextAt = b.now.Add(delays[p.Failures])
			p.Failures++
		case p.Active():
			p.State, p.Before = ledger.BackfillFailed, p.State
		}
		return nil
	})
	b.h.Log.Error("backfill could not go on", "connector", b.Connector, "state", b.State, "code", f.Code, "action", f.Action, "error", f)
	if errors.Is(err, ledger.ErrBackfillEnded) {
		return nil
	}
	return err
}
