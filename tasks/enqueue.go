package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill/internal/ledger"
)

const (
	// maxRetry is asynq's own limit. It must never be reached: the ledger
	// counts attempts and decides when to give up; asynq would archive.
	maxRetry = 1 << 20
	// retention keeps done tasks in view, and their ids taken, for a day.
	retention = 24 * time.Hour
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
	var errs []error
	for _, r := range ready {
		errs = append(errs, e.one(ctx, r))
	}
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
		asynq.Queue(r.Queue), asynq.TaskID(TaskID(r)), asynq.MaxRetry(maxRetry), asynq.Timeout(d.Timeout), asynq.Retention(retention))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("enqueue %s: %w", TaskID(r), err)
	}
	return nil
}
