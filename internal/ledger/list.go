package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
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

// List returns one page of deliveries, newest first. What it reads grows with
// the page, not with the history: of the indexes that the filter allows it
// takes the narrowest, and reads on in it until enough of what it finds matches
// the filter's other fields.
func (l *Ledger) List(ctx context.Context, f Filter) (Page, error) {
	f.Limit = cmp.Or(f.Limit, 100)
	at := newest
	if !f.Until.IsZero() {
		at = position{created: f.Until.UnixMilli()}
	}
	if f.Cursor != "" {
		var err error
		if at, err = parseCursor(f.Cursor); err != nil {
			return Page{}, err
		}
	}
	keys, err := l.indexes(ctx, f)
	if err != nil {
		return Page{}, err
	}
	var page Page
	for {
		heads, err := l.heads(ctx, keys, at, f.Since, f.Limit+1)
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

// indexes returns the keys that together hold all that the filter can match:
// of the sets of indexes that the filter allows, the one that holds the least.
func (l *Ledger) indexes(ctx context.Context, f Filter) ([]string, error) {
	var choices [][]string
	every := func(names ...string) {
		from, to := f.slots()
		var keys []string
		for slot := from; slot < to; slot++ {
			for _, name := range names {
				keys = append(keys, prefix(slot)+"ix:"+name)
			}
		}
		choices = append(choices, keys)
	}
	if f.Connector != "" {
		every("c:" + f.Connector)
	}
	if f.Workflow != "" {
		every("w:" + f.Workflow)
	}
	if f.State != "" {
		every("s:" + string(f.State))
	}
	if f.Team != "" && f.Connector == "" {
		keys, err := l.teamIndexes(ctx, waybill.Slot(f.Team), f.Team)
		if err != nil {
			return nil, err
		}
		choices = append(choices, keys)
	}
	if len(choices) == 0 {
		var names []string
		for _, s := range waybill.States() {
			names = append(names, "s:"+string(s))
		}
		every(names...)
	}
	return l.smallest(ctx, choices, f.Since)
}

// teamIndexes are those of a team's connectors: each delivery is in one.
func (l *Ledger) teamIndexes(ctx context.Context, slot int, teams ...string) ([]string, error) {
	var keys []string
	for _, team := range teams {
		connectors, err := l.rdb.SMembers(ctx, prefix(slot)+"cs:"+team).Result()
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		for _, c := range connectors {
			keys = append(keys, prefix(slot)+"ix:c:"+c)
		}
	}
	return keys, nil
}

// smallest returns the choice whose indexes hold the least since then.
func (l *Ledger) smallest(ctx context.Context, choices [][]string, since time.Time) ([]string, error) {
	if len(choices) == 1 {
		return choices[0], nil
	}
	counts := make([][]*redis.IntCmd, len(choices))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, keys := range choices {
			for _, key := range keys {
				counts[i] = append(counts[i], p.ZCount(ctx, key, strconv.FormatInt(max(since.UnixMilli(), 0), 10), "+inf"))
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	sum := func(cmds []*redis.IntCmd) (n int64) {
		for _, c := range cmds {
			n += c.Val()
		}
		return n
	}
	best := 0
	for i := range choices {
		if sum(counts[i]) < sum(counts[best]) {
			best = i
		}
	}
	return choices[best], nil
}

func (f Filter) slots() (from, to int) {
	if f.Team != "" {
		s := waybill.Slot(f.Team)
		return s, s + 1
	}
	return 0, waybill.Slots
}

// deliveryFields are what a [waybill.Delivery] is made of; the rest of a
// delivery's hash is its history and what attempts need.
var deliveryFields = []string{"team", "workflow", "job", "connector", "kind", "queue", "gen", "version", "state", "stage", "task", "attempts", "replays",
	"finished", "created", "updated", "next", "completed", "verdict", "code", "action", "rows", "bytes", "fence"}

// deliveries loads records in one round trip; one that is gone is zero.
func (l *Ledger) deliveries(ctx context.Context, at []position) ([]waybill.Delivery, error) {
	ids := make([]string, len(at))
	for i, h := range at {
		ids[i] = h.id
	}
	values, err := l.fields(ctx, ids, func(int) []string { return deliveryFields })
	if err != nil {
		return nil, err
	}
	list := make([]waybill.Delivery, len(at))
	for i, v := range values {
		list[i] = decodeDelivery(ids[i], v)
	}
	return list, nil
}

// Delivery returns one delivery.
func (l *Ledger) Delivery(ctx context.Context, id string) (waybill.Delivery, error) {
	if _, err := deliveryPrefix(id); err != nil {
		return waybill.Delivery{}, err
	}
	list, err := l.deliveries(ctx, []position{{id: id}})
	if err == nil && list[0].ID == "" {
		err = fmt.Errorf("delivery %s: %w", id, waybill.ErrNotFound)
	}
	if err != nil {
		return waybill.Delivery{}, err
	}
	return list[0], nil
}

// decodeDelivery makes a delivery of the values of [deliveryFields]; a zero one
// where there is none.
func decodeDelivery(id string, values []any) waybill.Delivery {
	f := make(map[string]string, len(values))
	for i, v := range values {
		if text, ok := v.(string); ok {
			f[deliveryFields[i]] = text
		}
	}
	if len(f) == 0 {
		return waybill.Delivery{}
	}
	return deliveryOf(id, f)
}

func deliveryOf(id string, f map[string]string) waybill.Delivery {
	d := waybill.Delivery{
		ID:            id,
		RunKey:        waybill.RunKey{TeamID: f["team"], WorkflowID: f["workflow"], JobID: f["job"]},
		Connector:     f["connector"],
		Kind:          waybill.Kind(f["kind"]),
		Historical:    f["queue"] == Backfill,
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
		Verdict:       waybill.Verdict(f["verdict"]),
		Code:          f["code"],
		Action:        f["action"],
		Rows:          int64(atoi(f["rows"])),
		Bytes:         int64(atoi(f["bytes"])),
	}
	if d.State == waybill.StateComplete {
		d.CompletedAt = fromMillis(cmp.Or(f["completed"], f["updated"])) // after its completion only a restored one changes
		d.Receipt = receiptName{id, d.Generation, int64(atoi(f["fence"]))}.key(d.RunKey)
	}
	return d
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
