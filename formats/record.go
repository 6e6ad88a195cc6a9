package formats

import (
	"bytes"
	"unicode/utf8"
)

// parser reads records of a schema into tokens. One parse worker owns it.
type parser struct {
	scanner
	layout *layout
	tokens []token // of the record under way, by position in layout.keys

	// next[i] is the key that came after key i last time, which is nearly
	// always the one that comes after it now; next[len(keys)] is the first of
	// a record, next[len(keys)+1] the one after an unknown key.
	next []int

	// Whether the record stands as JSONL has it: its known fields in their
	// order, with nothing between them. Of its bytes, tight were accounted for.
	inOrder bool
	tight   int
	last    int // key

	duplicates int64
	unknown    int64
	names      []nameAt // of unknown keys, within the record
}

func newParser(l *layout, maxDepth int) *parser {
	p := &parser{layout: l, tokens: make([]token, len(l.keys)), next: make([]int, len(l.keys)+2)}
	p.maxDepth = maxDepth
	for i := range p.next {
		p.next[i] = noKey
	}
	return p
}

const noKey = -1

// record reads one record. Of a key given twice the last value counts.
func (p *parser) record(b []byte, utf8Known bool) fault {
	if !utf8Known && !utf8.Valid(b) {
		return faultUTF8
	}
	clear(p.tokens)
	p.inOrder, p.tight, p.last = true, 0, noKey
	p.duplicates, p.unknown, p.names = 0, 0, p.names[:0]
	if len(b) == 0 {
		return faultMissing
	}
	if b[0] != '{' {
		return p.notAnObject(b)
	}
	end, f := p.members(b)
	if f == faultNone && end != len(b) {
		return faultTrailing
	}
	return f
}

func (p *parser) notAnObject(b []byte) fault {
	t, f := p.value(b, 0, 0)
	switch {
	case f != faultNone:
		return f
	case int(t.end) != len(b):
		return faultTrailing
	}
	return faultNotObject
}

// members reads a record's members and returns the index behind its end.
func (p *parser) members(b []byte) (end int, f fault) {
	previous := len(p.layout.keys)
	i := skipSpace(b, 1)
	if i < len(b) && b[i] == '}' {
		return i + 1, faultNone
	}
	for {
		if i, previous, f = p.member(b, i, previous); f != faultNone {
			return 0, f
		}
		switch i = skipSpace(b, i); {
		case i >= len(b):
			return 0, faultTruncated
		case b[i] == '}':
			return i + 1, faultNone
		case b[i] != ',':
			return 0, faultSyntax
		}
		i = skipSpace(b, i+1)
	}
}

// member reads a key and its value. It returns the index behind the value and
// the key's place in next.
func (p *parser) member(b []byte, i, previous int) (end, place int, f fault) {
	if k := p.next[previous]; k >= 0 && bytes.HasPrefix(b[i:], p.layout.keys[k]) {
		i += len(p.layout.keys[k])
		p.inOrder = p.inOrder && k > p.last
		p.last = k
		return p.known(b, i, k)
	}
	k, i, f := p.key(b, i, previous)
	switch {
	case f != faultNone:
		return 0, 0, f
	case k >= 0:
		return p.known(b, i, k)
	}
	t, f := p.value(b, i, 1)
	return int(t.end), len(p.layout.keys) + 1, f
}

// known reads the value of a field of the schema.
func (p *parser) known(b []byte, i, k int) (end, place int, f fault) {
	t := &p.tokens[k]
	if t.kind != absent {
		p.duplicates++
		*t = token{}
	}
	i = skipSpace(b, i)
	if f := p.into(t, b, i, 1); f != faultNone {
		return 0, 0, f
	}
	p.tight += len(p.layout.keys[k]) + int(t.end-t.start) + len(`,`)
	p.inOrder = p.inOrder && !t.spaced
	return int(t.end), k, faultNone
}

// key reads a key that was not predicted, or does not stand as it was, and the
// colon behind it. It returns the index of the value.
func (p *parser) key(b []byte, i, previous int) (k, at int, f fault) {
	if i >= len(b) {
		return 0, 0, faultTruncated
	}
	if b[i] != '"' {
		return 0, 0, faultSyntax
	}
	if i, k, f = p.lookUp(b, i); f != faultNone {
		return 0, 0, f
	}
	p.next[previous] = k
	p.inOrder = false // perhaps; the next record will tell
	i = skipSpace(b, i)
	if i >= len(b) {
		return 0, 0, faultTruncated
	}
	if b[i] != ':' {
		return 0, 0, faultSyntax
	}
	return k, skipSpace(b, i+1), faultNone
}

// verbatim reports whether the record just read is a line of JSONL as it stands.
func (p *parser) verbatim(record []byte) bool {
	return p.inOrder && p.last < len(p.layout.fields) && p.tight+1 == len(record)
}

// lookUp reads a key that was not predicted.
func (p *parser) lookUp(b []byte, i int) (end, key int, f fault) {
	end, escaped, f := stringEnd(b, i+1)
	if f != faultNone {
		return 0, noKey, f
	}
	name := b[i+1 : end-1]
	if escaped {
		name = appendUnescaped(nil, name)
	}
	if k, ok := p.layout.index[string(name)]; ok {
		return end, k, faultNone
	}
	p.unknown++
	if len(p.names) < maxNamesOfRecord {
		p.names = append(p.names, nameAt{uint32(i + 1), uint32(end - 1), escaped})
	}
	return end, noKey, faultNone
}
