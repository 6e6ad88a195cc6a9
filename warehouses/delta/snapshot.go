package delta

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Snapshot is a table at one version. It does not change.
type Snapshot struct {
	Version  int64
	Protocol Protocol
	Metadata Metadata

	fields     []field
	files      map[string]Add    // live, by path
	removed    map[string]Remove // tombstones, by path
	txns       map[string]Txn
	checkpoint int64 // the version of the newest checkpoint known when it was read; -1: none
}

func emptySnapshot() *Snapshot {
	return &Snapshot{Version: -1, files: map[string]Add{}, removed: map[string]Remove{}, txns: map[string]Txn{}, checkpoint: -1}
}

// Files are the data files of the table, by path.
func (s *Snapshot) Files() []Add {
	return slices.SortedFunc(maps.Values(s.files), func(a, b Add) int { return strings.Compare(a.Path, b.Path) })
}

// Columns are the names of the table's columns, in order.
func (s *Snapshot) Columns() []string {
	names := make([]string, len(s.fields))
	for i, f := range s.fields {
		names[i] = f.Name
	}
	return names
}

// Rows is the number of rows in the table. It is not known of files that
// another program wrote without statistics.
func (s *Snapshot) Rows() (rows int64, known bool) {
	known = true
	for _, a := range s.files {
		stats, ok := a.Statistics()
		rows, known = rows+stats.NumRecords, known && ok
	}
	return rows, known
}

// Bytes is the size of all data files.
func (s *Snapshot) Bytes() (n int64) {
	for _, a := range s.files {
		n += a.Size
	}
	return n
}

// Txn is how far an application has come in the table.
func (s *Snapshot) Txn(appID string) (version int64, ok bool) {
	t, ok := s.txns[appID]
	return t.Version, ok
}

// after is the snapshot that a commit makes of s.
func (s *Snapshot) after(version int64, actions []action) (*Snapshot, error) {
	next := &Snapshot{Version: version, Protocol: s.Protocol, Metadata: s.Metadata, fields: s.fields, checkpoint: s.checkpoint,
		files: maps.Clone(s.files), removed: maps.Clone(s.removed), txns: maps.Clone(s.txns)}
	return next, next.apply(actions)
}

// apply takes a commit's actions into a snapshot that nobody has seen yet.
func (s *Snapshot) apply(actions []action) (err error) {
	for _, a := range actions {
		switch {
		case a.Protocol != nil:
			s.Protocol = *a.Protocol
		case a.Metadata != nil:
			s.Metadata = *a.Metadata
			if s.fields, err = parseSchema(a.Metadata.SchemaString); err != nil {
				return err
			}
		case a.Txn != nil:
			s.txns[a.Txn.AppID] = *a.Txn
		case a.Add != nil:
			s.files[a.Add.Path] = *a.Add
			delete(s.removed, a.Add.Path)
		case a.Remove != nil:
			s.removed[a.Remove.Path] = *a.Remove
			delete(s.files, a.Remove.Path)
		}
	}
	return nil
}

// check refuses a table that is not whole, or that has what is not known here.
func (s *Snapshot) check() (means, err error) {
	if s.Protocol.MinReaderVersion == 0 || s.Metadata.ID == "" {
		return errCorrupt, fmt.Errorf("version %d has no protocol or no metaData", s.Version)
	}
	p := s.Protocol
	if p.MinReaderVersion > 1 || p.MinWriterVersion > 2 {
		return errUnsupported, fmt.Errorf("protocol %d,%d with features %v; known are versions up to 1,2",
			p.MinReaderVersion, p.MinWriterVersion, slices.Concat(p.ReaderFeatures, p.WriterFeatures))
	}
	if provider := cmp.Or(s.Metadata.Format.Provider, "parquet"); provider != "parquet" {
		return errUnsupported, fmt.Errorf("data files are %q", provider)
	}
	return nil, nil
}

// writable refuses a table that asks of writers what is not done here.
func (s *Snapshot) writable() error {
	for _, key := range slices.Sorted(maps.Keys(s.Metadata.Configuration)) {
		value := s.Metadata.Configuration[key]
		switch {
		case key == "delta.appendOnly" && value != "false",
			key == "delta.enableChangeDataFeed" && value != "false",
			key == "delta.columnMapping.mode" && value != "none",
			strings.HasPrefix(key, "delta.constraints."):
			return fmt.Errorf("it is configured with %s=%s", key, value)
		}
	}
	for _, f := range s.fields {
		if _, has := f.Metadata["delta.invariants"]; has {
			return fmt.Errorf("column %s has an invariant", f.Name)
		}
	}
	if len(s.Metadata.PartitionColumns) > 0 {
		return fmt.Errorf("it is partitioned by %v", s.Metadata.PartitionColumns)
	}
	return nil
}

// actions are what a checkpoint holds: all that is needed to begin from here.
// Removals and applications that have outlived their use are left out.
func (s *Snapshot) actions(now time.Time, o Options) []action {
	actions := []action{{Protocol: &s.Protocol}, {Metadata: &s.Metadata}}
	for _, id := range slices.Sorted(maps.Keys(s.txns)) {
		if t := s.txns[id]; t.LastUpdated == 0 || now.Sub(time.UnixMilli(t.LastUpdated)) < o.TxnRetention {
			actions = append(actions, action{Txn: &t})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(s.removed)) {
		if r := s.removed[path]; !r.expired(now, o.FileRetention) {
			r.DataChange = false // a checkpoint tells what is, not what changed
			actions = append(actions, action{Remove: &r})
		}
	}
	for _, a := range s.Files() {
		a.DataChange = false
		actions = append(actions, action{Add: &a})
	}
	return actions
}

func (r Remove) expired(now time.Time, retention time.Duration) bool {
	return now.Sub(time.UnixMilli(r.DeletionTimestamp)) >= retention
}
