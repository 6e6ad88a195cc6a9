package monitoring

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ShareMetrics counts what the Delta Sharing server answers.
type ShareMetrics struct{ requests *prometheus.HistogramVec }

// NewShareMetrics registers the metrics with reg.
func NewShareMetrics(reg prometheus.Registerer) *ShareMetrics {
	m := &ShareMetrics{requests: histogram(shareRequests, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)}
	reg.MustRegister(m.requests)
	return m
}

// Request observes an answer. Endpoints are patterns, of which there are few.
func (m *ShareMetrics) Request(endpoint string, status int, took time.Duration) {
	m.requests.WithLabelValues(endpoint, strconv.Itoa(status)).Observe(took.Seconds())
}
