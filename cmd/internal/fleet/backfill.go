package fleet

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/scheduler"
	"github.com/waybillhq/waybill/tasks"
)

// backfillEvery is how often a backfill is looked after while it goes on.
const backfillEvery = 2 * time.Second

// backfillEntries are ticks for every backfill under way.
func (f *Fleet) backfillEntries(ctx context.Context) ([]scheduler.Entry, error) {
	all, err := f.Ledger.Backfills(ctx)
	if err != nil {
		return nil, err
	}
	var list []scheduler.Entry
	for _, b := range all {
		if !b.Active() {
			continue
		}
		payload, err := tasks.BackfillChunk.Encode(tasks.BackfillRef{Connector: b.Connector, Number: b.Number})
		if err != nil {
			return nil, err
		}
		list = append(list, scheduler.Entry{Name: fmt.Sprintf("backfill:%s:%d", b.Connector, b.Number), Task: tasks.BackfillChunk.Declaration,
			Payload: payload, Every: backfillEvery})
	}
	return list, nil
}

// describe is what the ledger is to know of a connector.
func (f *Fleet) describe(c connectors.Connector) ledger.Connector {
	first, _ := tasks.Starting(c.Kind)
	return ledger.Connector{ID: c.ID, Team: c.Team, Kind: c.Kind, Live: first.Queue, MaxInFlight: cmp.Or(c.MaxInFlight, f.Config.Limits.MaxInFlight),
		Destination: Destination(c), Ordered: first.Ordered}
}

// MeasureBackfill is what a backfill would have to do.
func (f *Fleet) MeasureBackfill(ctx context.Context, c connectors.Connector, p ledger.BackfillPlan) (ledger.BackfillSize, error) {
	return f.handlers().MeasureBackfill(ctx, c, p)
}

// BackfillProgress looks at how far a backfill has come.
func (f *Fleet) BackfillProgress(ctx context.Context, p ledger.BackfillPlan) (handlers.BackfillProgress, error) {
	return f.handlers().BackfillProgress(ctx, p)
}

func (f *Fleet) tidyBackfills(ctx context.Context) error {
	return f.handlers().TidyBackfills(ctx, f.Config.Times.Retention)
}

func (f *Fleet) backfillFigures(ctx context.Context) (monitoring.BackfillFigures, error) {
	figures := monitoring.BackfillFigures{States: map[string]int{}}
	for _, state := range ledger.BackfillStates() {
		figures.States[string(state)] = 0
	}
	all, err := f.Ledger.Backfills(ctx)
	for _, b := range all {
		figures.States[string(b.State)]++
		if !b.Ended() {
			figures.Planned += b.Size.Runs
			figures.HandedIn += min(b.Next*handlers.ChunkRuns, b.Size.Runs)
			figures.Complete += b.Done.Complete
			figures.Failed += b.Done.Failed
		}
	}
	return figures, err
}
