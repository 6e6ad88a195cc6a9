package monitoring

import (
	"context"
	"slices"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// QueueCollector gives the figures of a fixed list of queues at each scrape. A
// queue that nobody has used yet has zeros. While Redis does not answer, the
// figures are missing and the scrape errors count up.
type QueueCollector struct {
	inspector *asynq.Inspector
	queues    []string
	question  question[[]*asynq.QueueInfo]
	errors    prometheus.Counter

	size, tasks, latency, paused *prometheus.Desc
}

var _ prometheus.Collector = (*QueueCollector)(nil)

// NewQueueCollector returns a collector of the named queues. The client stays
// the caller's.
func NewQueueCollector(client redis.UniversalClient, queues []string) *QueueCollector {
	c := &QueueCollector{
		inspector: asynq.NewInspectorFromRedisClient(client), queues: queues,
		errors: counter(queueErrors).WithLabelValues(),
		size:   desc(queueSize), tasks: desc(queueTasks), latency: desc(queueLatency), paused: desc(queuePaused),
	}
	c.question = question[[]*asynq.QueueInfo]{ask: c.ask, timeout: scrapeTimeout}
	return c
}

// Describe sends the metrics' descriptions.
func (c *QueueCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.size
	ch <- c.tasks
	ch <- c.latency
	ch <- c.paused
	c.errors.Describe(ch)
}

// Collect sends the figures as they are now.
func (c *QueueCollector) Collect(ch chan<- prometheus.Metric) {
	infos, err := c.question.put()
	if err != nil {
		c.errors.Inc()
	}
	for _, info := range infos {
		c.send(ch, info)
	}
	ch <- c.errors
}

func (c *QueueCollector) send(ch chan<- prometheus.Metric, info *asynq.QueueInfo) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- sample(d, value, append([]string{info.Queue}, labels...)...)
	}
	gauge(c.size, float64(info.Size))
	gauge(c.tasks, float64(info.Pending), "pending")
	gauge(c.tasks, float64(info.Active), "active")
	gauge(c.tasks, float64(info.Scheduled), "scheduled")
	gauge(c.tasks, float64(info.Retry), "retry")
	gauge(c.tasks, float64(info.Archived), "archived")
	gauge(c.tasks, float64(info.Completed), "completed")
	gauge(c.latency, info.Latency.Seconds())
	if info.Paused {
		gauge(c.paused, 1)
	} else {
		gauge(c.paused, 0)
	}
}

// ask has no context to give to the inspector, which takes none.
func (c *QueueCollector) ask(context.Context) ([]*asynq.QueueInfo, error) {
	known, err := c.inspector.Queues()
	if err != nil {
		return nil, err
	}
	infos := make([]*asynq.QueueInfo, len(c.queues))
	for i, queue := range c.queues {
		infos[i] = &asynq.QueueInfo{Queue: queue}
		if !slices.Contains(known, queue) {
			continue
		}
		if infos[i], err = c.inspector.GetQueueInfo(queue); err != nil {
			return nil, err
		}
	}
	return infos, nil
}
