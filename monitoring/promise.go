package monitoring

import (
	"slices"
	"time"

	"github.com/waybillhq/waybill"
)

// A live delivery of up to promisedBytes is promised to be visible within
// [Promised] of its run's finish. These are what came of it.
const (
	onTime = "on_time"
	late   = "late"
	missed = "failed" // it gave up; one that waits for the customer does not count

	promisedBytes = 100_000_000
)

// Promised is the time within which a live delivery to a kind of connector is
// to be visible, beyond what the vendor's own replication takes.
func Promised(kind waybill.Kind) time.Duration {
	if kind == waybill.KindStorage {
		return time.Minute
	}
	return 2 * time.Minute
}

// Delivered counts a delivery that was completed at the given time. A
// producer's clock that runs ahead of ours counts as no time at all.
func (m *Metrics) Delivered(d waybill.Delivery, rows, bytes int64, at time.Time) {
	if m == nil {
		return
	}
	kind := bounded(d.Kind, m.labels.Kinds)
	m.rows.WithLabelValues(kind).Add(float64(max(0, rows)))
	m.bytes.WithLabelValues(kind).Add(float64(max(0, bytes)))
	if m.own(d.Connector) {
		m.connectors.WithLabelValues(d.Connector, string(OutcomeComplete)).Inc()
		m.lastDelivery.WithLabelValues(d.Connector).Set(float64(at.Unix()))
	}
	if d.Historical {
		return
	}
	took := max(0, at.Sub(d.RunFinishedAt))
	m.freshness.WithLabelValues(kind).Observe(took.Seconds())
	switch {
	case bytes > promisedBytes, d.Replays > 0: // nothing was promised; counted as failed before
	case took <= Promised(d.Kind):
		m.promised.WithLabelValues(kind, onTime).Inc()
	default:
		m.promised.WithLabelValues(kind, late).Inc()
	}
}

// Ended counts an attempt that did not complete its delivery.
func (m *Metrics) Ended(d waybill.Delivery, outcome Outcome) {
	if m == nil {
		return
	}
	if m.own(d.Connector) {
		m.connectors.WithLabelValues(d.Connector, bounded(outcome, outcomes())).Inc()
	}
	if outcome == OutcomeFailed && !d.Historical && d.Replays == 0 {
		m.promised.WithLabelValues(bounded(d.Kind, m.labels.Kinds), missed).Inc()
	}
}

// own says whether a connector has series of its own.
func (m *Metrics) own(connector string) bool { return slices.Contains(m.labels.Connectors, connector) }
