package monitoring

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waybillhq/waybill"
)

// The metrics of activity logs.
var (
	activityEvents = Metric{"waybill_activity_events_total", "counter", []string{"kind"}, "Activity events that were written to customers' tables."}
	activityDelay  = Metric{"waybill_activity_delay_seconds", "histogram", []string{"kind"}, "From an activity event until the customer could see it; of events that are read as they happen."}
	activityLate   = Metric{"waybill_activity_late_events_total", "counter", []string{"kind", "outcome"}, "Activity events that the platform told late: added, or lost because it was later than two days."}
	activityLag    = Metric{"waybill_activity_lag_seconds", "gauge", []string{"kind"}, "Age of what the activity log that lags most behind holds; told by schedulers."}
)

func activityCatalog() []Metric {
	return []Metric{activityEvents, activityDelay, activityLate, activityLag}
}

const (
	lateAdded = "added"
	lateLost  = "lost"
)

// activityMetrics are the worker's.
type activityMetrics struct {
	events, late *prometheus.CounterVec
	delay        *prometheus.HistogramVec
}

// logsActivity says which kinds of connector have an activity log.
func logsActivity(kind waybill.Kind) bool { return kind != waybill.KindStorage }

func newActivityMetrics(reg prometheus.Registerer, kinds []waybill.Kind) activityMetrics {
	m := activityMetrics{events: counter(activityEvents), late: counter(activityLate),
		delay: histogram(activityDelay, 5, 10, 15, 30, 45, 60, 75, 90, 120, 180, 300, 600, 1800, 3600)}
	reg.MustRegister(m.events, m.late, m.delay)
	for _, k := range kinds {
		if !logsActivity(k) {
			continue
		}
		m.events.WithLabelValues(string(k))
		m.delay.WithLabelValues(string(k))
		for _, outcome := range []string{lateAdded, lateLost} {
			m.late.WithLabelValues(string(k), outcome)
		}
	}
	return m
}

// ActivityWritten counts events that were written: so many in all, so many of
// them late; and observes how long those took that were read as they happened.
func (m *Metrics) ActivityWritten(kind waybill.Kind, added, late int64, happened []time.Time) {
	if m == nil {
		return
	}
	label := bounded(kind, m.labels.Kinds)
	m.activity.events.WithLabelValues(label).Add(float64(max(0, added)))
	m.activity.late.WithLabelValues(label, lateAdded).Add(float64(max(0, late)))
	for _, at := range happened {
		m.activity.delay.WithLabelValues(label).Observe(max(0, time.Since(at)).Seconds())
	}
}

// ActivityLost counts events that came later than they are looked for.
func (m *Metrics) ActivityLost(kind waybill.Kind, n int64) {
	if m != nil {
		m.activity.late.WithLabelValues(bounded(kind, m.labels.Kinds), lateLost).Add(float64(n))
	}
}

// ActivityLag tells, at each scrape, how far activity logs lag behind.
type ActivityLag struct {
	desc *prometheus.Desc
	ask  func(context.Context) (map[waybill.Kind]time.Duration, error)
	log  *slog.Logger
}

var _ prometheus.Collector = (*ActivityLag)(nil)

// NewActivityLag returns a collector of what ask returns: the greatest lag, by
// kind of connector. Where it cannot be asked the series are missing.
func NewActivityLag(ask func(context.Context) (map[waybill.Kind]time.Duration, error), log *slog.Logger) *ActivityLag {
	return &ActivityLag{desc: prometheus.NewDesc(activityLag.Name, activityLag.Help, activityLag.Labels, nil), ask: ask, log: log}
}

// Describe implements [prometheus.Collector].
func (c *ActivityLag) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements [prometheus.Collector].
func (c *ActivityLag) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	lags, err := c.ask(ctx)
	if err != nil {
		c.log.WarnContext(ctx, "the lag of activity logs could not be told", "error", err)
		return
	}
	for kind, lag := range lags {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, max(0, lag).Seconds(), string(kind))
	}
}
