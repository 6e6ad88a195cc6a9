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

func (d *digest) file(name string, f formats.Format, rows int64) waybill.File {
	return waybill.File{Name: name, Format: string(f), Rows: rows, Bytes: d.bytes,
		SHA256: hex.EncodeToString(d.sha256.Sum(nil)), CRC32C: fmt.Sprintf("%08x", d.crc32c.Sum32())}
}

// convert reads the run's records once and feeds every wanted format to its
// sink, file by file. No sink sees the end of a format's last file before all
// records are read and counted: where a format is one file, what fails here
// leaves no file behind. Where it is several, the ones before the last are
// objects by then, which no manifest names.
func (a *attempt) convert(ctx context.Context, o formats.Options, wanted []formats.Format, to sink) (map[formats.Format][]waybill.File, converted, error) {
	records, etag, err := a.openSource(ctx)
	if err != nil {
		return nil, converted{}, err
	}
	defer records.Close()

	sinks, sinkCtx := errgroup.WithContext(ctx)
	outputs, feeds := map[formats.Format]formats.Output{}, map[formats.Format]*feed{}
	for _, f := range wanted {
		feeds[f] = &feed{ctx: sinkCtx, format: f, sinks: sinks, to: to}
		outputs[f] = feeds[f].open
	}
	result, err := formats.Convert(ctx, progressReader{ctx, records}, outputs, o)
	err = cmp.Or(inputFailure(err), a.accept(result.Conversion, err))
	for _, f := range feeds {
		f.finish(err)
	}
	sinkErr := sinks.Wait()
	if _, failedSink := errors.AsType[*formats.OutputError](err); failedSink || err == nil {
		err = cmp.Or(sinkErr, err) // the store's own words say more than the converter's
	}
	if err != nil {
		return nil, converted{}, err
	}
	files := map[formats.Format][]waybill.File{}
	for f, feed := range feeds {
		for part, sum := range feed.sums {
			files[f] = append(files[f], sum.file(o.FileName(f, part), f, result.Parts[f][part].Rows))
		}
	}
	return files, converted{Conversion: result.Conversion, SourceETag: etag}, nil
}

// converted is what a pass over the records found.
type converted struct {
	Conversion waybill.Conversion
	SourceETag string
}

// convertOptions are what the run and the fleet ask of a conversion.
func (a *attempt) convertOptions() formats.Options {
	return formats.Options{Schema: a.Run.Schema, Framing: a.Run.Source.Format, CPUs: a.h.Limits.CPUs,
		MaxRecordBytes: a.h.Limits.RecordBytes, MaxDepth: a.h.Limits.Depth}
}

// fileOptions are what the connector asks of the files beyond that.
func (d *destination) fileOptions() formats.Options {
	c, o := d.connector.Storage, d.convertOptions()
	o.MaxFileBytes, o.CSVFormulaGuard = int64(c.MaxFileBytes), c.CSVFormulaGuard
	o.Envelope = formats.Envelope{WorkflowID: d.Run.WorkflowID, RunID: d.Run.JobID, ExecutedAt: d.Run.FinishedAt}
	o.Compression = map[formats.Format]formats.Compression{}
	for _, f := range d.formats {
		o.Compression[f] = formats.Compression(c.Compression.Of(string(f)))
	}
	return o
}

// openSource opens the records, and holds the delivery to the version of them
// that its first attempt read.
func (a *attempt) openSource(ctx context.Context) (Records, string, error) {
	pin, err := a.PinnedSource(ctx)
	if err != nil {
		return nil, "", err
	}
	records, err := a.h.Source(ctx, a.Run.TeamID, a.Run.Source, pin)
	if err != nil {
		return nil, "", err
	}
	pinned, err := a.PinSource(ctx, records.ETag())
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
func (a *attempt) accept(c waybill.Conversion, err error) error {
	if err != nil {
		return err
	}
	if c.Quarantined > a.connector.MalformedTolerated {
		return waybill.Failf(waybill.Permanent, "records.malformed",
			fmt.Sprintf("%d of %d records are malformed and the connector tolerates %d; %s. Mend the records and hand the run in again with replace: true, or raise the connector's malformedTolerated and retry.",
				c.Quarantined, c.Rows+c.Quarantined, a.connector.MalformedTolerated, firstMalformed(c)), "malformed records")
	}
	if read := c.Rows + c.Quarantined; read != a.Run.RowCount {
		return waybill.Failf(waybill.Permanent, "records.count",
			fmt.Sprintf("The run announced %d records and its source holds %d; hand the run in again with the right rowCount or source, and replace: true.", a.Run.RowCount, read), "row count differs")
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
