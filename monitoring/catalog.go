package monitoring

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Metric describes one metric family.
type Metric struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []string
	Help   string
}

// Of tasks and deliveries, in every process of the fleet.
var (
	deliveries    = Metric{"waybill_deliveries_total", "counter", []string{"task", "outcome", "stage"}, "Attempts that ended, by outcome; stage is the one that failed, empty when complete."}
	retries       = Metric{"waybill_retries_total", "counter", []string{"task", "verdict"}, "Attempts that will be repeated, by the verdict of their failure."}
	inProgress    = Metric{"waybill_tasks_in_progress", "gauge", []string{"task"}, "Tasks that this process runs at the moment."}
	stepDuration  = Metric{"waybill_step_duration_seconds", "histogram", []string{"task", "stage"}, "Duration of steps that succeeded."}
	stepFailures  = Metric{"waybill_step_failures_total", "counter", []string{"task", "stage"}, "Steps that failed."}
	freshness     = Metric{"waybill_delivery_freshness_seconds", "histogram", []string{"kind"}, "From a run's finish until the customer could see it; historical deliveries do not count."}
	promised      = Metric{"waybill_promised_deliveries_total", "counter", []string{"kind", "outcome"}, "Live deliveries of up to 100 MB by what came of the promised time (storage 60 s, tables 120 s): on_time, late, or failed, when they gave up."}
	bytesOut      = Metric{"waybill_delivery_bytes_total", "counter", []string{"kind"}, "Bytes of complete deliveries."}
	rowsOut       = Metric{"waybill_delivery_rows_total", "counter", []string{"kind"}, "Rows of complete deliveries."}
	castFailures  = Metric{"waybill_cast_failures_total", "counter", nil, "Values that did not fit their field's type and became NULL."}
	quarantined   = Metric{"waybill_quarantined_records_total", "counter", nil, "Malformed records that were left out."}
	pauses        = Metric{"waybill_connector_pauses_total", "counter", []string{"kind"}, "Connectors that were paused after failures in a row."}
	leaseLosses   = Metric{"waybill_lease_losses_total", "counter", []string{"task"}, "Attempts whose lease ended before they did."}
	staleFences   = Metric{"waybill_stale_fences_total", "counter", []string{"task"}, "Attempts that were refused because they held their delivery no longer."}
	admissionWait = Metric{"waybill_admission_wait_seconds", "histogram", []string{"queue"}, "How long deliveries stood in the ledger's backlog."}

	connectorDeliveries = Metric{"waybill_connector_deliveries_total", "counter", []string{"connector", "outcome"}, "Attempts that ended, of the connectors in monitoring.connectors."}
	connectorLast       = Metric{"waybill_connector_last_delivery_timestamp_seconds", "gauge", []string{"connector"}, "When this process last completed a delivery, of the connectors in monitoring.connectors; 0: not since it started."}
)

// Of the scheduler.
var (
	rounds        = Metric{"waybill_scheduler_rounds_total", "counter", []string{"work", "outcome"}, "Rounds of each work of a scheduler, such as sweep and plan, by outcome: ok or failed."}
	roundDuration = Metric{"waybill_scheduler_round_duration_seconds", "histogram", []string{"work"}, "Duration of rounds."}
	repairs       = Metric{"waybill_repairs_total", "counter", []string{"why"}, "Deliveries that a sweep sent on again: lost_task, silent_worker or replay."}

	schedulersDiffer = Metric{"waybill_schedulers_differ", "gauge", []string{"section"}, "Other live schedulers whose configuration differs from this one's, by its section; of a section in which all agree there is none, but for connectors."}

	queueSize    = Metric{"waybill_queue_size", "gauge", []string{"queue"}, "Tasks in the queue, whatever their state."}
	queueTasks   = Metric{"waybill_queue_tasks", "gauge", []string{"queue", "state"}, "Tasks in the queue by state."}
	queueLatency = Metric{"waybill_queue_latency_seconds", "gauge", []string{"queue"}, "Age of the oldest pending task."}
	queuePaused  = Metric{"waybill_queue_paused", "gauge", []string{"queue"}, "1 while the queue is paused."}
	queueErrors  = Metric{"waybill_queue_scrape_errors_total", "counter", nil, "Scrapes that could not ask the queues."}

	backlog       = Metric{"waybill_backlog_deliveries", "gauge", []string{"queue"}, "Deliveries in the ledger's backlog that nothing holds there."}
	backlogOldest = Metric{"waybill_backlog_oldest_seconds", "gauge", []string{"queue"}, "Longest wait of a delivery in the backlog that may go next."}
	held          = Metric{"waybill_held_deliveries", "gauge", []string{"queue"}, "Deliveries in the backlog of a paused connector or destination."}
	inFlight      = Metric{"waybill_in_flight_deliveries", "gauge", []string{"queue"}, "Deliveries that are in the queue, being tried, or between two tries."}
	overdue       = Metric{"waybill_overdue_deliveries", "gauge", []string{"queue"}, "Deliveries that are on their way for longer than promised (storage 60 s, tables 120 s), since they came into the backlog."}
	states        = Metric{"waybill_ledger_deliveries", "gauge", []string{"state"}, "Deliveries in the ledger by state."}
	unplanned     = Metric{"waybill_unplanned_runs", "gauge", nil, "Accepted runs that no delivery was written for yet."}
	unplannedAge  = Metric{"waybill_unplanned_oldest_seconds", "gauge", nil, "Age of the oldest of them."}
	destConns     = Metric{"waybill_destination_connectors", "gauge", []string{"destination"}, "Connectors at each destination; the busiest 50 by failures, then by number, the rest as other."}
	destFailing   = Metric{"waybill_destination_failing_connectors", "gauge", []string{"destination"}, "Connectors whose last delivery failed by their destination."}
	destPaused    = Metric{"waybill_destination_paused_connectors", "gauge", []string{"destination"}, "Connectors that were paused after failures in a row."}
	pausedConns   = Metric{"waybill_paused_connectors", "gauge", []string{"by"}, "Paused connectors: by failures in a row, or by an operator."}
	pausedDests   = Metric{"waybill_paused_destinations", "gauge", nil, "Destinations that an operator paused."}
	ledgerErrors  = Metric{"waybill_ledger_scrape_errors_total", "counter", nil, "Scrapes that could not ask the ledger."}

	redisUp     = Metric{"waybill_redis_up", "gauge", nil, "1 while Redis answers."}
	redisUsed   = Metric{"waybill_redis_memory_used_bytes", "gauge", []string{"server"}, "Memory that a Redis master uses."}
	redisMax    = Metric{"waybill_redis_memory_max_bytes", "gauge", []string{"server"}, "Its maxmemory; 0: none."}
	redisUnsafe = Metric{"waybill_redis_unsafe", "gauge", []string{"check"}, "1 while Redis may lose what it is given, by what is wrong; what redis.allowUnsafe allows does not count."}
	redisSkew   = Metric{"waybill_redis_clock_skew_seconds", "gauge", nil, "By how much Redis's clock is ahead of this process's, or behind."}

	expiry = Metric{"waybill_credential_expiry_timestamp_seconds", "gauge", []string{"credential", "connector"}, "When tokens and credentials end: the 20 that end first."}
)

// Of the HTTP API and the pages.
var (
	httpRequests = Metric{"waybill_http_requests_total", "counter", []string{"route", "method", "status"}, "Requests of the HTTP API and the pages, by route and class of status, such as 2xx."}
	httpDuration = Metric{"waybill_http_request_duration_seconds", "histogram", []string{"route", "method"}, "How long they took."}
	httpLimited  = Metric{"waybill_http_rate_limited_total", "counter", nil, "Requests that were refused because their token had made too many (limits.apiRequests)."}
)

// Of the Delta Sharing server.
var shareRequests = Metric{"waybill_share_request_duration_seconds", "histogram", []string{"endpoint", "status"}, "Requests of the Delta Sharing server, by endpoint and HTTP status."}

// Catalog lists every metric of this package, for the documentation.
func Catalog() []Metric {
	list := []Metric{deliveries, retries, inProgress, stepDuration, stepFailures, freshness, promised, bytesOut, rowsOut,
		castFailures, quarantined, pauses, leaseLosses, staleFences, admissionWait, connectorDeliveries, connectorLast,
		rounds, roundDuration, repairs, schedulersDiffer, queueSize, queueTasks, queueLatency, queuePaused, queueErrors,
		backlog, backlogOldest, held, inFlight, overdue, states, unplanned, unplannedAge, destConns, destFailing, destPaused,
		pausedConns, pausedDests, ledgerErrors, redisUp, redisUsed, redisMax, redisUnsafe, redisSkew, expiry,
		httpRequests, httpDuration, httpLimited, shareRequests, backfills, backfillRuns}
	list = append(list, activityCatalog()...)
	for i := range list {
		list[i].Labels = slices.Clone(list[i].Labels) // the caller's to sort
	}
	return list
}

func counter(m Metric) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

func gauge(m Metric) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

func histogram(m Metric, buckets ...float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: buckets}, m.Labels)
}

func desc(m Metric) *prometheus.Desc { return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil) }

// sample is a gauge's value in a scrape.
func sample(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// other replaces a label value that was not announced, so that no mistake can
// make series without end.
const other = "other"

func bounded[T ~string](value T, known []T) string {
	if slices.Contains(known, value) {
		return string(value)
	}
	return other
}
