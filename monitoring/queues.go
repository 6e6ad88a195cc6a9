package monitoring

import (
	"context"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// queueTimeout bounds what a scrape waits for the queues: Prometheus gives the
// whole scrape 10 s by default, and the rest of it must not fail with Redis.
const queueTimeout = 2 * time.Second

// QueueCollector gives the figures of a fixed list of queues at each scrape. A
// queue that nobody has used yet has zeros. While Redis does not answer, the
// figures are missing and the scrape errors count up.
type QueueCollector struct {
	inspector *asynq.Inspector
	queues    []string
	timeout   time.Duration
	flight    flight[[]*asynq.QueueInfo]
	errors    prometheus.Counter

	size, tasks, latency, paused *prometheus.Desc
}

var _ prometheus.Collector = (*QueueCollector)(nil)

// NewQueueCollector returns a collector of the named queues. The client stays
// the caller's.
func NewQueueCollector(client redis.UniversalClient, queues []string) *QueueCollector {
	return &QueueCollector{
		inspector: asynq.NewInspectorFromRedisClient(client), queues: queues, timeout: queueTimeout,
		errors: counter(queueErrors).WithLabelValues(),
		size:   desc(queueSize), tasks: desc(queueTasks), latency: desc(queueLatency), paused: desc(queuePaused),
	}
}

func desc(m Metric) *prometheus.Desc { return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil) }

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
	// The inspector takes no context, so the waiting is bounded here.
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	infos, err := c.flight.do(ctx, c.ask)
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
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append([]string{info.Queue}, labels...)...)
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

func (c *QueueCollector) ask() ([]*asynq.QueueInfo, error) {
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
