// Package handlers does the work of each task type, one file a type: a
// delivery as the story of its steps. A step is done once; a second attempt
// starts where the first stopped; the step's name is its failure's stage.
package handlers

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/warehouses/databricks"
	"github.com/waybillhq/waybill/warehouses/snowflake"
)

// Records are a run's records, as plain bytes.
type Records interface {
	io.ReadCloser
	ETag() string // version of the source; empty where it has none
}

// Handlers holds what handlers need. Fields that do not say otherwise are required.
type Handlers struct {
	Ledger    *ledger.Ledger
	Connector func(ctx context.Context, id string) (connectors.Connector, error)
	// Store opens a storage connector's bucket or folder.
	Store func(ctx context.Context, c connectors.Connector) (storage.Store, error)
	// Tables opens the place of a connector's Delta tables, which is its own.
	Tables func(ctx context.Context, c connectors.Connector) (storage.Store, error)
	// Snowflake is our Snowflake account; nil where there is none.
	Snowflake *snowflake.Account
	// Ingest opens the folder of our ingestion bucket that a connector's stage shows.
	Ingest func(ctx context.Context, d *snowflake.Destination) (storage.Store, error)
	// Workspace is our Databricks workspace; nil where there is none.
	Workspace *databricks.Workspace
	// TokenLifetime is that of customers' tokens where the connector does not say; default 90 days.
	TokenLifetime time.Duration
	// Source opens a run's records. A source that is not the pinned one is refused.
	Source func(ctx context.Context, team string, s waybill.Source, pin string) (Records, error)
	// Activity is the platform's activity log; nil where there is no platform.
	Activity ActivityLog
	// Bucket is our own: the runs of a backfill are listed there.
	Bucket storage.Store
	// History lists the runs of the past, where no manifest does.
	History History
	// Describe is what the ledger is to know of a connector.
	Describe func(c connectors.Connector) ledger.Connector
	// ChunkRuns is how many runs are one chunk of a backfill; 0: [ChunkRuns].
	ChunkRuns int
	Brand     string
	Limits    Limits
	Metrics   *monitoring.Metrics // may be nil
	Traces    *monitoring.Traces  // may be nil
	Log       *slog.Logger
}

// Limits bound one record; zero values take the converter's defaults.
type Limits struct {
	RecordBytes int
	Depth       int
	CPUs        int // cores that one conversion may use
}

// Routes binds every handler to its task type.
func (h *Handlers) Routes() []tasks.Route {
	return []tasks.Route{
		tasks.Handle(tasks.ExportPush, h.ExportPush),
		tasks.Handle(tasks.SnowflakeLoad, h.SnowflakeLoad),
		tasks.Handle(tasks.SnowflakePublish, h.SnowflakePublish),
		tasks.Handle(tasks.DeltaPublish, h.DeltaPublish),
		tasks.Handle(tasks.ActivitySync, h.ActivitySync),
		tasks.Handle(tasks.BackfillChunk, h.BackfillChunk),
	}
}
