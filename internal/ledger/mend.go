package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

var readyScript = script("ready")

// ticketGrace is the longest time between a ticket and the delivery that holds it.
const ticketGrace = 15 * time.Second

// Mend compares the windows of queues with what the slots say, mends what
// processes left that ended half-way, and admits. windows gives each queue's
// size; 0 leaves it. Any number of replicas may do it at once.
func (l *Ledger) Mend(ctx context.Context, windows map[string]int) error {
	for queue, size := range windows {
		if err := l.mend(ctx, queue, size); err != nil {
			return fmt.Errorf("queue %s: %w", queue, err)
		}
	}
	return nil
}

func (l *Ledger) mend(ctx context.Context, queue string, size int) error {
	// The window is read first, the slots after it. A ticket that was old by
	// then, and that no slot has, is nobody's. One that a slot has, that the
	// window did not know, and that was given before, is missing in the window:
	// tickets leave the slot first.
	was, err := l.window(ctx, queue)
	if err != nil {
		return err
	}
	now, err := l.census(ctx, queue)
	if err != nil {
		return err
	}
	lost := slices.DeleteFunc(was.old, func(t string) bool { return now.tickets[t] })
	var missing []string
	for t := range now.tickets {
		if !was.tickets[t] && number(t) <= was.last {
			missing = append(missing, t)
		}
	}
	if len(lost)+len(missing) > 0 {
		l.opts.Log.WarnContext(ctx, "admission mended", "queue", queue, "lostTickets", len(lost), "missingTickets", len(missing))
	}
	given, err := l.takeTurn(ctx, queue, news{size: size, free: lost, held: missing, wants: now.waiting})
	if err != nil {
		return err
	}
	turns, err := l.use(ctx, queue, given)
	l.admit(turns)
	return err
}

// window is what a queue's window knows.
type window struct {
	tickets map[string]bool
	old     []string // of them, those that a delivery should hold by now
	last    int64    // number of the last one given
}

func number(ticket string) int64 {
	digits, _, _ := strings.Cut(ticket, ":")
	n, _ := strconv.ParseInt(digits, 10, 64) // the scripts write it
	return n
}

func (l *Ledger) window(ctx context.Context, queue string) (window, error) {
	w := window{tickets: map[string]bool{}}
	var clock *redis.TimeCmd
	var all *redis.ZSliceCmd
	var last *redis.StringCmd
	p := windowPrefix(queue)
	_, err := l.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		last = pipe.Get(ctx, p+"seq")
		all = pipe.ZRangeWithScores(ctx, p+"tickets", 0, -1)
		clock = pipe.Time(ctx)
		return nil
	})
	if ignoreNil(err) != nil {
		return w, fmt.Errorf("ledger: %w", err)
	}
	w.last, _ = last.Int64() // before the first ticket there is none
	before := float64(clock.Val().Add(-ticketGrace).UnixMilli())
	for _, z := range all.Val() {
		t := fmt.Sprint(z.Member)
		w.tickets[t] = true
		if z.Score < before {
			w.old = append(w.old, t)
		}
	}
	return w, nil
}

// count is what all slots know of a queue.
type count struct {
	tickets map[string]bool // of deliveries in flight
	waiting []any           // team and how many deliveries it could send on, one after the other
}

func (l *Ledger) census(ctx context.Context, queue string) (count, error) {
	c := count{tickets: map[string]bool{}}
	flying, waiting := make([]*redis.StringSliceCmd, waybill.Slots), make([]*redis.StringSliceCmd, waybill.Slots)
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for slot := range waybill.Slots {
			flying[slot], waiting[slot] = p.HVals(ctx, prefix(slot)+"fl:"+queue), p.SMembers(ctx, prefix(slot)+"tw:"+queue)
		}
		return nil
	})
	if ignoreNil(err) != nil {
		return c, fmt.Errorf("ledger: %w", err)
	}
	var teams []string
	for slot := range waybill.Slots {
		for _, ticket := range flying[slot].Val() {
			c.tickets[ticket] = true
		}
		teams = append(teams, waiting[slot].Val()...)
	}
	c.waiting, err = l.ready(ctx, queue, teams)
	return c, err
}

// ready asks how many deliveries teams could send on.
func (l *Ledger) ready(ctx context.Context, queue string, teams []string) (list []any, err error) {
	if len(teams) == 0 {
		return nil, nil
	}
	calls := make([]call, len(teams))
	for i, team := range teams {
		calls[i] = call{prefix(waybill.Slot(team)), []any{queue, team}}
	}
	replies, errs := l.runEach(ctx, readyScript, calls)
	for i, team := range teams {
		list = append(list, team, replies[i].text(0))
	}
	return list, errors.Join(errs...)
}
