package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config/durability"
	"github.com/waybillhq/waybill/internal/connectors/policies"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/tasks"
)

// metricLabels are what metrics may name.
func (f *Fleet) metricLabels() monitoring.Labels {
	labels := monitoring.Labels{Kinds: f.kinds(), Queues: tasks.QueueNames(), Connectors: f.Config.Monitoring.Connectors}
	for _, d := range tasks.All() {
		labels.Tasks = append(labels.Tasks, monitoring.Task{Name: d.Name, Stages: d.Stages})
	}
	return labels
}

// promised is how long deliveries of each queue may take: as long as the most
// patient kind that uses it. Historical ones may take as long as they like.
func promised() map[string]time.Duration {
	times := map[string]time.Duration{tasks.QueueBackfill: 0}
	for _, d := range tasks.All() {
		for _, kind := range d.Starts {
			times[d.Queue] = max(times[d.Queue], monitoring.Promised(kind))
		}
	}
	return times
}

// ledgerFigures are the ledger's figures, as the metrics take them.
func (f *Fleet) ledgerFigures(ctx context.Context) (figures monitoring.LedgerFigures, err error) {
	all, err := f.Ledger.Figures(ctx, promised())
	if err != nil {
		return figures, err
	}
	figures = monitoring.LedgerFigures{States: all.States, Queues: map[string]monitoring.QueueFigures{},
		PausedByOperator: all.PausedConnectors, PausedDestinations: all.PausedDestinations, Unplanned: all.Unplanned, OldestUnplanned: all.OldestUnplanned}
	for queue, q := range all.Queues {
		figures.Queues[queue] = monitoring.QueueFigures(q)
	}
	for name, d := range all.Destinations {
		figures.PausedByOperator -= d.Paused
		figures.PausedByFailures += d.Paused
		figures.Destinations = append(figures.Destinations, monitoring.DestinationFigures{Name: name, Connectors: d.Connectors, Failing: d.Failing, Paused: d.Paused})
	}
	return figures, nil
}

// redisFigures are what Redis says of itself, as the metrics take it.
func (f *Fleet) redisFigures(ctx context.Context) (figures monitoring.RedisFigures, err error) {
	servers, err := durability.Ask(ctx, f.Redis, !f.Config.Redis.HasUser())
	if err != nil {
		return figures, err
	}
	figures.Unsafe = map[string]bool{}
	for _, s := range servers {
		for _, finding := range s.Findings(f.Config.Redis.Confirming(), f.Config.Redis.AllowUnsafe) {
			check := strings.TrimSuffix(strings.TrimPrefix(finding.Check, "redis "), " "+s.Addr)
			figures.Unsafe[check] = figures.Unsafe[check] || finding.Level == durability.Bad
		}
		name := s.Addr
		if name == "" {
			name = "redis"
		}
		figures.Servers = append(figures.Servers, monitoring.RedisServer{Name: name, UsedBytes: s.UsedMemory, MaxBytes: s.MaxMemory})
		if s.Ahead.Abs() > figures.Ahead.Abs() {
			figures.Ahead = s.Ahead
		}
	}
	return figures, nil
}

const (
	workExpiries    = "look at what expires"
	expiriesEvery   = 10 * time.Minute
	workOperations  = "do what is due of operations"
	operationsEvery = time.Minute
	workBackfills   = "tidy up after backfills"
	backfillsEvery  = time.Hour
)

// watchExpiries shows when the connectors' tokens and credentials end. What
// cannot be looked at is told, and does not hide the rest.
func (f *Fleet) watchExpiries(ctx context.Context) error {
	all, err := f.Connectors.List(ctx, "")
	if err != nil {
		return err
	}
	var list []monitoring.Expiry
	var errs []error
	add := func(credential, connector string, at time.Time, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("connector %s: %w", connector, err))
		} else if !at.IsZero() {
			list = append(list, monitoring.Expiry{Credential: credential, Connector: connector, At: at})
		}
	}
	for _, c := range all {
		switch {
		case c.Kind == waybill.KindDeltaSharing, c.Kind == waybill.KindDatabricks:
			tokens, _, err := f.Operations().TokenExpiry(ctx, c)
			add("share-token", c.ID, tokens.ExpiresAt, err)
		case c.Storage != nil && !c.Storage.Access.SAS.IsZero():
			sas, err := f.secrets.Resolve(ctx, c.Storage.Access.SAS)
			add("sas", c.ID, policies.SASEnd(sas.Reveal()), err)
		}
	}
	f.expiry.Set(list)
	return errors.Join(errs...)
}
