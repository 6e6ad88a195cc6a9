package ledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

// keptEvents is how many events of a delivery are kept: HISTORY in lua/lib.lua.
const keptEvents = 100

// History returns what happened to a delivery, oldest first; the last 100 events.
func (l *Ledger) History(ctx context.Context, id string) ([]waybill.Event, error) {
	list, err := l.histories(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// histories loads the events of several deliveries, in two round trips.
func (l *Ledger) histories(ctx context.Context, ids []string) ([][]waybill.Event, error) {
	counts, err := l.fields(ctx, ids, func(int) []string { return []string{"n", "created"} })
	if err != nil {
		return nil, err
	}
	texts, err := l.fields(ctx, ids, func(i int) []string {
		names := []string{"n"} // there is always something to ask for
		n := atoi(reply(counts[i]).text(0))
		for k := max(1, n-keptEvents+1); k <= n; k++ {
			names = append(names, "e"+strconv.Itoa(k))
		}
		return names
	})
	if err != nil {
		return nil, err
	}
	list := make([][]waybill.Event, len(ids))
	for i, values := range texts {
		created := fromMillis(reply(counts[i]).text(1))
		list[i] = []waybill.Event{}
		for _, text := range values[1:] {
			if text, ok := text.(string); ok {
				list[i] = append(list[i], decodeEvent(created, text))
			}
		}
	}
	return list, nil
}

// fields reads fields of several deliveries in one round trip.
func (l *Ledger) fields(ctx context.Context, ids []string, names func(i int) []string) ([][]any, error) {
	cmds := make([]*redis.SliceCmd, len(ids))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			prefix, err := deliveryPrefix(id)
			if err != nil {
				return err
			}
			cmds[i] = p.HMGet(ctx, prefix+"d:"+id, names(i)...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	values := make([][]any, len(ids))
	for i, c := range cmds {
		values[i] = c.Val()
	}
	return values, nil
}

// decodeEvent reads what event of lua/lib.lua wrote.
func decodeEvent(created time.Time, text string) waybill.Event {
	part := strings.SplitN(text, "|", 9)
	part = append(part, make([]string, 9-len(part))...)
	return waybill.Event{
		At:       created.Add(time.Duration(atoi(part[0])) * time.Millisecond),
		What:     part[1],
		Attempt:  atoi(part[2]),
		Stage:    waybill.Stage(part[3]),
		Duration: time.Duration(atoi(part[4])) * time.Millisecond,
		Verdict:  waybill.Verdict(part[5]),
		Code:     part[6],
		Next:     fromMillis(part[7]),
		Action:   part[8],
	}
}
