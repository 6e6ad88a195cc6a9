package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waybillhq/waybill/internal/ledger"
)

func TestSchedulersHearOfThoseThatDifferAsLongAsTheyLive(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		a := ledger.SchedulerSettings{Name: "a", Settings: map[string]string{"limits.maxInFlight": "4", "times.sweep": "3"}, Connectors: map[string]string{"acme": "1"}}
		c := ledger.SchedulerSettings{Name: "c", Settings: map[string]string{"limits.maxInFlight": "8", "times.sweep": "3", "new": "1"},
			Connectors: map[string]string{"acme": "2", "late": "1"}}
		announce := func(s ledger.SchedulerSettings, want ...string) {
			t.Helper()
			others, err := b.AnnounceScheduler(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range others {
				got = append(got, fmt.Sprint(o.Name, s.Differences(o)))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s hears %v, want %v", s.Name, got, want)
			}
		}
		announce(a)
		announce(a)
		same := a
		same.Name = "b"
		announce(same)
		announce(c, "a[limits.maxInFlight new connector acme connector late]", "b[limits.maxInFlight new connector acme connector late]")
		announce(a, "c[limits.maxInFlight new connector acme connector late]")
		if all, err := b.Schedulers(t.Context()); err != nil || len(all) != 3 {
			t.Errorf("%d schedulers, %v", len(all), err)
		}

		c.Settings, c.Connectors = a.Settings, a.Connectors // restarted with the other's configuration
		announce(c)
		announce(a)

		c.Settings = map[string]string{"limits.maxInFlight": "8"}
		announce(c, "a[limits.maxInFlight times.sweep]", "b[limits.maxInFlight times.sweep]")
		silent := fmt.Sprintf("%d x", time.Now().Add(-2*time.Minute).UnixMilli())
		if err := b.rdb.HSet(t.Context(), "wb:{schedulers}:alive", "c", silent).Err(); err != nil {
			t.Fatal(err)
		}
		if all, err := b.Schedulers(t.Context()); err != nil || len(all) != 2 {
			t.Errorf("%d schedulers, %v; want those that are not silent", len(all), err)
		}
		announce(a)
		if n := b.rdb.HLen(t.Context(), "wb:{schedulers}:say").Val(); n != 2 {
			t.Errorf("%d are remembered, want 2", n)
		}
		b.rdb.FlushAll(t.Context())
		announce(a)
		announce(c, "a[limits.maxInFlight times.sweep]")
	})
}
