package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

// ConnectorKey is what a connector is found by.
type ConnectorKey struct{ Team, ID string }

// ConnectorPauses says why connectors are paused, in one round trip; nil for
// one that is not.
func (l *Ledger) ConnectorPauses(ctx context.Context, keys []ConnectorKey) ([]*Pause, error) {
	cmds := make([]*redis.StringCmd, len(keys))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			cmds[i] = p.HGet(ctx, prefix(waybill.Slot(k.Team))+"cn:"+k.ID, "paused")
		}
		return nil
	})
	if ignoreNil(err) != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	pauses := make([]*Pause, len(keys))
	for i, c := range cmds {
		text, err := c.Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		if pauses[i], err = decodePause(text); err != nil {
			return nil, err
		}
	}
	return pauses, nil
}

// recentOf is how far back the last complete delivery of a connector is looked for.
const recentOf = 20

// Recent returns the newest deliveries to connectors, each connector's newest
// first, at most twenty of each, in two round trips.
func (l *Ledger) Recent(ctx context.Context, keys []ConnectorKey) ([][]waybill.Delivery, error) {
	cmds := make([]*redis.StringSliceCmd, len(keys))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			cmds[i] = p.ZRevRangeByScore(ctx, prefix(waybill.Slot(k.Team))+"ix:c:"+k.ID, &redis.ZRangeBy{Max: "+inf", Min: "-inf", Count: recentOf})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	var at []position
	for _, c := range cmds {
		for _, id := range c.Val() {
			at = append(at, position{id: id})
		}
	}
	all, err := l.deliveries(ctx, at)
	if err != nil {
		return nil, err
	}
	list := make([][]waybill.Delivery, len(keys))
	for i, c := range cmds {
		for _, d := range all[:len(c.Val())] {
			if d.ID != "" { // trimmed since
				list[i] = append(list[i], d)
			}
		}
		all = all[len(c.Val()):]
	}
	return list, nil
}
