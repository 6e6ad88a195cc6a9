package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/tasks"
)

func TestAPoolsServersShareItsHandlers(t *testing.T) {
	for handlers, want := range map[int][]int{1: {1}, 7: {7}, 8: {8}, 15: {15}, 16: {8, 8}, 25: {8, 8, 9}, 32: {8, 8, 8, 8}, 201: {50, 50, 50, 51}} {
		w := &Worker{cfg: Config{Queues: map[string]int{tasks.QueueExport: handlers}, Log: slog.New(slog.DiscardHandler)}}
		var got []int
		for _, server := range w.pool(tasks.QueueExport) {
			got = append(got, server.Concurrency)
			if looks := server.TaskCheckInterval; looks != paceOf(tasks.QueueExport).ready*time.Duration(2*len(want)+1)/3 {
				t.Errorf("each of %d servers looks every %s", len(want), looks)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d handlers are in servers of %v, want %v", handlers, got, want)
		}
	}
}

// All handlers of a large pool work at once, no task is given to two, and to
// whoever asks it is the pool of one process.
func TestALargePoolUsesAllItsHandlers(t *testing.T) {
	const handlers, ticks = 20, 60
	rdb := testservers.Redis(t).Client(t)
	var mu sync.Mutex
	seen := map[string]int{}
	arrived, release := make(chan struct{}, ticks), make(chan struct{})
	w, err := New(rdb, Config{Log: slog.New(slog.DiscardHandler), Queues: map[string]int{tasks.QueueActivity: handlers},
		Routes: []tasks.Route{tasks.Handle(tasks.ActivitySync, func(_ context.Context, ref tasks.ConnectorRef) error {
			mu.Lock()
			seen[ref.Connector]++
			mu.Unlock()
			arrived <- struct{}{}
			<-release
			return nil
		})}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx, ctx) }()
	client := asynq.NewClientFromRedisClient(rdb)
	for i := range ticks {
		payload, err := tasks.ActivitySync.Encode(tasks.ConnectorRef{Connector: fmt.Sprint("connector-", i)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.EnqueueContext(ctx, asynq.NewTask(tasks.ActivitySync.Name, payload), asynq.Queue(tasks.QueueActivity)); err != nil {
			t.Fatal(err)
		}
	}
	for range handlers {
		<-arrived
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) { // it tells of itself every few seconds
		pools, err := monitoring.Pools(rdb)
		if err != nil {
			t.Fatal(err)
		}
		want := monitoring.Pool{Processes: 1, Handlers: handlers, Waiting: ticks - handlers}
		got := pools[tasks.QueueActivity]
		if got == want {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the pool is %+v, want %+v", got, want)
		}
	}
	close(release)
	for range ticks - handlers {
		<-arrived
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if len(seen) != ticks {
		t.Errorf("%d of %d ticks were worked on", len(seen), ticks)
	}
	for connector, n := range seen {
		if n != 1 {
			t.Errorf("%s was worked on %d times", connector, n)
		}
	}
}
