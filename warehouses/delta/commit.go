package delta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// Committed is what an operation came to.
type Committed struct {
	*Snapshot      // the table with the change in it
	Changed   bool // false: all was as wanted before
}

// change is what an operation wants to do to a snapshot.
type change struct {
	info    CommitInfo
	actions []action
}

// maxLosses is how often in a row other writers may be faster.
const maxLosses = 100

// commit makes a change of the newest snapshot the next version. Where another
// writer is faster, work is called again with what that made. A nil change is
// none.
func (t *Table) commit(ctx context.Context, work func(ctx context.Context, s *Snapshot) (*change, error)) (Committed, error) {
	for range maxLosses {
		s, err := t.snapshotOrNone(ctx)
		if err != nil {
			return Committed{}, err
		}
		if err := s.writable(); err != nil {
			return Committed{}, t.fail(errUnsupported, "%w", err)
		}
		c, err := work(ctx, s)
		if err != nil {
			return Committed{}, err
		}
		if c == nil {
			return Committed{s, false}, nil
		}
		next, won, err := t.put(ctx, s, c)
		if err != nil {
			return Committed{}, err
		}
		if won {
			t.keep(next)
			return Committed{t.checkpointed(ctx, next), true}, nil
		}
	}
	return Committed{}, t.fail(errContended, "lost %d times", maxLosses)
}

// put puts a change as the version after a snapshot, and says whether it is
// there: false means that another's is.
//
// Whatever the store answers but success, the version is read. A store may
// have taken it and lost the answer, and may then refuse our own repetition:
// the bytes tell whose it is, as each attempt has an id.
func (t *Table) put(ctx context.Context, s *Snapshot, c *change) (*Snapshot, bool, error) {
	c.info.Timestamp = t.opts.Now().UnixMilli()
	c.info.EngineInfo = "waybill"
	c.info.TxnID = t.opts.NewID()
	actions := append([]action{{CommitInfo: &c.info}}, c.actions...)
	text, err := encodeActions(actions)
	if err != nil {
		return nil, false, t.fail(errRows, "%w", err)
	}
	if err := ourOwn(s, actions); err != nil {
		return nil, false, t.fail(errRows, "%w", err)
	}
	version := s.Version + 1
	won, err := t.putIfAbsent(ctx, version, text)
	if err != nil || !won {
		return nil, false, err
	}
	next, err := s.after(version, actions)
	if err != nil {
		return nil, false, t.fail(errCorrupt, "version %d: %w", version, err)
	}
	return next, true, nil
}

// ourOwn refuses a commit that the protocol forbids: two actions on one file or application.
func ourOwn(s *Snapshot, actions []action) error {
	seen := map[string]bool{}
	for _, a := range actions {
		var what string
		switch {
		case a.Add != nil:
			what = "file " + a.Add.Path
			if _, live := s.files[a.Add.Path]; live {
				return fmt.Errorf("%s is part of the table already", what)
			}
		case a.Remove != nil:
			what = "file " + a.Remove.Path
		case a.Txn != nil:
			what = "application " + a.Txn.AppID
		default:
			continue
		}
		if seen[what] {
			return fmt.Errorf("%s is there twice", what)
		}
		seen[what] = true
	}
	return nil
}

// Waits between attempts to put a commit that the store could not decide on.
var putWaits = []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond}

func (t *Table) putIfAbsent(ctx context.Context, version int64, text []byte) (won bool, err error) {
	for attempt := 0; ; attempt++ {
		_, err := t.store.Put(ctx, t.key(commitName(version)), bytes.NewReader(text),
			storage.PutOptions{IfAbsent: true, ContentType: "application/x-ndjson"})
		if err == nil {
			return true, nil
		}
		theirs, unread := t.readCommit(ctx, version)
		switch {
		case unread == nil:
			return bytes.Equal(theirs, text), nil
		case !errors.Is(unread, storage.ErrNotExist):
			return false, err // what it came to is found out by the next attempt of the step
		case attempt == len(putWaits) || !temporary(err):
			return false, err
		}
		if err := wait(ctx, putWaits[attempt]); err != nil {
			return false, err
		}
	}
}

func temporary(err error) bool {
	f, ok := errors.AsType[*waybill.Failure](err)
	return ok && f.Verdict == waybill.Transient
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// checkpointed writes a checkpoint where one is due. The commit stands without
// it: a fault is logged, and the next commit tries again.
func (t *Table) checkpointed(ctx context.Context, s *Snapshot) *Snapshot {
	if s.Version-max(s.checkpoint, 0) < t.opts.CheckpointEvery {
		return s
	}
	with, err := t.writeCheckpoint(ctx, s)
	if err != nil {
		t.opts.Log.WarnContext(ctx, "Delta checkpoint was not written", "table", t.URL(), "version", s.Version, "error", err)
		return s
	}
	t.keep(with)
	return with
}
