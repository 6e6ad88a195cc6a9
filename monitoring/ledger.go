package monitoring

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waybillhq/waybill"
)

// LedgerFigures are what the ledger knows of all deliveries.
type LedgerFigures struct {
	States       map[waybill.State]int64
	Queues       map[string]QueueFigures
	Destinations []DestinationFigures

	PausedByFailures, PausedByOperator, PausedDestinations int64

	Unplanned       int64
	OldestUnplanned time.Duration
}

// QueueFigures are the deliveries of a queue that are not settled.
type QueueFigures struct {
	Waiting, Held, InFlight, Overdue int64
	LongestWait                      time.Duration
}

// DestinationFigures are the connectors at a destination.
type DestinationFigures struct {
	Name                        string
	Connectors, Failing, Paused int64
}

// mostDestinations have series of their own: those with failures first.
const mostDestinations = 50

// LedgerCollector gives the ledger's figures at each scrape. Every scheduler
// gives the same: take the maximum of several, not their sum. While Redis does
// not answer they are missing and the scrape errors count up.
type LedgerCollector struct {
	question question[LedgerFigures]
	gauges   gauges
	errors   prometheus.Counter
}

var _ prometheus.Collector = (*LedgerCollector)(nil)

// NewLedgerCollector returns a collector of what ask answers.
func NewLedgerCollector(ask func(context.Context) (LedgerFigures, error)) *LedgerCollector {
	return &LedgerCollector{question: question[LedgerFigures]{ask: ask, timeout: scrapeTimeout}, errors: counter(ledgerErrors).WithLabelValues(),
		gauges: newGauges(backlog, backlogOldest, held, inFlight, overdue, states, unplanned, unplannedAge, destConns, destFailing, destPaused, pausedConns, pausedDests)}
}

// Describe sends the metrics' descriptions.
func (c *LedgerCollector) Describe(ch chan<- *prometheus.Desc) {
	c.gauges.describe(ch)
	c.errors.Describe(ch)
}

// Collect sends the figures as they are now.
func (c *LedgerCollector) Collect(ch chan<- prometheus.Metric) {
	f, err := c.question.put()
	if err != nil {
		c.errors.Inc()
		ch <- c.errors
		return
	}
	ch <- c.errors
	set := func(m Metric, value float64, labels ...string) { ch <- c.gauges.sample(m, value, labels...) }
	for state, n := range f.States {
		set(states, float64(n), string(state))
	}
	for queue, q := range f.Queues {
		set(backlog, float64(q.Waiting), queue)
		set(backlogOldest, q.LongestWait.Seconds(), queue)
		set(held, float64(q.Held), queue)
		set(inFlight, float64(q.InFlight), queue)
		set(overdue, float64(q.Overdue), queue)
	}
	for _, d := range fewest(f.Destinations) {
		set(destConns, float64(d.Connectors), d.Name)
		set(destFailing, float64(d.Failing), d.Name)
		set(destPaused, float64(d.Paused), d.Name)
	}
	set(pausedConns, float64(f.PausedByFailures), "failures")
	set(pausedConns, float64(f.PausedByOperator), "operator")
	set(pausedDests, float64(f.PausedDestinations))
	set(unplanned, float64(f.Unplanned))
	set(unplannedAge, f.OldestUnplanned.Seconds())
}

// fewest keeps those with the most failures, then the most connectors, and
// sums up the rest.
func fewest(list []DestinationFigures) []DestinationFigures {
	if len(list) <= mostDestinations {
		return list
	}
	list = slices.SortedFunc(slices.Values(list), func(a, b DestinationFigures) int {
		return cmp.Or(cmp.Compare(b.Failing+b.Paused, a.Failing+a.Paused), cmp.Compare(b.Connectors, a.Connectors), cmp.Compare(a.Name, b.Name))
	})
	rest := DestinationFigures{Name: other}
	for _, d := range list[mostDestinations:] {
		rest.Connectors, rest.Failing, rest.Paused = rest.Connectors+d.Connectors, rest.Failing+d.Failing, rest.Paused+d.Paused
	}
	return append(list[:mostDestinations:mostDestinations], rest)
}
