package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const ticksKey = "wb:{ticks}:last" // HASH entry → unix time of its last tick

var tickedScript = named("ticked", lua("ticked"))

// Ticks returns Redis's time, and the last tick of each entry.
func (l *Ledger) Ticks(ctx context.Context) (now time.Time, last map[string]int64, err error) {
	var clock *redis.TimeCmd
	var all *redis.MapStringStringCmd
	_, err = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		clock, all = p.Time(ctx), p.HGetAll(ctx, ticksKey)
		return nil
	})
	if err != nil {
		return now, nil, fmt.Errorf("ledger: %w", err)
	}
	last = make(map[string]int64, len(all.Val()))
	for name, text := range all.Val() {
		last[name] = int64(atoi(text))
	}
	return clock.Val(), last, nil
}

// Ticked remembers the last tick of an entry; an older one changes nothing.
func (l *Ledger) Ticked(ctx context.Context, entry string, tick int64) error {
	if err := tickedScript.Run(ctx, l.rdb, []string{ticksKey}, entry, tick).Err(); ignoreNil(err) != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}
