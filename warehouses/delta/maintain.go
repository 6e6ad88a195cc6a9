package delta

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/waybillhq/waybill/storage"
)

// Files below compactBytes are small; compacted, they become files of about
// compactTarget, which can be held in memory.
const (
	compactBytes  = 8 << 20
	compactTarget = 64 << 20
	compactPrefix = "compact-"
)

// Compact makes few files of many small ones, in one commit that changes no
// row. A table with few small files is left as it is: see [Options].
func (t *Table) Compact(ctx context.Context) (Committed, error) {
	return t.commit(ctx, func(ctx context.Context, s *Snapshot) (*change, error) {
		small := slices.DeleteFunc(s.Files(), func(a Add) bool { return a.Size >= compactBytes })
		if len(small) <= t.opts.CompactAbove {
			return nil, nil
		}
		// Oldest first, so that rows which came together stay together.
		slices.SortStableFunc(small, func(a, b Add) int { return cmp.Compare(a.ModificationTime, b.ModificationTime) })
		c := &change{info: CommitInfo{Operation: "OPTIMIZE", OperationParameters: map[string]string{"predicate": "[]"}}}
		for group := range groups(small, compactTarget) {
			file, err := t.compact(ctx, s, group)
			if err != nil {
				return nil, err
			}
			for _, a := range group {
				c.actions = append(c.actions, a.gone(t.opts.Now(), false))
			}
			c.actions = append(c.actions, file.add(false))
		}
		return c, nil
	})
}

// groups cuts files into runs of about a size, of two files at least.
func groups(files []Add, target int64) func(yield func([]Add) bool) {
	return func(yield func([]Add) bool) {
		for len(files) > 1 {
			n, size := 0, int64(0)
			for n < len(files) && (n < 2 || size+files[n].Size <= target) {
				size += files[n].Size
				n++
			}
			if !yield(files[:n]) {
				return
			}
			files = files[n:]
		}
	}
}

func (t *Table) compact(ctx context.Context, s *Snapshot, group []Add) (DataFile, error) {
	var paths strings.Builder
	for _, a := range group {
		fmt.Fprintln(&paths, a.Path)
	}
	return t.rewrite(ctx, s, compactPrefix+digest(paths.String())+".parquet", func(w *fileWriter) error {
		for _, a := range group {
			r, err := t.openFile(ctx, a)
			if err != nil {
				return err
			}
			if err := copyAll(w, r); err != nil {
				return fmt.Errorf("%s: %w", a.Path, err)
			}
		}
		return nil
	})
}

func copyAll(w *fileWriter, r *file.Reader) error {
	defer r.Close() // nothing was written
	return w.copyRows(r, nil)
}

// CleanLog deletes commits and checkpoints that are older than the log's
// retention and that no snapshot of that time needs: it keeps the newest
// checkpoint that is old enough, and everything after it. It returns how many it deleted.
func (t *Table) CleanLog(ctx context.Context) (deleted int, err error) {
	entries, err := t.entries(ctx)
	if err != nil {
		return 0, err
	}
	oldest := t.opts.Now().Add(-t.opts.LogRetention)
	cutoff := int64(-1)
	for _, e := range entries {
		if e.checkpoint && e.modified.Before(oldest) {
			cutoff = e.version
		}
	}
	for _, e := range entries { // in order: what is left is always a whole log from some version on
		if e.version < cutoff {
			if err := t.store.Delete(ctx, e.key); err != nil {
				return deleted, err
			}
			deleted++
		}
	}
	return deleted, nil
}

// Vacuum deletes data files that no reader can want any more: removed from
// the table longer ago than the files' retention, or left by an attempt that
// never came to its commit, and as old. It returns how many it deleted.
func (t *Table) Vacuum(ctx context.Context) (deleted int, err error) {
	s, err := t.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	now := t.opts.Now()
	wanted := map[string]bool{}
	for _, a := range s.files {
		key, err := t.Key(a)
		if err != nil {
			return 0, err
		}
		wanted[key] = true
	}
	for _, r := range s.removed {
		if key, err := pathKey(r.Path); err == nil && !r.expired(now, t.opts.FileRetention) {
			wanted[t.key(key)] = true
		}
	}
	var sweep []storage.Object
	for object, err := range t.store.List(ctx, t.prefix) {
		if err != nil {
			return 0, err
		}
		name := strings.TrimPrefix(object.Key, t.prefix)
		hidden := strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".")
		if !hidden && !wanted[object.Key] && now.Sub(object.Modified) >= t.opts.FileRetention {
			sweep = append(sweep, object)
		}
	}
	for _, object := range sweep {
		if err := t.store.Delete(ctx, object.Key); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}

// Scrub deletes the data files that are no longer part of the table, however
// new: versions before now cannot be read any more. It is for rows that nobody
// may read from now on. It returns how many files it deleted.
func (t *Table) Scrub(ctx context.Context) (deleted int, err error) {
	s, err := t.snapshotOrNone(ctx)
	if err != nil {
		return 0, err
	}
	for path := range s.removed {
		key, err := pathKey(path)
		if err != nil {
			return deleted, t.fail(errUnsupported, "%w", err)
		}
		if err := t.store.Delete(ctx, t.key(key)); err != nil {
			return deleted, err
		}
		deleted++
	}
	if s.Version < 0 {
		return deleted, nil
	}
	swept, err := t.Vacuum(ctx) // what was removed so long ago that the log has forgotten it
	return deleted + swept, err
}
