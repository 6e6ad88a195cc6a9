package monitoring

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The metrics of backfills.
var (
	backfills    = Metric{"waybill_backfills", "gauge", []string{"state"}, "Connectors by the state of their last backfill."}
	backfillRuns = Metric{"waybill_backfill_runs", "gauge", []string{"what"}, "Runs of the backfills that have not ended: all (planned), those whose chunk was handed in (handed_in), those that were counted as complete (complete) or as failed or blocked (failed)."}
)

// BackfillFigures are what there is to say of all backfills.
type BackfillFigures struct {
	States map[string]int // connectors by state; every state stands there

	Planned, HandedIn, Complete, Failed int // runs of those that have not ended
}

// BackfillCollector asks how backfills stand when it is scraped.
type BackfillCollector struct {
	figures func(context.Context) (BackfillFigures, error)
	log     *slog.Logger
}

var _ prometheus.Collector = (*BackfillCollector)(nil)

// NewBackfillCollector returns a collector of what figures says.
func NewBackfillCollector(figures func(context.Context) (BackfillFigures, error), log *slog.Logger) *BackfillCollector {
	return &BackfillCollector{figures, log}
}

func (m Metric) desc() *prometheus.Desc { return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil) }

// Describe implements [prometheus.Collector].
func (c *BackfillCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- backfills.desc()
	ch <- backfillRuns.desc()
}

// Collect implements [prometheus.Collector].
func (c *BackfillCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	f, err := c.figures(ctx)
	if err != nil {
		c.log.WarnContext(ctx, "backfills could not be asked for their metrics", "error", err)
		return
	}
	gauge := func(m Metric, v int, label string) {
		ch <- prometheus.MustNewConstMetric(m.desc(), prometheus.GaugeValue, float64(v), label)
	}
	for state, n := range f.States {
		gauge(backfills, n, state)
	}
	gauge(backfillRuns, f.Planned, "planned")
	gauge(backfillRuns, f.HandedIn, "handed_in")
	gauge(backfillRuns, f.Complete, "complete")
	gauge(backfillRuns, f.Failed, "failed")
}
