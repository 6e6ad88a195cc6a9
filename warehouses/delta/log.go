package delta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill/storage"
)

const (
	logFolder      = "_delta_log/"
	lastCheckpoint = logFolder + "_last_checkpoint"
)

func commitName(version int64) string { return fmt.Sprintf("%s%020d.json", logFolder, version) }
func checkpointName(version int64) string {
	return fmt.Sprintf("%s%020d.checkpoint.parquet", logFolder, version)
}

// How many commits are asked for at once: one where nothing new is likely;
// more where there is a tail.
const (
	firstProbe = 1
	nextProbe  = 8
	mostProbe  = 32
)

// advance reads what was committed after a snapshot; nil: all there is.
func (t *Table) advance(ctx context.Context, from *Snapshot) (*Snapshot, error) {
	probe := firstProbe
	if from == nil {
		begin, err := t.begin(ctx)
		if err != nil {
			return nil, err
		}
		from, probe = begin, nextProbe
	}
	s, err := t.tail(ctx, from, probe)
	if err != nil {
		return nil, err
	}
	if s.Version < 0 {
		if s, err = t.fromListing(ctx, -1); err != nil {
			return nil, err
		}
	}
	return s, t.checked(s)
}

func (t *Table) checked(s *Snapshot) error {
	if means, err := s.check(); err != nil {
		return t.fail(means, "%w", err)
	}
	return nil
}

// tail applies the commits after a snapshot until there is no next one.
func (t *Table) tail(ctx context.Context, s *Snapshot, probe int) (*Snapshot, error) {
	fresh := false // whether s is ours to change
	for {
		commits, err := t.commits(ctx, s.Version+1, probe)
		if err != nil {
			return nil, err
		}
		for _, actions := range commits {
			if !fresh {
				s, err = s.after(s.Version+1, actions)
				fresh = true
			} else {
				s.Version++
				err = s.apply(actions)
			}
			if err != nil {
				return nil, t.fail(errCorrupt, "version %d: %w", s.Version, err)
			}
		}
		if len(commits) < probe {
			return s, nil
		}
		probe = min(max(2*probe, nextProbe), mostProbe)
	}
}

// commits reads up to n commits at once, those before the first that is missing.
func (t *Table) commits(ctx context.Context, first int64, n int) ([][]action, error) {
	found := make([][]action, n)
	group, ctx := errgroup.WithContext(ctx)
	for i := range n {
		group.Go(func() error {
			actions, err := t.commitAt(ctx, first+int64(i))
			if errors.Is(err, storage.ErrNotExist) {
				return nil
			}
			found[i] = actions
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if gap := slices.IndexFunc(found, func(a []action) bool { return a == nil }); gap >= 0 {
		found = found[:gap]
	}
	return found, nil
}

func (t *Table) commitAt(ctx context.Context, version int64) ([]action, error) {
	text, err := t.readCommit(ctx, version)
	if err != nil {
		return nil, err
	}
	actions, err := decodeActions(text)
	if err == nil && len(actions) == 0 {
		err = errors.New("has no action")
	}
	if err != nil {
		return nil, t.fail(errCorrupt, "version %d: %w", version, err)
	}
	return actions, nil
}

func (t *Table) readCommit(ctx context.Context, version int64) ([]byte, error) {
	return readObject(ctx, t.store, t.key(commitName(version)), storage.GetOptions{})
}

// begin is the newest checkpoint, or nothing where none is known.
func (t *Table) begin(ctx context.Context) (*Snapshot, error) {
	text, err := readObject(ctx, t.store, t.key(lastCheckpoint), storage.GetOptions{})
	if errors.Is(err, storage.ErrNotExist) {
		return emptySnapshot(), nil
	}
	if err != nil {
		return nil, err
	}
	var last struct {
		Version int64  `json:"version"`
		Parts   *int64 `json:"parts"`
	}
	if json.Unmarshal(text, &last) != nil || last.Parts != nil {
		return t.fromListing(ctx, -1) // a hint that is of no use is as good as none
	}
	s, err := t.readCheckpoint(ctx, last.Version)
	if errors.Is(err, storage.ErrNotExist) {
		return t.fromListing(ctx, -1)
	}
	return s, err
}

// logEntry is an object of the log.
type logEntry struct {
	version    int64
	checkpoint bool
	key        string
	modified   time.Time
}

// entries lists the commits and the checkpoints of the log, in order.
func (t *Table) entries(ctx context.Context) ([]logEntry, error) {
	var entries []logEntry
	for object, err := range t.store.List(ctx, t.key(logFolder)) {
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(object.Key, t.key(logFolder))
		number, kind, _ := strings.Cut(name, ".")
		version, err := strconv.ParseInt(number, 10, 64)
		if err == nil && len(number) == 20 && (kind == "json" || kind == "checkpoint.parquet") {
			entries = append(entries, logEntry{version, kind != "json", object.Key, object.Modified})
		}
	}
	return entries, nil
}

// fromListing reads the table from what there is of its log, up to a version; -1: all.
func (t *Table) fromListing(ctx context.Context, upTo int64) (*Snapshot, error) {
	entries, err := t.entries(ctx)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, t.fail(ErrNoTable, "its log is empty")
	}
	newest := entries[len(entries)-1].version
	if upTo > newest {
		return nil, t.fail(ErrNoVersion, "version %d of %d", upTo, newest)
	}
	s := emptySnapshot()
	for _, e := range entries {
		if e.checkpoint && (upTo < 0 || e.version <= upTo) {
			s.checkpoint = e.version
		}
	}
	if s.checkpoint >= 0 {
		if s, err = t.readCheckpoint(ctx, s.checkpoint); err != nil {
			return nil, err
		}
	}
	return t.replay(ctx, s, entries, upTo)
}

// replay applies the commits after a checkpoint up to a version; -1: all.
func (t *Table) replay(ctx context.Context, s *Snapshot, entries []logEntry, upTo int64) (*Snapshot, error) {
	last := s.Version
	for _, e := range entries {
		if !e.checkpoint && e.version > last && (upTo < 0 || e.version <= upTo) {
			last = e.version
		}
	}
	for s.Version < last {
		n := min(last-s.Version, mostProbe)
		commits, err := t.commits(ctx, s.Version+1, int(n))
		if err != nil {
			return nil, err
		}
		for _, actions := range commits {
			s.Version++
			if err := s.apply(actions); err != nil {
				return nil, t.fail(errCorrupt, "version %d: %w", s.Version, err)
			}
		}
		if int64(len(commits)) < n {
			return nil, t.fail(ErrNoVersion, "version %d is no longer in the log", s.Version+1)
		}
	}
	return s, nil
}

// SnapshotAt is the table at a version. One that the log no longer has, or not yet, is
// a failure that matches [ErrNoVersion].
func (t *Table) SnapshotAt(ctx context.Context, version int64) (*Snapshot, error) {
	t.mu.Lock()
	newest := t.newest
	t.mu.Unlock()
	if newest != nil && newest.Version == version {
		return newest, nil
	}
	if version < 0 {
		return nil, t.fail(ErrNoVersion, "version %d", version)
	}
	s, err := t.fromListing(ctx, version)
	if err != nil {
		return nil, err
	}
	return s, t.checked(s)
}

// Version is a version of the table that the log still has, and when it was committed.
type Version struct {
	Version int64
	At      time.Time // ascending; of milliseconds
}

// Versions lists them, in order.
func (t *Table) Versions(ctx context.Context) ([]Version, error) {
	entries, err := t.entries(ctx)
	if err != nil {
		return nil, err
	}
	var versions []Version
	for _, e := range entries {
		if e.checkpoint {
			continue
		}
		at := e.modified.UTC().Truncate(time.Millisecond)
		if n := len(versions); n > 0 && !at.After(versions[n-1].At) {
			// Clocks go back; versions do not.
			at = versions[n-1].At.Add(time.Millisecond)
		}
		versions = append(versions, Version{e.version, at})
	}
	if len(versions) == 0 {
		return nil, t.fail(ErrNoTable, "its log is empty")
	}
	return versions, nil
}

// VersionAt is the newest version that was committed at a time or before it.
func (t *Table) VersionAt(ctx context.Context, at time.Time) (int64, error) {
	versions, err := t.Versions(ctx)
	if err != nil {
		return 0, err
	}
	after, _ := slices.BinarySearchFunc(versions, at, func(v Version, at time.Time) int {
		if v.At.After(at) {
			return 1
		}
		return -1
	})
	if after == 0 {
		return 0, t.fail(ErrNoVersion, "the log begins at %s, after %s", versions[0].At, at)
	}
	return versions[after-1].Version, nil
}

// Commit is an entry of the table's history.
type Commit struct {
	Version
	CommitInfo
}

// History lists what the newest commits were, the newest first.
func (t *Table) History(ctx context.Context, limit int) ([]Commit, error) {
	versions, err := t.Versions(ctx)
	if err != nil {
		return nil, err
	}
	slices.Reverse(versions)
	versions = versions[:min(limit, len(versions))]
	history := make([]Commit, len(versions))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(mostProbe)
	for i, v := range versions {
		history[i].Version = v
		group.Go(func() error {
			actions, err := t.commitAt(ctx, v.Version)
			if errors.Is(err, storage.ErrNotExist) { // cleaned up meanwhile
				return nil
			}
			for _, a := range actions {
				if a.CommitInfo != nil {
					history[i].CommitInfo = *a.CommitInfo
				}
			}
			return err
		})
	}
	return history, group.Wait()
}
