package formats

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// framer finds where records begin and end in the input, piece by piece. It
// looks at strings and brackets only; whether a record is JSON is found out by
// the parse workers.
type framer interface {
	feed(p []byte) error
	finish() error // at the end of the input
}

var (
	_ framer = (*lineFramer)(nil)
	_ framer = (*listFramer)(nil)
)

var (
	errCutOff     = errors.New("the input ends within the list of records: it is cut off")
	errAfterList  = errors.New("there is text behind the end of the list of records")
	errNoList     = errors.New(`the input is not an array of records: it does not begin with "["`)
	errNoEnvelope = errors.New(`the input is not an envelope: it does not begin with "{"`)
)

// listFramer frames an array of records, or the array of records within an
// envelope. An envelope's other members are kept, up to the limit of a record,
// and checked at the end.
type listFramer struct {
	out      *filler
	envelope *envelope // nil for an array
	state    listState
	depth    int // within a record
	inString bool
	escaped  bool // the next byte belongs to an escape
	records  int64
}

type listState uint8

const (
	beforeList   listState = iota
	beforeFirst            // behind "["
	beforeRecord           // behind a comma
	inRecord
	afterList
	inEnvelope // outside of the list
)

func newListFramer(out *filler, enveloped bool) *listFramer {
	f := &listFramer{out: out}
	if enveloped {
		f.envelope = &envelope{limit: out.maxBytes}
		f.state = inEnvelope
	}
	return f
}

func (f *listFramer) feed(p []byte) error {
	for i := 0; i < len(p); {
		n, err := f.step(p[i:])
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

// step takes some bytes of p, at least one, and says how many.
func (f *listFramer) step(p []byte) (n int, err error) {
	switch f.state {
	case inRecord:
		return f.record(p)
	case inEnvelope:
		n, list, err := f.envelope.feed(p)
		if list {
			f.state = beforeFirst
		}
		return n, err
	}
	n = skipSpace(p, 0)
	if n == len(p) {
		return n, nil
	}
	switch c := p[n]; {
	case f.state == beforeList && c == '[':
		f.state = beforeFirst
		return n + 1, nil
	case f.state == beforeList:
		return 0, errNoList
	case f.state == afterList:
		return 0, errAfterList
	case f.state == beforeFirst && c == ']':
		f.close()
		return n + 1, nil
	}
	f.state = inRecord
	m, err := f.record(p[n:])
	return n + m, err
}

// record takes bytes of the record under way, up to the comma or bracket
// behind it.
func (f *listFramer) record(p []byte) (n int, err error) {
	n, ended := f.scan(p)
	if err := f.out.add(p[:n]); err != nil || !ended {
		return n, err
	}
	f.records++
	if err := f.out.end(f.records); err != nil {
		return n, err
	}
	if p[n] == ',' {
		f.state = beforeRecord
	} else {
		f.close()
	}
	return n + 1, nil
}

// scan finds the comma or bracket that ends the record under way.
func (f *listFramer) scan(p []byte) (n int, ended bool) {
	for i := 0; i < len(p); i++ {
		if f.inString {
			if i = f.scanString(p, i); i == len(p) {
				break
			}
			continue
		}
		switch c := p[i]; {
		case c == '"':
			f.inString = true
		case c == '{' || c == '[':
			f.depth++
		case f.depth > 0:
			if c == '}' || c == ']' {
				f.depth--
			}
		case c == ',' || c == ']':
			return i, true
		}
	}
	return len(p), false
}

// scanString returns the index of the quote that ends the string under way, or
// the length of p.
func (f *listFramer) scanString(p []byte, i int) int {
	for i < len(p) {
		if f.escaped {
			f.escaped = false
			i++
			continue
		}
		if i+8 <= len(p) {
			m := specialBytes(binary.LittleEndian.Uint64(p[i:]))
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) / 8
		}
		if p[i] == '"' {
			f.inString = false
			return i
		}
		f.escaped = p[i] == '\\'
		i++
	}
	return i
}

// close leaves the list.
func (f *listFramer) close() {
	f.state = afterList
	if f.envelope != nil {
		f.state = inEnvelope
		f.envelope.listEnded()
	}
}

func (f *listFramer) finish() error {
	switch f.state {
	case afterList:
		return f.out.flush()
	case inEnvelope:
		if err := f.envelope.finish(); err != nil {
			return err
		}
		return f.out.flush()
	case beforeList:
		return errNoList
	}
	return errCutOff
}
