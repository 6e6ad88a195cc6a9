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
	"github.com/waybillhq/waybill/monitoring"
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
	Backfill    bool // its history is brought when its first run is planned
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
	Besides     []Work        // what else is done at regular times
	Metrics     *monitoring.SchedulerMetrics
	Log         *slog.Logger
}

// Work is what every replica does at regular times.
type Work struct {
	Name  string // to follow "could not" in the log
	Every time.Duration
	Do    func(context.Context) error
}

// The scheduler's own works, as its metrics name them.
const (
	WorkPlan     = "plan"
	WorkSweep    = "sweep"
	WorkDescribe = "describe connectors"
	WorkTick     = "enqueue what is due"
	WorkTrim     = "trim the ledger"
)

// Works lists them.
func Works() []string { return []string{WorkPlan, WorkSweep, WorkDescribe, WorkTick, WorkTrim} }

// Scheduler plans, admits and repairs.
type Scheduler struct {
	cfg    Config
	ticker *asynq.Client // of tasks that are due at regular times

	begun sync.Map // connectors whose first backfill is known to have begun
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
	loops.Go(func() { s.every(ctx, Work{WorkPlan, s.cfg.Sweep, s.planAll}, wakes) })
	for _, w := range append([]Work{
		{WorkSweep, s.cfg.Sweep, s.Sweep},
		{WorkDescribe, s.cfg.Sweep * describeEvery, s.describe},
		{WorkTick, s.cfg.Ticks, s.Tick},
		{WorkTrim, trimEvery, s.trim},
	}, s.cfg.Besides...) {
		loops.Go(func() { s.every(ctx, w, nil) })
	}
	loops.Wait()
	return nil
}

// every works at once, then each interval and whenever it is woken. What goes
// wrong is logged: the next time does it again.
func (s *Scheduler) every(ctx context.Context, w Work, wakes <-chan struct{}) {
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	for {
		started := time.Now()
		err := w.Do(ctx)
		if ctx.Err() == nil {
			s.cfg.Metrics.Round(w.Name, time.Since(started), err)
			if err != nil {
				s.cfg.Log.ErrorContext(ctx, "scheduler could not "+w.Name+"; it will try again", "error", err)
			}
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
