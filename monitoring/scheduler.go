package monitoring

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Repair is why a sweep sent a delivery on again.
type Repair string

// The repairs.
const (
	RepairLostTask     Repair = "lost_task"     // the queue does not have its task
	RepairSilentWorker Repair = "silent_worker" // its attempt ended without a word
	RepairReplay       Repair = "replay"        // it had failed, and its slow replay was due
)

// SchedulerMetrics counts what a scheduler does. A nil one counts nothing.
type SchedulerMetrics struct {
	works    []string
	rounds   *prometheus.CounterVec
	duration *prometheus.HistogramVec
	repairs  *prometheus.CounterVec
	differ   *prometheus.GaugeVec
}

// NewSchedulerMetrics registers the metrics with reg, every series of the works
// at zero.
func NewSchedulerMetrics(reg prometheus.Registerer, works ...string) *SchedulerMetrics {
	m := &SchedulerMetrics{works: works, rounds: counter(rounds), repairs: counter(repairs), differ: gauge(schedulersDiffer),
		duration: histogram(roundDuration, 0.001, 0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300)}
	reg.MustRegister(m.rounds, m.duration, m.repairs, m.differ)
	for _, w := range works {
		m.rounds.WithLabelValues(w, "ok")
		m.rounds.WithLabelValues(w, "failed")
		m.duration.WithLabelValues(w)
	}
	for _, r := range []Repair{RepairLostTask, RepairSilentWorker, RepairReplay} {
		m.repairs.WithLabelValues(string(r))
	}
	m.Differ(nil)
	return m
}

// Round observes a round of a work that took d and ended with err.
func (m *SchedulerMetrics) Round(work string, d time.Duration, err error) {
	if m == nil {
		return
	}
	outcome := "ok"
	if err != nil {
		outcome = "failed"
	}
	work = bounded(work, m.works)
	m.rounds.WithLabelValues(work, outcome).Inc()
	m.duration.WithLabelValues(work).Observe(d.Seconds())
}

// Repaired counts a delivery that a sweep sent on again.
func (m *SchedulerMetrics) Repaired(why Repair) {
	if m != nil {
		m.repairs.WithLabelValues(string(why)).Inc()
	}
}

// Differ shows how many other schedulers differ from this one, by the section
// of the configuration. That of connectors is there always.
func (m *SchedulerMetrics) Differ(sections map[string]int) {
	if m == nil {
		return
	}
	m.differ.Reset()
	m.differ.WithLabelValues("connectors")
	for section, n := range sections {
		m.differ.WithLabelValues(section).Set(float64(n))
	}
}
