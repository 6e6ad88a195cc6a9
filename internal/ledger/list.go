package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

// Filter selects deliveries. Empty fields select all.
type Filter struct {
	Team, Connector, Workflow, Job string
	State                          waybill.State
	Stage                          waybill.Stage
	Since, Until                   time.Time // of the delivery's creation; Until is exclusive
	Limit                          int       // of one page; default 100
	Cursor                         string    // where the page before ended
}

// Page is one page of deliveries, newest first.
type Page struct {
	Deliveries []waybill.Delivery
	Cursor     string // of the next page; empty: this was the last
}

// position is a place in the order newest first, ties by id.
type position struct {
	created int64
	id      string
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(q.created, p.created), cmp.Compare(q.id, p.id))
}

func (p position) String() string { return fmt.Sprintf("%d.%s", p.created, p.id) }

func parseCursor(text string) (position, error) {
	created, id, ok := strings.Cut(text, ".")
	ms, err := strconv.ParseInt(created, 10, 64)
	if !ok || err != nil {
		return position{}, fmt.Errorf("cursor %q is not one that a page ended with", text)
	}
	return position{ms, id}, nil
}

// List returns one page of deliveries, newest first. It reads the narrowest
// index that the filter allows and merges it over all slots.
func (l *Ledger) List(ctx context.Context, f Filter) (Page, error) {
	f.Limit = cmp.Or(f.Limit, 100)
	at := position{created: 1<<62 - 1}
	if !f.Until.IsZero() {
		at = position{created: f.Until.UnixMilli()}
	}
	if f.Cursor != "" {
		var err error
		if at, err = parseCursor(f.Cursor); err != nil {
			return Page{}, err
		}
	}
	var page Page
	for {
		heads, err := l.heads(ctx, f, at)
		if err != nil || len(heads) == 0 {
			return page, err
		}
		found, err := l.deliveries(ctx, heads)
		if err != nil {
			return page, err
		}
		for i, d := range found {
			at = heads[i]
			if !f.matches(d) {
				continue
			}
			page.Deliveries = append(page.Deliveries, d)
			if len(page.Deliveries) == f.Limit {
				page.Cursor = at.String()
				return page, nil
			}
		}
	}
}

func (f Filter) matches(d waybill.Delivery) bool {
	return d.ID != "" && // trimmed since the index was read
		(f.Team == "" || f.Team == d.TeamID) &&
		(f.Connector == "" || f.Connector == d.Connector) &&
		(f.Workflow == "" || f.Workflow == d.WorkflowID) &&
		(f.Job == "" || f.Job == d.JobID) &&
		(f.State == "" || f.State == d.State) &&
		(f.Stage == "" || f.Stage == d.Stage) &&
		!d.CreatedAt.Before(f.Since)
}

// indexes names the keys, below a slot's prefix, that together hold all the
// filter can match.
func (f Filter) indexes() []string {
	switch {
	case f.Connector != "":
		return []string{"ix:c:" + f.Connector}
	case f.Workflow != "":
		return []string{"ix:w:" + f.Workflow}
	case f.State != "":
		return []string{"ix:s:" + string(f.State)}
	case f.Team != "":
		return []string{"ix:t:" + f.Team}
	}
	var all []string
	for _, s := range waybill.States() {
		all = append(all, "ix:s:"+string(s))
	}
	return all
}

func (f Filter) slots() (from, to int) {
	if f.Team != "" {
		s := waybill.Slot(f.Team)
		return s, s + 1
	}
	return 0, waybill.Slots
}

// heads returns the next positions after at, merged over slots and indexes.
func (l *Ledger) heads(ctx context.Context, f Filter, at position) ([]position, error) {
	n := int64(f.Limit + 1)
	for {
		full := false
		var cmds []*redis.ZSliceCmd
		_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			from, to := f.slots()
			for slot := from; slot < to; slot++ {
				for _, ix := range f.indexes() {
					cmds = append(cmds, p.ZRevRangeByScoreWithScores(ctx, prefix(slot)+ix, &redis.ZRangeBy{
						Max: strconv.FormatInt(at.created, 10), Min: strconv.FormatInt(max(f.Since.UnixMilli(), 0), 10), Count: n}))
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		var heads []position
		for _, c := range cmds {
			full = full || int64(len(c.Val())) == n
			for _, z := range c.Val() {
				if h := (position{int64(z.Score), fmt.Sprint(z.Member)}); at.compare(h) < 0 {
					heads = append(heads, h)
				}
			}
		}
		if len(heads) == 0 && full {
			n *= 4 // more deliveries share one millisecond than were asked for
			continue
		}
		slices.SortFunc(heads, position.compare)
		return slices.Compact(heads[:min(len(heads), f.Limit+1)]), nil
	}
}

// deliveries loads records in one round trip; one that is gone is zero.
func (l *Ledger) deliveries(ctx context.Context, at []position) ([]waybill.Delivery, error) {
	cmds := make([]*redis.MapStringStringCmd, len(at))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, h := range at {
			slot, err := waybill.DeliverySlot(h.id)
			if err != nil {
				return err
			}
			cmds[i] = p.HGetAll(ctx, prefix(slot)+"d:"+h.id)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	list := make([]waybill.Delivery, len(at))
	for i, c := range cmds {
		if fields := c.Val(); len(fields) > 0 {
			list[i] = decodeDelivery(at[i].id, fields)
		}
	}
	return list, nil
}

// Delivery returns one delivery.
func (l *Ledger) Delivery(ctx context.Context, id string) (waybill.Delivery, error) {
	p, err := deliveryPrefix(id)
	if err != nil {
		return waybill.Delivery{}, err
	}
	fields, err := l.rdb.HGetAll(ctx, p+"d:"+id).Result()
	if err != nil {
		return waybill.Delivery{}, fmt.Errorf("ledger: %w", err)
	}
	if len(fields) == 0 {
		return waybill.Delivery{}, fmt.Errorf("delivery %s: %w", id, waybill.ErrNotFound)
	}
	return decodeDelivery(id, fields), nil
}

func decodeDelivery(id string, f map[string]string) waybill.Delivery {
	return waybill.Delivery{
		ID:            id,
		RunKey:        waybill.RunKey{TeamID: f["team"], WorkflowID: f["workflow"], JobID: f["job"]},
		Connector:     f["connector"],
		Kind:          waybill.Kind(f["kind"]),
		Generation:    atoi(f["gen"]),
		SchemaVersion: atoi(f["version"]),
		State:         waybill.State(f["state"]),
		Stage:         waybill.Stage(f["stage"]),
		Task:          f["task"],
		Attempts:      atoi(f["attempts"]),
		Replays:       atoi(f["replays"]),
		RunFinishedAt: fromMillis(f["finished"]),
		CreatedAt:     fromMillis(f["created"]),
		UpdatedAt:     fromMillis(f["updated"]),
		NextAt:        fromMillis(f["next"]),
		CompletedAt:   fromMillis(f["completed"]),
		Verdict:       waybill.Verdict(f["verdict"]),
		Code:          f["code"],
		Action:        f["action"],
		Rows:          int64(atoi(f["rows"])),
		Bytes:         int64(atoi(f["bytes"])),
		Receipt:       f["receipt"],
	}
}

// History returns what happened to a delivery, oldest first; the last 100 events.
func (l *Ledger) History(ctx context.Context, id string) ([]waybill.Event, error) {
	p, err := deliveryPrefix(id)
	if err != nil {
		return nil, err
	}
	texts, err := l.rdb.LRange(ctx, p+"ev:"+id, 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	events := make([]waybill.Event, len(texts))
	for i, text := range texts {
		var e struct {
			waybill.Event
			At   int64 `json:"at"`   // milliseconds, as the scripts write them
			Next int64 `json:"next"` //
			MS   int64 `json:"ms"`   //
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return nil, fmt.Errorf("decode history of delivery %s: %w", id, err)
		}
		e.Event.At, e.Duration = time.UnixMilli(e.At).UTC(), time.Duration(e.MS)*time.Millisecond
		if e.Next != 0 {
			e.Event.Next = time.UnixMilli(e.Next).UTC()
		}
		events[i] = e.Event
	}
	return events, nil
}

func atoi(text string) int {
	n, _ := strconv.Atoi(text) // the scripts write whole numbers, or nothing
	return n
}

func ignoreNil(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
