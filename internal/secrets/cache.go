package secrets

import (
	"context"
	"errors"
	"sync"
	"time"
)

// cache keeps what a manager answered. It keeps whole secrets, not the values
// of keys in them: an access key's id and its secret, two references to one
// secret, are of one version then, also while they are rotated.
type cache struct {
	manager      manager
	fresh, stale time.Duration
	now          func() time.Time

	mu      sync.Mutex
	entries map[string]*entry
}

var _ Provider = (*cache)(nil)

// manager fetches whole secrets. The text may be anything; a bundle of keys is
// a JSON object.
type manager interface {
	fetch(ctx context.Context, secret string) (string, error)
}

// entry is one secret. Its turn is held by who asks the manager, so that a
// burst of deliveries asks once.
type entry struct {
	turn    chan struct{}
	value   Secret
	fetched time.Time // zero: never
	retry   time.Time // not before this after the manager did not answer
}

// maxEntries bounds what is kept. A fleet has fewer references; what is no
// longer asked for goes when it is reached.
const maxEntries = 10_000

func newCache(m manager, opts Options) *cache {
	return &cache{manager: m, fresh: opts.Fresh, stale: opts.Stale, now: opts.now, entries: map[string]*entry{}}
}

func (c *cache) Fetch(ctx context.Context, name string) (string, error) {
	secret, key := splitKey(name)
	text, err := c.get(ctx, secret)
	if err != nil {
		return "", err
	}
	return pick(text, key)
}

func (c *cache) get(ctx context.Context, secret string) (string, error) {
	e := c.entry(secret)
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	now := c.now()
	known := !e.fetched.IsZero()
	if known && (now.Sub(e.fetched) < c.fresh || now.Before(e.retry) && now.Sub(e.fetched) < c.stale) {
		return e.value.Reveal(), nil
	}
	text, err := c.ask(ctx, secret)
	switch {
	case err == nil:
		e.value, e.fetched, e.retry = New(text), now, time.Time{}
		return text, nil
	case known && now.Sub(e.fetched) < c.stale && (errors.Is(err, errUnreachable) || errors.Is(err, errThrottled)):
		e.retry = now.Add(retryAfter)
		return e.value.Reveal(), nil
	case errors.Is(err, errDenied), errors.Is(err, errMissing):
		e.value, e.fetched = Secret{}, time.Time{} // revoked: an outage later must not bring it back
	}
	return "", err
}

func (c *cache) ask(ctx context.Context, secret string) (string, error) {
	limited, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	text, err := c.manager.fetch(limited, secret)
	if err != nil {
		if ctx.Err() == nil && limited.Err() != nil {
			err = transport(ctx, err)
		}
		return "", err
	}
	if len(text) > maxSecretBytes {
		return "", missing("%v", tooLarge("the secret"))
	}
	return text, nil
}

func (c *cache) entry(secret string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[secret]
	if !ok {
		if len(c.entries) >= maxEntries {
			clear(c.entries)
		}
		e = &entry{turn: make(chan struct{}, 1)}
		c.entries[secret] = e
	}
	return e
}
