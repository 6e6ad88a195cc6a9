package handlers

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
)

// sink takes one file's bytes to where they belong. A sink that reads r to its
// end has the whole file; one whose read fails must leave nothing behind.
type sink func(ctx context.Context, f formats.Format, part int, r io.Reader) error

// discard reads a file away, for its digest alone.
func discard(_ context.Context, _ formats.Format, _ int, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// maxFiles bounds a format's files of one run. What reads them has limits of
// its own, such as the 10,000 of a load into BigQuery:
// https://cloud.google.com/bigquery/quotas#load_jobs
const maxFiles = 10_000

// feed takes one format's files to their sinks, one after the other. A file is
// ended when the next one begins; the last is ended by finish, and only that
// tells whether it may be whole.
type feed struct {
	ctx    context.Context // ends with the first sink that fails
	format formats.Format
	sinks  *errgroup.Group
	to     sink

	mu    sync.Mutex // the converter may still be in open when it has given up
	over  bool
	file  *io.PipeWriter // under way
	ended chan error     // its sink's outcome
	sums  []*digest      // of all files so far
}

// open ends the file under way, waits until its sink has it, so that a format
// never takes the memory of two uploads, and begins the next.
func (f *feed) open(part int) (io.WriteCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if part >= maxFiles {
		return nil, waybill.Failf(waybill.Blocked, "storage.too_many_files",
			fmt.Sprintf("The run needs more than %d files of the connector's storage.maxFileBytes; raise it, and retry the delivery.", maxFiles), "%s part %d", f.format, part)
	}
	if f.file != nil {
		f.file.Close() // a pipe's close does not fail
		if err := <-f.ended; err != nil {
			return nil, err
		}
	}
	if f.over || f.ctx.Err() != nil {
		return nil, cmp.Or(context.Cause(f.ctx), io.ErrClosedPipe)
	}
	r, w := io.Pipe()
	sum, ended := newDigest(), make(chan error, 1)
	f.file, f.ended, f.sums = w, ended, append(f.sums, sum)
	f.sinks.Go(func() (err error) {
		defer func() {
			r.CloseWithError(cmp.Or(err, io.ErrClosedPipe))
			ended <- err
		}()
		return f.to(f.ctx, f.format, part, io.TeeReader(progressReader{f.ctx, r}, sum))
	})
	return unended{w}, nil
}

// finish ends the last file, or breaks it off.
func (f *feed) finish(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	if f.file != nil {
		f.file.CloseWithError(err) // nil ends the file
	}
}

// unended is a file that the converter calls whole, which does not end it yet.
type unended struct{ io.Writer }

func (unended) Close() error { return nil }
