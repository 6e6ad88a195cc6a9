package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/tasks"
)

const (
	sweepBatch = 200              // deliveries of one slot in a sweep
	lookAgain  = 15 * time.Second // after a queued delivery whose task is where it should be
)

// Sweep repairs what processes left that ended half-way. Replicas may sweep at
// the same time.
func (s *Scheduler) Sweep(ctx context.Context) error {
	windows, err := s.windows()
	return errors.Join(err, s.Reconcile(ctx), s.cfg.Ledger.Mend(ctx, windows), s.cfg.Ledger.MirrorPauses(ctx))
}

const (
	leastWindow = 8 // of a queue, with however few workers
	perSlot     = 2 // deliveries in flight for each handler: while one is worked on, the next is at hand
)

// windows sizes the queues by the workers that are alive. Without any, or if
// asynq cannot be asked, sizes are left as they are.
func (s *Scheduler) windows() (map[string]int, error) {
	windows := map[string]int{}
	for _, queue := range tasks.QueueNames() {
		windows[queue] = 0
	}
	servers, err := s.cfg.Inspector.Servers()
	if err != nil {
		return windows, fmt.Errorf("ask asynq for its workers: %w", err)
	}
	for _, server := range servers {
		for queue := range server.Queues { // a server of ours has one
			windows[queue] += server.Concurrency * perSlot
		}
	}
	for queue, size := range windows {
		if size > 0 {
			windows[queue] = max(size, leastWindow)
		}
	}
	return windows, nil
}

// Reconcile looks after every delivery that should have moved on: its task was
// lost, its worker died, or its replay is due.
func (s *Scheduler) Reconcile(ctx context.Context) error {
	due, err := s.cfg.Ledger.Due(ctx, sweepBatch)
	errs := []error{err}
	for _, d := range due {
		if err := s.lookAfter(ctx, d); err != nil {
			errs = append(errs, fmt.Errorf("delivery %s: %w", d.Delivery, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Scheduler) lookAfter(ctx context.Context, d ledger.Due) error {
	switch d.State {
	case waybill.StateFailed:
		s.cfg.Log.InfoContext(ctx, "replaying a failed delivery", "delivery", d.Delivery)
		err := s.cfg.Ledger.Replay(ctx, d.Delivery)
		if err == nil {
			s.cfg.Metrics.Repaired(monitoring.RepairReplay)
		}
		return err
	case waybill.StateRunning:
		return s.repair(ctx, d, monitoring.RepairSilentWorker)
	case waybill.StateQueued, waybill.StateRetrying:
		alive, err := s.taskAlive(d.Ready)
		if err != nil {
			return err
		}
		if alive {
			return s.cfg.Ledger.Postpone(ctx, d.Delivery, lookAgain)
		}
		return s.repair(ctx, d, monitoring.RepairLostTask)
	default:
		return s.cfg.Ledger.Postpone(ctx, d.Delivery, time.Hour)
	}
}

func (s *Scheduler) repair(ctx context.Context, d ledger.Due, why monitoring.Repair) error {
	moved, err := s.cfg.Ledger.Repair(ctx, d)
	if moved {
		s.cfg.Metrics.Repaired(why)
		s.cfg.Log.WarnContext(ctx, "delivery enqueued again", "delivery", d.Delivery, "why", why)
	}
	return err
}

// taskAlive asks asynq whether a delivery's task will still run. Without
// asking, a deep backlog would breed duplicates.
func (s *Scheduler) taskAlive(r ledger.Ready) (bool, error) {
	if _, ok := tasks.Lookup(r.Task); !ok {
		return true, nil // a newer version's business
	}
	info, err := s.cfg.Inspector.GetTaskInfo(r.Queue, tasks.TaskID(r))
	switch {
	case errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask asynq: %w", err)
	case info.State == asynq.TaskStateCompleted, info.State == asynq.TaskStateArchived:
		return false, nil
	case info.State == asynq.TaskStateActive:
		// Taken, and not begun: its worker died in between, or never heard that it
		// was given the task. asynq would wait for a minute or two. Should a worker
		// begin at this very moment, either it or the repair finds nothing to do.
		return false, nil
	default:
		return true, nil
	}
}
