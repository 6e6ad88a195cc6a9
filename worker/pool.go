package worker

import (
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybillhq/waybill/tasks"
)

// A server of asynq takes one task a round trip, and a round trip waits for the
// sync of Redis's log: with many handlers most would wait for tasks that stand
// ready. So a large pool is several servers, which take at the same time.
const (
	handlersPerServer = 8
	mostServers       = 4 // a pool; what Redis can do is then the limit
)

// pool is the configuration of each server of a queue's pool; together they
// have its handlers, ask Redis little more when idle than one would, and find a
// task as soon.
func (w *Worker) pool(queue string) []asynq.Config {
	handlers := w.cfg.Queues[queue]
	n := min(max(handlers/handlersPerServer, 1), mostServers)
	looks := paceOf(queue)
	// Of n servers that look every d·(2n+1)/3, each at its own time, the first to
	// look does so within d/2 half of the time, about, for any of our n.
	every := func(d time.Duration) time.Duration { return d * time.Duration(2*n+1) / 3 }
	servers := make([]asynq.Config, n)
	for i := range servers {
		servers[i] = asynq.Config{
			Queues:                   map[string]int{queue: 1},
			Concurrency:              (handlers + i) / n,
			TaskCheckInterval:        every(looks.ready),
			DelayedTaskCheckInterval: every(looks.again),
			ShutdownTimeout:          5 * time.Second, // handlers were drained before
			RetryDelayFunc:           retryDelay,
			IsFailure:                isFailure,
			Logger:                   asynqLogger{w.cfg.Log.With("component", "asynq", "queue", queue)},
			LogLevel:                 asynq.WarnLevel,
		}
	}
	return servers
}

// pace is how often an idle pool of one server looks for a task that stands
// ready, and for one whose time to be tried again has come.
type pace struct{ ready, again time.Duration }

// paceOf is often enough that half of the live deliveries start within 10 ms.
// What is historical can wait, but not long: a connector's next delivery is
// admitted when one has ended, and a place is idle until the pool looks again. A
// look at the platform's activity comes minutes after the one before.
func paceOf(queue string) pace {
	switch queue {
	case tasks.QueueActivity:
		return pace{500 * time.Millisecond, time.Second}
	case tasks.QueueBackfill:
		return pace{40 * time.Millisecond, 400 * time.Millisecond}
	default:
		return pace{15 * time.Millisecond, 200 * time.Millisecond}
	}
}
