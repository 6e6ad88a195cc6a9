package handlers

import (
	"context"
	"slices"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/snowflake"
)

// snowflakePublished are the views of a connector of kind snowflake.
type snowflakePublished struct {
	h     *Handlers
	dest  *snowflake.Destination
	setup snowflake.Setup // nothing where it never was set up
}

var _ Published = (*snowflakePublished)(nil)

func (h *Handlers) snowflakePublished(ctx context.Context, c connectors.Connector) (Published, error) {
	settings, err := h.snowflakeSettings(c)
	if err != nil {
		return nil, err
	}
	dest, err := h.Snowflake.Known(ctx, h.Ledger, settings)
	if err != nil {
		return nil, err
	}
	setup, err := snowflake.KnownSetup(ctx, h.Ledger, c.ID)
	return &snowflakePublished{h, dest, setup}, err
}

func laneOf(l *ledger.Lane) snowflake.Lane {
	return snowflake.Lane{WorkflowID: l.WorkflowID, Fence: l.Fence}
}

// Workflows implements [Published].
func (s *snowflakePublished) Workflows(ctx context.Context) ([]string, error) {
	if s.setup.Share == "" {
		return nil, nil
	}
	return s.dest.Workflows(ctx)
}

// Latest implements [Published].
func (s *snowflakePublished) Latest(ctx context.Context, workflow string) (Latest, error) {
	now, err := s.dest.Latest(ctx, workflow)
	if err != nil {
		return Latest{}, err
	}
	l := Latest{Workflow: workflow, Version: int(now.Shows), Pinned: now.Pinned, Newest: int(now.Newest), NewestJob: now.NewestJob, NewestAt: now.NewestAt}
	for _, n := range now.Versions {
		l.Versions = append(l.Versions, int(n))
	}
	for _, m := range now.Moves {
		l.Moves = append(l.Moves, Move{int(m.Version), m.Pinned, m.At})
	}
	return l, nil
}

// Point implements [Published].
func (s *snowflakePublished) Point(ctx context.Context, lane *ledger.Lane, version int) (Step, error) {
	now, err := s.dest.Latest(ctx, lane.WorkflowID)
	if err != nil {
		return Step{}, err
	}
	to := int64(version)
	if version == 0 {
		now.Pinned = false
		to = now.Target()
	}
	if !slices.Contains(now.Versions, to) {
		return Step{}, waybill.Failf(waybill.Blocked, "snowflake.no_version",
			"There is no such schema version at this connector; waybill connector latest lists them.", "%s has no V%d", lane.WorkflowID, to)
	}
	return Step{Changes: []waybill.TableChange{latestMoves(lane.WorkflowID, now.Shows, to)}, Do: func(ctx context.Context) error {
		if version == 0 {
			_, err := s.dest.Unpin(ctx, laneOf(lane), s.setup.Route)
			return err
		}
		_, err := s.dest.Pin(ctx, laneOf(lane), to, s.setup.Route)
		return err
	}}, nil
}

func latestMoves(workflow string, from, to int64) waybill.TableChange {
	return waybill.TableChange{Table: waybill.LatestTable(workflow), Effect: waybill.EffectMoved, From: int(from), To: int(to)}
}

// Unpublish implements [Published]. The rows stay in our own table until a
// sweep; no view shows them.
func (s *snowflakePublished) Unpublish(ctx context.Context, lane *ledger.Lane, d waybill.Delivery) (Step, error) {
	step := Step{Do: func(ctx context.Context) error {
		_, err := s.dest.Unpublish(ctx, laneOf(lane), d.JobID, s.setup.Route)
		return err
	}}
	run, err := s.dest.RunState(ctx, lane.WorkflowID, d.JobID)
	if err != nil || run.Status != waybill.StatusPublished {
		return step, err
	}
	step.Changes = []waybill.TableChange{{Table: waybill.TableRuns, Effect: waybill.EffectMarked, Rows: 1},
		{Table: waybill.VersionTable(lane.WorkflowID, int(run.SchemaVersion)), Effect: waybill.EffectRemoved, Rows: run.Rows}}
	then, err := s.dest.LatestWithout(ctx, laneOf(lane), d.JobID)
	if to := then.Target(); to != 0 {
		step.Changes = append(step.Changes, latestMoves(lane.WorkflowID, then.Shows, to))
	}
	return step, err
}

// Narrow implements [Published].
func (s *snowflakePublished) Narrow(ctx context.Context, lane *ledger.Lane) (Step, error) {
	_, shown, err := s.dest.Views(ctx, lane.WorkflowID)
	return Step{Changes: changes(shown, waybill.EffectRevoked), Do: func(ctx context.Context) error {
		_, err := s.dest.Narrow(ctx, laneOf(lane))
		return err
	}}, err
}

// Readmit implements [Published].
func (s *snowflakePublished) Readmit(ctx context.Context, lane *ledger.Lane) (Step, error) {
	all, _, err := s.dest.Views(ctx, lane.WorkflowID)
	return Step{Changes: changes(all, waybill.EffectRestored), Do: func(ctx context.Context) error {
		_, err := s.dest.Readmit(ctx, laneOf(lane))
		return err
	}}, err
}

// Purge implements [Published]: the tables, and what was staged for them.
func (s *snowflakePublished) Purge(ctx context.Context, lane *ledger.Lane) (Step, error) {
	all, _, err := s.dest.Views(ctx, lane.WorkflowID)
	return Step{Changes: changes(all, waybill.EffectErased), Do: func(ctx context.Context) error {
		if _, err := s.dest.Purge(ctx, laneOf(lane)); err != nil {
			return err
		}
		return s.unstage(ctx, snowflake.StageFolder(lane.WorkflowID))
	}}, err
}

// Revoke implements [Published].
func (s *snowflakePublished) Revoke(ctx context.Context) (Step, error) {
	shown, err := s.dest.Shown(ctx)
	return Step{Changes: changes(shown, waybill.EffectRevoked), Do: func(ctx context.Context) error {
		_, err := s.dest.Revoke(ctx)
		return err
	}}, err
}

// Erase implements [Published]: the connector's database, with all in it, and
// what was staged.
func (s *snowflakePublished) Erase(context.Context) (Step, error) {
	return Step{Changes: changes([]string{s.dest.Database}, waybill.EffectErased), Do: func(ctx context.Context) error {
		if err := s.dest.Drop(ctx); err != nil {
			return err
		}
		return s.unstage(ctx, "")
	}}, nil
}

// unstage deletes staged files below a folder of the connector's. Those that
// are staged in Snowflake itself end with the database.
func (s *snowflakePublished) unstage(ctx context.Context, folder string) error {
	if s.dest.StageURL() == "" {
		return nil
	}
	store, err := s.h.Ingest(ctx, s.dest)
	if err != nil {
		return err
	}
	var staged []storage.Object
	for o, err := range store.List(ctx, folder) {
		if err != nil {
			return err
		}
		staged = append(staged, o)
	}
	for _, o := range staged {
		if err := store.Delete(ctx, o.Key); err != nil {
			return err
		}
	}
	return nil
}

func changes(tables []string, effect waybill.Effect) (list []waybill.TableChange) {
	for _, table := range tables {
		list = append(list, waybill.TableChange{Table: table, Effect: effect})
	}
	return list
}
