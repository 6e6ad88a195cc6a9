package monitoring

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// HTTPMetrics counts what the HTTP API and the pages are asked.
type HTTPMetrics struct {
	patterns []string
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	limited  prometheus.Counter
}

// NewHTTPMetrics registers the metrics with reg, every series of the patterns
// at zero. Patterns are those of [http.ServeMux], such as "GET /v1/runs".
func NewHTTPMetrics(reg prometheus.Registerer, patterns ...string) *HTTPMetrics {
	m := &HTTPMetrics{patterns: patterns, requests: counter(httpRequests),
		duration: histogram(httpDuration, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)}
	limited := counter(httpLimited)
	m.limited = limited.WithLabelValues()
	reg.MustRegister(m.requests, m.duration, limited)
	for _, p := range patterns {
		if method, route, ok := strings.Cut(p, " "); ok {
			m.duration.WithLabelValues(route, method)
			for _, class := range []string{"2xx", "4xx", "5xx"} {
				m.requests.WithLabelValues(route, method, class)
			}
		}
	}
	return m
}

// Watch counts the requests that handler answers, by the pattern that its mux
// found, and shows them in traces, which may be nil.
func (m *HTTPMetrics) Watch(traces *Traces, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &statusWriter{ResponseWriter: w, status: http.StatusInternalServerError} // of a handler that panics
		span, started := traces.Request(r), time.Now()
		defer func() {
			method, route := m.route(r)
			span.Answered(method, route, answer.status)
			m.requests.WithLabelValues(route, method, strconv.Itoa(answer.status/100)+"xx").Inc()
			m.duration.WithLabelValues(route, method).Observe(time.Since(started).Seconds())
			if answer.status == http.StatusTooManyRequests {
				m.limited.Inc()
			}
		}()
		handler.ServeHTTP(answer, r)
		answer.begin(http.StatusOK) // unless it did
	})
}

// route is what a request is counted as: there are as many as patterns.
func (m *HTTPMetrics) route(r *http.Request) (method, route string) {
	method, route, ok := strings.Cut(bounded(r.Pattern, m.patterns), " ")
	if ok {
		return method, route
	}
	return bounded(r.Method, []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete}), method
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
	begun  bool
}

func (w *statusWriter) begin(status int) {
	if !w.begun {
		w.status, w.begun = status, true
	}
}

func (w *statusWriter) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(text []byte) (int, error) {
	w.begin(http.StatusOK)
	return w.ResponseWriter.Write(text)
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
