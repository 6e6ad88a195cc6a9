package formats

import (
	"bytes"
	"sort"
	"time"
)

// textOutput writes what the parse workers have made of one text format, batch
// by batch, and where files have a limit cuts between two records.
type textOutput struct {
	parts          *parts
	header, footer []byte                         // of every file
	joined         bool                           // records are joined by commas
	records        func(*batch) ([]byte, []int64) // the records, each with its newline, and where each ends
	limit          int64                          // bytes of a file; 0: none

	rows   int64 // in the file under way
	buffer []byte
}

func newTextOutput(f Format, l *layout, files *parts, opts Options) *textOutput {
	o := &textOutput{parts: files, limit: opts.MaxFileBytes,
		records: func(b *batch) ([]byte, []int64) { return b.jsonl, b.ends.jsonl }}
	switch f {
	case CSV:
		o.header = csvHeader(l)
		o.records = func(b *batch) ([]byte, []int64) { return b.csv, b.ends.csv }
	case JSON:
		o.header, o.footer, o.joined = opts.Envelope.header(), []byte("\n]}\n"), true
	}
	return o
}

// header is the platform's envelope up to the list of records.
func (e Envelope) header() []byte {
	header := append([]byte(`{"workflowId":`), jsonText(e.WorkflowID)...)
	header = append(append(header, `,"runId":`...), jsonText(e.RunID)...)
	header = append(header, `,"executedAt":`...)
	if e.ExecutedAt.IsZero() {
		header = append(header, "null"...)
	} else {
		header = append(header, jsonText(e.ExecutedAt.UTC().Format(time.RFC3339Nano))...)
	}
	return append(header, `,"data":[`...)
}

// begin begins the next file.
func (o *textOutput) begin() error {
	o.rows = 0
	if err := o.parts.begin(); err != nil {
		return err
	}
	_, err := o.parts.Write(o.header)
	return err
}

// end ends the file under way.
func (o *textOutput) end() error {
	if _, err := o.parts.Write(o.footer); err != nil {
		return err
	}
	return o.parts.end(o.rows)
}

func (o *textOutput) batch(b *batch) error {
	text, ends := o.records(b)
	if o.limit == 0 {
		return o.write(text, b.rows())
	}
	for start := int64(0); len(ends) > 0; {
		n, err := o.fitting(start, ends)
		if err != nil {
			return err
		}
		if n == 0 {
			if err := o.end(); err != nil {
				return err
			}
			if err := o.begin(); err != nil {
				return err
			}
			continue
		}
		if err := o.write(text[start:ends[n-1]], n); err != nil {
			return err
		}
		start, ends = ends[n-1], ends[n:]
	}
	return nil
}

// fitting is how many of the records that end at ends the file under way
// takes; none: the next file begins.
func (o *textOutput) fitting(start int64, ends []int64) (int, error) {
	n := o.count(start, ends)
	if n < len(ends) {
		// Records may have been compressed to less than was feared.
		if err := o.parts.flush(); err != nil {
			return 0, err
		}
		n = o.count(start, ends)
	}
	switch {
	case o.rows == 0:
		return max(n, 1), nil // a record that fits nowhere has a file of its own
	case n < len(ends) && o.compressed() && o.parts.most(o.limit/32) > o.limit:
		return 0, nil // ever fewer records between flushes would compress ever worse
	}
	return n, nil
}

func (o *textOutput) compressed() bool { return o.parts.encoder != nil }

// count is how many of the records fit however they compress.
func (o *textOutput) count(start int64, ends []int64) int {
	return sort.Search(len(ends), func(i int) bool {
		size := ends[i] - start + int64(len(o.footer))
		if o.joined {
			size += int64(i) + min(o.rows, 1)
		}
		return o.parts.most(size) > o.limit
	})
}

// write writes records.
func (o *textOutput) write(text []byte, rows int) error {
	if o.joined {
		text = o.join(text)
	}
	o.rows += int64(rows)
	_, err := o.parts.Write(text)
	return err
}

// join makes of records, each with its newline behind it, members of a list,
// each with its newline before it.
func (o *textOutput) join(lines []byte) []byte {
	if cap(o.buffer) > largeBatch {
		o.buffer = nil
	}
	o.buffer = o.buffer[:0]
	for first := o.rows == 0; len(lines) > 0; first = false {
		end := bytes.IndexByte(lines, '\n') // records hold none
		if !first {
			o.buffer = append(o.buffer, ',')
		}
		o.buffer = append(append(o.buffer, '\n'), lines[:end]...)
		lines = lines[end+1:]
	}
	return o.buffer
}
