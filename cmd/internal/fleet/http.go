package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/waybillhq/waybill/internal/web"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

// QueueViewPath is where the scheduler shows the queues.
const QueueViewPath = "/queues"

// Mux serves what every process of the fleet serves: /metrics and /healthz.
func (f *Fleet) Mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", f.health())
	mux.Handle("GET /metrics", monitoring.Handler(f.Registry))
	return mux
}

func (f *Fleet) health() *monitoring.Health {
	health := monitoring.NewHealth(2*time.Second, f.Log)
	health.Add("redis", func(ctx context.Context) error { return f.Redis.Ping(ctx).Err() })
	return health
}

// SchedulerMux adds the figures of the queues, the HTTP API, and the pages.
func (f *Fleet) SchedulerMux() (*http.ServeMux, error) {
	answers, err := f.API()
	if err != nil {
		return nil, err
	}
	f.Registry.MustRegister(monitoring.NewQueueCollector(f.Redis, tasks.QueueNames()), monitoring.NewLedgerCollector(f.ledgerFigures),
		monitoring.NewRedisCollector(f.redisFigures), f.expiry)
	f.Registry.MustRegister(monitoring.NewBackfillCollector(f.backfillFigures, f.Log))
	if f.Config.Platform.URL != "" {
		f.Registry.MustRegister(monitoring.NewActivityLag(f.activityLag, f.Log))
	}
	pages := web.New(web.Options{Ledger: f.Ledger, Connectors: f.Connectors, Tokens: f.APITokens(), Destination: Destination,
		Queues: monitoring.QueueView(monitoring.SharedRedis(f.Redis), QueueViewPath), QueuesPath: QueueViewPath, Log: f.Log})
	asked := monitoring.NewHTTPMetrics(f.Registry, append(pages.Patterns(), answers.Patterns()...)...)
	mux := f.Mux()
	mux.Handle("GET /readyz", f.ready())
	mux.Handle("/v1/", asked.Watch(f.traces, answers))
	mux.Handle("GET /openapi.json", asked.Watch(f.traces, answers))
	mux.Handle("/", asked.Watch(f.traces, pages))
	return mux, nil
}

// ready says whether the scheduler can take runs: what it keeps them in answers.
func (f *Fleet) ready() http.Handler {
	health := f.health()
	health.Add("bucket", func(ctx context.Context) error {
		_, err := f.bucket.Stat(ctx, "readyz") // that it is not there is an answer
		if errors.Is(err, storage.ErrNotExist) {
			return nil
		}
		return err
	})
	return health
}

// Serve serves handler on addr until ctx ends. It returns once it listens.
func Serve(ctx context.Context, addr string, handler http.Handler) (listening net.Addr, stopped func() error, err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	stopped = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		err := server.Shutdown(ctx)
		if serveErr := <-done; !errors.Is(serveErr, http.ErrServerClosed) {
			err = errors.Join(err, serveErr)
		}
		return err
	}
	return l.Addr(), stopped, nil
}
