package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
)

const backfillKind = "backfills" // documents about backfills, by connector

// BackfillState says where a backfill stands.
type BackfillState string

// The states of a backfill.
const (
	BackfillPlanning   BackfillState = "planning"   // its runs are being listed
	BackfillWaiting    BackfillState = "waiting"    // for the connector's first live delivery
	BackfillRunning    BackfillState = "running"    //
	BackfillPaused     BackfillState = "paused"     //
	BackfillCancelling BackfillState = "cancelling" // what waits is being taken back
	BackfillComplete   BackfillState = "complete"   // every run was brought, and has ended
	BackfillCancelled  BackfillState = "cancelled"  //
	BackfillFailed     BackfillState = "failed"     // it does not go on by itself: see its Note; resume tries again
)

// BackfillStates lists them.
func BackfillStates() []BackfillState {
	return []BackfillState{BackfillPlanning, BackfillWaiting, BackfillRunning, BackfillPaused, BackfillCancelling,
		BackfillComplete, BackfillCancelled, BackfillFailed}
}

// BackfillPlan is a plan to bring a connector the runs of the past, and how far it
// has come. It is small whatever the number of runs: those stand in chunks in
// our bucket. A connector has one at a time.
type BackfillPlan struct {
	Connector string `json:"connector"`
	Team      string `json:"team"`
	Number    int    `json:"number"` // of the connector's backfills, from 1

	// What is wanted.
	From      time.Time `json:"from,omitzero"`       // runs that finished since then
	To        time.Time `json:"to"`                  // and before then
	Workflows []string  `json:"workflows,omitempty"` // empty: all that the connector takes
	Manifest  string    `json:"manifest,omitempty"`  // object in our bucket that lists the runs; empty: the platform's history does
	First     string    `json:"first,omitempty"`     // job to be delivered as the connector's first live one

	State    BackfillState `json:"state"`
	Before   BackfillState `json:"before,omitempty"`  // paused, failed: the state to go back to
	Note     string        `json:"note,omitempty"`    // what it waits for, or what is to be mended: one sentence
	Code     string        `json:"code,omitempty"`    // of the failure that the note is about
	Failures int           `json:"failures"`          // tries in a row that failed
	NextAt   time.Time     `json:"nextAt,omitzero"`   // not tried before then
	Attempt  int           `json:"attempt,omitempty"` // of listing the runs: names the chunks

	Size BackfillSize  `json:"size"`
	Next int           `json:"next"` // chunks that became deliveries
	Past int           `json:"past"` // of them, the first so many whose deliveries have all ended
	Done BackfillCount `json:"done"` // deliveries of those

	CreatedAt time.Time `json:"createdAt"`
	StartedAt time.Time `json:"startedAt,omitzero"` // when the first chunk began
	EndedAt   time.Time `json:"endedAt,omitzero"`
}

// BackfillSize is what a backfill has to do.
type BackfillSize struct {
	Chunks int   `json:"chunks"`
	Runs   int   `json:"runs"`
	Rows   int64 `json:"rows"`

	Unfinished int `json:"unfinished,omitempty"` // runs of the history that are not FINISHED: never delivered

	// Estimates.
	Bytes   int64         `json:"bytes"`             // of the records
	Time    time.Duration `json:"timeNs"`            // nanoseconds
	Credits float64       `json:"credits,omitempty"` // of a Snowflake warehouse of the smallest size
	Objects int           `json:"objects"`           // written at the destination
}

// BackfillCount counts a backfill's deliveries by how they ended.
type BackfillCount struct {
	Complete  int   `json:"complete"`
	Failed    int   `json:"failed"` // or blocked: each is listed, and can be retried
	Cancelled int   `json:"cancelled"`
	Rows      int64 `json:"rows"`
	Bytes     int64 `json:"bytes"`
}

// Ended is the number of deliveries that were counted.
func (c BackfillCount) Ended() int { return c.Complete + c.Failed + c.Cancelled }

// Add is the sum of two counts.
func (c BackfillCount) Add(d BackfillCount) BackfillCount {
	return BackfillCount{c.Complete + d.Complete, c.Failed + d.Failed, c.Cancelled + d.Cancelled, c.Rows + d.Rows, c.Bytes + d.Bytes}
}

// Active reports whether there is something to be done for the backfill now and then.
func (b BackfillPlan) Active() bool {
	return slices.Contains([]BackfillState{BackfillPlanning, BackfillWaiting, BackfillRunning, BackfillCancelling}, b.State)
}

// Ended reports whether nothing comes of the backfill any more.
func (b BackfillPlan) Ended() bool {
	return b.State == BackfillComplete || b.State == BackfillCancelled
}

// Holds reports whether historical deliveries to the connector wait.
func (b BackfillPlan) Holds() bool {
	return b.State == BackfillPaused || b.State == BackfillCancelling
}

// Left is how long the backfill may still take, by how fast it was so far; by
// its estimate, as long as that says nothing.
func (b BackfillPlan) Left(ended int, now time.Time) time.Duration {
	left := b.Size.Runs - ended
	if b.Ended() || left <= 0 {
		return 0
	}
	if b.StartedAt.IsZero() || ended == 0 {
		return b.Size.Time
	}
	return now.Sub(b.StartedAt) * time.Duration(left) / time.Duration(ended)
}

// ErrBackfillEnded means that the connector has no backfill under way.
var ErrBackfillEnded = errors.New("the connector has no backfill under way")

// Backfill returns a connector's backfill, the last one if it has ended, or
// [waybill.ErrNotFound].
func (l *Ledger) Backfill(ctx context.Context, connector string) (b BackfillPlan, err error) {
	text, err := l.Mirrored(ctx, backfillKind, connector)
	if err != nil {
		return b, err
	}
	return decodeBackfill(connector, text)
}

func decodeBackfill(connector string, text []byte) (b BackfillPlan, err error) {
	if err := json.Unmarshal(text, &b); err != nil {
		return b, fmt.Errorf("decode backfill of %s: %w", connector, err)
	}
	return b, nil
}

// Backfills returns the last backfill of each connector that had one.
func (l *Ledger) Backfills(ctx context.Context) ([]BackfillPlan, error) {
	docs, err := l.rdb.HGetAll(ctx, documents{l, backfillKind}.members("")).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	list := make([]BackfillPlan, 0, len(docs))
	for _, id := range slices.Sorted(maps.Keys(docs)) {
		b, err := decodeBackfill(id, []byte(docs[id]))
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}

// ErrBackfillThere refuses a second backfill while one is under way.
var ErrBackfillThere = errors.New("the connector has a backfill under way; wait for it, or cancel it")

// StartBackfill begins a backfill as b wants it, in state planning. It returns
// [ErrBackfillThere] while one is under way; with initial, if there ever was one.
func (l *Ledger) StartBackfill(ctx context.Context, b BackfillPlan, initial bool) (BackfillPlan, error) {
	now, err := l.Now(ctx)
	if err != nil {
		return b, err
	}
	return l.changeBackfill(ctx, b.Connector, func(was *BackfillPlan) (BackfillPlan, error) {
		b.Number = 1
		if was != nil {
			if !was.Ended() || initial {
				return b, ErrBackfillThere
			}
			b.Number = was.Number + 1
		}
		b.State, b.CreatedAt = BackfillPlanning, now
		if b.To.IsZero() || b.To.After(now) {
			b.To = now
		}
		return b, nil
	})
}

// ReviseBackfill changes a backfill as it stands in our bucket. The change may
// be asked for more than once, and refuse; an error of its own is handed on. A
// backfill with another number is [ErrBackfillEnded].
func (l *Ledger) ReviseBackfill(ctx context.Context, connector string, number int, change func(*BackfillPlan) error) (BackfillPlan, error) {
	return l.changeBackfill(ctx, connector, func(was *BackfillPlan) (BackfillPlan, error) {
		if was == nil || number > 0 && was.Number != number {
			return BackfillPlan{}, ErrBackfillEnded
		}
		now := *was
		return now, change(&now)
	})
}

// changeBackfill replaces the document of a connector's backfill, whoever else does at the
// same moment. One that is not changed is not written.
func (l *Ledger) changeBackfill(ctx context.Context, connector string, change func(was *BackfillPlan) (BackfillPlan, error)) (BackfillPlan, error) {
	k := documents{l, backfillKind}
	for {
		there, etag, err := k.look(ctx, connector)
		if err != nil {
			return BackfillPlan{}, err
		}
		var was *BackfillPlan
		if there.Revision > 0 {
			b, err := decodeBackfill(connector, there.Doc)
			if err != nil {
				return b, err
			}
			was = &b
		}
		b, err := change(was)
		if err != nil {
			return b, fmt.Errorf("connector %s: %w", connector, err)
		}
		text, err := json.Marshal(b)
		if err != nil {
			return b, fmt.Errorf("encode backfill of %s: %w", connector, err)
		}
		if old, err := there.text(); err == nil && was != nil && string(old) == string(text) {
			return b, k.keep(ctx, connector, there)
		}
		err = k.change(ctx, connector, etag, there.Revision, document{Doc: text})
		if !errors.Is(err, waybill.ErrChanged) {
			return b, err
		}
	}
}

var heldScript = script("held")

// HoldHistorical has the historical deliveries of a connector wait, or lets
// them go on. Those that are in flight go on.
func (l *Ledger) HoldHistorical(ctx context.Context, team, connector string, wait bool) error {
	r, err := l.run(ctx, heldScript, prefix(waybill.Slot(team)), connector, flag(wait))
	if err == nil {
		l.admit(r.turns(0))
	}
	return err
}

// holdBackfills has the historical deliveries wait again that were waiting
// when Redis was lost: what a backfill's document says of it outlives Redis.
func (l *Ledger) holdBackfills(ctx context.Context) error {
	all, err := l.Backfills(ctx)
	for _, b := range all {
		if b.Holds() {
			err = errors.Join(err, l.HoldHistorical(ctx, b.Team, b.Connector, true))
		}
	}
	return err
}

// bringers are how many runs are taken in at a time: most of the time our
// bucket is waited for.
const bringers = 8

// Bring has runs of the past delivered to one connector, as d says, in their
// order. A run counts as known to its history alone until its producer hands it
// in; what is known of it stands, and a delivery that is there is left as it is.
func (l *Ledger) Bring(ctx context.Context, runs []waybill.Run, d Planned) error {
	accepted := make([]Accepted, len(runs))
	g, taking := errgroup.WithContext(ctx)
	g.SetLimit(bringers)
	for i, run := range runs {
		g.Go(func() (err error) {
			if accepted[i], err = l.takeIn(taking, run, d.ID); err != nil {
				err = fmt.Errorf("run %s: %w", run.RunKey, err)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, a := range accepted {
		if err := l.plan(ctx, []RunPlan{{a, []Planned{d}}}, false)[0]; err != nil {
			return fmt.Errorf("run %s: %w", a.Run.RunKey, err)
		}
	}
	return nil
}

func (l *Ledger) takeIn(ctx context.Context, run waybill.Run, connector string) (Accepted, error) {
	if _, err := l.accept(ctx, run, true); err != nil {
		return Accepted{}, err
	}
	a, err := l.Run(ctx, run.RunKey)
	if err != nil {
		return a, err
	}
	return a, l.mirrorBackfilled(ctx, a, connector)
}

// CancelHistorical cancels a delivery that a backfill brought and that is not
// under way. One that a producer brought, or that has ended, is left.
func (l *Ledger) CancelHistorical(ctx context.Context, id, why string) error {
	p, err := deliveryPrefix(id)
	if err != nil {
		return err
	}
	r, err := l.run(ctx, cancelScript, p, id, why, "1")
	if err != nil || r.text(0) != "OK" {
		return err
	}
	l.admit(r.turns(1))
	return l.withdraw(ctx, id)
}

// Deliveries returns the deliveries of the ids, in their order; one that is
// not in the ledger is zero.
func (l *Ledger) Deliveries(ctx context.Context, ids []string) ([]waybill.Delivery, error) {
	at := make([]position, len(ids))
	for i, id := range ids {
		at[i].id = id
	}
	return l.deliveries(ctx, at)
}

// Pause stops a backfill. Pausing one that is paused is a success.
func (b *BackfillPlan) Pause() error {
	switch {
	case b.State == BackfillPaused:
		return nil
	case !b.Active() || b.State == BackfillCancelling:
		return fmt.Errorf("its last backfill is %s: %w", b.State, ErrBackfillEnded)
	}
	b.State, b.Before = BackfillPaused, b.State
	return nil
}

// Resume lets a paused backfill, or one that failed, go on where it was.
func (b *BackfillPlan) Resume() error {
	switch {
	case b.State == BackfillPaused || b.State == BackfillFailed:
		b.State, b.Before, b.Note, b.Code = b.Before, "", "", ""
		b.Failures, b.NextAt = 0, time.Time{}
	case !b.Active() || b.State == BackfillCancelling:
		return fmt.Errorf("its last backfill is %s: %w", b.State, ErrBackfillEnded)
	}
	return nil
}

// Cancel has what waits of a backfill taken back, and ends it.
func (b *BackfillPlan) Cancel() error {
	if b.Ended() {
		return fmt.Errorf("its last backfill is %s: %w", b.State, ErrBackfillEnded)
	}
	b.State, b.Before, b.NextAt, b.Failures = BackfillCancelling, "", time.Time{}, 0
	return nil
}
