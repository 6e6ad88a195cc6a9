package formats

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// The framings of [Options].
const (
	framingLines    = "jsonl"
	framingArray    = "array"
	framingEnvelope = "envelope"
)

// detectBytes is how much of the input is looked at to find out its framing.
const detectBytes = 1 << 20

// detect finds out the framing from the input's beginning; ended says that
// there is no more.
//
//   - "[" begins an array.
//   - "{" begins an envelope if that object has "data" at its top level, a list
//     that is empty or begins with an object, and if it cannot just as well be
//     a record: it runs over several lines; or it is alone in the input, or
//     larger than detectBytes, and the descriptor has no field named "data".
//   - Any other "{" begins JSON Lines, and so does anything else if one of the
//     lines looked at is a JSON object: then only lines are malformed.
//   - The rest is not a list of records at all.
func detect(b []byte, ended, hasDataField bool) (string, error) {
	i := skipSpace(b, 0)
	switch {
	case i == len(b):
		return framingLines, nil
	case b[i] == '[':
		return framingArray, nil
	case b[i] != '{':
		return framingLines, checkLines(b)
	}
	first := lookAtObject(b, i)
	if !first.dataList {
		return framingLines, nil
	}
	severalLines := bytes.IndexByte(b[i:first.end], '\n') >= 0
	alone := !first.closed || ended && skipSpace(b, first.end) == len(b)
	if first.closed && skipSpace(b, first.end) < len(b) {
		alone, severalLines = false, false
	}
	if severalLines || alone && !hasDataField {
		return framingEnvelope, nil
	}
	return framingLines, nil
}

// checkLines refuses an input without a single record among its first lines.
func checkLines(b []byte) error {
	s := scanner{maxDepth: deepest}
	for line := range bytes.Lines(b) {
		line = trim(line)
		if len(line) == 0 || line[0] != '{' {
			continue
		}
		if t, f := s.value(line, 0, 0); f == faultNone && int(t.end) == len(line) {
			return nil
		}
	}
	return notRecords(b)
}

// notRecords says what the input seems to be in place of records.
func notRecords(b []byte) error {
	first, _ := utf8.DecodeRune(b[skipSpace(b, 0):])
	switch {
	case hasPrefix(b, "\x1f\x8b") || hasPrefix(b, "\x28\xb5\x2f\xfd"):
		return errors.New("the input is compressed, not a list of JSON records; name its compression")
	case hasPrefix(b, "\xff\xfe") || hasPrefix(b, "\xfe\xff"):
		return errors.New("the input is UTF-16; records are UTF-8")
	case first == '<':
		return errors.New(`the input is not a list of JSON records: it begins with "<", like a web page`)
	case first == utf8.RuneError || first < ' ':
		return errors.New("the input is not a list of JSON records: it does not begin with text")
	}
	return fmt.Errorf("the input is not a list of JSON records: it begins with %q, where records begin with { or [", string(first))
}

type firstObject struct {
	end      int  // behind the object, or of what there is of it
	closed   bool // it ends within what was looked at
	dataList bool // "data" is a list that is empty or begins with an object
}

// lookAtObject walks the members of the object that begins at b[i], as far as
// it is there. Where the grammar breaks, the object counts as one without data.
func lookAtObject(b []byte, i int) (o firstObject) {
	s := scanner{maxDepth: deepest}
	for i = skipSpace(b, i+1); i < len(b) && b[i] == '"'; {
		key := i
		end, _, f := stringEnd(b, i+1)
		if f != faultNone {
			return o.cut(b, f)
		}
		i = skipSpace(b, end)
		if i >= len(b) {
			return o.cut(b, faultTruncated)
		}
		if b[i] != ':' {
			return firstObject{}
		}
		i = skipSpace(b, i+1)
		if keyIs(b[key:end], dataKey) && i < len(b) && b[i] == '[' {
			o.dataList = listOfObjects(b, i)
			i = listEnd(b, i)
		} else if t, f := s.value(b, i, 0); f != faultNone {
			return o.cut(b, f)
		} else {
			i = int(t.end)
		}
		if i = skipSpace(b, i); i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		} else {
			break
		}
	}
	switch {
	case i >= len(b):
		return o.cut(b, faultTruncated)
	case b[i] != '}':
		return firstObject{}
	}
	o.end, o.closed = i+1, true
	return o
}

func (o firstObject) cut(b []byte, f fault) firstObject {
	if f != faultTruncated {
		return firstObject{}
	}
	o.end = len(b)
	return o
}

func listOfObjects(b []byte, i int) bool {
	i = skipSpace(b, i+1)
	return i < len(b) && (b[i] == '{' || b[i] == ']')
}

// listEnd finds the end of the list that begins at b[i] by its brackets alone:
// a malformed record within it does not make the envelope less of one.
func listEnd(b []byte, i int) int {
	f := listFramer{state: inRecord}
	f.depth = 1
	for i++; i < len(b); i++ {
		if f.scan(b[i : i+1]); f.depth == 0 && !f.inString {
			return i + 1
		}
	}
	return len(b)
}
