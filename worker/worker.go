// Package worker runs work: a pool of asynq servers for each queue, so that no
// class of work waits for another; a watchdog over each step; the translation
// of a failure into what the queue does next; and an orderly end. It knows
// handlers only as the routes of package tasks.
package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/tasks"
)

// ErrShutdown is the cause by which a handler's context ends when the process
// is told to stop. The attempt is given back and costs nothing.
var ErrShutdown = errors.New("the worker is shutting down")

// Config says what a worker runs and how. Zero values take the defaults.
type Config struct {
	Queues     map[string]int // queue → handlers at a time in this process
	Routes     []tasks.Route
	Stall      time.Duration // a step that moves nothing this long is cancelled; default 5 min
	DrainGrace time.Duration // how long running attempts may go on after the first signal; default 20 s
	Metrics    *monitoring.Metrics
	Log        *slog.Logger

	noCompletionHook bool // tests switch it off to see what it is for
}

// Worker is the asynq servers of one process.
type Worker struct {
	cfg     Config
	routes  map[string]tasks.Route
	servers []*asynq.Server
	running sync.WaitGroup
	stop    context.Context // ends with ErrShutdown when attempts must end
	abort   context.CancelCauseFunc
}

// New returns a worker on a Redis, to whose client it adds a hook.
func New(rdb redis.UniversalClient, cfg Config) (*Worker, error) {
	cfg.Stall = cmp.Or(cfg.Stall, 5*time.Minute)
	cfg.DrainGrace = cmp.Or(cfg.DrainGrace, 20*time.Second)
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	w := &Worker{cfg: cfg, routes: map[string]tasks.Route{}}
	if !cfg.noCompletionHook {
		rdb.AddHook(completionHook{cfg.Log})
	}
	w.stop, w.abort = context.WithCancelCause(context.Background())
	for _, r := range cfg.Routes {
		w.routes[r.Name] = r
	}
	for _, queue := range slices.Sorted(maps.Keys(cfg.Queues)) {
		if !slices.Contains(tasks.QueueNames(), queue) {
			return nil, fmt.Errorf("queue %q does not exist; queues are %v", queue, tasks.QueueNames())
		}
		if cfg.Queues[queue] < 1 {
			return nil, fmt.Errorf("queue %s=%d: give at least one handler", queue, cfg.Queues[queue])
		}
		for _, server := range w.pool(queue) {
			w.servers = append(w.servers, asynq.NewServerFromRedisClient(rdb, server))
		}
	}
	if len(w.servers) == 0 {
		return nil, fmt.Errorf("no queue to work on; queues are %v", tasks.QueueNames())
	}
	return w, nil
}

// Run works until ctx ends, then drains: no new task is taken, running
// attempts may finish within the grace, what is left is given back. When force
// ends, what is left is given back at once.
func (w *Worker) Run(ctx, force context.Context) error {
	for i, s := range w.servers {
		if err := s.Start(asynq.HandlerFunc(w.process)); err != nil {
			for _, started := range w.servers[:i] {
				started.Shutdown()
			}
			return fmt.Errorf("start worker: %w", err)
		}
	}
	<-ctx.Done()
	w.drain(force)
	return nil
}

func (w *Worker) drain(force context.Context) {
	w.cfg.Log.Info("draining: no new tasks; running attempts may finish", "grace", w.cfg.DrainGrace)
	for _, s := range w.servers {
		s.Stop()
	}
	idle := make(chan struct{})
	go func() { w.running.Wait(); close(idle) }()
	grace := time.NewTimer(w.cfg.DrainGrace)
	defer grace.Stop()
	select {
	case <-idle:
	case <-force.Done():
	case <-grace.C:
	}
	w.abort(ErrShutdown)
	for _, s := range w.servers {
		s.Shutdown()
	}
}

// process is asynq's handler for every task.
func (w *Worker) process(ctx context.Context, t *asynq.Task) error {
	w.running.Add(1)
	defer w.running.Done()
	route, ok := w.routes[t.Type()]
	if !ok {
		return &verdict{text: "task type is unknown to this version; left for a newer worker", after: time.Minute}
	}
	// Our own context, not asynq's, ends at shutdown: asynq would take the task
	// from a handler that still runs.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(w.stop, func() { cancel(context.Cause(w.stop)) })()
	defer w.cfg.Metrics.Started(route.Name)()
	ctx = w.watch(ctx, cancel)
	return w.settle(ctx, route.Declaration, route.Run(ctx, t.Payload()))
}
