package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/warehouses/snowflake"
)

// SnowflakeLoad brings a run into the table of its schema version in our
// Snowflake account, where its customer does not see it yet, and hands it on
// to [Handlers.SnowflakePublish].
func (h *Handlers) SnowflakeLoad(ctx context.Context, ref tasks.DeliveryRef) (err error) {
	a, err := h.begin(ctx, tasks.SnowflakeLoad.Declaration, ref)
	if err != nil {
		return err
	}
	defer a.close(&err)
	ctx = snowflake.WithTag(a.Context(), a.Delivery.ID)

	s, err := h.shipment(ctx, a)
	if err != nil {
		return at(waybill.StageStage, err)
	}
	shipped, err := once(ctx, a, waybill.StageStage, s.stage)
	if err != nil {
		return err
	}
	if _, err := once(ctx, a, waybill.StageSchema, s.evolve); err != nil {
		return err
	}
	if _, err := once(ctx, a, waybill.StageLoad, func(ctx context.Context) (struct{}, error) { return s.load(ctx, shipped) }); err != nil {
		return err
	}
	return at(waybill.StageLoad, a.HandOn(ctx, tasks.SnowflakePublish.Name))
}

// shipment is a run on its way through our Snowflake account.
type shipment struct {
	*attempt
	dest snowflake.Ready
	run  snowflake.Run // its Conversion is known once it is staged
}

func (h *Handlers) shipment(ctx context.Context, a *attempt) (*shipment, error) {
	dest, err := h.snowflake(ctx, a.connector)
	if err != nil {
		return nil, err
	}
	return &shipment{attempt: a, dest: dest, run: snowflake.Run{Lane: snowflake.Lane{WorkflowID: a.Run.WorkflowID, Fence: a.Fence},
		DeliveryID: a.Delivery.ID, Generation: a.Delivery.Generation, JobID: a.Run.JobID, SchemaVersion: a.Delivery.SchemaVersion,
		Schema: a.Run.Schema, FinishedAt: a.Run.FinishedAt, Revision: a.Revision}}, nil
}

// snowflake is a connector's part of our account. Where it was never set up,
// it is now: the account is verified before anything is shown to it.
func (h *Handlers) snowflake(ctx context.Context, c connectors.Connector) (snowflake.Ready, error) {
	settings, err := h.snowflakeSettings(c)
	if err != nil {
		return snowflake.Ready{}, err
	}
	ready, err := working(func(ctx context.Context) (snowflake.Ready, error) { return h.Snowflake.Ready(ctx, h.Ledger, settings) })(ctx)
	return ready, at(waybill.StageShare, err)
}

func (h *Handlers) snowflakeSettings(c connectors.Connector) (snowflake.Connector, error) {
	if h.Snowflake == nil {
		return snowflake.Connector{}, waybill.Failf(waybill.Blocked, "snowflake.not_configured",
			"Give the fleet's configuration the section snowflake, then retry.", "no section snowflake")
	}
	return SnowflakeConnector(c, h.Brand)
}

// SnowflakeConnector is a connector of kind snowflake as our account knows it.
func SnowflakeConnector(c connectors.Connector, brand string) (snowflake.Connector, error) {
	target, err := snowflake.ParseTarget(c.Snowflake.Organization, c.Snowflake.Account, c.Snowflake.Region, c.Snowflake.Cloud)
	if err != nil {
		return snowflake.Connector{}, waybill.Failf(waybill.Blocked, "connector.settings", "Mend the connector's snowflake settings and apply it again.", "%w", err)
	}
	target.AllowLowerEdition = c.Snowflake.AllowLowerEdition
	return snowflake.Connector{ID: c.ID, Team: c.Team, Brand: brand, Target: target, ActivityLog: c.LogsActivity()}, nil
}

// working reports progress while do waits for Snowflake: nothing moves here
// meanwhile, and how long a statement may take is limited there.
func working[T any](do func(context.Context) (T, error)) func(context.Context) (T, error) {
	return func(ctx context.Context) (T, error) {
		ctx, done := context.WithCancel(ctx)
		defer done()
		go func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					tasks.Progress(ctx)
				}
			}
		}()
		return do(ctx)
	}
}

// shipped is the recorded result of the stage step: the attempt's own files,
// which COPY reads.
type shipped struct {
	converted
	Path  string // below the connector's stage
	Files []waybill.File
}

func (s shipped) staged() snowflake.Staged {
	staged := snowflake.Staged{Path: s.Path}
	for _, f := range s.Files {
		staged.Files = append(staged.Files, f.Name)
	}
	return staged
}

// stage converts the run and puts its files where Snowflake takes them from.
// A later attempt writes files of its own.
func (s *shipment) stage(ctx context.Context) (shipped, error) {
	o := s.convertOptions()
	o.MaxFileBytes = tableFileBytes
	o.Warehouse = &formats.WarehouseColumns{Brand: s.h.Brand, JobID: s.Run.JobID, FinishedAt: s.Run.FinishedAt}
	result := shipped{Path: snowflake.StagePath(s.run)}
	to, err := s.sink(ctx, o.FileName, result.Path)
	if err != nil {
		return shipped{}, err
	}
	files, report, err := s.convert(ctx, o, []formats.Format{formats.Parquet}, to)
	if err != nil {
		return shipped{}, err
	}
	result.converted, result.Files = report, files[formats.Parquet]
	return result, nil
}

// sink puts files into our bucket that the stage shows, or where there is none
// into the stage itself.
func (s *shipment) sink(ctx context.Context, name func(formats.Format, int) string, path string) (sink, error) {
	if s.dest.StageURL() == "" {
		return func(ctx context.Context, f formats.Format, part int, r io.Reader) error {
			return s.put(ctx, r, name(f, part), path)
		}, nil
	}
	store, err := s.h.Ingest(ctx, s.dest.Destination)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, f formats.Format, part int, r io.Reader) error {
		_, err := store.Put(ctx, path+name(f, part), r, storage.PutOptions{ContentType: f.ContentType()})
		return err
	}, nil
}

// put stages a file in Snowflake itself, by way of a temporary one: the
// driver streams into no stage that is a folder.
func (s *shipment) put(ctx context.Context, r io.Reader, name, path string) error {
	dir, err := os.MkdirTemp("", "waybill-")
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	defer os.RemoveAll(dir)
	file, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	_, err = io.Copy(file, r)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	_, err = working(func(ctx context.Context) (struct{}, error) { return struct{}{}, s.dest.Put(ctx, file.Name(), path) })(ctx)
	return err
}

// evolve makes the table and the view of the schema version, which never
// change after.
func (s *shipment) evolve(ctx context.Context) (struct{}, error) {
	return working(func(ctx context.Context) (struct{}, error) { return struct{}{}, s.dest.Evolve(ctx, s.run) })(ctx)
}

// load copies the staged files into a table of the attempt's own, holds that
// against what was converted, and swaps its rows in under the lane's fence.
func (s *shipment) load(ctx context.Context, from shipped) (struct{}, error) {
	s.run.Conversion = from.Conversion
	_, err := working(func(ctx context.Context) (struct{}, error) { return struct{}{}, s.dest.Load(ctx, s.run, from.staged()) })(ctx)
	if errors.Is(err, snowflake.ErrStagedFiles) {
		err = errors.Join(err, s.Forget(ctx, waybill.StageStage))
	}
	return struct{}{}, err
}
