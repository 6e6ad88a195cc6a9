// Package scheduler decides what is enqueued and when: it plans accepted runs
// into deliveries, refills the queue and repairs what a crash left. Any number
// of replicas run side by side without a leader: everything they do is one
// atomic, idempotent change of the ledger.
package scheduler

import (
	"cmp"
	"context"
	"errors"
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
	Wants       func(workflowID string) bool
}

// Subscribers lists a team's connectors, or, for team "", everybody's.
type Subscribers func(ctx context.Context, team string) ([]Subscriber, error)

// Inspector is what the reconciler asks of asynq.
type Inspector interface {
	GetTaskInfo(queue, id string) (*asynq.TaskInfo, error)
}

// Config says how a scheduler runs. Zero values take the defaults.
type Config struct {
	Ledger      *ledger.Ledger
	Subscribers Subscribers
	Inspector   Inspector // default: asynq on Redis
	Redis       redis.UniversalClient
	Sweep       time.Duration // between sweeps; default 5 s
	Retention   time.Duration // after which what is settled leaves the ledger; default 30 days
	Log         *slog.Logger
}

// Scheduler plans, admits and repairs.
type Scheduler struct {
	cfg Config
}

const (
	refillEvery = 12          // sweeps between two refills of every connector
	trimEvery   = time.Minute // between two looks for what is to leave the ledger
)

// New returns a scheduler.
func New(cfg Config) *Scheduler {
	cfg.Sweep = cmp.Or(cfg.Sweep, 5*time.Second)
	cfg.Retention = cmp.Or(cfg.Retention, 30*24*time.Hour)
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	if cfg.Inspector == nil {
		cfg.Inspector = asynq.NewInspectorFromRedisClient(cfg.Redis)
	}
	return &Scheduler{cfg: cfg}
}

// Run works until ctx ends: it plans runs as soon as they are accepted, and
// sweeps for what was missed.
func (s *Scheduler) Run(ctx context.Context) error {
	var trimming sync.WaitGroup
	defer trimming.Wait()
	trimming.Go(func() { s.trim(ctx) })
	wakes := s.cfg.Ledger.Wakes(ctx)
	tick := time.NewTicker(s.cfg.Sweep)
	defer tick.Stop()
	for n := 0; ; {
		s.try(ctx, "plan", s.PlanAll(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-wakes:
			continue
		case <-tick.C:
		}
		s.try(ctx, "sweep", s.Reconcile(ctx))
		if n++; n%refillEvery == 0 {
			s.try(ctx, "refill", s.refill(ctx))
		}
	}
}

// trim moves what is older than the retention from the ledger to our bucket,
// until ctx ends. It goes on beside the planning, which must not wait for it.
func (s *Scheduler) trim(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		n, err := s.cfg.Ledger.Trim(ctx, s.cfg.Retention)
		s.try(ctx, "trim the ledger", err)
		if n > 0 {
			s.cfg.Log.InfoContext(ctx, "deliveries left the ledger for our bucket's history", "deliveries", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// try logs what went wrong; the next round does it again.
func (s *Scheduler) try(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		s.cfg.Log.ErrorContext(ctx, "scheduler could not "+what+"; it will try again", "error", err)
	}
}
