package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// rebuildOnce is how many objects a rebuild reads at a time.
const rebuildOnce = 32

// ErrNotEmpty means that a Redis holds a ledger already.
var ErrNotEmpty = errors.New("the Redis holds a ledger already")

// RebuildOptions say what is brought back.
type RebuildOptions struct {
	Since    time.Time     // runs that our bucket has nothing newer of stay there: they are found when they are handed in again
	Merge    bool          // into a Redis that holds a ledger: what it has stays as it is
	Progress func(Rebuilt) // called now and then, by one goroutine at a time; may be nil
}

// Rebuilt counts what a rebuild brought back.
type Rebuilt struct {
	Documents  int // connectors and others
	Schemas    int // schema versions
	Runs       int
	Deliveries int // complete ones
	Unfinished int // of the runs: those that are not delivered everywhere, and planned again
	Skipped    int // runs that our bucket has nothing new enough of
}

// Rebuild makes the ledger anew from our bucket, in an empty Redis, while no
// scheduler and no worker runs: documents, pauses among them, schema versions, runs with their
// complete deliveries. Runs that were not delivered everywhere are planned
// again, for the connectors that they were planned for. It is idempotent: one
// that was cut short is repeated with Merge.
func (l *Ledger) Rebuild(ctx context.Context, opts RebuildOptions) (Rebuilt, error) {
	b := &rebuild{Ledger: l, opts: opts}
	if !opts.Merge {
		if err := l.wantEmpty(ctx); err != nil {
			return b.done, err
		}
	}
	// First of all: a run that is handed in from now on is looked up in our bucket.
	if err := l.lookUpAll(ctx); err != nil {
		return b.done, err
	}
	for _, step := range []func(context.Context) error{b.documents, b.holdBackfills, b.schemas, b.runs} {
		if err := step(ctx); err != nil {
			return b.done, err
		}
	}
	return b.done, nil
}

type rebuild struct {
	*Ledger
	opts RebuildOptions
	mu   sync.Mutex
	done Rebuilt
}

// count notes progress.
func (b *rebuild) count(note func(*Rebuilt)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	note(&b.done)
	if b.opts.Progress != nil {
		b.opts.Progress(b.done)
	}
}

// wantEmpty returns [ErrNotEmpty] if there is a document, run or delivery.
func (l *Ledger) wantEmpty(ctx context.Context) error {
	var found []*redis.IntCmd
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		found = append(found, p.Exists(ctx, documentKinds))
		for slot := range waybill.Slots {
			for _, name := range []string{"workflows", "teams", "plan", "idle"} {
				found = append(found, p.Exists(ctx, prefix(slot)+name))
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	for _, n := range found {
		if n.Val() > 0 {
			return ErrNotEmpty
		}
	}
	return nil
}

// lookUpAll has every run that finished before now, by clocks that may be ten
// minutes ahead, looked up in our bucket when Redis does not know it.
func (l *Ledger) lookUpAll(ctx context.Context) error {
	for slot := range waybill.Slots {
		if _, err := l.run(ctx, horizonScript, prefix(slot)); err != nil {
			return err
		}
	}
	return nil
}

func (b *rebuild) documents(ctx context.Context) error {
	return b.each(ctx, documentsPrefix, func(ctx context.Context, key string) error {
		kind, id := path.Split(strings.TrimSuffix(strings.TrimPrefix(key, documentsPrefix), ".json"))
		k := documents{b.Ledger, strings.TrimSuffix(kind, "/")}
		d, _, err := k.look(ctx, id)
		if err == nil {
			err = k.keep(ctx, id, d)
		}
		if err == nil && k.kind == pauseKind {
			err = b.restorePause(ctx, d)
		}
		b.count(func(r *Rebuilt) { r.Documents++ })
		return err
	})
}

func (b *rebuild) schemas(ctx context.Context) error {
	return b.each(ctx, schemasPrefix, func(ctx context.Context, key string) error {
		part := strings.Split(strings.TrimSuffix(strings.TrimPrefix(key, schemasPrefix), ".json"), "/")
		n := atoi(part[len(part)-1])
		if len(part) != 3 || n == 0 {
			return nil // not ours
		}
		var v schemaVersion
		if _, err := b.getJSON(ctx, key, &v); err != nil {
			return err
		}
		b.count(func(r *Rebuilt) { r.Schemas++ })
		return b.knowVersion(ctx, part[0], part[1], n, v)
	})
}

// each calls do for every object below a prefix, several at a time.
func (b *rebuild) each(ctx context.Context, prefix string, do func(ctx context.Context, key string) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(rebuildOnce)
	for o, err := range b.bucket.List(ctx, prefix) {
		if err != nil {
			return errors.Join(fmt.Errorf("our own bucket: %w", err), g.Wait())
		}
		g.Go(func() error { return do(ctx, o.Key) })
	}
	return g.Wait()
}

// runs reads what our bucket has of each run: two listings in the same order,
// side by side, so that its memory does not grow with the history.
func (b *rebuild) runs(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(rebuildOnce)
	for t, err := range b.allTraces(ctx) {
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		if t.newest.Before(b.opts.Since) {
			b.count(func(r *Rebuilt) { r.Skipped++ })
			continue
		}
		g.Go(func() error {
			done, err := b.restore(ctx, t)
			if errors.Is(err, waybill.ErrNotFound) { // nothing of ours
				return nil
			}
			if err != nil {
				return fmt.Errorf("run %s: %w", t.run, err)
			}
			b.count(func(r *Rebuilt) {
				r.Runs, r.Deliveries, r.Unfinished = r.Runs+done.runs, r.Deliveries+done.deliveries, r.Unfinished+done.unfinished
			})
			return nil
		})
	}
	return g.Wait()
}

// allTraces yields what our bucket has of each run, run by run.
func (b *rebuild) allTraces(ctx context.Context) iter.Seq2[traces, error] {
	return func(yield func(traces, error) bool) {
		mirrors, stopMirrors := iter.Pull2(b.bucket.List(ctx, runsPrefix))
		defer stopMirrors()
		receipts, stopReceipts := iter.Pull2(b.bucket.List(ctx, receiptsPrefix))
		defer stopReceipts()
		a, c := newListing(runsPrefix, mirrors), newListing(receiptsPrefix, receipts)
		for a.run != "" || c.run != "" {
			run := a.run
			if run == "" || c.run != "" && c.run < run {
				run = c.run
			}
			var t traces
			a.take(run, &t)
			c.take(run, &t)
			if err := errors.Join(a.err, c.err); err != nil {
				yield(t, fmt.Errorf("our own bucket: %w", err))
				return
			}
			var ok bool
			if t.run, ok = parseRunKey(strings.TrimSuffix(run, "/")); ok && !yield(t, nil) {
				return
			}
		}
		if err := errors.Join(a.err, c.err); err != nil {
			yield(traces{}, fmt.Errorf("our own bucket: %w", err))
		}
	}
}

// listing is one listing of our bucket, and the run that its next object is of.
type listing struct {
	prefix string
	next   func() (storage.Object, error, bool)
	object storage.Object
	run    string // team/workflow/job/, as far as the key has it; empty at the end
	err    error
}

func newListing(prefix string, next func() (storage.Object, error, bool)) *listing {
	l := &listing{prefix: prefix, next: next}
	l.advance()
	return l
}

func (l *listing) advance() {
	for l.run = ""; l.run == ""; l.run, _ = path.Split(strings.TrimPrefix(l.object.Key, l.prefix)) {
		var ok bool
		if l.object, l.err, ok = l.next(); !ok || l.err != nil {
			return
		}
	}
}

// take gives the objects of a run, which come next or not at all.
func (l *listing) take(run string, t *traces) {
	for l.run == run && run != "" {
		t.add(l.object)
		l.advance()
	}
}
