package source

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// patience says how often a source is opened again after a cut.
type patience struct {
	tries int   // in a row
	renew int64 // bytes after which the tries count anew: a long source may be cut more often
	pause func(ctx context.Context, try int) error
}

func (p patience) withDefaults() patience {
	p.tries, p.renew = cmp.Or(p.tries, 5), cmp.Or(p.renew, 64<<20)
	if p.pause == nil {
		p.pause = pause
	}
	return p
}

// pause waits before the given try, 1 the first: 0.2 s, then twice as long
// each time.
func pause(ctx context.Context, try int) error {
	t := time.NewTimer(100 * time.Millisecond << try)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// resumed is the bytes of one version of an object. Where a connection is cut,
// it opens the rest of the very same version.
type resumed struct {
	ctx  context.Context
	body io.ReadCloser // nil: cut
	// reopen opens the version that is read, from offset on; nil: it cannot be
	// told from others.
	reopen   func(ctx context.Context, offset int64) (io.ReadCloser, error)
	size     int64 // unknownSize: up to io.EOF
	offset   int64
	cutAt    int64
	tried    int // since cutAt
	cause    error
	err      error // sticky
	patience patience
}

func (r *resumed) Read(p []byte) (int, error) {
	for r.err == nil {
		if r.body == nil {
			if r.err = r.open(); r.err != nil {
				break
			}
		}
		n, err := r.body.Read(p)
		r.offset += int64(n)
		if r.isCut(err) {
			r.cause = cmp.Or(err, io.ErrUnexpectedEOF)
			_ = r.Close()
			if n == 0 {
				continue
			}
			return n, nil
		}
		if r.err = err; err != nil && r.ctx.Err() != nil && !errors.Is(err, io.EOF) {
			r.err = r.ctx.Err() // a closed connection is what that looks like from below
		}
		return n, r.err
	}
	return 0, r.err
}

// isCut reports whether what a read says means that the rest may be had by
// asking again. An error behind the last byte is none: it says that the bytes
// are wrong.
func (r *resumed) isCut(err error) bool {
	if err == nil || r.ctx.Err() != nil || r.offset == r.size {
		return false
	}
	if errors.Is(err, io.EOF) {
		return r.offset < r.size
	}
	return r.heals(err)
}

// open opens the rest, after a pause. What is no matter of time, such as
// another version, ends it at once.
func (r *resumed) open() error {
	if r.offset-r.cutAt >= r.patience.renew {
		r.tried = 0
	}
	r.cutAt = r.offset
	for ; r.reopen != nil && r.tried < r.patience.tries; r.tried++ {
		if err := r.patience.pause(r.ctx, r.tried+1); err != nil {
			return err
		}
		body, err := r.reopen(r.ctx, r.offset)
		if err == nil {
			r.body = body
			r.tried++
			return nil
		}
		if !r.heals(err) {
			return err
		}
		r.cause = err
	}
	return waybill.Failf(waybill.Transient, "source.cut", transientAction, "source was cut after %d of %d bytes and %d resumptions: %w", r.offset, r.size, r.tried, r.cause)
}

// heals reports whether what a read or a reopening met may be gone at the next
// try. To a store, a condition that does not hold is a conflict that passes;
// here it is another version.
func (r *resumed) heals(err error) bool {
	if r.ctx.Err() != nil || errors.Is(err, storage.ErrPrecondition) {
		return false
	}
	f, ok := errors.AsType[*waybill.Failure](err)
	return !ok || f.Verdict == waybill.Transient
}

func (r *resumed) Close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	return err
}
