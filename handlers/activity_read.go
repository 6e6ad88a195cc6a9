package handlers

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/source"
	"github.com/waybillhq/waybill/tasks"
)

const (
	activityOverlap = 15 * time.Minute // every tick looks so far back for what came late
	activityReread  = 48 * time.Hour   // once a day one looks so far back
	activityEvery   = 24 * time.Hour   // between two of those
	activityBudget  = 45 * time.Second // of a tick, for history
	activityFaults  = 3                // workflows whose events cannot be read before a tick gives up
)

// read reads what happens first, then what came late, then history.
func (s *activitySync) read(ctx context.Context) error {
	if err := s.live(ctx); err != nil {
		return err
	}
	if s.now.Sub(s.cursor.RereadAt) >= activityEvery {
		if err := s.reread(ctx); err != nil {
			return err
		}
	}
	return s.history(ctx)
}

// live brings every workflow to the present. One that cannot be read holds up
// no other: those that lag behind come last.
func (s *activitySync) live(ctx context.Context) error {
	order := slices.Clone(s.workflows)
	slices.SortStableFunc(order, func(a, b string) int { return s.cursor.Workflows[b].Until.Compare(s.cursor.Workflows[a].Until) })
	var errs []error
	for _, id := range order {
		err := s.follow(ctx, id)
		if err == nil {
			continue
		}
		if errs = append(errs, err); len(errs) == activityFaults || ctx.Err() != nil || patience(err) > 0 {
			break
		}
	}
	return errors.Join(errs...)
}

// follow brings one workflow to the present.
func (s *activitySync) follow(ctx context.Context, id string) error {
	w := s.cursor.Workflows[id]
	seen := w.Until
	return s.each(ctx, id, source.Span{From: later(w.From, w.Until.Add(-activityOverlap)), To: s.now}, func(part source.Span, events []waybill.Activity) {
		w.Until = later(w.Until, part.To)
		for _, e := range events {
			if !e.OccurredAt.Before(seen) {
				s.known++
				s.fresh = append(s.fresh, e.OccurredAt)
			}
		}
	})
}

// each reads a span part by part, oldest first; note is told of each before
// its events may be written.
func (s *activitySync) each(ctx context.Context, id string, span source.Span, note func(part source.Span, events []waybill.Activity)) error {
	for span.From.Before(span.To) {
		part, events, err := s.h.Activity.Read(ctx, id, span, source.Oldest)
		if err != nil {
			return err
		}
		note(part, events)
		if err := s.add(ctx, events); err != nil {
			return err
		}
		span.From = part.To
	}
	return nil
}

// add takes events in, and writes when there are many.
func (s *activitySync) add(ctx context.Context, events []waybill.Activity) error {
	tasks.Progress(ctx)
	for _, e := range events {
		s.pending[e.ID] = e
	}
	if len(s.pending) < activityBatch {
		return nil
	}
	return s.flush(ctx)
}

// reread looks for what came late, over two days and as far back as nobody has
// looked for the last time yet. What came even later is known by its number.
func (s *activitySync) reread(ctx context.Context) error {
	settled := s.now.Add(-activityReread)
	for _, id := range s.workflows {
		w := s.cursor.Workflows[id]
		counted, err := s.count(ctx, id, w, settled)
		if err != nil {
			return err
		}
		from := later(w.Since, earlier(w.Settled, settled))
		if err := s.each(ctx, id, source.Span{From: from, To: w.Until}, func(source.Span, []waybill.Activity) {}); err != nil {
			return err
		}
		if settled.After(w.Settled) {
			w.Settled, w.Counted = settled, counted
		}
	}
	s.cursor.RereadAt = s.now
	return nil
}

// count returns how many events the platform has until a time, before they are
// read for the last time: one that comes in between is rather told twice than
// never. It tells what was added since to what was read for the last time before.
func (s *activitySync) count(ctx context.Context, id string, w *ledger.ActivityInterval, settled time.Time) (int64, error) {
	if w.Began.Before(w.Settled) {
		n, err := s.h.Activity.Count(ctx, id, source.Span{From: w.Began, To: w.Settled})
		if err != nil {
			return 0, err
		}
		if lost := n - w.Counted; lost > 0 {
			w.Lost += lost
			s.h.Metrics.ActivityLost(s.connector.Kind, lost)
			s.log.ErrorContext(ctx, "events came later than they are looked for", "workflow", id, "events", lost,
				"action", "Bring them with waybill backfill start CONNECTOR --activity --from TIME.")
		}
		w.Counted = n
	}
	if !w.Began.Before(settled) {
		return 0, nil
	}
	return s.h.Activity.Count(ctx, id, source.Span{From: w.Began, To: settled})
}

// history extends what is there backwards to where it is to begin, all
// workflows in turn, as far as the tick's time goes.
func (s *activitySync) history(ctx context.Context) error {
	began := time.Now()
	for more := true; more; {
		more = false
		for _, id := range s.workflows {
			w := s.cursor.Workflows[id]
			if !w.From.Before(w.Since) {
				continue
			}
			if time.Since(began) > activityBudget {
				return nil
			}
			part, events, err := s.h.Activity.Read(ctx, id, source.Span{From: w.From, To: w.Since}, source.Newest)
			if err != nil {
				return err
			}
			w.Since, more = part.From, true
			s.known += int64(len(events))
			if err := s.add(ctx, events); err != nil {
				return err
			}
		}
	}
	return nil
}
