// Package scheduler decides what is enqueued and when: it plans accepted runs
// into deliveries, admits them and repairs what a crash left. Any number
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
	Destination string // what can be paused as one, e.g. s3/eu-central-1
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
	Log         *slog.Logger
}

// Scheduler plans, admits and repairs.
type Scheduler struct {
	cfg Config
}

// describeEvery counts sweeps between two descriptions of every connector.
const describeEvery = 20

// New returns a scheduler.
func New(cfg Config) *Scheduler {
	cfg.Sweep = cmp.Or(cfg.Sweep, 3*time.Second)
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	if cfg.Inspector == nil {
		cfg.Inspector = asynq.NewInspectorFromRedisClient(cfg.Redis)
	}
	return &Scheduler{cfg: cfg}
}

// Run works until ctx ends: it plans runs as soon as they are accepted, and
// beside that, however many there are to plan, sweeps for what was missed.
func (s *Scheduler) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	loops.Go(func() { s.planning(ctx) })
	loops.Go(func() { s.sweeping(ctx) })
	loops.Wait()
	return nil
}

func (s *Scheduler) planning(ctx context.Context) {
	wakes := s.cfg.Ledger.Wakes(ctx)
	tick := time.NewTicker(s.cfg.Sweep)
	defer tick.Stop()
	for ctx.Err() == nil {
		s.try(ctx, "plan", s.PlanAll(ctx))
		select {
		case <-ctx.Done():
		case <-wakes:
		case <-tick.C:
		}
	}
}

func (s *Scheduler) sweeping(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Sweep)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.try(ctx, "sweep", s.Sweep(ctx))
		if n%describeEvery == 0 {
			s.try(ctx, "describe connectors", s.describe(ctx))
		}
	}
}

// try logs what went wrong; the next round does it again.
func (s *Scheduler) try(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		s.cfg.Log.ErrorContext(ctx, "scheduler could not "+what+"; it will try again", "error", err)
	}
}
