// Package scheduler decides what is enqueued and when: it plans accepted runs
// into deliveries, admits them and repairs what a crash left. Any number
// of replicas run side by side without a leader: everything they do is one
// atomic, idempotent change of the ledger.
package scheduler

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// Subscriber is what the planner needs to know of a connector.
type Subscriber struct {
	ID          string
	Team        string
	Kind        waybill.Kind
	MaxInFlight int
	Destination string // what can be paused as one, e.g. s3/eu-central-1
	Notify      string // who is told what becomes of its deliveries
	Wants       func(workflowID string) bool
}

// Subscribers lists a team's connectors, or, for team "", everybody's.
type Subscribers func(ctx context.Context, team string) ([]Subscriber, error)

// Inspector is what the reconciler asks of asynq.
type Inspector interface {
	GetTaskInfo(queue, id string) (*asynq.TaskInfo, error)
	Servers() ([]*asynq.ServerInfo, error)
}

// Config says how a scheduler runs. Zero values take the defaults.
type Config struct {
	Ledger      *ledger.Ledger
	Subscribers Subscribers
	Inspector   Inspector // default: asynq on Redis
	Redis       redis.UniversalClient
	Sweep       time.Duration // between sweeps; default 3 s
	Entries     Entries       // what is due at regular times; nil: nothing
	Ticks       time.Duration // between looks at what is due; default 1 s
	Retention   time.Duration // after which what is settled leaves the ledger; default 30 days
	Log         *slog.Logger
}

// Scheduler plans, admits and repairs.
type Scheduler struct {
	cfg    Config
	ticker *asynq.Client // of tasks that are due at regular times
}

const (
	describeEvery = 20          // sweeps between two descriptions of every connector
	trimEvery     = time.Minute // between two looks for what is to leave the ledger
)

// New returns a scheduler.
func New(cfg Config) *Scheduler {
	cfg.Sweep = cmp.Or(cfg.Sweep, 3*time.Second)
	cfg.Ticks = cmp.Or(cfg.Ticks, time.Second)
	cfg.Retention = cmp.Or(cfg.Retention, 30*24*time.Hour)
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	if cfg.Inspector == nil {
		cfg.Inspector = asynq.NewInspectorFromRedisClient(cfg.Redis)
	}
	return &Scheduler{cfg: cfg, ticker: asynq.NewClientFromRedisClient(cfg.Redis)}
}

// Run works until ctx ends: it plans runs as soon as they are accepted, sweeps
// for what was missed, and enqueues what is due. None of these waits for another.
func (s *Scheduler) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	wakes := s.cfg.Ledger.Wakes(ctx)
	loops.Go(func() { s.every(ctx, s.cfg.Sweep, wakes, "plan", s.PlanAll) })
	loops.Go(func() { s.every(ctx, s.cfg.Sweep, nil, "sweep", s.Sweep) })
	loops.Go(func() { s.every(ctx, s.cfg.Sweep*describeEvery, nil, "describe connectors", s.describe) })
	loops.Go(func() { s.every(ctx, s.cfg.Ticks, nil, "enqueue what is due", s.Tick) })
	loops.Go(func() { s.every(ctx, trimEvery, nil, "trim the ledger", s.trim) })
	loops.Wait()
	return nil
}

// every does something at once, then each interval and whenever it is woken.
// What goes wrong is logged: the next time does it again.
func (s *Scheduler) every(ctx context.Context, interval time.Duration, wakes <-chan struct{}, what string, do func(context.Context) error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "scheduler could not "+what+"; it will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-wakes:
		case <-tick.C:
		}
	}
}

// trim moves what is older than the retention from the ledger to our bucket.
func (s *Scheduler) trim(ctx context.Context) error {
	n, err := s.cfg.Ledger.Trim(ctx, s.cfg.Retention)
	if n > 0 {
		s.cfg.Log.InfoContext(ctx, "deliveries left the ledger for our bucket's history", "deliveries", n)
	}
	return err
}
