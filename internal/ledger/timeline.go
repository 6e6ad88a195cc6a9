package ledger

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

// Period counts the deliveries that were created in it, by where they stand now.
type Period struct {
	From     time.Time
	Complete int
	Open     int // waiting, queued, running or retrying
	Stopped  int // failed or blocked: somebody must act
}

func (p *Period) add(s waybill.State, n int) {
	switch s {
	case waybill.StateComplete:
		p.Complete += n
	case waybill.StateFailed, waybill.StateBlocked:
		p.Stopped += n
	case waybill.StateCancelled:
	default:
		p.Open += n
	}
}

// timelineMost bounds the deliveries of one team that are read to be counted.
const timelineMost = 2000

// Timeline counts deliveries in n periods, each of the length of step; the last
// one holds until. Of all teams it counts in the indexes; of one team it reads
// the newest 2,000 deliveries at most.
func (l *Ledger) Timeline(ctx context.Context, team string, until time.Time, step time.Duration, n int) ([]Period, error) {
	first := until.Truncate(step).Add(-time.Duration(n-1) * step)
	periods := make([]Period, n)
	for i := range periods {
		periods[i].From = first.Add(time.Duration(i) * step).UTC()
	}
	if team == "" {
		return periods, l.countAll(ctx, periods, step)
	}
	f := Filter{Team: team, Since: first, Limit: 500}
	for read := 0; read < timelineMost; read += f.Limit {
		page, err := l.List(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Deliveries {
			i := min(int(d.CreatedAt.Sub(first)/step), n-1)
			periods[max(i, 0)].add(d.State, 1)
		}
		if f.Cursor = page.Cursor; f.Cursor == "" {
			break
		}
	}
	return periods, nil
}

// countAll counts the entries of the indexes by state, in one round trip.
func (l *Ledger) countAll(ctx context.Context, periods []Period, step time.Duration) error {
	type count struct {
		period int
		state  waybill.State
		cmd    *redis.IntCmd
	}
	var counts []count
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range periods {
			from := periods[i].From.UnixMilli()
			upper := "(" + strconv.FormatInt(from+step.Milliseconds(), 10)
			for _, state := range waybill.States() {
				if state == waybill.StateCancelled {
					continue
				}
				for slot := range waybill.Slots {
					counts = append(counts, count{i, state, p.ZCount(ctx, prefix(slot)+"ix:s:"+string(state), strconv.FormatInt(from, 10), upper)})
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	for _, c := range counts {
		periods[c.period].add(c.state, int(c.cmd.Val()))
	}
	return nil
}
