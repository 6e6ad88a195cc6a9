package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/tasks"
)

// The next tick is the retry: asynq runs none of them again, keeps none in its
// archive, and the metrics tell what came of each.
func TestATickThatFailsIsDoneAndItsOutcomeIsCounted(t *testing.T) {
	cases := []struct {
		connector string
		err       error
		outcome   monitoring.Outcome
		stage     waybill.Stage
	}{
		{"fine", nil, monitoring.OutcomeComplete, ""},
		{"busy", fmt.Errorf("activity: %w", ledger.ErrGone), monitoring.OutcomeSkipped, ""},
		{"transient", failure(waybill.Transient), monitoring.OutcomeRetry, waybill.StageStage},
		{"throttled", failure(waybill.Throttled), monitoring.OutcomeRetry, waybill.StageStage},
		{"blocked", failure(waybill.Blocked), monitoring.OutcomeBlocked, waybill.StageStage},
		{"permanent", failure(waybill.Permanent), monitoring.OutcomeFailed, waybill.StageStage},
		{"unknown", errors.New("vendor text, secret=hunter2"), monitoring.OutcomeRetry, waybill.StageStage},
	}
	rdb := testservers.Redis(t).Client(t)
	returns, done := map[string]error{}, make(chan string, len(cases))
	for _, c := range cases {
		returns[c.connector] = c.err
	}
	registry := prometheus.NewRegistry()
	declared := tasks.ActivitySync.Declaration
	w, err := New(rdb, Config{Log: slog.New(slog.DiscardHandler), Queues: map[string]int{tasks.QueueActivity: 1},
		Metrics: monitoring.NewMetrics(registry, monitoring.Labels{Tasks: []monitoring.Task{{Name: declared.Name, Stages: declared.Stages}}}),
		Routes: []tasks.Route{tasks.Handle(tasks.ActivitySync, func(_ context.Context, ref tasks.ConnectorRef) error {
			done <- ref.Connector
			return returns[ref.Connector]
		})}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx, ctx) }()
	client := asynq.NewClientFromRedisClient(rdb)
	want := map[string]int{}
	for _, c := range cases {
		payload, err := tasks.ActivitySync.Encode(tasks.ConnectorRef{Connector: c.connector})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Enqueue(asynq.NewTask(declared.Name, payload), asynq.Queue(declared.Queue), asynq.MaxRetry(10), asynq.Retention(time.Hour)); err != nil {
			t.Fatal(err)
		}
		<-done
		want[string(c.outcome)+" "+string(c.stage)]++
	}
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		info, err := inspector.GetQueueInfo(declared.Queue)
		if err != nil {
			t.Fatal(err)
		}
		if info.Completed == len(cases) && info.Size == len(cases) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("of %d ticks asynq has %+v", len(cases), info)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == "waybill_deliveries_total" {
				want[labels["outcome"]+" "+labels["stage"]] -= int(m.GetCounter().GetValue())
			}
		}
	}
	for outcome, missing := range want {
		if missing != 0 {
			t.Errorf("of outcome %q the metric tells %d less than there were", outcome, missing)
		}
	}
}
