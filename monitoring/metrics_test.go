package monitoring

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

func pushTask() []Task {
	return []Task{{Name: "export.push", Stages: []waybill.Stage{waybill.StageStage, waybill.StageVerify}}}
}

func setup(t *testing.T) (*Metrics, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	return NewMetrics(reg, Labels{Tasks: pushTask(), Kinds: []waybill.Kind{waybill.KindStorage}, Queues: []string{"export"}, Connectors: []string{"acme-lake"}}), reg
}

// scrape returns what Prometheus would get, one sample a line.
func scrape(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func wantSamples(t *testing.T, text string, samples ...string) {
	t.Helper()
	for _, sample := range samples {
		if !slices.Contains(strings.Split(text, "\n"), sample) {
			t.Errorf("no sample %q in\n%s", sample, text)
		}
	}
}

func TestEverySeriesIsThereFromTheStart(t *testing.T) {
	_, reg := setup(t)
	text := scrape(t, reg)
	wantSamples(t, text,
		`waybill_deliveries_total{outcome="complete",stage="",task="export.push"} 0`,
		`waybill_deliveries_total{outcome="failed",stage="verify",task="export.push"} 0`,
		`waybill_retries_total{task="export.push",verdict="transient"} 0`,
		`waybill_tasks_in_progress{task="export.push"} 0`,
		`waybill_step_duration_seconds_count{stage="stage",task="export.push"} 0`,
		`waybill_step_failures_total{stage="verify",task="export.push"} 0`,
		`waybill_delivery_freshness_seconds_bucket{kind="storage",le="60"} 0`,
		`waybill_delivery_freshness_seconds_bucket{kind="storage",le="120"} 0`,
		`waybill_delivery_bytes_total{kind="storage"} 0`,
		`waybill_delivery_rows_total{kind="storage"} 0`,
		`waybill_cast_failures_total 0`,
		`waybill_quarantined_records_total 0`,
		`waybill_promised_deliveries_total{kind="storage",outcome="late"} 0`,
		`waybill_lease_losses_total{task="export.push"} 0`,
		`waybill_stale_fences_total{task="export.push"} 0`,
		`waybill_admission_wait_seconds_count{queue="export"} 0`,
		`waybill_connector_deliveries_total{connector="acme-lake",outcome="blocked"} 0`,
		`waybill_connector_last_delivery_timestamp_seconds{connector="acme-lake"} 0`,
	)
}

func TestMetricsCount(t *testing.T) {
	m, reg := setup(t)
	done := m.Started("export.push")
	running := scrape(t, reg)
	done()
	m.Outcome("export.push", OutcomeComplete, "")
	m.Outcome("export.push", OutcomeRetry, waybill.StageStage)
	m.Retry("export.push", waybill.Throttled)
	m.Step("export.push", waybill.StageStage, 3*time.Second, nil)
	m.Step("export.push", waybill.StageVerify, time.Hour, errors.New("no"))
	finished := time.Unix(1_700_000_000, 0)
	d := waybill.Delivery{Kind: waybill.KindStorage, Connector: "acme-lake", RunFinishedAt: finished}
	m.Delivered(d, 3201, 1<<20, finished.Add(59*time.Second))
	m.Delivered(d, 1, 1, finished.Add(-time.Hour)) // the producer's clock runs ahead
	m.Admitted("export", 3*time.Second)
	m.LeaseLost("export.push")
	m.StaleFence("export.push")
	m.Converted(waybill.Conversion{Quarantined: 2, Fields: []waybill.FieldStats{{CastFailures: 3}, {CastFailures: 4}}})
	wantSamples(t, running, `waybill_tasks_in_progress{task="export.push"} 1`)
	wantSamples(t, scrape(t, reg),
		`waybill_tasks_in_progress{task="export.push"} 0`,
		`waybill_deliveries_total{outcome="complete",stage="",task="export.push"} 1`,
		`waybill_deliveries_total{outcome="retry",stage="stage",task="export.push"} 1`,
		`waybill_retries_total{task="export.push",verdict="throttled"} 1`,
		`waybill_step_duration_seconds_sum{stage="stage",task="export.push"} 3`,
		`waybill_step_duration_seconds_count{stage="verify",task="export.push"} 0`,
		`waybill_step_failures_total{stage="verify",task="export.push"} 1`,
		`waybill_delivery_rows_total{kind="storage"} 3202`,
		`waybill_delivery_bytes_total{kind="storage"} 1.048577e+06`,
		`waybill_delivery_freshness_seconds_bucket{kind="storage",le="1"} 1`,
		`waybill_delivery_freshness_seconds_bucket{kind="storage",le="60"} 2`,
		`waybill_promised_deliveries_total{kind="storage",outcome="on_time"} 2`,
		`waybill_connector_deliveries_total{connector="acme-lake",outcome="complete"} 2`,
		`waybill_connector_last_delivery_timestamp_seconds{connector="acme-lake"} 1.6999964e+09`,
		`waybill_admission_wait_seconds_sum{queue="export"} 3`,
		`waybill_lease_losses_total{task="export.push"} 1`,
		`waybill_stale_fences_total{task="export.push"} 1`,
		`waybill_cast_failures_total 7`,
		`waybill_quarantined_records_total 2`,
	)
}

// Whatever a caller passes, the number of series stays bounded.
func TestLabelsAreBounded(t *testing.T) {
	m, reg := setup(t)
	before := testutil.CollectAndCount(m.deliveries)
	for _, name := range []string{"team-1", "team-2", "team-3"} {
		m.Started(name)()
		m.Outcome(name, Outcome(name), waybill.Stage(name))
		m.Retry(name, waybill.Verdict(name))
		m.Step(name, waybill.Stage(name), time.Second, nil)
		m.Delivered(waybill.Delivery{Kind: waybill.Kind(name), Connector: name}, 1, 1, time.Now())
		m.Ended(waybill.Delivery{Kind: waybill.Kind(name), Connector: name}, Outcome(name))
		m.Admitted(name, 0)
		m.LeaseLost(name)
		m.StaleFence(name)
	}
	if after := testutil.CollectAndCount(m.deliveries); after != before+1 {
		t.Errorf("%d series became %d", before, after)
	}
	text := scrape(t, reg)
	wantSamples(t, text, `waybill_deliveries_total{outcome="other",stage="other",task="other"} 3`)
	if strings.Contains(text, "team-") {
		t.Error("a label holds what a caller passed")
	}
}

func TestNilMetricsCountNothing(*testing.T) {
	var m *Metrics
	m.Started("x")()
	m.Outcome("x", OutcomeFailed, "")
	m.Retry("x", waybill.Transient)
	m.Step("x", "", 0, nil)
	m.Delivered(waybill.Delivery{}, 1, 1, time.Now())
	m.Ended(waybill.Delivery{}, OutcomeFailed)
	m.Admitted("x", 0)
	m.LeaseLost("x")
	m.StaleFence("x")
	var s *SchedulerMetrics
	s.Round("x", 0, nil)
	s.Repaired(RepairReplay)
	m.Converted(waybill.Conversion{})
	m.ActivityWritten("x", 1, 1, []time.Time{time.Now()})
	m.ActivityLost("x", 1)
}

// The catalog, from which the documentation's table is made, names exactly
// what a process exposes, with its type, labels and help.
func TestCatalog(t *testing.T) {
	m, reg := setup(t)
	m.ActivityWritten(waybill.KindStorage, 1, 1, []time.Time{time.Now()})
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = client.Close() })
	reg.MustRegister(NewQueueCollector(client, []string{"export"}))
	reg.MustRegister(NewBackfillCollector(func(context.Context) (BackfillFigures, error) {
		return BackfillFigures{States: map[string]int{"running": 1}, Planned: 7}, nil
	}, slog.Default()))
	NewShareMetrics(reg).Request("/shares", 200, time.Millisecond)
	NewSchedulerMetrics(reg, "sweep")
	NewHTTPMetrics(reg, "GET /v1/deliveries")
	reg.MustRegister(NewLedgerCollector(func(context.Context) (LedgerFigures, error) {
		return LedgerFigures{States: map[waybill.State]int64{waybill.StateFailed: 1}, Queues: map[string]QueueFigures{"export": {}},
			Destinations: []DestinationFigures{{Name: "s3"}}}, nil
	}), NewRedisCollector(func(context.Context) (RedisFigures, error) {
		return RedisFigures{Servers: []RedisServer{{Name: "redis"}}, Unsafe: map[string]bool{"eviction": false}}, nil
	}))
	expiries := NewExpiries()
	expiries.Set([]Expiry{{Credential: "sas", Connector: "acme-lake", At: time.Now()}})
	reg.MustRegister(expiries)
	reg.MustRegister(NewActivityLag(func(context.Context) (map[waybill.Kind]time.Duration, error) {
		return map[waybill.Kind]time.Duration{waybill.KindDatabricks: time.Minute}, nil
	}, slog.New(slog.DiscardHandler)))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	exposed := map[string]Metric{}
	for _, f := range families {
		m := Metric{Name: f.GetName(), Type: strings.ToLower(f.GetType().String()), Help: f.GetHelp()}
		for _, label := range f.GetMetric()[0].GetLabel() {
			m.Labels = append(m.Labels, label.GetName())
		}
		exposed[m.Name] = m
	}
	for _, want := range Catalog() {
		got := exposed[want.Name]
		slices.Sort(want.Labels)
		if got.Type != want.Type || got.Help != want.Help || !slices.Equal(got.Labels, want.Labels) {
			t.Errorf("catalog has %+v, exposed is %+v", want, got)
		}
		delete(exposed, want.Name)
	}
	if len(exposed) > 0 {
		t.Errorf("not in the catalog: %v", exposed)
	}
}

func queues(t *testing.T) (*miniredis.Miniredis, *redis.Client, *prometheus.Registry, *QueueCollector) {
	t.Helper()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	c := NewQueueCollector(client, []string{"export", "backfill"})
	_, reg := setup(t)
	reg.MustRegister(c)
	return server, client, reg, c
}

func TestQueueCollector(t *testing.T) {
	_, client, reg, _ := queues(t)
	producer := asynq.NewClientFromRedisClient(client)
	for _, opts := range [][]asynq.Option{{}, {}, {asynq.ProcessIn(time.Hour)}} {
		if _, err := producer.Enqueue(asynq.NewTask("export.push", nil), append(opts, asynq.Queue("export"))...); err != nil {
			t.Fatal(err)
		}
	}
	if err := asynq.NewInspectorFromRedisClient(client).PauseQueue("export"); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, reg)
	wantSamples(t, text,
		`waybill_queue_size{queue="export"} 3`,
		`waybill_queue_tasks{queue="export",state="pending"} 2`,
		`waybill_queue_tasks{queue="export",state="scheduled"} 1`,
		`waybill_queue_tasks{queue="export",state="active"} 0`,
		`waybill_queue_tasks{queue="export",state="retry"} 0`,
		`waybill_queue_tasks{queue="export",state="archived"} 0`,
		`waybill_queue_paused{queue="export"} 1`,
		// A queue that nobody has used yet.
		`waybill_queue_size{queue="backfill"} 0`,
		`waybill_queue_latency_seconds{queue="backfill"} 0`,
		`waybill_queue_paused{queue="backfill"} 0`,
		`waybill_queue_scrape_errors_total 0`,
	)
	if !strings.Contains(text, `waybill_queue_latency_seconds{queue="export"} `) {
		t.Error("no latency")
	}
}

func TestScrapeWithoutRedis(t *testing.T) {
	server, _, reg, _ := queues(t)
	server.Close()
	for _, errors := range []string{"1", "2"} {
		text := scrape(t, reg)
		wantSamples(t, text, `waybill_queue_scrape_errors_total `+errors, `waybill_delivery_rows_total{kind="storage"} 0`)
		if strings.Contains(text, "waybill_queue_size{") {
			t.Error("figures without Redis")
		}
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	wantSamples(t, scrape(t, reg), `waybill_queue_size{queue="export"} 0`)
}

// A Redis that takes a question and does not answer holds up no scrape, and
// is not asked a second time meanwhile.
func TestScrapeOfAStalledRedis(t *testing.T) {
	server, _, reg, c := queues(t)
	c.question.timeout = time.Millisecond
	server.Lock() // no command is answered until it is unlocked
	for _, errors := range []string{"1", "2", "3"} {
		wantSamples(t, scrape(t, reg), `waybill_queue_scrape_errors_total `+errors)
	}
	first := c.question.flight.join(func() ([]*asynq.QueueInfo, error) { panic("asked again") })
	server.Unlock()
	<-first.done
	if first.err != nil || len(first.value) != 2 {
		t.Errorf("the first question's answer: %v, %v", first.value, first.err)
	}
}
