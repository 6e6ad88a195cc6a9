// Package delta writes and reads Delta tables in any of our stores: a Parquet
// file for each part of a run, and a log of JSON commits, each put only where
// none is yet. Nothing else is needed, neither a warehouse nor a lock.
//
// Tables stay at protocol (1,2): every reader of Delta there is can read them.
// A table that asks for more, whoever made it so, is refused.
//
// # How a commit is made
//
// A change is worked out on the newest snapshot, as a pure function of it,
// and put as the next version, if that is not there yet. Where another writer
// was faster, its commit is read, and the change is worked out again: so an
// application that has come as far already ([Snapshot.Txn]), another schema, or
// a file that is no longer there, is always seen. Where the answer was lost,
// the version is read back: it holds our bytes or another's, and the log never
// has a change twice.
//
// The protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md
package delta

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// Options are the settings of tables. Zero values take the defaults.
type Options struct {
	Brand           string        // first part of the job column's name: see [waybill.JobColumn]; default kadoa
	CheckpointEvery int64         // commits between checkpoints; default 20
	CompactAbove    int           // small files that a table may have before it is compacted; default 64
	LogRetention    time.Duration // how long old commits are kept, for time travel; default 30 days
	FileRetention   time.Duration // how long removed files are kept, for open readers; default 7 days
	TxnRetention    time.Duration // how long a delivery is remembered as done; default 90 days

	Now   func() time.Time // default time.Now
	NewID func() string    // for what must be unique; default random
	Log   *slog.Logger     // default slog.Default
}

func (o Options) withDefaults() Options {
	const day = 24 * time.Hour
	o.Brand = cmp.Or(o.Brand, "kadoa")
	o.CheckpointEvery = cmp.Or(o.CheckpointEvery, 20)
	o.CompactAbove = cmp.Or(o.CompactAbove, 64)
	o.LogRetention = cmp.Or(o.LogRetention, 30*day)
	o.FileRetention = cmp.Or(o.FileRetention, 7*day)
	o.TxnRetention = cmp.Or(o.TxnRetention, 90*day)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = newUUID
	}
	o.Log = cmp.Or(o.Log, slog.Default())
	return o
}

// newUUID is a random UUID: https://www.rfc-editor.org/rfc/rfc9562#section-5.4
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Table is a Delta table below a prefix of a store. Its methods may be called
// from several goroutines.
type Table struct {
	store  storage.Store
	prefix string // ends with "/"
	opts   Options
	job    string // name of the job column

	mu     sync.Mutex
	newest *Snapshot // the newest that was read; nil: none yet
}

// Open returns the table below a prefix, without looking whether there is one.
func Open(store storage.Store, prefix string, opts Options) *Table {
	opts = opts.withDefaults()
	return &Table{store: store, prefix: strings.TrimSuffix(prefix, "/") + "/", opts: opts, job: waybill.JobColumn(opts.Brand).Name}
}

// URL is where the table is, without credentials, and without the last slash.
func (t *Table) URL() string { return t.store.URL() + strings.TrimSuffix(t.prefix, "/") }

// Key is the key of one of the table's data files in its store.
func (t *Table) Key(a Add) (string, error) {
	key, err := a.Key()
	if err != nil {
		return "", t.fail(errUnsupported, "%w", err)
	}
	return t.key(key), nil
}

func (t *Table) key(name string) string { return t.prefix + name }

// Snapshot is the table as it is now. A table that is not there is a failure
// that matches [ErrNoTable].
func (t *Table) Snapshot(ctx context.Context) (*Snapshot, error) {
	t.mu.Lock()
	from := t.newest
	t.mu.Unlock()
	s, err := t.advance(ctx, from)
	if err != nil {
		return nil, err
	}
	t.keep(s)
	return s, nil
}

// keep remembers a snapshot if it is the newest.
func (t *Table) keep(s *Snapshot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.newest == nil || t.newest.Version <= s.Version {
		t.newest = s
	}
}

// forget makes the next snapshot come from the log alone.
func (t *Table) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.newest = nil
}

// snapshotOrNone is the snapshot, or an empty one where there is no table.
func (t *Table) snapshotOrNone(ctx context.Context) (*Snapshot, error) {
	s, err := t.Snapshot(ctx)
	if errors.Is(err, ErrNoTable) {
		return emptySnapshot(), nil
	}
	return s, err
}
