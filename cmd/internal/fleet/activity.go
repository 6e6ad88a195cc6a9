package fleet

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/source"
	"github.com/waybillhq/waybill/scheduler"
	"github.com/waybillhq/waybill/tasks"
)

// activityLog is the platform's activity log; nil where there is no platform.
func (f *Fleet) activityLog() handlers.ActivityLog {
	if f.Config.Platform.URL == "" {
		return nil
	}
	return source.ActivityLog{Web: f.guard, Platform: f.platform()}
}

// entries are what is due at regular times.
func (f *Fleet) entries() scheduler.Entries {
	activity := f.activityEntries()
	return func(ctx context.Context) ([]scheduler.Entry, error) {
		logs, err := activity(ctx)
		if err != nil {
			return nil, err
		}
		backfills, err := f.backfillEntries(ctx)
		return append(backfills, logs...), err
	}
}

// entriesKept is how long a list of what is due is used, which is looked at each second.
const entriesKept = 5 * time.Second

// activityEntries lists ticks, one each minute, for every connector that can have an
// activity log, spread over the minute: see times.activity. One whose log is switched off has
// ticks as well: one of them takes the log from the customer.
func (f *Fleet) activityEntries() scheduler.Entries {
	if f.Config.Platform.URL == "" {
		return func(context.Context) ([]scheduler.Entry, error) { return nil, nil }
	}
	var mu sync.Mutex
	var kept []scheduler.Entry
	var until time.Time
	return func(ctx context.Context) ([]scheduler.Entry, error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Now().Before(until) {
			return kept, nil
		}
		all, err := f.Connectors.List(ctx, "")
		if err != nil {
			return nil, err
		}
		entries := []scheduler.Entry{}
		for _, c := range all {
			if c.Kind == waybill.KindStorage {
				continue
			}
			e, err := activityEntry(c, f.Config.Times.Activity.Truncate(time.Second))
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
		kept, until = entries, time.Now().Add(entriesKept)
		return kept, nil
	}
}

func activityEntry(c connectors.Connector, every time.Duration) (scheduler.Entry, error) {
	payload, err := tasks.ActivitySync.Encode(tasks.ConnectorRef{Connector: c.ID})
	if err != nil {
		return scheduler.Entry{}, fmt.Errorf("activity of connector %s: %w", c.ID, err)
	}
	place := fnv.New32a()
	_, _ = place.Write([]byte(c.ID)) // it never fails
	return scheduler.Entry{Name: tasks.ActivitySync.Name + ":" + c.ID, Task: tasks.ActivitySync.Declaration, Payload: payload,
		Every: every, Offset: time.Duration(place.Sum32()) * time.Second % every}, nil
}

// activityLag is how far the activity log that lags most behind does, by kind
// of connector.
func (f *Fleet) activityLag(ctx context.Context) (map[waybill.Kind]time.Duration, error) {
	all, err := f.Connectors.List(ctx, "")
	if err != nil {
		return nil, err
	}
	now, err := f.Ledger.Now(ctx)
	if err != nil {
		return nil, err
	}
	lags := map[waybill.Kind]time.Duration{}
	for _, c := range all {
		if !c.LogsActivity() {
			continue
		}
		cursor, err := f.Ledger.ActivityCursor(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		until := cursor.Until
		if until.IsZero() { // no tick was done yet
			until = c.CreatedAt
		}
		lags[c.Kind] = max(lags[c.Kind], now.Sub(until))
	}
	return lags, nil
}
