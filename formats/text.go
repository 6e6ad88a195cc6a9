package formats

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"time"
)

// appendCSVText appends a text as RFC 4180 has it: in quotes where it holds a
// comma, a quote or a line break, or is empty, so that an empty string is told
// from NULL. Lines end with a single newline, which every loader takes, where
// the RFC has carriage return and newline, which some leave in the last column.
func appendCSVText(dst, s []byte) []byte {
	if len(s) > 0 && !needsQuotes(s) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for {
		i := bytes.IndexByte(s, '"')
		if i < 0 {
			return append(append(dst, s...), '"')
		}
		dst = append(append(dst, s[:i+1]...), '"')
		s = s[i+1:]
	}
}

func needsQuotes(s []byte) bool {
	rest := s
	for ; len(rest) >= 8; rest = rest[8:] { // eight bytes at a time
		if csvSpecial(binary.LittleEndian.Uint64(rest)) {
			return true
		}
	}
	for _, c := range rest {
		if c == ',' || c == '"' || c == '\n' || c == '\r' {
			return true
		}
	}
	// White space at an end is lost on readers that trim; "\." alone ends a COPY.
	return s[0] == ' ' || s[len(s)-1] == ' ' || string(s) == `\.`
}

// csvSpecial reports whether one of the eight bytes is a comma, a quote or a
// line break.
func csvSpecial(w uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	comma, quote, newline, cr := w^ones*',', w^ones*'"', w^ones*'\n', w^ones*'\r'
	return ((comma-ones)&^comma|(quote-ones)&^quote|(newline-ones)&^newline|(cr-ones)&^cr)&high != 0
}

func csvHeader(l *layout) []byte {
	var line []byte
	for i, c := range l.columns {
		if i > 0 {
			line = append(line, ',')
		}
		line = appendCSVText(line, []byte(c.name))
	}
	return append(line, '\n')
}

// textOutput writes what the parse workers have made, batch by batch.
type textOutput interface {
	begin() error
	batch(b *batch) error
	end() error
}

var (
	_ textOutput = (*jsonlOutput)(nil)
	_ textOutput = (*csvOutput)(nil)
	_ textOutput = (*jsonOutput)(nil)
)

type jsonlOutput struct{ w io.Writer }

func (o *jsonlOutput) begin() error         { return nil }
func (o *jsonlOutput) batch(b *batch) error { return writeAll(o.w, b.jsonl) }
func (o *jsonlOutput) end() error           { return nil }

type csvOutput struct {
	w      io.Writer
	header []byte
}

func (o *csvOutput) begin() error         { return writeAll(o.w, o.header) }
func (o *csvOutput) batch(b *batch) error { return writeAll(o.w, b.csv) }
func (o *csvOutput) end() error           { return nil }

// jsonOutput writes the platform's envelope: the records of JSONL, one a line,
// as one array.
type jsonOutput struct {
	w        io.Writer
	envelope Envelope
	begun    bool // a record was written
	buffer   []byte
}

func (o *jsonOutput) begin() error {
	header := append([]byte(`{"workflowId":`), jsonText(o.envelope.WorkflowID)...)
	header = append(append(header, `,"runId":`...), jsonText(o.envelope.RunID)...)
	header = append(header, `,"executedAt":`...)
	if t := o.envelope.ExecutedAt; t.IsZero() {
		header = append(header, "null"...)
	} else {
		text, err := json.Marshal(t.UTC().Format(time.RFC3339Nano))
		if err != nil {
			return err
		}
		header = append(header, text...)
	}
	return writeAll(o.w, append(header, `,"data":[`...))
}

func (o *jsonOutput) batch(b *batch) error {
	o.buffer = o.buffer[:0]
	for lines := b.jsonl; len(lines) > 0; {
		end := bytes.IndexByte(lines, '\n') // records hold none
		if o.begun {
			o.buffer = append(o.buffer, ',')
		}
		o.begun = true
		o.buffer = append(append(o.buffer, '\n'), lines[:end]...)
		lines = lines[end+1:]
	}
	err := writeAll(o.w, o.buffer)
	if cap(o.buffer) > largeBatch {
		o.buffer = nil
	}
	return err
}

func (o *jsonOutput) end() error { return writeAll(o.w, []byte("\n]}\n")) }

// writeAll writes p, and takes a short write for the fault it is.
func writeAll(w io.Writer, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	n, err := w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}
