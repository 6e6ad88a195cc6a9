package formats

import (
	"context"
	"slices"
)

// filler cuts the input's records into batches.
type filler struct {
	ctx      context.Context
	pool     *batchPool
	send     func(*batch) error
	maxBytes int // of a record
	maxRows  int // of a batch

	batch   *batch
	start   int // of the record under way, in the batch's text
	size    int // of the record under way, white space included
	skipped bool
}

// White space around a record may exceed its limit by this much.
const spaceAllowance = 4096

// add takes a piece of the record under way. A record beyond the limit is
// skipped: its bytes are let go as they come.
func (f *filler) add(p []byte) error {
	if f.batch == nil {
		b, err := f.pool.take(f.ctx)
		if err != nil {
			return err
		}
		if cap(b.text) == 0 {
			b.text = make([]byte, 0, batchBytes+batchBytes/16)
		}
		f.batch, f.start = b, 0
	}
	f.size += len(p)
	if f.skipped || f.size > f.maxBytes+spaceAllowance {
		f.skipped = true
		f.batch.text = f.batch.text[:f.start]
		return nil
	}
	if len(f.batch.text)+len(p) > largeBatch && !f.batch.large {
		if err := f.batch.grow(f.ctx); err != nil {
			return err
		}
	}
	if free := cap(f.batch.text) - len(f.batch.text); free < len(p) {
		// Doubled, where append would grow a large buffer by a quarter at a time.
		f.batch.text = slices.Grow(f.batch.text, max(len(p), len(f.batch.text)))
	}
	f.batch.text = append(f.batch.text, p...)
	return nil
}

// blank reports whether nothing but white space was added since the last record.
func (f *filler) blank() bool {
	return f.batch == nil || !f.skipped && skipSpace(f.batch.text[f.start:], 0) == len(f.batch.text)-f.start
}

// drop forgets what was added since the last record.
func (f *filler) drop() {
	if f.batch != nil {
		f.batch.text = f.batch.text[:f.start]
	}
	f.size, f.skipped = 0, false
}

// end closes the record under way. The batch goes on its way once it is full.
func (f *filler) end(line int64) error {
	if f.batch == nil {
		if err := f.add(nil); err != nil {
			return err
		}
	}
	b := f.batch
	start, end := f.start, len(b.text)
	start += skipSpace(b.text[start:end], 0)
	for end > start && skipSpace(b.text[end-1:end], 0) == 1 {
		end--
	}
	r := record{start: uint32(start), end: uint32(end), line: line}
	if f.skipped || end-start > f.maxBytes {
		r.fault, r.end = faultTooLarge, r.start
		b.text = b.text[:f.start]
	}
	b.text = append(b.text, '\n') // no character spans two records
	b.records = append(b.records, r)
	f.start, f.size, f.skipped = len(b.text), 0, false
	if len(b.text) >= batchBytes || len(b.records) >= f.maxRows {
		return f.flush()
	}
	return nil
}

// flush sends the batch under way.
func (f *filler) flush() error {
	b := f.batch
	f.batch = nil
	if b == nil || len(b.records) == 0 {
		return nil
	}
	return f.send(b)
}
