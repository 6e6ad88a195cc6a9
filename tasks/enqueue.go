package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill/internal/ledger"
)

const (
	// MaxRetry is asynq's own limit, of every task. It must never be reached: the ledger
	// counts attempts and decides when to give up; asynq would archive.
	MaxRetry = 1 << 20
	// retention keeps done tasks in view, and their ids taken, for a day.
	retention = 24 * time.Hour
	// enqueuers are the tasks that are put into a queue at once: Redis writes
	// what comes together to its disk together.
	enqueuers = 16
)

// Enqueuer puts what the ledger admits into asynq's queues.
type Enqueuer struct{ client *asynq.Client }

var _ ledger.Queue = (*Enqueuer)(nil)

// NewEnqueuer returns an Enqueuer on a Redis.
func NewEnqueuer(rdb redis.UniversalClient) *Enqueuer {
	return &Enqueuer{client: asynq.NewClientFromRedisClient(rdb)}
}

// TaskID is the id of a delivery's task in asynq. The enqueue counter makes it
// new each time: asynq keeps the ids of finished tasks taken.
func TaskID(r ledger.Ready) string {
	return fmt.Sprintf("%s:%s:%d:%d", r.Delivery, r.Task, r.Generation, r.Enqueue)
}

// Enqueue implements [ledger.Queue]. A task that is there already is a success.
func (e *Enqueuer) Enqueue(ctx context.Context, ready []ledger.Ready) error {
	errs := make([]error, len(ready))
	var group errgroup.Group
	group.SetLimit(enqueuers)
	for i, r := range ready {
		group.Go(func() error { errs[i] = e.one(ctx, r); return nil })
	}
	_ = group.Wait() // it has none: one that fails does not keep the others
	return errors.Join(errs...)
}

func (e *Enqueuer) one(ctx context.Context, r ledger.Ready) error {
	d, ok := Lookup(r.Task)
	if !ok {
		return fmt.Errorf("task type %q is unknown to this version; a newer one will enqueue delivery %s", r.Task, r.Delivery)
	}
	payload, err := Type[DeliveryRef]{d}.Encode(DeliveryRef{Delivery: r.Delivery, Generation: r.Generation, Enqueue: r.Enqueue})
	if err != nil {
		return err
	}
	_, err = e.client.EnqueueContext(ctx, asynq.NewTask(d.Name, payload),
		asynq.Queue(r.Queue), asynq.TaskID(TaskID(r)), asynq.MaxRetry(MaxRetry), asynq.Timeout(d.Timeout), asynq.Retention(retention))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("enqueue %s: %w", TaskID(r), err)
	}
	return nil
}
