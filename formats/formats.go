// Package formats turns records into files: JSON records of a run, read once,
// become Parquet, JSONL, CSV and the platform's JSON envelope in one pass,
// with bounded memory and in the records' order. The same input gives the same
// bytes, however many cores take part and in whatever pieces it is read.
//
// # Records
//
// A record is a JSON object under the strict grammar of RFC 8259, nested values
// included, in valid UTF-8. One that is not, that is larger or deeper than the
// limits, or that the end of the input cuts off, is quarantined with its line.
// Records in and records out therefore always add up: rows + quarantined.
// An input that is no list of records at all, or a list in brackets that never
// ends, is an [InputError].
//
// Of a field given twice the last value counts; that is counted for the
// descriptor's fields. Top-level fields that the descriptor does not name are
// counted and left out; the descriptor's internal fields (names beginning with
// "_") are left out and listed. An escape of half a surrogate pair ("\ud800")
// is grammatical but no text: columns have U+FFFD in its place, JSONL keeps it.
//
// # Values
//
// What becomes of a value is told by [CastTable], and of dates in cast_date.go.
// A value that does not fit its column is NULL there, and empty in CSV; it is
// counted, and JSONL keeps it. JSON null and an absent field are NULL and no
// failure; an empty string is a failure in every column but text.
//
// # Files
//
// A format is one file, or, with [Options.MaxFileBytes], one file after the
// other. Each stands alone: with its own CSV header, Parquet footer or JSON
// envelope, and under the same rules.
//
// Parquet: zstd, row groups of at most a million rows or 64 MiB of plainly
// encoded values, pages of about 1 MiB, statistics and page index, optional
// columns, dictionaries where the first records repeat. JSONL: one record a
// line, fields in the descriptor's order, values as in the source but for
// white space between tokens; absent fields stay absent. CSV: RFC 4180 with a
// header and "\n" line ends; NULL is empty, an empty string is "". JSON: the
// same records within the platform's envelope. The text formats may be
// compressed: see [Options.Compression].
package formats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/waybillhq/waybill"
)

// Format is an output format.
type Format string

// The output formats.
const (
	Parquet Format = "parquet"
	JSONL   Format = "jsonl"
	CSV     Format = "csv"
	JSON    Format = "json" // the platform's envelope: {"workflowId",…,"data":[…]}
)

// All lists the formats.
func All() []Format { return []Format{Parquet, JSONL, CSV, JSON} }

// FileName is the name of the one file, not compressed, that a run becomes in
// this format. With other options it has another name: see [Options.FileName].
func (f Format) FileName() string { return "data." + string(f) }

// ContentType is the media type of the format's files, not compressed.
func (f Format) ContentType() string {
	switch f {
	case Parquet:
		return "application/vnd.apache.parquet"
	case JSONL:
		return "application/x-ndjson"
	case CSV:
		return "text/csv; charset=utf-8"
	default:
		return "application/json"
	}
}

// Options say what is converted and within which limits. Zero values take the
// documented defaults; limits beyond 1 GiB and 10,000 levels are cut to these.
type Options struct {
	Schema         waybill.Schema
	Framing        string   // how records stand in the input: jsonl, array, envelope; empty: detected
	CPUs           int      // parse workers; default: the cores of the process
	MaxRecordBytes int      // a larger record is quarantined; default 64 MiB
	MaxDepth       int      // a deeper record is quarantined; default 128
	Envelope       Envelope // header of the JSON format

	// MaxFileBytes is the size that no file exceeds, as it is stored; 0: one
	// file a format. A file ends before the record that might not fit; a record
	// that fits nowhere has a file of its own, the only kind that is larger.
	// Files that are compressed, Parquet among them, end before that record
	// could be compressed, so that most of them stay somewhat below the limit.
	MaxFileBytes int64
	// Compression of the text formats; Parquet is compressed inside. It is never
	// a Content-Encoding: what is stored is what a reader gets.
	Compression map[Format]Compression
	// CSVFormulaGuard makes text that a spreadsheet would run as a formula a
	// text to it as well: see guarded. Guarded values are counted.
	CSVFormulaGuard bool
	// Warehouse gives Parquet the columns of a warehouse's table, instead of the
	// fields' own names. No other format can be made in the same pass.
	Warehouse *WarehouseColumns

	rowGroupRows int64 // rows of a Parquet row group, for tests
}

// FileName is the name of a format's file: data.csv, or with a limit on their
// size data-00000.csv, data-00001.csv and so on, even if there is but one, so
// that a name does not depend on how much there is. Compressed files end in
// .gz or .zst.
func (o Options) FileName(f Format, part int) string {
	name := f.FileName()
	if o.MaxFileBytes > 0 {
		name = fmt.Sprintf("data-%05d.%s", part, f)
	}
	return name + o.Compression[f].extension()
}

// ContentType is the media type of a format's files.
func (o Options) ContentType(f Format) string {
	return cmp.Or(o.Compression[f].contentType(), f.ContentType())
}

// Envelope is what the JSON format says of the run before its records.
type Envelope struct {
	WorkflowID string
	RunID      string
	ExecutedAt time.Time
}

// Limits on what a conversion remembers; everything is counted.
const (
	maxFailedCasts  = 100
	maxQuarantined  = 1000
	maxUnknownNames = 100
	maxNameBytes    = 128 // of an unknown field's name

	// Unknown fields beyond this many in one record are counted, not named.
	maxNamesOfRecord = 4096
)

func (o Options) withDefaults() Options {
	o.CPUs = cmp.Or(max(o.CPUs, 0), runtime.GOMAXPROCS(0))
	o.MaxRecordBytes = min(cmp.Or(max(o.MaxRecordBytes, 0), 64<<20), 1<<30)
	o.MaxDepth = min(cmp.Or(max(o.MaxDepth, 0), 128), deepest)
	return o
}

func (o Options) validate() error {
	if !slices.Contains([]string{"", framingLines, framingArray, framingEnvelope}, o.Framing) {
		return fmt.Errorf("%q is not a framing; use jsonl, array or envelope, or leave it out", o.Framing)
	}
	if p := o.Schema.Validate(); len(p) > 0 {
		return fmt.Errorf("schema: %w", p)
	}
	if o.MaxFileBytes < 0 {
		return fmt.Errorf("a largest file of %d bytes makes no sense; give a positive number, or 0 for one file a format", o.MaxFileBytes)
	}
	for f, c := range o.Compression {
		if err := c.validate(f); err != nil {
			return err
		}
	}
	return nil
}

// InputError is a fault of the reader that records came from, or of what it
// gave as a whole (not a list of records at all). A malformed record is no
// InputError: it is quarantined.
type InputError struct{ Err error }

func (e *InputError) Error() string { return "read records: " + e.Err.Error() }
func (e *InputError) Unwrap() error { return e.Err }

// OutputError is a fault of an output that a format went to.
type OutputError struct {
	Format Format
	Err    error
}

func (e *OutputError) Error() string { return fmt.Sprintf("write %s: %v", e.Format, e.Err) }
func (e *OutputError) Unwrap() error { return e.Err }

// Result is what a conversion found and made.
type Result struct {
	waybill.Conversion
	Parts map[Format][]Part // the files of each wanted format, in order
}

// Convert reads records from r and writes each wanted format to its output, in
// one pass. It returns when every file is whole, or at the first fault: an
// [*InputError], an [*OutputError], or the context's error. A file that was
// not closed before a fault is of no use.
//
// Outputs are called from goroutines of their own and may block: a slow one
// slows the others. When a fault ends the conversion, Convert waits a second
// at most for a call that is still blocked; closing the pipe behind it ends
// that call, and no other is made.
func Convert(ctx context.Context, r io.Reader, outputs map[Format]Output, opts Options) (Result, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return Result{}, err
	}
	for f, open := range outputs {
		if !slices.Contains(All(), f) {
			return Result{}, fmt.Errorf("%q is not an output format; use parquet, jsonl, csv or json", string(f))
		}
		if open == nil {
			return Result{}, &OutputError{f, errors.New("it has no output")}
		}
		if opts.Warehouse != nil && f != Parquet {
			return Result{}, fmt.Errorf("%s cannot have a warehouse's columns; only parquet can", f)
		}
	}
	return convert(ctx, r, outputs, opts)
}
