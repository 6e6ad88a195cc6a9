package monitoring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func probe(h *Health) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	return w
}

func TestHealthy(t *testing.T) {
	h := NewHealth(time.Minute, slog.New(slog.DiscardHandler))
	for _, w := range []*httptest.ResponseRecorder{probe(h), func() *httptest.ResponseRecorder {
		h.Add("redis", func(context.Context) error { return nil })
		return probe(h)
	}()} {
		if w.Code != http.StatusOK || w.Body.String() != "ok\n" {
			t.Errorf("%d %q", w.Code, w.Body)
		}
	}
}

func TestUnhealthyNamesTheChecksAndNoMore(t *testing.T) {
	synctest.Test(t, unhealthyNamesTheChecks) // on a clock that stands still while any check goes on
}

func unhealthyNamesTheChecks(t *testing.T) {
	var log bytes.Buffer
	h := NewHealth(time.Millisecond, slog.New(slog.NewTextHandler(&log, nil)))
	h.Add("redis", func(context.Context) error { return errors.New("dial tcp 10.0.0.1: user waybill refused") })
	h.Add("fine", func(context.Context) error { return nil })
	h.Add("bucket", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	release := make(chan struct{})
	defer close(release)
	h.Add("deaf", func(context.Context) error { <-release; return nil }) // ignores its context
	w := probe(h)
	var answer unhealthy
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	want := []Failing{{"bucket", "timed out"}, {"deaf", "timed out"}, {"redis", "failed"}}
	if w.Code != http.StatusServiceUnavailable || !slices.Equal(answer.Failing, want) || answer.Status != "failing" {
		t.Errorf("%d %+v", w.Code, answer)
	}
	if strings.Contains(w.Body.String(), "10.0.0.1") || !strings.Contains(log.String(), "10.0.0.1") {
		t.Errorf("the reason is not in the log alone: %s, log %s", w.Body, log.String())
	}
}

// Probes that come while a check is under way share its answer; one that
// leaves takes nothing from the others.
func TestProbesShareAChecksAnswer(t *testing.T) {
	h := NewHealth(time.Minute, slog.New(slog.DiscardHandler))
	started, release := make(chan struct{}), make(chan struct{})
	h.Add("redis", func(ctx context.Context) error {
		close(started)
		<-release
		return ctx.Err()
	})
	leaving, leave := context.WithCancel(t.Context())
	left := make(chan []Failing)
	go func() { left <- h.Failing(leaving) }()
	<-started
	staying := h.checks[0].flight.join(func() (struct{}, error) { panic("asked again") })
	leave()
	if failing := <-left; len(failing) != 1 {
		t.Errorf("the probe that left got %v", failing)
	}
	close(release)
	if <-staying.done; staying.err != nil {
		t.Errorf("the probe that stayed got %v", staying.err)
	}
}
