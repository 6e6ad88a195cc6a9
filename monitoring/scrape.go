package monitoring

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// scrapeTimeout bounds what a scrape waits for an answer: Prometheus gives the
// whole scrape 10 s by default, and the rest of it must not fail with Redis.
const scrapeTimeout = 2 * time.Second

// question is put at each scrape.
type question[T any] struct {
	ask     func(context.Context) (T, error)
	timeout time.Duration
	flight  flight[T]
}

// put puts the question, once however many scrapes come meanwhile.
func (q *question[T]) put() (T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), q.timeout)
	defer cancel()
	return q.flight.do(ctx, func() (T, error) {
		// Its own context: who asked first may leave while others wait.
		own, cancel := context.WithTimeout(context.Background(), q.timeout)
		defer cancel()
		return q.ask(own)
	})
}

// gauges is a set of metrics that only a scrape gives values.
type gauges map[string]*prometheus.Desc

func newGauges(list ...Metric) gauges {
	g := gauges{}
	for _, m := range list {
		g[m.Name] = desc(m)
	}
	return g
}

func (g gauges) describe(ch chan<- *prometheus.Desc) {
	for _, d := range g {
		ch <- d
	}
}

func (g gauges) sample(m Metric, value float64, labels ...string) prometheus.Metric {
	return sample(g[m.Name], value, labels...)
}
