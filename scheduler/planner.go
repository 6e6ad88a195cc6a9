package scheduler

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/tasks"
)

const (
	planBatch = 100 // runs of one slot in a round
	planners  = 16  // runs that are planned at once: most of the time Redis is waited for
)

// PlanAll plans every accepted run that has no deliveries yet.
func (s *Scheduler) PlanAll(ctx context.Context) error {
	for {
		runs, err := s.cfg.Ledger.Unplanned(ctx, planBatch)
		if err != nil || len(runs) == 0 {
			return err
		}
		errs := make([]error, len(runs))
		var group errgroup.Group
		group.SetLimit(planners)
		for i, key := range runs {
			group.Go(func() error {
				if err := s.plan(ctx, key); err != nil {
					errs[i] = fmt.Errorf("run %s: %w", key, err)
				}
				return nil
			})
		}
		_ = group.Wait() // one run's error does not keep the others
		if err := errors.Join(errs...); err != nil {
			return err // those runs are still listed: the next round tries them
		}
	}
}

// plan writes one delivery of a run for each connector of its own team that
// wants it.
func (s *Scheduler) plan(ctx context.Context, key waybill.RunKey) error {
	accepted, err := s.cfg.Ledger.Run(ctx, key)
	if err != nil {
		return err
	}
	subscribers, err := s.cfg.Subscribers(ctx, key.TeamID)
	if err != nil {
		return err
	}
	var planned []ledger.Planned
	for _, c := range subscribers {
		if c.Team != key.TeamID || !c.Wants(key.WorkflowID) {
			continue
		}
		first, ok := tasks.Starting(c.Kind)
		if !ok {
			return fmt.Errorf("connector %s: no task of this version delivers to kind %q", c.ID, c.Kind)
		}
		planned = append(planned, ledger.Planned{Task: first.Name, Queue: first.Queue, Connector: c.forLedger(first)})
	}
	s.cfg.Log.InfoContext(ctx, "run planned", "team", key.TeamID, "workflow", key.WorkflowID, "job", key.JobID,
		"generation", accepted.Generation, "schemaVersion", accepted.SchemaVersion, "deliveries", len(planned))
	return s.cfg.Ledger.Plan(ctx, accepted, planned)
}

// describe tells the ledger what connectors are: a changed limit takes effect
// before the next run of its team.
func (s *Scheduler) describe(ctx context.Context) error {
	all, err := s.cfg.Subscribers(ctx, "")
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range all {
		if first, ok := tasks.Starting(c.Kind); ok {
			errs = append(errs, s.cfg.Ledger.Describe(ctx, c.forLedger(first)))
		}
	}
	return errors.Join(errs...)
}

func (c Subscriber) forLedger(first tasks.Declaration) ledger.Connector {
	return ledger.Connector{ID: c.ID, Team: c.Team, Kind: c.Kind, Live: first.Queue, MaxInFlight: c.MaxInFlight,
		Destination: c.Destination, Ordered: first.Ordered}
}
