package monitoring

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waybillhq/waybill"
)

// What was promised is counted once for each delivery that it was promised
// for, and for no other.
func TestAPromiseIsCountedOnceWhereItWasGiven(t *testing.T) {
	finished := time.Now()
	live := waybill.Delivery{Kind: waybill.KindStorage, RunFinishedAt: finished}
	historical, replayed := live, live
	historical.Historical, replayed.Replays = true, 1
	for _, c := range []struct {
		name                 string
		count                func(m *Metrics)
		onTime, late, failed float64
	}{
		{"within a minute", func(m *Metrics) { m.Delivered(live, 1, 1, finished.Add(time.Minute)) }, 1, 0, 0},
		{"later", func(m *Metrics) { m.Delivered(live, 1, 1, finished.Add(61*time.Second)) }, 0, 1, 0},
		{"a large one", func(m *Metrics) { m.Delivered(live, 1, promisedBytes+1, finished.Add(time.Hour)) }, 0, 0, 0},
		{"a historical one", func(m *Metrics) { m.Delivered(historical, 1, 1, finished.Add(time.Hour)) }, 0, 0, 0},
		{"gave up", func(m *Metrics) { m.Ended(live, OutcomeFailed) }, 0, 0, 1},
		{"gave up, then replayed", func(m *Metrics) { m.Ended(live, OutcomeFailed); m.Delivered(replayed, 1, 1, finished.Add(time.Hour)) }, 0, 0, 1},
		{"waits for the customer", func(m *Metrics) { m.Ended(live, OutcomeBlocked) }, 0, 0, 0},
		{"will be tried again", func(m *Metrics) { m.Ended(live, OutcomeRetry) }, 0, 0, 0},
	} {
		m, _ := setup(t)
		c.count(m)
		for outcome, want := range map[string]float64{onTime: c.onTime, late: c.late, missed: c.failed} {
			if got := testutil.ToFloat64(m.promised.WithLabelValues("storage", outcome)); got != want {
				t.Errorf("%s: %s counted %v, want %v", c.name, outcome, got, want)
			}
		}
	}
}

func TestHistoricalDeliveriesDoNotCountAsStale(t *testing.T) {
	m, reg := setup(t)
	m.Delivered(waybill.Delivery{Kind: waybill.KindStorage, Historical: true, RunFinishedAt: time.Now().AddDate(-1, 0, 0)}, 7, 7, time.Now())
	wantSamples(t, scrape(t, reg), `waybill_delivery_freshness_seconds_count{kind="storage"} 0`, `waybill_delivery_rows_total{kind="storage"} 7`)
}
