// Package monitoring is what an operator sees: metrics, queue figures, health,
// logs, and the read-only view of the queues.
package monitoring

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waybillhq/waybill"
)

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

// Labels are the values that labels may take.
type Labels struct {
	Tasks      []Task
	Kinds      []waybill.Kind
	Queues     []string
	Connectors []string // the few that have series of their own
}

// Metrics counts what workers do. A nil *Metrics counts nothing.
type Metrics struct {
	labels Labels

	deliveries, retries, stepFailures, bytes, rows, pauses, promised *prometheus.CounterVec
	leaseLosses, staleFences, connectors                             *prometheus.CounterVec
	castFailures, quarantined                                        prometheus.Counter
	inProgress, lastDelivery                                         *prometheus.GaugeVec
	stepDuration, freshness, admissionWait                           *prometheus.HistogramVec

	activity activityMetrics
}

// NewMetrics registers the metrics with reg, every series of the labels at
// zero, so that a rate is right from the first event on.
func NewMetrics(reg prometheus.Registerer, labels Labels) *Metrics {
	m := &Metrics{
		labels:     labels,
		deliveries: counter(deliveries), retries: counter(retries), stepFailures: counter(stepFailures),
		bytes: counter(bytesOut), rows: counter(rowsOut), pauses: counter(pauses), promised: counter(promised),
		leaseLosses: counter(leaseLosses), staleFences: counter(staleFences), connectors: counter(connectorDeliveries),
		castFailures: counter(castFailures).WithLabelValues(), quarantined: counter(quarantined).WithLabelValues(),
		inProgress: gauge(inProgress), lastDelivery: gauge(connectorLast),
		stepDuration: histogram(stepDuration, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
		// 60 s and 120 s are promised; the buckets stand at the promises and close around them.
		freshness:     histogram(freshness, 1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800, 3600, 6*3600, 24*3600),
		admissionWait: histogram(admissionWait, 0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 6*3600),
	}
	reg.MustRegister(m.deliveries, m.retries, m.stepFailures, m.bytes, m.rows, m.castFailures, m.quarantined, m.pauses, m.promised,
		m.leaseLosses, m.staleFences, m.connectors, m.inProgress, m.lastDelivery, m.stepDuration, m.freshness, m.admissionWait)
	m.activity = newActivityMetrics(reg, labels.Kinds)
	for _, t := range labels.Tasks {
		m.announce(t)
	}
	for _, k := range labels.Kinds {
		m.bytes.WithLabelValues(string(k))
		m.rows.WithLabelValues(string(k))
		m.pauses.WithLabelValues(string(k))
		m.freshness.WithLabelValues(string(k))
		for _, o := range []string{onTime, late, missed} {
			m.promised.WithLabelValues(string(k), o)
		}
	}
	for _, q := range labels.Queues {
		m.admissionWait.WithLabelValues(q)
	}
	for _, c := range labels.Connectors {
		m.lastDelivery.WithLabelValues(c)
		for _, o := range outcomes() {
			m.connectors.WithLabelValues(c, string(o))
		}
	}
	return m
}

func (m *Metrics) announce(t Task) {
	m.inProgress.WithLabelValues(t.Name)
	m.leaseLosses.WithLabelValues(t.Name)
	m.staleFences.WithLabelValues(t.Name)
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

// Paused counts a connector that was paused after failures in a row.
func (m *Metrics) Paused(kind waybill.Kind) {
	if m != nil {
		m.pauses.WithLabelValues(bounded(kind, m.labels.Kinds)).Inc()
	}
}

// Converted counts what a conversion could not take as it was.
func (m *Metrics) Converted(c waybill.Conversion) {
	if m != nil {
		m.castFailures.Add(float64(c.CastFailures()))
		m.quarantined.Add(float64(c.Quarantined))
	}
}

// Admitted observes how long a delivery stood in the backlog.
func (m *Metrics) Admitted(queue string, waited time.Duration) {
	if m != nil {
		m.admissionWait.WithLabelValues(bounded(queue, m.labels.Queues)).Observe(max(0, waited).Seconds())
	}
}

// LeaseLost counts an attempt whose lease ended before it did.
func (m *Metrics) LeaseLost(task string) {
	if m != nil {
		m.leaseLosses.WithLabelValues(m.task(task)).Inc()
	}
}

// StaleFence counts an attempt that was refused: it held its delivery no longer.
func (m *Metrics) StaleFence(task string) {
	if m != nil {
		m.staleFences.WithLabelValues(m.task(task)).Inc()
	}
}

func (m *Metrics) task(name string) string {
	if slices.ContainsFunc(m.labels.Tasks, func(t Task) bool { return t.Name == name }) {
		return name
	}
	return other
}

func (m *Metrics) stage(s waybill.Stage) string {
	return bounded(s, append(waybill.Stages(), ""))
}
