// Package monitoring is what an operator sees: metrics, queue figures, health,
// logs, and the read-only view of the queues.
package monitoring

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waybillhq/waybill"
)

// Metric describes one metric family.
type Metric struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []string
	Help   string
}

// The metrics of tasks and deliveries, and of the queues.
var (
	deliveries   = Metric{"waybill_deliveries_total", "counter", []string{"task", "outcome", "stage"}, "Attempts that ended, by outcome; stage is the one that failed, empty when complete."}
	retries      = Metric{"waybill_retries_total", "counter", []string{"task", "verdict"}, "Attempts that will be repeated, by the verdict of their failure."}
	inProgress   = Metric{"waybill_tasks_in_progress", "gauge", []string{"task"}, "Tasks that this process runs at the moment."}
	stepDuration = Metric{"waybill_step_duration_seconds", "histogram", []string{"task", "stage"}, "Duration of steps that succeeded."}
	stepFailures = Metric{"waybill_step_failures_total", "counter", []string{"task", "stage"}, "Steps that failed."}
	freshness    = Metric{"waybill_delivery_freshness_seconds", "histogram", []string{"kind"}, "From a run's finish until the customer could see it."}
	bytesOut     = Metric{"waybill_delivery_bytes_total", "counter", []string{"kind"}, "Bytes of complete deliveries."}
	rowsOut      = Metric{"waybill_delivery_rows_total", "counter", []string{"kind"}, "Rows of complete deliveries."}
	castFailures = Metric{"waybill_cast_failures_total", "counter", nil, "Values that did not fit their field's type and became NULL."}
	pauses       = Metric{"waybill_connector_pauses_total", "counter", []string{"kind"}, "Connectors that were paused after failures in a row."}
	quarantined  = Metric{"waybill_quarantined_records_total", "counter", nil, "Malformed records that were left out."}

	queueSize    = Metric{"waybill_queue_size", "gauge", []string{"queue"}, "Tasks in the queue, whatever their state."}
	queueTasks   = Metric{"waybill_queue_tasks", "gauge", []string{"queue", "state"}, "Tasks in the queue by state."}
	queueLatency = Metric{"waybill_queue_latency_seconds", "gauge", []string{"queue"}, "Age of the oldest pending task."}
	queuePaused  = Metric{"waybill_queue_paused", "gauge", []string{"queue"}, "1 while the queue is paused."}
	queueErrors  = Metric{"waybill_queue_scrape_errors_total", "counter", nil, "Scrapes that could not ask the queues."}
)

// Catalog lists every metric of this package, for the documentation.
func Catalog() []Metric {
	list := []Metric{deliveries, retries, inProgress, stepDuration, stepFailures, freshness, bytesOut, rowsOut,
		castFailures, quarantined, pauses, queueSize, queueTasks, queueLatency, queuePaused, queueErrors, shareRequests,
		backfills, backfillRuns}
	list = append(list, activityCatalog()...)
	for i := range list {
		list[i].Labels = slices.Clone(list[i].Labels) // the caller's to sort
	}
	return list
}

// Outcome is how an attempt at a task ended.
type Outcome string

// The outcomes.
const (
	OutcomeComplete  Outcome = "complete"
	OutcomeRetry     Outcome = "retry"     // will be repeated
	OutcomeBlocked   Outcome = "blocked"   // waits for the customer or the operator
	OutcomeFailed    Outcome = "failed"    // gave up
	OutcomeCancelled Outcome = "cancelled" // taken back or replaced
	OutcomeSkipped   Outcome = "skipped"   // nothing to do, another holds it, or this process stops
)

func outcomes() []Outcome {
	return []Outcome{OutcomeComplete, OutcomeRetry, OutcomeBlocked, OutcomeFailed, OutcomeCancelled, OutcomeSkipped}
}

// Task is a task type, as far as labels go.
type Task struct {
	Name   string
	Stages []waybill.Stage
}

// other replaces a label value that was not announced, so that no mistake can
// make series without end.
const other = "other"

// Metrics counts what workers do. A nil *Metrics counts nothing.
type Metrics struct {
	tasks []Task
	kinds []waybill.Kind

	deliveries, retries, stepFailures, bytes, rows, pauses *prometheus.CounterVec
	castFailures, quarantined                              prometheus.Counter
	inProgress                                             *prometheus.GaugeVec
	stepDuration, freshness                                *prometheus.HistogramVec

	activity activityMetrics
}

// NewMetrics registers the metrics with reg, every series of the tasks and
// kinds at zero, so that a rate is right from the first event on.
func NewMetrics(reg prometheus.Registerer, tasks []Task, kinds []waybill.Kind) *Metrics {
	m := &Metrics{
		tasks: tasks, kinds: kinds,
		deliveries: counter(deliveries), retries: counter(retries), stepFailures: counter(stepFailures),
		bytes: counter(bytesOut), rows: counter(rowsOut), pauses: counter(pauses),
		castFailures: counter(castFailures).WithLabelValues(), quarantined: counter(quarantined).WithLabelValues(),
		inProgress:   prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: inProgress.Name, Help: inProgress.Help}, inProgress.Labels),
		stepDuration: histogram(stepDuration, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
		// 60 s and 120 s are promised; the buckets stand at the promises and close around them.
		freshness: histogram(freshness, 1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800, 3600, 6*3600, 24*3600),
	}
	reg.MustRegister(m.deliveries, m.retries, m.stepFailures, m.bytes, m.rows, m.castFailures, m.quarantined, m.pauses, m.inProgress, m.stepDuration, m.freshness)
	m.activity = newActivityMetrics(reg, kinds)
	for _, t := range tasks {
		m.announce(t)
	}
	for _, k := range kinds {
		m.bytes.WithLabelValues(string(k))
		m.rows.WithLabelValues(string(k))
		m.pauses.WithLabelValues(string(k))
		m.freshness.WithLabelValues(string(k))
	}
	return m
}

func (m *Metrics) announce(t Task) {
	m.inProgress.WithLabelValues(t.Name)
	for _, v := range []waybill.Verdict{waybill.Transient, waybill.Throttled} {
		m.retries.WithLabelValues(t.Name, string(v))
	}
	for _, o := range []Outcome{OutcomeComplete, OutcomeCancelled, OutcomeSkipped} {
		m.deliveries.WithLabelValues(t.Name, string(o), "")
	}
	for _, s := range t.Stages {
		m.stepDuration.WithLabelValues(t.Name, string(s))
		m.stepFailures.WithLabelValues(t.Name, string(s))
		for _, o := range []Outcome{OutcomeRetry, OutcomeBlocked, OutcomeFailed} {
			m.deliveries.WithLabelValues(t.Name, string(o), string(s))
		}
	}
}

// Started counts a task in and returns what counts it out again.
func (m *Metrics) Started(task string) (done func()) {
	if m == nil {
		return func() {}
	}
	g := m.inProgress.WithLabelValues(m.task(task))
	g.Inc()
	return g.Dec
}

// Outcome counts the end of an attempt. The stage is the one that failed,
// empty where none did.
func (m *Metrics) Outcome(task string, outcome Outcome, stage waybill.Stage) {
	if m != nil {
		m.deliveries.WithLabelValues(m.task(task), bounded(outcome, outcomes()), m.stage(stage)).Inc()
	}
}

// Retry counts an attempt that will be repeated.
func (m *Metrics) Retry(task string, verdict waybill.Verdict) {
	if m != nil {
		known := []waybill.Verdict{waybill.Transient, waybill.Throttled, waybill.Blocked, waybill.Permanent}
		m.retries.WithLabelValues(m.task(task), bounded(verdict, known)).Inc()
	}
}

// Step observes a step of a task that took d and ended with err.
func (m *Metrics) Step(task string, stage waybill.Stage, d time.Duration, err error) {
	switch {
	case m == nil:
	case err != nil:
		m.stepFailures.WithLabelValues(m.task(task), m.stage(stage)).Inc()
	default:
		m.stepDuration.WithLabelValues(m.task(task), m.stage(stage)).Observe(d.Seconds())
	}
}

// Delivered counts a complete delivery. Freshness is the time from the run's
// finish until the customer could see it; a producer's clock that runs ahead
// of ours counts as zero.
func (m *Metrics) Delivered(kind waybill.Kind, rows, bytes int64, freshness time.Duration) {
	if m == nil {
		return
	}
	m.Backfilled(kind, rows, bytes)
	m.freshness.WithLabelValues(bounded(kind, m.kinds)).Observe(max(0, freshness).Seconds())
}

// Paused counts a connector that was paused after failures in a row.
func (m *Metrics) Paused(kind waybill.Kind) {
	if m != nil {
		m.pauses.WithLabelValues(bounded(kind, m.kinds)).Inc()
	}
}

// Converted counts what a conversion could not take as it was.
func (m *Metrics) Converted(c waybill.Conversion) {
	if m != nil {
		m.castFailures.Add(float64(c.CastFailures()))
		m.quarantined.Add(float64(c.Quarantined))
	}
}

func (m *Metrics) task(name string) string {
	if slices.ContainsFunc(m.tasks, func(t Task) bool { return t.Name == name }) {
		return name
	}
	return other
}

func (m *Metrics) stage(s waybill.Stage) string {
	return bounded(s, append(waybill.Stages(), ""))
}

func bounded[T ~string](value T, known []T) string {
	if slices.Contains(known, value) {
		return string(value)
	}
	return other
}

func counter(m Metric) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

func histogram(m Metric, buckets ...float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: buckets}, m.Labels)
}
