package handlers

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/tasks"
)

// digest is what can be said of a file's bytes once they have all passed.
type digest struct {
	sha256 hash.Hash
	crc32c hash.Hash32
	bytes  int64
}

func newDigest() *digest {
	return &digest{sha256: sha256.New(), crc32c: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
}

func (d *digest) Write(b []byte) (int, error) {
	d.sha256.Write(b) // hashes do not fail
	d.crc32c.Write(b)
	d.bytes += int64(len(b))
	return len(b), nil
}

func (d *digest) file(f formats.Format, rows int64) waybill.File {
	return waybill.File{Name: f.FileName(), Format: string(f), Rows: rows, Bytes: d.bytes,
		SHA256: hex.EncodeToString(d.sha256.Sum(nil)), CRC32C: fmt.Sprintf("%08x", d.crc32c.Sum32())}
}

// sink takes one format's bytes to where they belong. A sink that reads r to
// its end has the whole file; one whose read fails must leave nothing behind.
type sink func(ctx context.Context, f formats.Format, r io.Reader) error

// discard reads a file away, for its digest alone.
func discard(_ context.Context, _ formats.Format, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// convert reads the run's records once and feeds every wanted format to its
// sink. No sink sees the end of its file before all records are read and
// counted: what fails here leaves no file behind.
func (d *destination) convert(ctx context.Context, wanted []formats.Format, to sink) (map[formats.Format]waybill.File, converted, error) {
	records, etag, err := d.openSource(ctx)
	if err != nil {
		return nil, converted{}, err
	}
	defer records.Close()

	sinks, sinkCtx := errgroup.WithContext(ctx)
	writers, pipes, digests := map[formats.Format]io.Writer{}, []*io.PipeWriter{}, map[formats.Format]*digest{}
	for _, f := range wanted {
		r, w := io.Pipe()
		sum := newDigest()
		writers[f], digests[f], pipes = w, sum, append(pipes, w)
		sinks.Go(func() error {
			err := to(sinkCtx, f, io.TeeReader(progressReader{ctx, r}, sum))
			r.CloseWithError(cmp.Or(err, io.ErrClosedPipe))
			return err
		})
	}
	report, err := formats.Convert(ctx, progressReader{ctx, records}, writers, d.options())
	err = cmp.Or(inputFailure(err), d.accept(report, err))
	for _, w := range pipes {
		w.CloseWithError(err) // nil ends the file
	}
	sinkErr := sinks.Wait()
	if _, failedSink := errors.AsType[*formats.OutputError](err); failedSink || err == nil {
		err = cmp.Or(sinkErr, err) // the store's own words say more than the converter's
	}
	if err != nil {
		return nil, converted{}, err
	}
	files := map[formats.Format]waybill.File{}
	for f, sum := range digests {
		files[f] = sum.file(f, report.Rows)
	}
	return files, converted{Conversion: report, SourceETag: etag}, nil
}

// converted is what a pass over the records found.
type converted struct {
	Conversion waybill.Conversion
	SourceETag string
}

func (d *destination) options() formats.Options {
	return formats.Options{
		Schema: d.Run.Schema, Framing: d.Run.Source.Format, CPUs: d.h.Limits.CPUs,
		MaxRecordBytes: d.h.Limits.RecordBytes, MaxDepth: d.h.Limits.Depth,
		Envelope: formats.Envelope{WorkflowID: d.Run.WorkflowID, RunID: d.Run.JobID, ExecutedAt: d.Run.FinishedAt},
	}
}

// openSource opens the records, and holds the delivery to the version of them
// that its first attempt read.
func (d *destination) openSource(ctx context.Context) (Records, string, error) {
	pin, err := d.PinnedSource(ctx)
	if err != nil {
		return nil, "", err
	}
	records, err := d.h.Source(ctx, d.Run.TeamID, d.Run.Source, pin)
	if err != nil {
		return nil, "", err
	}
	pinned, err := d.PinSource(ctx, records.ETag())
	if err == nil && pinned != records.ETag() {
		err = waybill.Failf(waybill.Permanent, "source.changed",
			"The run's records changed while they were delivered; hand the run in again with replace: true.", "source is %q, pinned was %q", records.ETag(), pinned)
	}
	if err != nil {
		records.Close()
		return nil, "", err
	}
	return records, pinned, nil
}

// accept holds what was read against what the run announced.
func (d *destination) accept(c waybill.Conversion, err error) error {
	if err != nil {
		return err
	}
	if c.Quarantined > d.connector.MalformedTolerated {
		return waybill.Failf(waybill.Permanent, "records.malformed",
			fmt.Sprintf("%d of %d records are malformed and the connector tolerates %d; %s. Mend the records and hand the run in again with replace: true, or raise the connector's malformedTolerated and retry.",
				c.Quarantined, c.Rows+c.Quarantined, d.connector.MalformedTolerated, firstMalformed(c)), "malformed records")
	}
	if read := c.Rows + c.Quarantined; read != d.Run.RowCount {
		return waybill.Failf(waybill.Permanent, "records.count",
			fmt.Sprintf("The run announced %d records and its source holds %d; hand the run in again with the right rowCount or source, and replace: true.", d.Run.RowCount, read), "row count differs")
	}
	return nil
}

func firstMalformed(c waybill.Conversion) string {
	var lines []string
	for _, q := range c.Quarantine[:min(3, len(c.Quarantine))] {
		lines = append(lines, fmt.Sprintf("line %d: %s", q.Line, q.Reason))
	}
	return "the first: " + strings.Join(lines, "; ")
}

// inputFailure classifies what the converter could not read as records at all.
func inputFailure(err error) error {
	in, ok := errors.AsType[*formats.InputError](err)
	if !ok {
		return nil
	}
	if _, classified := errors.AsType[*waybill.Failure](in.Err); classified || errors.Is(in.Err, context.Canceled) {
		return in
	}
	return waybill.Failf(waybill.Permanent, "source.unreadable",
		"The source does not hold a list of records: "+in.Err.Error()+"; mend it and hand the run in again with replace: true.", "%w", in)
}

// progressReader tells the watchdog that bytes move.
type progressReader struct {
	ctx context.Context
	r   io.Reader
}

func (p progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if n > 0 {
		tasks.Progress(p.ctx)
	}
	return n, err
}
