package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

var (
	censusScript = script("census")
	mendScript   = load("window", "mend")
)

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
	args := []any{"", mostTickets}
	if size > 0 {
		args[0] = size
	}
	for _, list := range [][]string{lost, missing} {
		args = append(args, len(list))
		for _, t := range list {
			args = append(args, t)
		}
	}
	r, err := l.run(ctx, mendScript, windowPrefix(queue), append(args, now.waiting...)...)
	if err != nil {
		return err
	}
	turns, err := l.use(ctx, queue, tickets(r))
	l.admit(ctx, turns)
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
	waiting []any           // team and how many deliveries it could send on, in turns
}

func (l *Ledger) census(ctx context.Context, queue string) (count, error) {
	c := count{tickets: map[string]bool{}}
	cmds, err := l.everySlot(ctx, censusScript, queue)
	if err != nil {
		return c, err
	}
	for _, cmd := range cmds {
		list, _ := cmd.Val().([]any)
		r := reply(list)
		for i := range r.list(0) {
			c.tickets[r.list(0).text(i)] = true
		}
		c.waiting = append(c.waiting, r.list(1)...)
	}
	return c, nil
}

// everySlot runs a script on all slots in one round trip.
func (l *Ledger) everySlot(ctx context.Context, s *redis.Script, args ...any) ([]*redis.Cmd, error) {
	cmds := make([]*redis.Cmd, waybill.Slots)
	ask := func(p redis.Pipeliner) error {
		for slot := range cmds {
			cmds[slot] = s.EvalSha(ctx, p, []string{prefix(slot)}, args...)
		}
		return nil
	}
	_, err := l.rdb.Pipelined(ctx, ask)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err = s.Load(ctx, l.rdb).Err(); err == nil {
			_, err = l.rdb.Pipelined(ctx, ask)
		}
	}
	if ignoreNil(err) != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return cmds, nil
}
