package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/waybillhq/waybill"
)

// The documents about activity logs, by connector.
const (
	activityKind        = "activity"         // how far the log has come: ActivityCursor
	activityRequestKind = "activity-request" // history that was asked for: ActivityRequest
)

// ActivityCursor is how far a connector's ACTIVITY_LOG has come. It is moved
// only after the rows are written.
type ActivityCursor struct {
	Until     time.Time                    `json:"until"`              // every workflow is read until then
	SharedAt  time.Time                    `json:"sharedAt,omitzero"`  // when it was last read back that the customer sees the table; zero: it is not shown
	RereadAt  time.Time                    `json:"rereadAt,omitzero"`  // when what came late was last looked for
	Requested time.Time                    `json:"requested,omitzero"` // the newest request that was taken in
	Workflows map[string]*ActivityInterval `json:"workflows"`          //
	Failure   *ActivityFailure             `json:"failure,omitempty"`  // of the last tick, if it failed
}

// ActivityInterval is what of a workflow's events is in the table: all of
// [Since, Until). It grows at both ends: with what happens, and with what
// happened since From.
type ActivityInterval struct {
	From  time.Time `json:"from"` // where its history is to begin
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`

	// What came too late for any pass is known by counting: the platform had
	// Counted events in [Began, Settled) when that part was read for the last time.
	Began   time.Time `json:"began"`
	Settled time.Time `json:"settled"`
	Counted int64     `json:"counted"`
	Lost    int64     `json:"lost,omitempty"` // events that came later than that, so far
}

// ActivityFailure is why the last tick failed.
type ActivityFailure struct {
	Stage  waybill.Stage `json:"stage"`
	Code   string        `json:"code"`
	Action string        `json:"action"`
	Since  time.Time     `json:"since"`
}

// ActivityRequest asks for a connector's activity since a time.
type ActivityRequest struct {
	From  time.Time `json:"from"`
	Asked time.Time `json:"asked"`
}

// ActivityCursor returns a connector's cursor; the zero one if there is none yet.
func (l *Ledger) ActivityCursor(ctx context.Context, connector string) (c ActivityCursor, err error) {
	err = l.mirrored(ctx, activityKind, connector, &c)
	if c.Workflows == nil {
		c.Workflows = map[string]*ActivityInterval{}
	}
	return c, err
}

// MoveActivityCursor keeps a connector's cursor, in our bucket first.
func (l *Ledger) MoveActivityCursor(ctx context.Context, connector string, c ActivityCursor) error {
	return l.mirror(ctx, activityKind, connector, c)
}

// RequestActivity has the activity log of a connector hold everything since a
// time, and what is there already read again. It may be repeated.
func (l *Ledger) RequestActivity(ctx context.Context, connector string, from time.Time) error {
	now, err := l.Now(ctx)
	if err != nil {
		return err
	}
	return l.mirror(ctx, activityRequestKind, connector, ActivityRequest{From: from.UTC().Truncate(time.Second), Asked: now})
}

// ActivityRequest returns the newest request for a connector; the zero one if there is none.
func (l *Ledger) ActivityRequest(ctx context.Context, connector string) (r ActivityRequest, err error) {
	err = l.mirrored(ctx, activityRequestKind, connector, &r)
	return r, err
}

// mirror keeps v as [Ledger.Mirror] does.
func (l *Ledger) mirror(ctx context.Context, kind, id string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode document %s/%s: %w", kind, id, err)
	}
	return l.Mirror(ctx, kind, id, text)
}

// mirrored reads what is kept into v; what is not kept leaves it as it is.
func (l *Ledger) mirrored(ctx context.Context, kind, id string, v any) error {
	text, err := l.Mirrored(ctx, kind, id)
	if errors.Is(err, waybill.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("decode document %s/%s: %w", kind, id, err)
	}
	return nil
}
