package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybillhq/waybill/tasks"
)

// Entry is a task that is due at regular times. Its ticks are the whole
// multiples of Every since 1970, moved by Offset: the same on every replica.
type Entry struct {
	Name    string // names the entry over all replicas, and is part of its tasks' ids
	Task    tasks.Declaration
	Payload []byte
	Every   time.Duration // whole seconds
	Offset  time.Duration // spreads entries over the period
}

// Entries lists what is due at regular times.
type Entries func(ctx context.Context) ([]Entry, error)

// tick is the last tick of the entry that is not later than now.
func (e Entry) tick(now time.Time) int64 {
	every := int64(e.Every / time.Second)
	offset := int64(e.Offset/time.Second) % every
	return (now.Unix()-offset)/every*every + offset
}

// leastRetention keeps the id of a tick's task taken at least this long.
const leastRetention = 10 * time.Minute

// Tick enqueues what is due. Replicas do it side by side: the task of a tick
// has one id, which stays taken for two periods at least after it was done,
// and the ledger remembers the last tick. Ticks that nobody was there for are
// made good by one, the latest.
func (s *Scheduler) Tick(ctx context.Context) error {
	if s.cfg.Entries == nil {
		return nil
	}
	entries, err := s.cfg.Entries(ctx)
	if err != nil || len(entries) == 0 {
		return err
	}
	now, last, err := s.cfg.Ledger.Ticks(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if tick := e.tick(now); tick > last[e.Name] {
			errs = append(errs, s.enqueueTick(ctx, e, tick))
		}
	}
	return errors.Join(errs...)
}

func (s *Scheduler) enqueueTick(ctx context.Context, e Entry, tick int64) error {
	_, err := s.ticker.EnqueueContext(ctx, asynq.NewTask(e.Task.Name, e.Payload),
		asynq.Queue(e.Task.Queue), asynq.TaskID(fmt.Sprintf("cron:%s:%d", e.Name, tick)),
		asynq.MaxRetry(tasks.MaxRetry), asynq.Timeout(e.Task.Timeout), asynq.Retention(max(2*e.Every, leastRetention)))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("tick of %s: %w", e.Name, err)
	}
	return s.cfg.Ledger.Ticked(ctx, e.Name, tick)
}
