// Package fleet wires the processes of a fleet from its configuration: the one
// place where every part meets. The program and the sandbox both use it, so
// that what the sandbox shows is what the fleet runs.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/netguard"
	"github.com/waybillhq/waybill/internal/secrets"
	"github.com/waybillhq/waybill/internal/source"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/scheduler"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/warehouses/databricks"
	"github.com/waybillhq/waybill/warehouses/snowflake"
	"github.com/waybillhq/waybill/worker"
)

// Fleet is what the processes of one fleet share.
type Fleet struct {
	Config     config.Config
	Redis      redis.UniversalClient
	Ledger     *ledger.Ledger
	Connectors *connectors.Registry
	Registry   *monitoring.Registry
	Log        *slog.Logger

	secrets *secrets.Resolver
	guard   *netguard.Guard
	metrics *monitoring.Metrics
	traces  *monitoring.Traces
	rounds  func() *monitoring.SchedulerMetrics // of a process that schedules
	expiry  *monitoring.Expiries
	memory  *storage.PartMemory

	bucket    storage.Store // our own
	account   *snowflake.Account
	workspace *databricks.Workspace

	mu     sync.Mutex
	stores map[place]storage.Store
}

// redisLogger takes what the client would print: its callers get each error too.
type redisLogger struct{ log *slog.Logger }

func (l redisLogger) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, args...), "component", "redis")
}

// uploadParts bounds the memory of all uploads of a process: 64 parts of 8 MiB.
const uploadParts = 64

// New prepares what needs no connection. [Fleet.Connect] connects.
func New(cfg config.Config, log *slog.Logger) (*Fleet, error) {
	guard, err := netguard.New(netguard.Options{Allow: cfg.Network.Allow})
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	registry := monitoring.NewRegistry()
	return &Fleet{rounds: sync.OnceValue(func() *monitoring.SchedulerMetrics {
		return monitoring.NewSchedulerMetrics(registry, append(scheduler.Works(), workExpiries, workOperations, workAgree, workBackfills)...)
	}), Config: cfg, Log: log, Registry: registry, expiry: monitoring.NewExpiries(), guard: guard, secrets: secrets.NewResolver(),
		memory: storage.NewPartMemory(uploadParts), stores: map[place]storage.Store{}}, nil
}

// Open connects to what the configuration names. poolSize is the number of
// connections to Redis.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger, poolSize int) (*Fleet, error) {
	f, err := New(cfg, log)
	if err != nil {
		return nil, err
	}
	bucket, err := f.OwnBucket(ctx)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Connect(ctx, bucket, poolSize); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// OwnBucket opens our own bucket.
func (f *Fleet) OwnBucket(ctx context.Context) (storage.Store, error) {
	bucket, err := f.open(ctx, ours(f.Config.Bucket.URL, f.Config.Bucket.S3))
	if err != nil {
		return nil, fmt.Errorf("our own bucket: %w", err)
	}
	return bucket, nil
}

// Connect connects to Redis, and opens the ledger there and in our bucket.
func (f *Fleet) Connect(ctx context.Context, bucket storage.Store, poolSize int) (err error) {
	redis.SetLogger(redisLogger{f.Log})
	if f.Redis, err = f.Config.Redis.Connect(ctx, f.secrets, poolSize); err != nil {
		return err
	}
	f.bucket = bucket
	f.metrics = monitoring.NewMetrics(f.Registry, f.metricLabels())
	f.Ledger = ledger.New(f.Redis, bucket, tasks.NewEnqueuer(f.Redis), ledger.Options{
		Lease: f.Config.Times.Lease, MaxFailures: f.Config.Limits.MaxFailures, Replicas: f.Config.Redis.Confirming(), Notify: strings.Join(f.toldOfAll(), " "), Log: f.Log,
		Observer: ledger.Observer{Admitted: f.metrics.Admitted, Lost: f.metrics.LeaseLost, Stale: f.metrics.StaleFence}})
	if f.account, err = f.newAccount(); err != nil {
		return err
	}
	if f.workspace, err = f.newWorkspace(); err != nil {
		return err
	}
	f.Connectors = connectors.NewRegistry(f.Ledger, f.ConnectorRules())
	return nil
}

// Trace sends traces where the standard variables of OpenTelemetry ask for it:
// of what is made of the fleet from here on, until it is closed.
func (f *Fleet) Trace(ctx context.Context) {
	f.traces = monitoring.OpenTraces(ctx, os.LookupEnv, f.Log)
}

// Close closes what Open and the stores opened.
func (f *Fleet) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	errs := []error{f.guard.Close()}
	if f.Ledger != nil {
		f.Ledger.Wait()
	}
	f.traces.Close()
	if f.Redis != nil {
		errs = append(errs, f.Redis.Close())
	}
	if f.account != nil {
		errs = append(errs, f.account.Close())
	}
	for _, s := range f.stores {
		if c, ok := s.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// kinds are those that the fleet is configured to deliver to: no connector of
// another one is taken, for its runs would wait for nobody.
func (f *Fleet) kinds() []waybill.Kind {
	kinds := []waybill.Kind{waybill.KindStorage}
	if f.account != nil {
		kinds = append(kinds, waybill.KindSnowflake)
	}
	if f.workspace != nil {
		kinds = append(kinds, waybill.KindDatabricks)
	}
	if f.Config.Sharing.URL != "" {
		kinds = append(kinds, waybill.KindDeltaSharing)
	}
	return kinds
}

// ConnectorRules are what this fleet can deliver to.
func (f *Fleet) ConnectorRules() connectors.Rules {
	rules := connectors.Rules{
		CheckURL:  func(url string) error { _, err := storage.ParseURL(url); return err },
		CheckPath: func(path string) error { _, err := storage.ParsePath(path); return err },
		CheckSnowflake: func(s connectors.Snowflake) error {
			_, err := snowflake.ParseTarget(s.Organization, s.Account, s.Region, s.Cloud)
			return err
		},
		Kinds: f.kinds(),
	}
	for _, f := range formats.All() {
		rules.Formats = append(rules.Formats, string(f))
	}
	return rules
}

// Worker returns a worker over the given queues.
func (f *Fleet) Worker(queues map[string]int) (*worker.Worker, error) {
	return worker.New(f.Redis, worker.Config{
		Queues: queues, Routes: f.handlers().Routes(), Stall: f.Config.Times.Stall, Metrics: f.metrics, Log: f.Log})
}

func (f *Fleet) handlers() *handlers.Handlers {
	sources := f.sources()
	return &handlers.Handlers{
		Ledger:        f.Ledger,
		Connector:     f.Connectors.Get,
		Store:         f.Store,
		Tables:        f.Tables,
		Snowflake:     f.account,
		Ingest:        f.Ingest,
		Workspace:     f.workspace,
		TokenLifetime: time.Duration(f.Config.Times.TokenLifetime),
		Source: func(ctx context.Context, team string, s waybill.Source, pin string) (handlers.Records, error) {
			return sources.Open(ctx, team, s, pin)
		},
		Activity: f.activityLog(),
		Bucket:   f.bucket,
		History:  source.History{Web: f.guard, Platform: sources.Platform},
		Describe: f.describe,
		Brand:    f.Config.Brand,
		Limits:   handlers.Limits{RecordBytes: int(f.Config.Limits.LargestRecord), Depth: f.Config.Limits.Nesting},
		Metrics:  f.metrics,
		Traces:   f.traces,
		Log:      f.Log,
	}
}

func (f *Fleet) sources() source.Opener {
	return source.Opener{
		FileRoot: f.Config.Sources.FileRoot, Allow: f.Config.Sources.Allow,
		Store: func(ctx context.Context, location string) (storage.Store, error) {
			return f.open(ctx, sourcePlace(location, f.Config.Sources))
		},
		Web: f.guard, Platform: f.platform(),
		Expansion: f.Config.Limits.Expansion, ExpansionFloor: int64(f.Config.Limits.ExpansionFloor),
	}
}

// platform is the platform whose results are delivered.
func (f *Fleet) platform() source.Platform {
	return source.Platform{URL: f.Config.Platform.URL, Key: f.secret(f.Config.Platform.APIKey)}
}

// Scheduler returns a scheduler.
func (f *Fleet) Scheduler() *scheduler.Scheduler {
	return scheduler.New(scheduler.Config{
		Ledger: f.Ledger, Subscribers: f.subscribers, Sweep: f.Config.Times.Sweep, Retention: f.Config.Times.Retention, Entries: f.entries(),
		Log: f.Log, Redis: f.Redis, Metrics: f.rounds(), Besides: []scheduler.Work{
			{Name: workExpiries, Every: expiriesEvery, Do: f.watchExpiries},
			{Name: workOperations, Every: operationsEvery, Do: f.Operations().Resume},
			{Name: workAgree, Every: agreeEvery, Do: f.NewAgreement().Compare},
			{Name: workBackfills, Every: backfillsEvery, Do: f.tidyBackfills},
		}})
}

func (f *Fleet) subscribers(ctx context.Context, team string) ([]scheduler.Subscriber, error) {
	all, err := f.Connectors.List(ctx, team)
	if err != nil {
		return nil, err
	}
	return f.subscribersOf(all), nil
}

// subscribersOf are what the planner needs to know of connectors.
func (f *Fleet) subscribersOf(all []connectors.Connector) []scheduler.Subscriber {
	list := make([]scheduler.Subscriber, len(all))
	for i, c := range all {
		list[i] = scheduler.Subscriber{ID: c.ID, Team: c.Team, Kind: c.Kind, Wants: c.Subscribes, Destination: Destination(c), Notify: f.told(c),
			MaxInFlight: cmp.Or(c.MaxInFlight, f.Config.Limits.MaxInFlight), Backfill: c.Backfill == connectors.BackfillInitial}
	}
	return list
}
