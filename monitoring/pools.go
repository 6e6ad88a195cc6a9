package monitoring

import (
	"fmt"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Pool is what is known of one queue at the moment.
type Pool struct {
	Processes int // that serve it and gave a sign of life within ten seconds
	Handlers  int // of those processes
	Waiting   int // tasks that are neither done nor under way
}

// Pools returns every queue that Redis knows, or that a process serves.
func Pools(client redis.UniversalClient) (map[string]Pool, error) {
	inspector := asynq.NewInspectorFromRedisClient(client)
	pools := map[string]Pool{}
	queues, err := inspector.Queues()
	if err != nil {
		return nil, fmt.Errorf("ask for the queues: %w", err)
	}
	for _, name := range queues {
		info, err := inspector.GetQueueInfo(name)
		if err != nil {
			return nil, fmt.Errorf("ask for queue %s: %w", name, err)
		}
		pools[name] = Pool{Waiting: info.Pending + info.Scheduled + info.Retry}
	}
	servers, err := inspector.Servers()
	if err != nil {
		return nil, fmt.Errorf("ask for the workers: %w", err)
	}
	type process struct {
		queue, host string
		pid         int
	}
	seen := map[process]bool{} // a large pool of a process is several servers
	for _, s := range servers {
		for name := range s.Queues {
			p := pools[name]
			p.Handlers += s.Concurrency
			if who := (process{name, s.Host, s.PID}); !seen[who] {
				seen[who] = true
				p.Processes++
			}
			pools[name] = p
		}
	}
	return pools, nil
}
