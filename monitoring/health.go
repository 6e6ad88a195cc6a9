package monitoring

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Check returns nil while what it looks at works.
type Check func(context.Context) error

// Health answers whether this process can do its work. It is an http.Handler:
// 200 and "ok", or 503 and the names of the checks that fail. The reasons go
// to the log alone: they may name hosts and users.
type Health struct {
	timeout time.Duration
	log     *slog.Logger
	mu      sync.Mutex
	checks  []*check
}

var _ http.Handler = (*Health)(nil)

type check struct {
	name   string
	run    Check
	flight flight[struct{}]
}

// NewHealth returns a Health without checks. All checks run at the same time,
// each for at most timeout.
func NewHealth(timeout time.Duration, log *slog.Logger) *Health {
	return &Health{timeout: timeout, log: log}
}

// Add adds a check.
func (h *Health) Add(name string, run Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, &check{name: name, run: run})
}

// Failing is one check that fails.
type Failing struct {
	Check  string `json:"check"`
	Reason string `json:"reason"` // "failed" or "timed out"
}

// Failing runs the checks and returns those that fail, by name. It takes no
// longer than the timeout, even where a check ignores its context.
func (h *Health) Failing(ctx context.Context) []Failing {
	h.mu.Lock()
	checks := slices.Clone(h.checks)
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	errs := make([]error, len(checks))
	var wait sync.WaitGroup
	for i, c := range checks {
		wait.Go(func() { errs[i] = h.ask(ctx, c) })
	}
	wait.Wait()
	failing := []Failing{}
	for i, err := range errs {
		if err != nil {
			failing = append(failing, Failing{checks[i].name, reason(err)})
			h.log.LogAttrs(ctx, slog.LevelWarn, "health check failed", slog.String("check", checks[i].name), slog.Any(KeyError, err))
		}
	}
	slices.SortFunc(failing, func(a, b Failing) int { return strings.Compare(a.Check, b.Check) })
	return failing
}

func (h *Health) ask(ctx context.Context, c *check) error {
	_, err := c.flight.do(ctx, func() (struct{}, error) {
		// Its own context: who asked first may leave while others wait for the answer.
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.timeout)
		defer cancel()
		return struct{}{}, c.run(own)
	})
	return err
}

func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "timed out"
	}
	return "failed"
}

type unhealthy struct {
	Status  string    `json:"status"`
	Failing []Failing `json:"failing"`
}

// ServeHTTP answers a probe.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	failing := h.Failing(r.Context())
	w.Header().Set("Cache-Control", "no-store")
	if len(failing) == 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	if err := json.NewEncoder(w).Encode(unhealthy{"failing", failing}); err != nil {
		h.log.LogAttrs(r.Context(), slog.LevelDebug, "health probe left", slog.Any(KeyError, err))
	}
}
