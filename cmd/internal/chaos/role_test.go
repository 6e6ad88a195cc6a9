package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/worker"
)

const roleVariable = "WAYBILL_CHAOS_ROLE"

// role is what a process of the test's fleet does, and what breaks it.
type role struct {
	Name   string // for its log
	Kind   string // worker, scheduler or producer
	Config string // waybill.yaml
	Dir    string // of the world
	Seed   uint64

	Slots    int           // worker: handlers at a time
	Backfill int           // worker: likewise, of historical deliveries
	Activity int           // worker: likewise, of activity logs
	Ordered  bool          // scheduler: plans deliveries of an ordered kind
	Export   bool          // worker: the fleet's own handlers, not the test's destination
	Work     time.Duration // worker: of each step at the test's destination
	Gate     string        // worker: see courier
	Deaf     bool          // worker: see courier
	Runs     []waybill.Run // producer: hands them in

	DropEnqueues    int           // percent of what is put into the queue: half is lost, of half the answer is
	LoseCompletions bool          // the first completion of each task, likewise
	CrashAt         []string      // before:NAME and after:NAME of scripts: there the process is killed
	Skew            time.Duration // of the clock that asynq reads

	NoFence       bool // neither the ledger nor the destination refuses a late attempt
	NoHook        bool // completions are not repeated
	NoReconciler  bool // scheduler: plans only
	SwallowSettle bool // the ledger is not told how attempts ended
	OldVersion    bool // worker: knows no task type at all
}

// play is the life of such a process. It ends with its parent, however that ends.
func play(file string) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r role
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	force, forceNow := context.WithCancel(context.Background())
	ctx, stop := context.WithCancel(force)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		<-signals
		forceNow()
	}()
	cfg, err := config.Load(r.Config, func(string) (string, bool) { return "", false }, config.NeedBucket)
	if err != nil {
		return err
	}
	f, err := fleet.Open(ctx, cfg, slog.New(slog.NewTextHandler(os.Stderr, nil)), r.Slots+r.Backfill+20)
	if err != nil {
		return err
	}
	broken := newFaults(r)
	work, err := map[string]func(*fleet.Fleet) (func(context.Context, context.Context) error, error){
		"worker": r.worker, "scheduler": r.scheduler, "producer": r.producer}[r.Kind](f)
	if err != nil {
		return err
	}
	f.Redis.AddHook(broken) // nearer to Redis than the worker's own hook
	fmt.Println("ready")
	return errors.Join(work(ctx, force), f.Close())
}

func (r role) destination() *destination {
	return &destination{dir: filepath.Join(r.Dir, "dest"), guarded: !r.NoFence}
}

func (r role) worker(f *fleet.Fleet) (func(ctx, force context.Context) error, error) {
	rdb := f.Redis
	if r.NoHook {
		rdb = hookless{rdb}
	}
	queues := map[string]int{tasks.QueueExport: r.Slots}
	if r.Backfill > 0 {
		queues[tasks.QueueBackfill] = r.Backfill
	}
	if r.Activity > 0 {
		queues[tasks.QueueActivity] = r.Activity
	}
	if r.Export {
		w, err := f.Worker(queues)
		return w.Run, err
	}
	c := &courier{destination: r.destination(), ledger: f.Ledger, work: r.Work, gate: r.Gate, deaf: r.Deaf, broken: filepath.Join(r.Dir, "broken")}
	cfg := worker.Config{Queues: queues, Routes: []tasks.Route{c.route()}, Log: f.Log}
	if r.OldVersion {
		cfg.Routes = nil
	}
	w, err := worker.New(rdb, cfg)
	if err != nil {
		return nil, err
	}
	return w.Run, nil
}

func (r role) scheduler(f *fleet.Fleet) (func(ctx, force context.Context) error, error) {
	s := f.Scheduler()
	plan := s.PlanAll
	if r.Ordered {
		plan = func(ctx context.Context) error { return planOrdered(ctx, f) }
	}
	if !r.Ordered && !r.NoReconciler {
		return func(ctx, _ context.Context) error { return s.Run(ctx) }, nil
	}
	return func(ctx, _ context.Context) error {
		swept := time.Now()
		for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
			err := plan(ctx)
			if !r.NoReconciler && time.Since(swept) > f.Config.Times.Sweep {
				err, swept = errors.Join(err, s.Sweep(ctx)), time.Now()
			}
			if err != nil {
				f.Log.Error("plan and sweep", "error", err)
			}
		}
		return nil
	}, nil
}

// planOrdered plans runs as those of a warehouse are: at a connector, one
// delivery of a workflow at a time.
func planOrdered(ctx context.Context, f *fleet.Fleet) error {
	keys, err := f.Ledger.Unplanned(ctx, 100)
	for _, key := range keys {
		a, failed := f.Ledger.Run(ctx, key)
		if failed == nil {
			failed = f.Ledger.Plan(ctx, a, []ledger.Planned{{Task: tasks.ExportPush.Name, Queue: tasks.QueueExport, Connector: ledger.Connector{
				ID: connectorOf(key), Team: key.TeamID, Kind: waybill.KindStorage, Live: tasks.QueueExport, MaxInFlight: 8, Ordered: true}}})
		}
		err = errors.Join(err, failed)
	}
	return err
}

// producer hands its runs in until each is acknowledged, and notes which were.
func (r role) producer(f *fleet.Fleet) (func(ctx, force context.Context) error, error) {
	client := f.Producer()
	return func(ctx, _ context.Context) error {
		for _, run := range r.Runs {
			for {
				_, err := client.Submit(ctx, run)
				if err == nil {
					break
				}
				if ctx.Err() != nil {
					return ctx.Err()
				}
				time.Sleep(20 * time.Millisecond)
			}
			appendLine(filepath.Join(r.Dir, "acknowledged.log"), acknowledged{run.RunKey, time.Now()})
		}
		return nil
	}, nil
}

type acknowledged struct {
	waybill.RunKey
	At time.Time
}

var _ redis.UniversalClient = hookless{}
