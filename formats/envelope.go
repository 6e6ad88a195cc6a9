package formats

import (
	"errors"
	"fmt"
)

var (
	errTwoLists     = errors.New(`the envelope has "data" twice`)
	errDataNotList  = errors.New(`the envelope's "data" is not a list of records`)
	errNoData       = errors.New(`the envelope has no "data" list`)
	errEnvelopeJSON = errors.New("the envelope around the list of records is not JSON")
)

// envelope follows the text around an envelope's list of records, in search of
// the key "data". The text itself is kept, with an empty list in place of the
// records, so that it can be checked as a whole when it has ended.
type envelope struct {
	limit    int
	text     []byte
	depth    int
	inString bool
	escaped  bool
	member   memberState // at depth 1
	key      int         // where the member's key begins in text
	keyEnd   int
	found    bool
}

type memberState uint8

const (
	beforeKey memberState = iota
	inKey
	beforeColon
	beforeValue
	inValue
)

// feed takes bytes up to the bracket that opens the list of records, included,
// if it comes.
func (e *envelope) feed(p []byte) (n int, list bool, err error) {
	for i, c := range p {
		if len(e.text) == 0 && c != '{' {
			if skipSpace(p[i:i+1], 0) == 1 {
				continue
			}
			return 0, false, errNoEnvelope
		}
		if len(e.text) >= e.limit {
			return 0, false, fmt.Errorf("the envelope around the list of records is larger than %d bytes", e.limit)
		}
		if e.depth == 0 && len(e.text) > 0 && skipSpace(p[i:i+1], 0) == 0 {
			return 0, false, errAfterList
		}
		e.text = append(e.text, c)
		if list, err := e.byte(c); list || err != nil {
			return i + 1, list, err
		}
	}
	return len(p), false, nil
}

// byte follows one byte. It reports whether it opens the list of records.
func (e *envelope) byte(c byte) (list bool, err error) {
	switch {
	case e.escaped:
		e.escaped = false
	case e.inString:
		e.escaped = c == '\\'
		if e.inString = c != '"'; !e.inString && e.depth == 1 && e.member == inKey {
			e.member, e.keyEnd = beforeColon, len(e.text)
		}
	case skipSpace([]byte{c}, 0) == 1:
	case e.depth == 1 && e.member == beforeValue:
		return e.value(c)
	default:
		e.structure(c)
	}
	return false, nil
}

// structure follows a byte outside of strings that does not begin a value.
func (e *envelope) structure(c byte) {
	switch {
	case c == '"':
		e.inString = true
		if e.depth == 1 && e.member == beforeKey {
			e.member, e.key = inKey, len(e.text)-1
		}
	case c == '{' || c == '[':
		e.depth++
	case c == '}' || c == ']':
		e.depth--
	case e.depth == 1 && c == ':' && e.member == beforeColon:
		e.member = beforeValue
	case e.depth == 1 && c == ',':
		e.member = beforeKey
	}
}

// value follows the first byte of a member's value.
func (e *envelope) value(c byte) (list bool, err error) {
	e.member = inValue
	if !keyIs(e.text[e.key:e.keyEnd], dataKey) {
		e.structure(c)
		return false, nil
	}
	switch {
	case e.found:
		return false, errTwoLists
	case c != '[':
		return false, errDataNotList
	}
	e.found = true
	return true, nil
}

// listEnded goes on behind the list of records.
func (e *envelope) listEnded() { e.text = append(e.text, ']') }

func (e *envelope) finish() error {
	s := scanner{maxDepth: deepest}
	switch t, f := s.value(e.text, 0, 0); {
	case len(e.text) == 0:
		return errNoEnvelope
	case f == faultTruncated:
		return errCutOff
	case f != faultNone || skipSpace(e.text, int(t.end)) != len(e.text):
		return errEnvelopeJSON
	case !e.found:
		return errNoData
	}
	return nil
}

const dataKey = "data"
