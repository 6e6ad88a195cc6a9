package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/source"
	"github.com/waybillhq/waybill/tasks"
)

// ActivityLog is the platform's activity log, as [source.ActivityLog] reads it.
type ActivityLog interface {
	// Read returns a workflow's events in a part of a span, and which part it is.
	Read(ctx context.Context, workflow string, s source.Span, first source.End) (source.Span, []waybill.Activity, error)
	// Count returns how many events of a workflow there are in a span.
	Count(ctx context.Context, workflow string, s source.Span) (int64, error)
}

var _ ActivityLog = source.ActivityLog{}

const (
	activitySettles = 10 * time.Second // what is younger is left to the next tick
	activityReshare = time.Hour        // between two looks at what the customer sees, where nothing changes
	activityBatch   = 20_000           // events that are held in memory at most, but for one answer's
)

// ActivitySync brings a connector's ACTIVITY_LOG up to date: what happened
// since the cursor, what came late, and, as far as a tick's time goes, what
// happened before the cursor began. The rows are written before the cursor
// moves, and an event has one id however often it is read, so that a tick may
// end anywhere.
func (h *Handlers) ActivitySync(ctx context.Context, ref tasks.ConnectorRef) (err error) {
	c, err := h.Connector(ctx, ref.Connector)
	if errors.Is(err, waybill.ErrNotFound) {
		return fmt.Errorf("activity of connector %s: %w", ref.Connector, ledger.ErrGone)
	}
	if err != nil {
		return err
	}
	hold, err := h.Ledger.Hold(ctx, tasks.ActivitySync.Name+":"+c.ID)
	if _, busy := errors.AsType[*ledger.BusyError](err); busy { // an earlier tick is still at it, or the platform asked for patience
		return fmt.Errorf("activity of connector %s: %w", c.ID, ledger.ErrGone)
	}
	if err != nil {
		return err
	}
	defer func() { hold.LetGo(ctx, patience(err)) }()
	s := &activitySync{h: h, connector: c, log: h.Log.With("task", tasks.ActivitySync.Name, "connector", c.ID, "team", c.Team)}
	if err := s.run(hold.Context()); err != nil {
		return errors.Join(err, s.remember(hold.Context(), err))
	}
	return nil
}

// patience is how long the other side asked us to wait.
func patience(err error) time.Duration {
	if f, ok := errors.AsType[*waybill.Failure](err); ok && f.Verdict == waybill.Throttled {
		return f.After
	}
	return 0
}

// activitySync is one tick for one connector.
type activitySync struct {
	h         *Handlers
	connector connectors.Connector
	log       *slog.Logger

	now       time.Time             // until when events are read, the same for all
	workflows []string              // whose events the customer is to see
	begun     bool                  // some of them are new here
	cursor    ledger.ActivityCursor // as it will be when what is pending is written
	table     activityTable
	pending   map[string]waybill.Activity // by id
	fresh     []time.Time                 // when those of them happened that are read for the first time as they happen
	known     int64                       // those of them that are expected not to be in the table, for whatever reason
}

func (s *activitySync) run(ctx context.Context) (err error) {
	if s.cursor, err = s.h.Ledger.ActivityCursor(ctx, s.connector.ID); err != nil {
		return at(waybill.StageStage, err)
	}
	if s.table, err = s.h.activityTable(s.connector); err != nil {
		return at(waybill.StageSchema, err)
	}
	if !s.connector.LogsActivity() {
		return s.withdraw(ctx)
	}
	pause, err := s.h.Ledger.ConnectorPause(ctx, s.connector.Team, s.connector.ID)
	if err != nil || pause != nil {
		return at(waybill.StageStage, err)
	}
	if err := s.step(ctx, waybill.StageStage, s.prepare); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	err = s.step(ctx, waybill.StageStage, s.read)
	if err == nil {
		s.cursor.Failure = nil
	}
	return errors.Join(err, s.flush(ctx))
}

// step does a part of the tick under the name of its stage.
func (s *activitySync) step(ctx context.Context, stage waybill.Stage, do func(context.Context) error) error {
	began := time.Now()
	err := do(ctx)
	s.h.Metrics.Step(tasks.ActivitySync.Name, stage, time.Since(began), err)
	return at(stage, err)
}

// prepare finds out what is to be read, and until when.
func (s *activitySync) prepare(ctx context.Context) error {
	if s.h.Activity == nil {
		return waybill.Failf(waybill.Blocked, "platform.not_configured", "Give the fleet's configuration the section platform.", "no section platform")
	}
	now, err := s.h.Ledger.Now(ctx)
	if err != nil {
		return err
	}
	s.now = now.Add(-activitySettles).Truncate(time.Second)
	request, err := s.h.Ledger.ActivityRequest(ctx, s.connector.ID)
	if err != nil {
		return err
	}
	all, err := s.h.Ledger.Workflows(ctx, s.connector.Team)
	if err != nil {
		return err
	}
	if s.cursor.RereadAt.IsZero() {
		s.cursor.RereadAt = s.now
	}
	if request.Asked.After(s.cursor.Requested) {
		s.cursor.Requested = request.Asked
		for _, w := range s.cursor.Workflows {
			again(w, request.From)
		}
	}
	for _, id := range all {
		if s.connector.Subscribes(id) {
			s.workflows = append(s.workflows, id)
			s.begin(id, request.From)
		}
	}
	s.pending = map[string]waybill.Activity{}
	return nil
}

// begin begins the interval of a workflow that is new here. It begins now, and
// grows backwards to where the connector was made.
func (s *activitySync) begin(id string, requested time.Time) {
	if s.cursor.Workflows[id] != nil {
		return
	}
	from := s.connector.CreatedAt.UTC().Truncate(time.Second)
	if from.IsZero() {
		from = s.now
	}
	if !requested.IsZero() {
		from = earlier(from, requested)
	}
	now := later(from, s.now)
	s.begun = true
	s.cursor.Workflows[id] = &ledger.ActivityInterval{From: from, Since: now, Until: now, Began: now, Settled: now.Add(-activityReread)}
}

// again has all of a workflow since a time read once more.
func again(w *ledger.ActivityInterval, from time.Time) {
	if w.From.Before(w.Since) { // an earlier wish is not fulfilled yet
		from = earlier(from, w.From)
	}
	w.From, w.Since = earlier(from, w.Until), w.Until
}

// settle takes the events of workflows that the connector no longer selects out
// of the table, before anything is shown; and notes those that are new, before
// the first of their rows is written. So whoever looks next knows from the
// cursor of whom the table may have rows. A workflow that is selected again is
// read again, from its beginning.
func (s *activitySync) settle(ctx context.Context) error {
	changed := s.begun
	for _, id := range slices.Sorted(maps.Keys(s.cursor.Workflows)) {
		if s.connector.Subscribes(id) {
			continue
		}
		if err := s.step(ctx, waybill.StageLoad, func(ctx context.Context) error { return s.table.remove(ctx, id) }); err != nil {
			return err
		}
		delete(s.cursor.Workflows, id)
		changed = true
	}
	if !changed {
		return nil
	}
	return s.save(ctx)
}

// open makes the table, shows it to the customer, and reads that back: at
// first, and then from time to time.
func (s *activitySync) open(ctx context.Context) error {
	if s.now.Sub(s.cursor.SharedAt) < activityReshare {
		return nil
	}
	if err := s.step(ctx, waybill.StageSchema, s.table.create); err != nil {
		return err
	}
	if err := s.step(ctx, waybill.StageShare, s.table.show); err != nil {
		return err
	}
	s.cursor.SharedAt = s.now
	return nil
}

// withdraw takes the table from the customer, who no longer has an activity
// log. Its rows stay: it may be switched on again.
func (s *activitySync) withdraw(ctx context.Context) error {
	if s.cursor.SharedAt.IsZero() {
		return nil
	}
	if err := s.step(ctx, waybill.StageShare, s.table.withdraw); err != nil {
		return err
	}
	s.cursor.SharedAt, s.cursor.Failure = time.Time{}, nil
	return s.save(ctx)
}

// flush writes what is pending, and moves the cursor.
func (s *activitySync) flush(ctx context.Context) error {
	if len(s.pending) > 0 {
		var added int64
		err := s.step(ctx, waybill.StageLoad, func(ctx context.Context) (err error) {
			added, err = s.table.write(ctx, s.pending)
			return err
		})
		if err != nil {
			return err
		}
		s.h.Metrics.ActivityWritten(s.connector.Kind, added, max(0, added-s.known), s.fresh)
		clear(s.pending)
		s.fresh, s.known = nil, 0
	}
	return s.save(ctx)
}

func (s *activitySync) save(ctx context.Context) error {
	s.cursor.Until = s.now
	for _, id := range s.workflows {
		s.cursor.Until = earlier(s.cursor.Until, s.cursor.Workflows[id].Until)
	}
	return s.step(ctx, waybill.StageVerify, func(ctx context.Context) error {
		return s.h.Ledger.MoveActivityCursor(ctx, s.connector.ID, s.cursor)
	})
}

// remember keeps why the tick failed beside the cursor, where it did not fail
// so before.
func (s *activitySync) remember(ctx context.Context, err error) error {
	f := waybill.At(waybill.StageStage, err)
	if ctx.Err() != nil { // it was ended, and did not fail
		return nil //nolint:nilerr // what ended it is known
	}
	cursor, err := s.h.Ledger.ActivityCursor(ctx, s.connector.ID)
	if err != nil || cursor.Failure != nil && cursor.Failure.Code == f.Code && cursor.Failure.Stage == f.Stage {
		return err
	}
	cursor.Failure = &ledger.ActivityFailure{Stage: f.Stage, Code: f.Code, Action: f.Action, Since: time.Now().UTC().Truncate(time.Second)}
	return s.h.Ledger.MoveActivityCursor(ctx, s.connector.ID, cursor)
}

// activityRow is an event as a row of ACTIVITY_LOG, by column; what is empty is left out.
func activityRow(e waybill.Activity, columns []waybill.Column) map[string]any {
	row := map[string]any{columns[0].Name: e.ID, columns[1].Name: e.OccurredAt}
	for i, text := range e.Texts() {
		if text != "" {
			row[columns[i+2].Name] = text
		}
	}
	return row
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
