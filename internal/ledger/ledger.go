// Package ledger is the durable history of deliveries, on Redis. It knows what
// was handed in, what is on its way, who holds it, what was done of it and how
// it ended; the task queue only carries ids and can be rebuilt from it.
//
// Everything of a team lives under one hash tag ({s00} to {s63}, see
// [waybill.Slot]), so that each change is one atomic script on a single
// Redis, on Sentinel and on a Cluster. All times are Redis's own.
package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// Options are the ledger's times. Zero values take the defaults.
type Options struct {
	Lease       time.Duration // an attempt that is silent this long has lost its delivery; default 15 s, renewed every third
	Grace       time.Duration // how long a queued delivery may wait before the sweep asks the queue after it; default 8 s
	MaxCrashes  int           // attempts that may end without a word before the delivery fails; default 10
	MaxThrottle time.Duration // a delivery that is throttled longer fails; default 24 h
	MaxFailures int           // deliveries in a row failed by their destination, then the connector is paused; default 5
	Replicas    int           // that confirm an accepted run, NoReplicas for none; default 1 where Redis is a Cluster, is behind Sentinels or has a replica, else none
	Notify      string        // whom of the fleet to tell of destinations, separated by spaces
	Observer    Observer
	Log         *slog.Logger
}

// Observer is told what happens, for figures of it. What is nil is not told.
type Observer struct {
	Admitted func(queue string, waited time.Duration) // a delivery left the backlog
	Lost     func(task string)                        // an attempt's lease ended before it did
	Stale    func(task string)                        // an attempt was refused: it no longer held its delivery
}

// Ready is a delivery that is to be put into the queue now.
type Ready struct {
	Delivery   string
	Task       string // task type that does its next step
	Generation int
	Enqueue    int    // counts how often the delivery was handed to the queue
	Queue      string // that it goes to

	waited time.Duration // in the backlog, if it comes from there
}

// Queue puts what the ledger admitted into the task queue. Where it fails, or
// the process dies before, the sweep does it later: the ledger's own state
// says what is due.
type Queue interface {
	Enqueue(ctx context.Context, ready []Ready) error
}

// Ledger is the history of deliveries on a Redis, and their receipts in our bucket.
type Ledger struct {
	rdb    redis.UniversalClient
	bucket storage.Store
	queue  Queue
	opts   Options

	lines lines

	replication replication
}

// New returns a ledger. The queue may be nil in a process that only reads.
func New(rdb redis.UniversalClient, bucket storage.Store, queue Queue, opts Options) *Ledger {
	opts.Lease = cmp.Or(opts.Lease, 15*time.Second)
	opts.Grace = cmp.Or(opts.Grace, 8*time.Second)
	opts.MaxCrashes = cmp.Or(opts.MaxCrashes, 10)
	opts.MaxThrottle = cmp.Or(opts.MaxThrottle, 24*time.Hour)
	opts.MaxFailures = cmp.Or(opts.MaxFailures, 5)
	opts.Log = cmp.Or(opts.Log, slog.Default())
	return &Ledger{rdb: rdb, bucket: bucket, queue: queue, opts: opts}
}

var (
	// ErrGone means that a task has nothing to do: its delivery is settled, or
	// a newer task has taken its place.
	ErrGone = errors.New("nothing to do")
	// ErrLost means that an attempt no longer holds its delivery: its lease
	// ended, or the run was replaced. It must stop before its next effect.
	ErrLost = errors.New("the attempt no longer holds its delivery")
)

// prefix is KEYS[1] of every script and the start of every key of a slot.
func prefix(slot int) string { return fmt.Sprintf("wb:{s%02d}:", slot) }

func deliveryPrefix(id string) (string, error) {
	slot, err := waybill.DeliverySlot(id)
	if err != nil {
		return "", fmt.Errorf("%w: %w", waybill.ErrNotFound, err)
	}
	return prefix(slot), nil
}

// reply is what a script returned.
type reply []any

func (l *Ledger) run(ctx context.Context, s *redis.Script, prefix string, args ...any) (reply, error) {
	v, err := s.Run(ctx, l.rdb, []string{prefix}, args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, classify(err)
	}
	return replyOf(v), nil
}

// call is one run of a script.
type call struct {
	prefix string
	args   []any
}

// runEach runs a script for each call, in one round trip and in their order,
// and what else is to be sent behind them.
func (l *Ledger) runEach(ctx context.Context, s *redis.Script, calls []call, behind ...func(redis.Pipeliner)) ([]reply, []error) {
	replies, errs := make([]reply, len(calls)), make([]error, len(calls))
	if len(calls) == 1 && behind == nil {
		replies[0], errs[0] = l.run(ctx, s, calls[0].prefix, calls[0].args...)
		return replies, errs
	}
	sent := make([]*redis.Cmd, len(calls))
	_, _ = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error { // each command has its own error
		for i, c := range calls {
			sent[i] = s.EvalSha(ctx, p, []string{c.prefix}, c.args...)
		}
		for _, send := range behind {
			send(p)
		}
		return nil
	})
	for i, c := range calls {
		v, err := sent[i].Result()
		switch {
		case redis.HasErrorPrefix(err, "NOSCRIPT"): // the server does not have its text yet
			replies[i], errs[i] = l.run(ctx, s, c.prefix, c.args...)
		case ignoreNil(err) != nil:
			errs[i] = classify(err)
		default:
			replies[i] = replyOf(v)
		}
	}
	return replies, errs
}

func replyOf(v any) reply {
	if list, ok := v.([]any); ok {
		return list
	}
	return reply{v}
}

func (r reply) text(i int) string {
	if i >= len(r) || r[i] == nil {
		return ""
	}
	return fmt.Sprint(r[i])
}

// list is the list that stands at i, or none.
func (r reply) list(i int) reply {
	if i >= len(r) {
		return nil
	}
	l, _ := r[i].([]any)
	return l
}

func (r reply) int(i int) int64 {
	n, _ := strconv.ParseInt(r.text(i), 10, 64) // the scripts return whole numbers
	return n
}

// ready decodes what a script admitted, from element i on.
func (r reply) ready(i int) []Ready {
	var list []Ready
	for _, v := range r[min(i, len(r)):] {
		if e, ok := v.([]any); ok {
			item := reply(e)
			list = append(list, Ready{Delivery: item.text(0), Task: item.text(1), Generation: int(item.int(2)),
				Enqueue: int(item.int(3)), Queue: item.text(4), waited: time.Duration(item.int(5)) * time.Millisecond})
		}
	}
	return list
}

// dispatch puts what was admitted into the queue. A failure here is not the
// caller's: the sweep repairs it.
func (l *Ledger) dispatch(ctx context.Context, ready []Ready) {
	if len(ready) == 0 || l.queue == nil {
		return
	}
	if err := l.queue.Enqueue(context.WithoutCancel(ctx), ready); err != nil {
		l.opts.Log.WarnContext(ctx, "could not enqueue; the sweep will", "deliveries", len(ready), "error", err)
	}
}

func millis(d time.Duration) int64 { return d.Milliseconds() }

func fromMillis(text string) time.Time {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
