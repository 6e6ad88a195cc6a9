package monitoring

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RedisFigures are what Redis says of itself.
type RedisFigures struct {
	Servers []RedisServer
	Unsafe  map[string]bool // what is looked at → whether Redis may lose what it is given by it
	Ahead   time.Duration   // of our clock, where several differ the most
}

// RedisServer is one master.
type RedisServer struct {
	Name                string // its place in a Cluster; "redis" where there is one
	UsedBytes, MaxBytes int64  // negative: not told
}

// RedisCollector asks Redis how it is at each scrape.
type RedisCollector struct {
	question question[RedisFigures]
	gauges   gauges
}

var _ prometheus.Collector = (*RedisCollector)(nil)

// NewRedisCollector returns a collector of what ask answers.
func NewRedisCollector(ask func(context.Context) (RedisFigures, error)) *RedisCollector {
	return &RedisCollector{question: question[RedisFigures]{ask: ask, timeout: scrapeTimeout},
		gauges: newGauges(redisUp, redisUsed, redisMax, redisUnsafe, redisSkew)}
}

// Describe sends the metrics' descriptions.
func (c *RedisCollector) Describe(ch chan<- *prometheus.Desc) { c.gauges.describe(ch) }

// Collect sends the figures as they are now.
func (c *RedisCollector) Collect(ch chan<- prometheus.Metric) {
	f, err := c.question.put()
	if err != nil {
		ch <- c.gauges.sample(redisUp, 0)
		return
	}
	ch <- c.gauges.sample(redisUp, 1)
	ch <- c.gauges.sample(redisSkew, f.Ahead.Seconds())
	for check, unsafe := range f.Unsafe {
		value := 0.0
		if unsafe {
			value = 1
		}
		ch <- c.gauges.sample(redisUnsafe, value, check)
	}
	for _, s := range f.Servers {
		if s.UsedBytes >= 0 {
			ch <- c.gauges.sample(redisUsed, float64(s.UsedBytes), s.Name)
		}
		if s.MaxBytes >= 0 {
			ch <- c.gauges.sample(redisMax, float64(s.MaxBytes), s.Name)
		}
	}
}
