package api

import (
	"math"
	"net/http"
	"sync"
	"time"
)

// limits are the requests that tokens may make: a bucket for each, that holds
// what may be asked in a second and fills up again all the time.
type limits struct {
	rate int

	mu      sync.Mutex
	buckets map[string]bucket // by the token's name: only valid ones come here
}

type bucket struct {
	left float64
	at   time.Time
}

// take counts a request, or refuses it and says how long to wait.
func (l *limits) take(name string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buckets == nil {
		l.buckets = map[string]bucket{}
	}
	full := float64(l.rate)
	b, known := l.buckets[name]
	if !known {
		b = bucket{full, now}
	}
	b.left = min(full, b.left+max(0, now.Sub(b.at).Seconds())*full)
	b.at = now
	defer func() { l.buckets[name] = b }()
	if b.left >= 1 {
		b.left--
		return nil
	}
	p := problem(http.StatusTooManyRequests, "A token may make %d requests a second.", l.rate)
	p.retryAfter = time.Duration(math.Ceil((1-b.left)/full)) * time.Second
	return p
}
