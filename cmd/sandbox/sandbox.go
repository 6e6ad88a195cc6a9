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
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/tasks"
)

// sandbox is the running system.
type sandbox struct {
	*fleet.Fleet
	dir  string
	addr string
	stop func() error
}

// start runs a scheduler and a worker on a Redis in memory.
func start(ctx context.Context, o options, stderr io.Writer) (_ *sandbox, err error) {
	cfg, err := configure(o)
	if err != nil {
		return nil, err
	}
	redis, err := miniredis.Run()
	if err != nil {
		return nil, fmt.Errorf("start Redis in memory: %w", err)
	}
	cfg.Redis.URL = "redis://" + redis.Addr() + "/0"
	cfg.Redis.AllowUnsafe = []string{config.UnsafeEviction, config.UnsafeNoAOF} // it is gone with the process
	log, err := monitoring.NewLogger(stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return nil, err
	}
	f, err := fleet.Open(ctx, cfg, log, 40)
	if err != nil {
		redis.Close()
		return nil, err
	}
	if err := f.RequireSafeRedis(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s := &sandbox{Fleet: f, dir: o.dir}
	worker, err := f.Worker(map[string]int{tasks.QueueExport: 4})
	if err != nil {
		return nil, err
	}
	addr, stopHTTP, err := fleet.Serve(ctx, freeOr(ctx, o.listen), f.SchedulerMux())
	if err != nil {
		return nil, err
	}
	s.addr = addr.String()

	running, end := context.WithCancel(ctx)
	done := make(chan error, 2)
	go func() { done <- worker.Run(running, running) }()
	go func() { done <- f.Scheduler().Run(running) }()
	go tick(running, redis)
	s.stop = func() error {
		end()
		err := errors.Join(<-done, <-done, stopHTTP(), f.Close())
		redis.Close()
		return err
	}
	return s, nil
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

func configure(o options) (config.Config, error) {
	cfg := config.Default()
	own := filepath.Join(o.dir, "own")
	if err := os.MkdirAll(own, 0o755); err != nil {
		return cfg, fmt.Errorf("make our own bucket: %w", err)
	}
	cfg.Bucket.URL = fileURL(own)
	cfg.Sources.FileRoot = "/" // it is the user's own machine
	cfg.Log = config.Log{Level: "error", Format: "text"}
	if o.verbose {
		cfg.Log.Level = "info"
	}
	return cfg, nil
}

func fileURL(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

// deliver sets up one connector for each team, hands in the runs, and waits
// until every delivery has ended.
func (s *sandbox) deliver(ctx context.Context, runs []waybill.Run) ([]waybill.Delivery, error) {
	bucket := filepath.Join(s.dir, "bucket")
	if err := os.MkdirAll(bucket, 0o755); err != nil {
		return nil, fmt.Errorf("make bucket: %w", err)
	}
	client := s.Producer()
	ids := map[string]string{} // team → connector
	var deliveries []string
	for _, run := range runs {
		if ids[run.TeamID] == "" {
			ids[run.TeamID] = fmt.Sprintf("sandbox-lake-%d", len(ids)+1)
			_, err := s.Connectors.Apply(ctx, connectors.Connector{
				ID: ids[run.TeamID], Team: run.TeamID, Kind: waybill.KindStorage,
				Storage: &connectors.Storage{URL: fileURL(bucket), Formats: []string{"parquet", "jsonl", "csv"}},
			})
			if err != nil {
				return nil, fmt.Errorf("apply connector: %w", err)
			}
		}
		if _, err := client.Submit(ctx, run); err != nil {
			return nil, fmt.Errorf("hand in %s: %w", run.RunKey, err)
		}
		deliveries = append(deliveries, waybill.DeliveryID(run.RunKey, ids[run.TeamID]))
	}
	return s.await(ctx, deliveries)
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
