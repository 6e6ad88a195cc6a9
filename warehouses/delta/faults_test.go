package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testsize"
	"github.com/waybillhq/waybill/storage"
)

// faultyStore disturbs one of its calls, counted over all operations.
type faultyStore struct {
	storage.Store
	at     int  // the call that is disturbed, from 1; 0: none
	effect bool // it is carried out, and its answer is lost
	dies   bool // so are all that follow, without being carried out: the process is gone

	mu    sync.Mutex
	calls []bool // that were made; true: it was to change something
}

func (f *faultyStore) disturb(changes bool, call func() error) error {
	f.mu.Lock()
	f.calls = append(f.calls, changes)
	n := len(f.calls)
	f.mu.Unlock()
	lost := waybill.Failf(waybill.Transient, "storage.unreachable", "Try again.", "call %d is disturbed", n)
	switch {
	case f.at == 0 || n < f.at || n > f.at && !f.dies:
		return call()
	case n == f.at && f.effect:
		if err := call(); err != nil {
			return err
		}
	}
	return lost
}

func (f *faultyStore) Put(ctx context.Context, key string, r io.Reader, opts storage.PutOptions) (o storage.Object, err error) {
	err = f.disturb(true, func() error { o, err = f.Store.Put(ctx, key, r, opts); return err })
	return o, err
}

func (f *faultyStore) Get(ctx context.Context, key string, opts storage.GetOptions) (r io.ReadCloser, o storage.Object, err error) {
	err = f.disturb(false, func() error { r, o, err = f.Store.Get(ctx, key, opts); return err })
	if err != nil && r != nil {
		r.Close()
	}
	return r, o, err
}

func (f *faultyStore) Stat(ctx context.Context, key string) (o storage.Object, err error) {
	err = f.disturb(false, func() error { o, err = f.Store.Stat(ctx, key); return err })
	return o, err
}

func (f *faultyStore) Copy(ctx context.Context, from, to string) (o storage.Object, err error) {
	err = f.disturb(true, func() error { o, err = f.Store.Copy(ctx, from, to); return err })
	return o, err
}

func (f *faultyStore) Delete(ctx context.Context, key string) error {
	return f.disturb(true, func() error { return f.Store.Delete(ctx, key) })
}

func (f *faultyStore) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		if err := f.disturb(false, func() error { return nil }); err != nil {
			yield(storage.Object{}, err)
			return
		}
		f.Store.List(ctx, prefix)(yield)
	}
}

// An operation as a handler would do it: all of it again after a fault.
type operation struct {
	before func(t *testing.T, store storage.Store) // what was there, undisturbed
	run    func(ctx context.Context, store storage.Store) error
}

var frequent = Options{Log: slog.New(slog.DiscardHandler), CheckpointEvery: 2, CompactAbove: 2, FileRetention: 7 * 24 * time.Hour}

// publish is the delivery of a run to V1 and LATEST.
func publish(ctx context.Context, store storage.Store, l Load, records int) error {
	table, latest := Open(store, "v1", frequent), Open(store, "latest", frequent)
	if _, err := table.Create(ctx, cities()); err != nil {
		return err
	}
	l, err := l.staged(ctx, table, citySchema, cityRecords(l, records)...)
	if err != nil {
		return err
	}
	if _, err := table.Replace(ctx, l); err != nil {
		return err
	}
	if _, err := latest.Follow(ctx, Mirror{Definition: cities(), Source: table, SchemaVersion: 1, Fence: l.Fence}); err != nil {
		return err
	}
	runs := Open(store, "runs", frequent)
	definition := waybill.MetadataTables()[0]
	if _, err := runs.Create(ctx, Definition{Name: definition.Name, Columns: definition.Columns}); err != nil {
		return err
	}
	_, err = runs.Upsert(ctx, definition.Key, []Row{{"WORKFLOW_ID": "wf", "JOB_ID": l.JobID, "SCHEMA_VERSION": int64(1),
		"ROW_COUNT": int64(records), "STATUS": waybill.StatusPublished, "RUN_FINISHED_AT": finished, "REVISION": fmt.Sprint(l.Generation)}})
	return err
}

func published(loads ...Load) func(t *testing.T, store storage.Store) {
	return func(t *testing.T, store storage.Store) {
		for _, l := range loads {
			if err := publish(t.Context(), store, l, 2); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// smallJobs loads more jobs than a table may have small files.
func smallJobs(t *testing.T, store storage.Store) {
	table := Open(store, "v1", frequent)
	must[Committed](t)(table.Create(t.Context(), cities()))
	var l Load
	for i := range frequent.CompactAbove + 1 {
		one := delivery(fmt.Sprintf("job%02d", i), 1)
		one = one.put(t, table, citySchema, cityRecords(one, 1)...)
		l.Files = append(l.Files, one.Files...)
	}
	l.Delivery, l.Generation = "all", 1
	must[Committed](t)(table.Append(t.Context(), l))
}

func compactAll(ctx context.Context, store storage.Store) error {
	_, err := Open(store, "v1", frequent).Compact(ctx)
	return err
}

func operations() map[string]operation {
	return map[string]operation{
		"first run": {before: published(), run: func(ctx context.Context, s storage.Store) error { return publish(ctx, s, delivery("a", 1), 2) }},
		"next run":  {before: published(delivery("a", 1)), run: func(ctx context.Context, s storage.Store) error { return publish(ctx, s, delivery("b", 1), 2) }},
		"replacement": {before: published(delivery("a", 1), delivery("b", 1)),
			run: func(ctx context.Context, s storage.Store) error { return publish(ctx, s, delivery("a", 2), 1) }},
		"empty run": {before: published(delivery("a", 1)), run: func(ctx context.Context, s storage.Store) error { return publish(ctx, s, delivery("a", 2), 0) }},
		"removal": {before: published(delivery("a", 1), delivery("b", 1)), run: func(ctx context.Context, s storage.Store) error {
			table := Open(s, "v1", frequent)
			if _, err := table.Remove(ctx, Load{Delivery: "d-a", Generation: 2, Fence: 5, JobID: "a"}); err != nil {
				return err
			}
			_, err := Open(s, "latest", frequent).Follow(ctx, Mirror{Definition: cities(), Source: table, SchemaVersion: 1, Fence: 5})
			return err
		}},
		"compaction": {before: smallJobs, run: compactAll},
		"replacement in a compacted file": {before: func(t *testing.T, s storage.Store) {
			smallJobs(t, s)
			if err := compactAll(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}, run: func(ctx context.Context, s storage.Store) error { return publish(ctx, s, delivery("job01", 2), 3) }},
		"another schema": {before: published(delivery("a", 1)), run: func(ctx context.Context, s storage.Store) error {
			table := Open(s, "v2", frequent)
			l := delivery("c", 1)
			l.Fence = 7
			d := Definition{Name: "WF_CITIES__V2", Columns: otherSchema.Columns("kadoa")}
			if _, err := table.Create(ctx, d); err != nil {
				return err
			}
			l, err := l.staged(ctx, table, otherSchema, `{"town":"c"}`)
			if err != nil {
				return err
			}
			if _, err := table.Replace(ctx, l); err != nil {
				return err
			}
			_, err = Open(s, "latest", frequent).Follow(ctx, Mirror{Definition: d, Source: table, SchemaVersion: 2, Fence: 7})
			return err
		}},
		"overwrite": {before: published(delivery("a", 1)), run: func(ctx context.Context, s storage.Store) error {
			table := Open(s, "v1", frequent)
			l := delivery("c", 1)
			l, err := l.staged(ctx, table, citySchema, `{"city":"c"}`)
			if err != nil {
				return err
			}
			_, err = table.Overwrite(ctx, cities(), l)
			return err
		}},
		"sweep": {before: published(delivery("a", 1), delivery("a", 2)), run: func(ctx context.Context, s storage.Store) error {
			o := frequent
			o.Now = func() time.Time { return time.Now().Add(60 * 24 * time.Hour) }
			for _, name := range []string{"v1", "latest"} {
				table := Open(s, name, o)
				if err := table.Checkpoint(ctx); err != nil {
					return err
				}
				if _, err := table.CleanLog(ctx); err != nil {
					return err
				}
				if _, err := table.Vacuum(ctx); err != nil {
					return err
				}
			}
			return nil
		}},
	}
}

var otherSchema = waybill.Schema{Fields: []waybill.Field{{Name: "town", DataType: waybill.String}}}

// tables is what can be seen of every table, by one who reads them all anew.
func tables(t *testing.T, store storage.Store) map[string]any {
	t.Helper()
	seen := map[string]any{}
	for _, name := range []string{"v1", "v2", "latest", "runs"} {
		table := Open(store, name, Options{})
		s, err := table.Snapshot(t.Context())
		if errors.Is(err, ErrNoTable) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var rows []string
		for _, row := range must[[]Row](t)(table.Rows(t.Context(), s)) {
			rows = append(rows, keyOf(row, s.Columns()))
		}
		slices.Sort(rows)
		txns := map[string]int64{}
		for id, txn := range s.txns {
			if table.prefix != "latest/" || id == fenceApp { // the source's identity is random
				txns[id] = txn.Version
			}
		}
		seen[name] = []any{s.Version, s.Metadata.SchemaString, s.Metadata.Configuration[versionKey], rows, txns}
	}
	return seen
}

// Wherever a store call fails, with or without effect, and whether or not the
// process goes on: done again, the operation leaves the tables that it would
// have left undisturbed, in as many commits.
func TestEveryOperationCanBeDoneAgainAfterAFaultAtAnyCall(t *testing.T) {
	t.Parallel()
	for name, op := range operations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := memoryDir(t)
			op.before(t, openDir(t, base))
			undisturbed := &faultyStore{Store: openCopy(t, base)}
			if err := op.run(t.Context(), undisturbed); err != nil {
				t.Fatal(err)
			}
			want := tables(t, undisturbed.Store)
			every := testsize.Of(1, 4)
			first := rand.IntN(every)
			t.Logf("faults at every %dth of %d calls from the %dth", every, len(undisturbed.calls), first+1)
			for i := first; i < len(undisturbed.calls); i += every {
				at, changes := i+1, undisturbed.calls[i]
				hows := []struct{ effect, dies bool }{{true, true}, {false, false}, {true, false}}
				if !changes { // a read without an answer has no effect that could be met again
					hows = hows[:1]
				}
				for _, how := range hows {
					store := &faultyStore{Store: openCopy(t, base), at: at, effect: how.effect, dies: how.dies}
					failed := op.run(t.Context(), store)
					if err := op.run(t.Context(), store.Store); err != nil {
						t.Fatalf("after call %d (effect %t, dies %t: %v): %v", at, how.effect, how.dies, failed, err)
					}
					if got := tables(t, store.Store); !reflect.DeepEqual(got, want) {
						t.Fatalf("after call %d (effect %t, dies %t: %v) the tables are\n%q, want\n%q", at, how.effect, how.dies, failed, got, want)
					}
				}
			}
		})
	}
}

// memoryDir is a folder in memory where the system has one: a disk takes
// minutes for the many small files that the tests here make durable.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "delta") //nolint:usetesting // the point is where it is
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func openDir(t *testing.T, dir string) storage.Store {
	t.Helper()
	store, err := storage.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func openCopy(t *testing.T, base string) storage.Store {
	t.Helper()
	dir := memoryDir(t)
	for _, name := range []string{"v1", "v2", "latest", "runs"} {
		if _, err := os.Stat(filepath.Join(base, name)); err != nil {
			continue
		}
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(base, name))); err != nil {
			t.Fatal(err)
		}
	}
	return openDir(t, dir)
}
