package monitoring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waybillhq/waybill"
)

func TestTheLedgersFigures(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	var err error
	reg.MustRegister(NewLedgerCollector(func(context.Context) (LedgerFigures, error) {
		return LedgerFigures{
			States:           map[waybill.State]int64{waybill.StateFailed: 3},
			Queues:           map[string]QueueFigures{"export": {Waiting: 7, Held: 2, InFlight: 5, Overdue: 1, LongestWait: 90 * time.Second}},
			Destinations:     []DestinationFigures{{"s3/eu-central-1", 12, 9, 4}},
			PausedByFailures: 4, PausedByOperator: 1, PausedDestinations: 1, Unplanned: 6, OldestUnplanned: time.Minute}, err
	}))
	wantSamples(t, scrape(t, reg),
		`waybill_backlog_deliveries{queue="export"} 7`,
		`waybill_backlog_oldest_seconds{queue="export"} 90`,
		`waybill_held_deliveries{queue="export"} 2`,
		`waybill_in_flight_deliveries{queue="export"} 5`,
		`waybill_overdue_deliveries{queue="export"} 1`,
		`waybill_ledger_deliveries{state="failed"} 3`,
		`waybill_destination_connectors{destination="s3/eu-central-1"} 12`,
		`waybill_destination_failing_connectors{destination="s3/eu-central-1"} 9`,
		`waybill_destination_paused_connectors{destination="s3/eu-central-1"} 4`,
		`waybill_paused_connectors{by="failures"} 4`,
		`waybill_paused_connectors{by="operator"} 1`,
		`waybill_unplanned_runs 6`,
		`waybill_unplanned_oldest_seconds 60`,
		`waybill_ledger_scrape_errors_total 0`,
	)
	err = errors.New("no Redis")
	text := scrape(t, reg)
	wantSamples(t, text, `waybill_ledger_scrape_errors_total 1`)
	if strings.Contains(text, "waybill_backlog_deliveries{") {
		t.Error("figures without an answer")
	}
}

// However many endpoints customers name, the number of series stays bounded,
// the destinations with failures are among them, and the sum is right.
func TestDestinationsAreBounded(t *testing.T) {
	var list []DestinationFigures
	for i := range 500 {
		list = append(list, DestinationFigures{Name: fmt.Sprintf("s3/host-%03d", i), Connectors: 500, Paused: 0})
	}
	list[321] = DestinationFigures{"s3/host-321", 1, 1, 0}
	few := fewest(list)
	if len(few) != mostDestinations+1 || few[0].Name != "s3/host-321" || few[mostDestinations].Name != other {
		t.Fatalf("%d destinations, first %+v, last %+v", len(few), few[0], few[len(few)-1])
	}
	var sum int64
	for _, d := range few {
		sum += d.Connectors
	}
	if sum != 499*500+1 {
		t.Errorf("%d connectors in all", sum)
	}
}

func TestRedisFigures(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	var err error
	reg.MustRegister(NewRedisCollector(func(context.Context) (RedisFigures, error) {
		return RedisFigures{Servers: []RedisServer{{"redis", 900, 1000}, {"silent", -1, -1}}, Ahead: -2 * time.Second,
			Unsafe: map[string]bool{"eviction": true, "clock": false}}, err
	}))
	text := scrape(t, reg)
	wantSamples(t, text, `waybill_redis_up 1`, `waybill_redis_memory_used_bytes{server="redis"} 900`, `waybill_redis_memory_max_bytes{server="redis"} 1000`,
		`waybill_redis_unsafe{check="eviction"} 1`, `waybill_redis_unsafe{check="clock"} 0`, `waybill_redis_clock_skew_seconds -2`)
	if strings.Contains(text, "silent") {
		t.Error("what was not told is shown")
	}
	err = errors.New("no Redis")
	if text := scrape(t, reg); strings.TrimSpace(text) != "# HELP waybill_redis_up 1 while Redis answers.\n# TYPE waybill_redis_up gauge\nwaybill_redis_up 0" {
		t.Errorf("without Redis: %s", text)
	}
}

// Of many credentials those that end first are shown, and one that was renewed
// no longer.
func TestTheCredentialsThatEndFirstAreShown(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	e := NewExpiries()
	reg.MustRegister(e)
	if text := scrape(t, reg); text != "" {
		t.Errorf("before anything was looked at: %s", text)
	}
	var list []Expiry
	for i := range 100 {
		list = append(list, Expiry{"share-token", fmt.Sprintf("c%02d", i), time.Unix(int64(2000-i), 0)})
	}
	e.Set(list)
	text := scrape(t, reg)
	wantSamples(t, text, `waybill_credential_expiry_timestamp_seconds{connector="c99",credential="share-token"} 1901`)
	if n := strings.Count(text, "\nwaybill_credential"); n != mostExpiries {
		t.Errorf("%d are shown", n)
	}
	e.Set(list[:1])
	if text := scrape(t, reg); strings.Contains(text, "c99") {
		t.Error("one that was renewed is shown")
	}
}

func TestSchedulerMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := NewSchedulerMetrics(reg, "sweep", "plan")
	m.Round("sweep", time.Second, nil)
	m.Round("sweep", time.Second, errors.New("no"))
	m.Round("team-1", time.Second, nil)
	m.Repaired(RepairLostTask)
	text := scrape(t, reg)
	wantSamples(t, text, `waybill_scheduler_rounds_total{outcome="ok",work="sweep"} 1`, `waybill_scheduler_rounds_total{outcome="failed",work="sweep"} 1`,
		`waybill_scheduler_rounds_total{outcome="failed",work="plan"} 0`, `waybill_repairs_total{why="lost_task"} 1`, `waybill_repairs_total{why="replay"} 0`)
	if strings.Contains(text, "team-1") {
		t.Error("a label holds what a caller passed")
	}
}
