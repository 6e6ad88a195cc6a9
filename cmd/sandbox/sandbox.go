package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	fake "github.com/waybillhq/waybill/internal/fakes/databricks"
	"github.com/waybillhq/waybill/internal/secrets"
	"github.com/waybillhq/waybill/internal/tokens"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/tasks"
)

// sandbox is the running system.
type sandbox struct {
	*fleet.Fleet
	dir  string
	addr string
	stop func() error

	vendors
}

// vendors stand in for what is elsewhere.
type vendors struct {
	workspace *fake.Server    // Databricks
	warehouse *warehouse      // Snowflake
	platform  *platformServer // where the runs are made
}

func startVendors(dir string) (v vendors, err error) {
	if v.warehouse, err = startWarehouse(dir); err != nil {
		return v, err
	}
	if v.platform, err = startPlatform(dir); err != nil {
		v.warehouse.Close()
		return v, err
	}
	v.workspace = fake.New(fake.Options{Locations: []string{fileURL(filepath.Join(dir, "databricks"))}})
	return v, nil
}

func (v vendors) close() {
	v.workspace.Close()
	v.warehouse.Close()
	v.platform.Close()
}

// start runs a scheduler and a worker on a Redis in memory.
func start(ctx context.Context, o options, stderr io.Writer) (_ *sandbox, err error) {
	if o.listen, err = free(ctx, o.listen); err != nil {
		return nil, err
	}
	if o.share, err = free(ctx, o.share); err != nil {
		return nil, err
	}
	s := &sandbox{dir: o.dir}
	if s.vendors, err = startVendors(o.dir); err != nil {
		return nil, err
	}
	f, redis, err := s.open(ctx, o, stderr)
	if err != nil {
		s.close()
		return nil, err
	}
	s.Fleet = f
	f.Trace(ctx)
	worker, err := f.Worker(map[string]int{tasks.QueueExport: 4, tasks.QueueSnowflake: 4, tasks.QueueDelta: 4, tasks.QueueActivity: 2, tasks.QueueBackfill: 2})
	if err != nil {
		return nil, err
	}
	pages, err := f.SchedulerMux()
	if err != nil {
		return nil, err
	}
	addr, stopHTTP, err := fleet.Serve(ctx, o.listen, pages)
	if err != nil {
		return nil, err
	}
	s.addr = addr.String()
	tables, err := f.ShareMux()
	if err != nil {
		return nil, err
	}
	_, stopShare, err := fleet.Serve(ctx, o.share, tables)
	if err != nil {
		return nil, err
	}

	running, end := context.WithCancel(ctx)
	done := make(chan error, 2)
	go func() { done <- worker.Run(running, running) }()
	go func() { done <- f.RunScheduler(running) }()
	go tick(running, redis)
	go s.platform.live(running)
	s.stop = func() error {
		end()
		err := errors.Join(<-done, <-done, stopHTTP(), stopShare(), f.Close())
		redis.Close()
		s.close()
		return err
	}
	return s, nil
}

// open connects a fleet to a Redis in memory.
func (s *sandbox) open(ctx context.Context, o options, stderr io.Writer) (*fleet.Fleet, *miniredis.Miniredis, error) {
	cfg, err := s.configure(o)
	if err != nil {
		return nil, nil, err
	}
	log, err := monitoring.NewLogger(stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return nil, nil, err
	}
	redis, err := miniredis.Run()
	if err != nil {
		return nil, nil, fmt.Errorf("start Redis in memory: %w", err)
	}
	cfg.Redis.URL = "redis://" + redis.Addr() + "/0"
	cfg.Redis.AllowUnsafe = []string{config.UnsafeEviction, config.UnsafeNoAOF} // it is gone with the process
	f, err := fleet.Open(ctx, cfg, log, 40)
	if err != nil {
		redis.Close()
		return nil, nil, err
	}
	if err := f.RequireSafeRedis(ctx); err != nil {
		err = errors.Join(err, f.Close())
		redis.Close()
		return nil, nil, err
	}
	return f, redis, nil
}

// tick moves the clock of the Redis in memory, which lets keys expire only then.
func tick(ctx context.Context, redis *miniredis.Miniredis) {
	const every = 100 * time.Millisecond
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			redis.FastForward(every)
		}
	}
}

func (s *sandbox) configure(o options) (config.Config, error) {
	cfg := config.Default()
	for _, name := range []string{"own", "bucket", "ingest", "delta", "databricks"} {
		if err := os.MkdirAll(filepath.Join(o.dir, name), 0o755); err != nil {
			return cfg, fmt.Errorf("make folder: %w", err)
		}
	}
	cfg.Bucket.URL = fileURL(filepath.Join(o.dir, "own"))
	cfg.Sharing.URL, cfg.Sharing.Storage = "http://"+o.share+"/delta-sharing", fileURL(filepath.Join(o.dir, "delta"))
	login := filepath.Join(o.dir, "own", "databricks-token")
	if err := os.WriteFile(login, []byte(fake.Token), 0o600); err != nil {
		return cfg, fmt.Errorf("write the test server's token: %w", err)
	}
	token, err := secrets.ParseRef("file:" + login)
	if err != nil {
		return cfg, fmt.Errorf("refer to the test server's token: %w", err)
	}
	cfg.Databricks = config.Databricks{Host: s.workspace.URL, Auth: "pat", Token: token, Catalog: fake.Catalog, WarehouseID: fake.WarehouseID,
		Tables: config.Tables{Storage: fileURL(filepath.Join(o.dir, "databricks"))}}
	if cfg.Snowflake, err = s.warehouse.settings(o.dir); err != nil {
		return cfg, err
	}
	if err := s.platform.settings(&cfg); err != nil {
		return cfg, err
	}
	cfg.Sources.FileRoot = "/" // it is the user's own machine
	cfg.Log = config.Log{Level: "error", Format: "text"}
	if o.verbose {
		cfg.Log.Level = "info"
	}
	return cfg, nil
}

func fileURL(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

// deliver sets up a connector of each kind for each team, hands in the runs,
// and waits until every delivery has ended.
func (s *sandbox) deliver(ctx context.Context, runs []waybill.Run) ([]waybill.Delivery, error) {
	client := s.Producer()
	teams := map[string][]connectors.Connector{}
	var deliveries []string
	for _, run := range runs {
		if teams[run.TeamID] == nil {
			teams[run.TeamID] = s.connectors(run.TeamID, len(teams)+1)
			for _, c := range teams[run.TeamID] {
				if _, err := s.ApplyConnector(ctx, handlers.Request{By: "sandbox"}, c); err != nil {
					return nil, fmt.Errorf("apply connector: %w", err)
				}
			}
			if err := s.profile(ctx, len(teams)); err != nil {
				return nil, err
			}
		}
		if _, err := client.Submit(ctx, run); err != nil {
			return nil, fmt.Errorf("hand in %s: %w", run.RunKey, err)
		}
		s.platform.finished(run)
		for _, c := range teams[run.TeamID] {
			deliveries = append(deliveries, waybill.DeliveryID(run.RunKey, c.ID))
		}
	}
	list, err := s.await(ctx, deliveries)
	if err != nil {
		return nil, err
	}
	for _, all := range teams {
		if err := s.awaitActivity(ctx, all); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// operator makes a token that opens the pages and the API.
func (s *sandbox) operator(ctx context.Context) (string, error) {
	token, _, err := s.APITokens().Create(ctx, tokens.Grant{Name: "sandbox", Scope: tokens.Ops, Teams: []string{tokens.AllTeams}}, 24*time.Hour)
	return token, err
}

// await polls the history, as anybody who asks it would.
func (s *sandbox) await(ctx context.Context, ids []string) ([]waybill.Delivery, error) {
	list := make([]waybill.Delivery, len(ids))
	for {
		ended := 0
		for i, id := range ids {
			d, err := s.Ledger.Delivery(ctx, id)
			if err != nil && !errors.Is(err, waybill.ErrNotFound) { // not planned yet
				return nil, err
			}
			switch list[i] = d; d.State {
			case waybill.StateComplete, waybill.StateFailed, waybill.StateBlocked:
				ended++
			}
		}
		if ended == len(ids) {
			return list, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
