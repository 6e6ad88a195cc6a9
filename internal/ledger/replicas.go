package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// NoReplicas is the value of [Options.Replicas] that waits for none.
const NoReplicas = -1

const (
	confirmWithin = time.Second      // below the client's timeout for an answer
	askAgain      = 10 * time.Second // a server without replicas whether it has one now
)

// replication knows how many replicas must confirm a run before its producer
// hears that it was accepted.
type replication struct {
	mu       sync.Mutex
	wanted   int       // 0: not known yet
	nextTime time.Time // to ask
}

// wants returns how many replicas must confirm. A server that was seen with a
// replica is held to it: one that lost its replicas is about to lose its place
// to one of them, with all that they do not have.
func (l *Ledger) wants(ctx context.Context) (int, error) {
	r := &l.replication
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case l.opts.Replicas != 0:
		return max(l.opts.Replicas, 0), nil
	case r.wanted > 0 || time.Now().Before(r.nextTime):
		return r.wanted, nil
	}
	if failsOver(l.rdb) {
		r.wanted = 1
		return 1, nil
	}
	info, err := l.rdb.Info(ctx, "replication").Result()
	if _, answered := errors.AsType[redis.Error](err); err != nil && !answered {
		return 0, fmt.Errorf("ledger: ask Redis for its replicas: %w", err)
	}
	// A server that may not tell, or that is in memory, is taken to have none.
	if strings.Contains(info, "connected_slaves:") && !strings.Contains(info, "connected_slaves:0\r\n") {
		r.wanted = 1
	}
	r.nextTime = time.Now().Add(askAgain)
	return r.wanted, nil
}

// failsOver reports whether a replica may take the master's place under the
// client: a Cluster's, and one that asks Sentinels, which go-redis names so.
func failsOver(rdb redis.UniversalClient) bool {
	switch c := rdb.(type) {
	case *redis.ClusterClient:
		return true
	case *redis.Client:
		return c.Options().Addr == "FailoverClient"
	}
	return false
}

// runConfirmed runs a script and waits until enough replicas have what it
// wrote. Where they do not confirm in time, the script's writes stand, and the
// error matches [waybill.ErrUnavailable]: the caller repeats an idempotent
// script, which writes and waits again.
func (l *Ledger) runConfirmed(ctx context.Context, s *redis.Script, prefix string, args ...any) (reply, error) {
	wanted, err := l.wants(ctx)
	if err != nil {
		return nil, err
	}
	if wanted == 0 {
		return l.run(ctx, s, prefix, args...)
	}
	var r reply
	var confirmed int64
	err = l.onOneConnection(ctx, prefix, func(c pipeliner) error {
		r, confirmed, err = runAndWait(ctx, c, s, prefix, wanted, args...)
		return err
	})
	if err != nil {
		return nil, classify(err)
	}
	if confirmed < int64(wanted) {
		return nil, unavailable("redis.not_replicated",
			"Hand the run in again: it is in Redis, but not yet in as many replicas as redis.waitReplicas wants. If that does not help, look after the replicas.",
			fmt.Errorf("%d of %d replicas confirmed the write within %s", confirmed, wanted, confirmWithin))
	}
	return r, nil
}

type pipeliner interface {
	Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error)
}

// onOneConnection gives do what sends a pipeline to the server of the key. Of
// a Cluster only WATCH has the client choose that server, and follow the slot
// where it moved to: a pipeline of the whole Cluster would send WAIT, which
// has no key, anywhere.
func (l *Ledger) onOneConnection(ctx context.Context, key string, do func(pipeliner) error) error {
	if c, ok := l.rdb.(*redis.ClusterClient); ok {
		return c.Watch(ctx, func(tx *redis.Tx) error { return do(tx) }, key)
	}
	return do(l.rdb)
}

// runAndWait sends the script and WAIT as one pipeline: WAIT speaks of what its
// own connection wrote, and where the client repeats one of them on another
// connection it repeats both. A server that does not know the script yet is
// given its text.
func runAndWait(ctx context.Context, c pipeliner, s *redis.Script, prefix string, wanted int, args ...any) (reply, int64, error) {
	for _, eval := range []func(redis.Scripter) *redis.Cmd{
		func(p redis.Scripter) *redis.Cmd { return s.EvalSha(ctx, p, []string{prefix}, args...) },
		func(p redis.Scripter) *redis.Cmd { return s.Eval(ctx, p, []string{prefix}, args...) },
	} {
		var done, confirmed *redis.Cmd
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			done, confirmed = eval(p), p.Do(ctx, "WAIT", wanted, confirmWithin.Milliseconds())
			return nil
		})
		if redis.HasErrorPrefix(done.Err(), "NOSCRIPT") {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		list, _ := done.Val().([]any)
		n, err := confirmed.Int64()
		return list, n, err
	}
	return nil, 0, errors.New("Redis does not know a script that it was just given")
}
