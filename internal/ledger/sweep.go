package ledger

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

var (
	repairScript   = script("repair")
	postponeScript = script("postpone")
)

// Due is a delivery that should have moved on by now.
type Due struct {
	Ready
	State waybill.State
}

// Due returns deliveries whose time to be looked after has come, at most limit
// of each slot: queued ones whose task may be lost, running ones whose lease
// is over, failed ones whose replay is due.
func (l *Ledger) Due(ctx context.Context, limit int64) ([]Due, error) {
	now, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	ids, err := l.perSlot(ctx, func(p redis.Pipeliner, prefix string) *redis.StringSliceCmd {
		return p.ZRangeByScore(ctx, prefix+"due", &redis.ZRangeBy{Min: "-inf", Max: strconv.FormatInt(now.UnixMilli(), 10), Count: limit})
	})
	if err != nil {
		return nil, err
	}
	var list []Due
	for slot, members := range ids {
		for _, id := range members {
			f, err := l.rdb.HMGet(ctx, prefix(slot)+"d:"+id, "state", "task", "gen", "enqueue", "queue").Result()
			if err != nil {
				return list, fmt.Errorf("ledger: %w", err)
			}
			r := reply(f)
			list = append(list, Due{State: waybill.State(r.text(0)),
				Ready: Ready{Delivery: id, Task: r.text(1), Generation: int(r.int(2)), Enqueue: int(r.int(3)), Queue: r.text(4)}})
		}
	}
	return list, nil
}

// Repair hands a delivery to the queue once more. It does nothing, and says
// false, if the delivery moved on since it was listed.
func (l *Ledger) Repair(ctx context.Context, d Due) (bool, error) {
	p, err := deliveryPrefix(d.Delivery)
	if err != nil {
		return false, err
	}
	r, err := l.run(ctx, repairScript, p, d.Delivery, d.Enqueue, millis(l.opts.Grace))
	if err != nil {
		return false, err
	}
	l.dispatch(ctx, r.ready(0))
	return len(r.ready(0)) > 0, nil
}

// Replay starts a failed delivery's slow automatic replay.
func (l *Ledger) Replay(ctx context.Context, id string) error { return l.again(ctx, id, "replayed") }

// Postpone looks after a delivery later: its task is where it should be.
func (l *Ledger) Postpone(ctx context.Context, id string, by time.Duration) error {
	p, err := deliveryPrefix(id)
	if err != nil {
		return err
	}
	_, err = l.run(ctx, postponeScript, p, id, millis(by))
	return err
}

const wakeChannel = "wb:wake"

// Wake tells schedulers that a run was accepted. It is a courtesy: who misses
// it finds the run at the next sweep.
func (l *Ledger) Wake(ctx context.Context) error {
	return l.rdb.Publish(ctx, wakeChannel, "run").Err()
}

// Wakes receives a value after runs were accepted, until ctx ends.
func (l *Ledger) Wakes(ctx context.Context) <-chan struct{} {
	out := make(chan struct{}, 1)
	sub := l.rdb.Subscribe(ctx, wakeChannel)
	messages := sub.Channel() // reconnects by itself
	go func() {
		defer func() { _ = sub.Close() }()
		for {
			select {
			case <-ctx.Done():
				return
			case _, ok := <-messages:
				if !ok {
					return
				}
			}
			select {
			case out <- struct{}{}:
			default: // one is waiting already
			}
		}
	}()
	return out
}
