package secrets

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

// counting is a manager that answers what it is told, and counts.
type counting struct {
	text  string
	err   error
	count atomic.Int64
	block chan struct{} // if given, a fetch waits for it
}

func (m *counting) fetch(ctx context.Context, _ string) (string, error) {
	m.count.Add(1)
	if m.block != nil {
		select {
		case <-m.block:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	return m.text, m.err
}

func TestCache(t *testing.T) {
	m := &counting{text: `{"id":"1","secret":"a"}`}
	now := time.Now()
	opts := Options{Fresh: time.Minute, Stale: 10 * time.Minute, now: func() time.Time { return now }}
	r := &Resolver{providers: map[string]Provider{"aws-sm": newCache(m, opts)}}
	step := func(what string, pass time.Duration, text string, err error, want string, asked int64) {
		t.Helper()
		now = now.Add(pass)
		m.text, m.err = text, err
		before := m.count.Load()
		if s, err := r.Resolve(t.Context(), mustRef(t, "aws-sm:acme#secret")); s.Reveal() != want || (want == "") != (err != nil) {
			t.Errorf("%s: %q, %v, want %q", what, s.Reveal(), err, want)
		}
		if got := m.count.Load() - before; got != asked {
			t.Errorf("%s: the manager was asked %d times, want %d", what, got, asked)
		}
	}
	one, two, three := `{"id":"1","secret":"a"}`, `{"id":"2","secret":"b"}`, `{"id":"3","secret":"c"}`
	step("first", 0, one, nil, "a", 1)
	step("while it is fresh", 59*time.Second, two, nil, "a", 0)
	// Both values of a secret are of one version.
	if s, err := r.Resolve(t.Context(), mustRef(t, "aws-sm:acme#id")); s.Reveal() != "1" || err != nil {
		t.Errorf("the id is %q, %v", s.Reveal(), err)
	}
	step("rotated", time.Second, two, nil, "b", 1)
	step("the manager is away", time.Minute, "", fmt.Errorf("x: %w", errUnreachable), "b", 1)
	step("and is not asked at once again", time.Second, "", errUnreachable, "b", 0)
	step("it throttles", retryAfter, "", errThrottled, "b", 1)
	step("for too long", 10*time.Minute, "", errUnreachable, "", 1)
	step("it is back", 0, three, nil, "c", 1)
	step("revoked", time.Minute, "", errDenied, "", 1)
	step("and the manager is away then", time.Second, "", errUnreachable, "", 1)
	step("deleted", time.Second, "", errMissing, "", 1)
}

func TestCacheAsksOnceForManyAtATime(t *testing.T) {
	m := &counting{text: "v", block: make(chan struct{})}
	r := &Resolver{providers: map[string]Provider{"aws-sm": newCache(m, Options{Fresh: time.Minute, Stale: time.Minute, now: time.Now})}}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if s, err := r.Resolve(t.Context(), Ref{"aws-sm", "acme"}); s.Reveal() != "v" || err != nil {
				t.Errorf("%q, %v", s.Reveal(), err)
			}
		})
	}
	close(m.block)
	all.Wait()
	if n := m.count.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Who gives up does not take the answer from who waits.
func TestCacheOutlivesACallerThatGivesUp(t *testing.T) {
	m := &counting{text: "v", block: make(chan struct{})}
	c := newCache(m, Options{Fresh: time.Minute, Stale: time.Minute, now: time.Now})
	ctx, cancel := context.WithCancel(t.Context())
	gone, there := make(chan error), make(chan error)
	go func() { _, err := c.Fetch(ctx, "acme"); gone <- err }()
	go func() { _, err := c.Fetch(t.Context(), "acme"); there <- err }()
	cancel()
	if err := <-gone; err == nil {
		t.Error("a caller that gave up got an answer")
	}
	close(m.block)
	if err := <-there; err != nil {
		t.Errorf("the other one got %v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(&counting{text: "v"}, Options{Fresh: time.Minute, Stale: time.Minute, now: time.Now})
	for i := range maxEntries + 5 {
		if _, err := c.Fetch(t.Context(), fmt.Sprint("secret-", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.entries) > maxEntries {
		t.Errorf("%d secrets are kept", len(c.entries))
	}
	c = newCache(&counting{text: string(make([]byte, maxSecretBytes+1))}, Options{now: time.Now})
	wantRefused(t, &Resolver{providers: map[string]Provider{"aws-sm": c}}, "aws-sm:big", refusal{verdict: waybill.Blocked, code: "secret.unavailable"})
}

// What is read of this machine is the new one at the next call.
func TestOnlyManagersAreCached(t *testing.T) {
	var now string
	r := NewResolverWith(Options{Lookup: func(string) (string, bool) { return now, true }})
	for _, now = range []string{"one", "two"} {
		wantSecret(t, r, "env:A", now)
	}
}
