// Package fleet measures what the ledger, admission and the repair cost on the
// way of a delivery: against the bare queue with the same handler, on the same
// Redis, in turns. It is no test: it fails on faults, never on figures. Run it
// with: make bench-fleet.
package fleet

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/scheduler"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/worker"
)

var measure = flag.Bool("measure", false, "measure; without it nothing is done")

const (
	deliveries = 2000 // of one round
	rounds     = 3
	producers  = 16
	handlers   = 32
	teams      = 8
	alone      = 300 // deliveries that have an idle fleet for themselves
)

// system is a Redis as it is to be run, and what counts the commands sent to it.
type system struct {
	rdb  *redis.Client
	sent atomic.Int64
}

func newSystem(b *testing.B) *system {
	b.Helper()
	server := testservers.Redis(b, "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
	s := &system{rdb: redis.NewClient(&redis.Options{Addr: server.Addr, PoolSize: producers + handlers + 20})}
	b.Cleanup(func() { _ = s.rdb.Close() })
	s.rdb.AddHook(s)
	return s
}

var _ redis.Hook = (*system)(nil)

// DialHook implements [redis.Hook].
func (*system) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook counts a command.
func (s *system) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { s.sent.Add(1); return next(ctx, cmd) }
}

// ProcessPipelineHook counts a pipeline's commands.
func (s *system) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		s.sent.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

// whole is a fleet in one process whose deliveries do nothing.
type whole struct {
	*system
	ledger  *ledger.Ledger
	client  *tasks.Client
	queued  sync.Map // delivery → when the queue had it
	started sync.Map // delivery → when its handler began
	done    atomic.Int64
}

// enqueuer notes when the queue has a delivery.
type enqueuer struct {
	ledger.Queue
	f *whole
}

func (e enqueuer) Enqueue(ctx context.Context, ready []ledger.Ready) error {
	err := e.Queue.Enqueue(ctx, ready)
	for _, r := range ready {
		e.f.queued.LoadOrStore(r.Delivery, time.Now())
	}
	return err
}

// queues are the pools of the worker: all that there are.
var queues = map[string]int{tasks.QueueExport: handlers, tasks.QueueSnowflake: 4, tasks.QueueDelta: 4, tasks.QueueActivity: 2, tasks.QueueBackfill: 2}

// newFleet starts a worker, and a scheduler if wanted.
func newFleet(b *testing.B, scheduled bool) *whole {
	b.Helper()
	f := &whole{system: newSystem(b)}
	bucket := &bucket{objects: map[string][]byte{}}
	quiet := slog.New(slog.DiscardHandler)
	f.ledger = ledger.New(f.rdb, bucket, enqueuer{tasks.NewEnqueuer(f.rdb), f}, ledger.Options{Log: quiet})
	f.client = tasks.NewClient(f.rdb, bucket)
	w, err := worker.New(f.rdb, worker.Config{Queues: queues, Routes: []tasks.Route{tasks.Handle(tasks.ExportPush, f.deliver)}, Log: quiet})
	ok(b, err)
	ctx, stop := context.WithCancel(b.Context())
	var group errgroup.Group
	group.Go(func() error { return w.Run(ctx, ctx) })
	if scheduled {
		s := scheduler.New(scheduler.Config{Ledger: f.ledger, Redis: f.rdb, Log: quiet, Sweep: time.Second, Subscribers: subscribers})
		group.Go(func() error { return s.Run(ctx) })
	}
	b.Cleanup(func() { stop(); ok(b, group.Wait()) })
	time.Sleep(2 * time.Second) // a sweep has seen the worker
	return f
}

func (f *whole) deliver(ctx context.Context, ref tasks.DeliveryRef) error {
	f.started.Store(ref.Delivery, time.Now())
	lease, err := f.ledger.Begin(ctx, ref.Delivery, ref.Generation, ref.Enqueue)
	if err != nil {
		return err
	}
	err = lease.Complete(lease.Context(), waybill.Receipt{})
	if err == nil {
		f.done.Add(1)
	}
	return lease.Close(err)
}

func subscribers(_ context.Context, team string) (list []scheduler.Subscriber, _ error) {
	for i := range teams {
		if name := fmt.Sprintf("team-%d", i); team == "" || team == name {
			list = append(list, scheduler.Subscriber{ID: "lake-" + name, Team: name, Kind: waybill.KindStorage, MaxInFlight: handlers, Wants: func(string) bool { return true }})
		}
	}
	return list, nil
}

// finished is later than what a new Redis has looked up in our bucket, where
// an older one may have left it: see its horizon.
var finished = time.Now().Add(time.Hour)

func run(i int) waybill.Run {
	return waybill.Run{
		RunKey: waybill.RunKey{TeamID: fmt.Sprintf("team-%d", i%teams), WorkflowID: "wf", JobID: fmt.Sprintf("job-%06d", i)},
		State:  waybill.RunFinished, FinishedAt: finished, Source: waybill.Source{URI: "file:///runs/x"},
		Schema: waybill.Schema{Fields: []waybill.Field{{Name: "a", DataType: waybill.String}}},
	}
}

func ok(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// produce hands n pieces of work in, from several producers at once.
func produce(b *testing.B, n int, one func(i int) error) {
	b.Helper()
	var group errgroup.Group
	for p := range producers {
		group.Go(func() error {
			for i := p; i < n; i += producers {
				if err := one(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	ok(b, group.Wait())
}

func await(b *testing.B, done func() bool) {
	b.Helper()
	for deadline := time.Now().Add(10 * time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("the work was not done within ten minutes")
		}
	}
}

// bare measures the queue alone: tasks per second, from the first hand-in to
// the last one done. Its handlers are those of one server, as asynq has it, or
// are shared by several, as a worker has them.
func bare(b *testing.B, servers int) float64 {
	b.Helper()
	s := newSystem(b)
	var done atomic.Int64
	for range servers {
		server := asynq.NewServerFromRedisClient(s.rdb, asynq.Config{Concurrency: handlers / servers, TaskCheckInterval: 20 * time.Millisecond, LogLevel: asynq.FatalLevel})
		ok(b, server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { done.Add(1); return nil })))
		defer server.Shutdown()
	}
	client := asynq.NewClientFromRedisClient(s.rdb)
	began := time.Now()
	produce(b, deliveries, func(i int) error {
		_, err := client.EnqueueContext(b.Context(), asynq.NewTask("noop", nil), asynq.TaskID(fmt.Sprint(i)), asynq.MaxRetry(10), asynq.Retention(24*time.Hour))
		return err
	})
	await(b, func() bool { return done.Load() == deliveries })
	return deliveries / time.Since(began).Seconds()
}

// fleet measures the same of deliveries, from the first run that is handed in.
func fleet(b *testing.B) float64 {
	b.Helper()
	f := newFleet(b, true)
	began := time.Now()
	produce(b, deliveries, func(i int) error { _, err := f.client.Submit(b.Context(), run(i)); return err })
	await(b, func() bool { return f.done.Load() == deliveries })
	return deliveries / time.Since(began).Seconds()
}

// BenchmarkThroughput prints all, in turns, and the ratios of the medians.
func BenchmarkThroughput(b *testing.B) {
	if !*measure {
		b.Skip("without -measure nothing is measured; run: make bench-fleet")
	}
	for b.Loop() {
		var queue, shared, whole []float64
		for n := range rounds {
			queue, shared, whole = append(queue, bare(b, 1)), append(shared, bare(b, 4)), append(whole, fleet(b))
			fmt.Printf("round %d: the queue alone %.0f tasks/s, %.0f with four servers; the fleet %.0f deliveries/s\n", n+1, queue[n], shared[n], whole[n])
		}
		ratio := median(whole) / median(queue)
		fmt.Printf("deliveries of the fleet / tasks of the queue alone: %.2f (at least 0.3); with four servers: %.2f\n", ratio, median(whole)/median(shared))
		b.ReportMetric(ratio, "ratio")
	}
}

// BenchmarkStart prints how long after it is handed in, and after the queue has
// it, a delivery starts that has the fleet for itself.
func BenchmarkStart(b *testing.B) {
	if !*measure {
		b.Skip("without -measure nothing is measured; run: make bench-fleet")
	}
	for b.Loop() {
		f := newFleet(b, true)
		handedIn, enqueued := f.oneByOne(b)
		fmt.Printf("handed in → start: p50 %s p99 %s\n", percentile(handedIn, 50), percentile(handedIn, 99))
		fmt.Printf("enqueued → start: p50 %s p99 %s (at most 10 ms and 100 ms)\n", percentile(enqueued, 50), percentile(enqueued, 99))
	}
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// oneByOne hands runs in, each when the one before is done. Where the handler
// was faster than the enqueuer's own answer, the time from there is none.
func (f *whole) oneByOne(b *testing.B) (handedIn, enqueued []time.Duration) {
	b.Helper()
	for i := range alone {
		r := run(i)
		id := waybill.DeliveryID(r.RunKey, "lake-"+r.TeamID)
		began := time.Now()
		_, err := f.client.Submit(b.Context(), r)
		ok(b, err)
		await(b, func() bool { return f.done.Load() == int64(i+1) })
		at, _ := f.started.Load(id)
		queued, _ := f.queued.Load(id)
		handedIn = append(handedIn, at.(time.Time).Sub(began))
		enqueued = append(enqueued, max(at.(time.Time).Sub(queued.(time.Time)), 0))
		time.Sleep(time.Duration(i%40) * time.Millisecond) // at no fixed place between two looks at the queue
	}
	slices.Sort(handedIn)
	slices.Sort(enqueued)
	return handedIn, enqueued
}

func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[len(sorted)*p/100].Round(100 * time.Microsecond)
}

// BenchmarkIdle prints what a worker process without work asks of Redis.
func BenchmarkIdle(b *testing.B) {
	if !*measure {
		b.Skip("without -measure nothing is measured; run: make bench-fleet")
	}
	const window = 20 * time.Second
	for b.Loop() {
		f := newFleet(b, false)
		sent, processed := f.sent.Load(), f.processed(b)
		time.Sleep(window)
		fmt.Printf("an idle worker of %d pools: %.0f commands/s (at most 300); with those inside its scripts %.0f\n", len(queues),
			float64(f.sent.Load()-sent)/window.Seconds(), float64(f.processed(b)-processed)/window.Seconds())
	}
}

// processed is Redis's own count of commands.
func (s *system) processed(b *testing.B) (n int64) {
	b.Helper()
	info, err := s.rdb.Info(b.Context(), "stats").Result()
	ok(b, err)
	_, text, _ := strings.Cut(info, "total_commands_processed:")
	_, err = fmt.Sscan(text, &n)
	ok(b, err)
	return n
}
