package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/tasks"
)

const (
	planBatch = 100 // runs of one slot that are planned in a round
	planners  = 16  // that work at once: most of the time our bucket or Redis is waited for
)

// PlanAll plans every accepted run that has no deliveries yet, and returns when
// what there was room for is admitted.
func (s *Scheduler) PlanAll(ctx context.Context) error {
	defer s.cfg.Ledger.Wait()
	return s.planAll(ctx)
}

func (s *Scheduler) planAll(ctx context.Context) error {
	for {
		runs, err := s.cfg.Ledger.Unplanned(ctx, planBatch)
		if err != nil || len(runs) == 0 {
			return err
		}
		errs := make([]error, len(runs))
		plans := make([]ledger.RunPlan, len(runs))
		atOnce(len(runs), func(i int) { plans[i], errs[i] = s.prepare(ctx, runs[i]) })
		// Runs of one team are planned in the order they were accepted.
		teams := map[string][]int{}
		for i, key := range runs {
			if errs[i] == nil {
				teams[key.TeamID] = append(teams[key.TeamID], i)
			}
		}
		lists := slices.Collect(maps.Values(teams))
		atOnce(len(lists), func(n int) {
			own := make([]ledger.RunPlan, len(lists[n]))
			for k, i := range lists[n] {
				own[k] = plans[i]
			}
			for k, err := range s.cfg.Ledger.PlanEach(ctx, own) {
				errs[lists[n][k]] = err
			}
		})
		for i, err := range errs {
			if err != nil {
				errs[i] = fmt.Errorf("run %s: %w", runs[i], err)
			}
		}
		if err := errors.Join(errs...); err != nil {
			return err // those runs are still listed: the next round tries them
		}
	}
}

// atOnce does something n times, a few at once.
func atOnce(n int, do func(i int)) {
	var g errgroup.Group
	g.SetLimit(planners)
	for i := range n {
		g.Go(func() error { do(i); return nil })
	}
	_ = g.Wait() // there is none
}

// prepare finds the connectors of a run's own team that want it, and has our
// bucket know of them before the run is planned.
func (s *Scheduler) prepare(ctx context.Context, key waybill.RunKey) (p ledger.RunPlan, err error) {
	if p.Run, err = s.cfg.Ledger.Run(ctx, key); err != nil {
		return p, err
	}
	subscribers, err := s.cfg.Subscribers(ctx, key.TeamID)
	if err != nil {
		return p, err
	}
	var wanted []string
	for _, c := range subscribers {
		if c.Team == key.TeamID && c.Wants(key.WorkflowID) {
			wanted = append(wanted, c.ID)
		}
	}
	goes, err := s.cfg.Ledger.MirrorRun(ctx, p.Run, wanted)
	if err != nil {
		return p, err
	}
	for _, c := range subscribers {
		if c.Team != key.TeamID || !slices.Contains(goes.Connectors, c.ID) {
			continue
		}
		first, ok := tasks.Starting(c.Kind)
		if !ok {
			return p, fmt.Errorf("connector %s: no task of this version delivers to kind %q", c.ID, c.Kind)
		}
		queue := first.Queue
		if p.Run.Historical() || slices.Contains(goes.Backfilled, c.ID) && !slices.Contains(wanted, c.ID) {
			queue = ledger.Backfill // Redis was lost, and this run comes back
		} else if err := s.beginBackfill(ctx, c); err != nil {
			return p, err
		}
		p.Deliveries = append(p.Deliveries, ledger.Planned{Task: first.Name, Queue: queue, Connector: c.forLedger(first)})
	}
	s.cfg.Log.InfoContext(ctx, "run planned", "team", key.TeamID, "workflow", key.WorkflowID, "job", key.JobID,
		"generation", p.Run.Generation, "schemaVersion", p.Run.SchemaVersion, "deliveries", len(p.Deliveries))
	return p, nil
}

// beginBackfill begins the first backfill of a connector that wants its history.
func (s *Scheduler) beginBackfill(ctx context.Context, c Subscriber) error {
	if _, begun := s.begun.Load(c.ID); begun || !c.Backfill {
		return nil
	}
	_, err := s.cfg.Ledger.StartBackfill(ctx, ledger.BackfillPlan{Connector: c.ID, Team: c.Team}, true)
	if err != nil && !errors.Is(err, ledger.ErrBackfillThere) {
		return err
	}
	s.begun.Store(c.ID, nil)
	return nil
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
		Destination: c.Destination, Ordered: first.Ordered, Notify: c.Notify}
}
