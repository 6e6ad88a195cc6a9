package formats

import (
	"encoding/binary"
	"math/bits"
)

// The grammar is RFC 8259, strictly, nested values included: no leading zeros,
// no NaN, no control characters in strings, no trailing commas, no comments.
// Strings are checked for UTF-8 before they come here.

// kind is what a JSON value is. The zero kind is an absent value.
type kind uint8

const (
	absent kind = iota
	jsonNull
	jsonTrue
	jsonFalse
	jsonNumber
	jsonString
	jsonObject
	jsonArray
)

// token is a value of a record: where its source text stands, and what is to
// be known of it before it is used.
type token struct {
	start, end uint32 // within the record
	kind       kind
	escaped    bool // string: holds escapes
	spaced     bool // object or array: holds insignificant white space
}

// scanner walks JSON text. It allocates nothing.
type scanner struct {
	maxDepth int
	spaced   bool // white space was met within the nested value under way
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// value scans the value that begins at b[i]. Depth is that of the object or
// array around it.
func (s *scanner) value(b []byte, i, depth int) (t token, f fault) {
	f = s.into(&t, b, i, depth)
	return t, f
}

// into is value, for a token that is zero.
func (s *scanner) into(t *token, b []byte, i, depth int) (f fault) {
	if i >= len(b) {
		return faultTruncated
	}
	t.start = uint32(i)
	var end int
	switch c := b[i]; {
	case c == '"':
		t.kind = jsonString
		end, t.escaped, f = stringEnd(b, i+1)
	case c == '-' || isDigit(c):
		t.kind = jsonNumber
		end, f = numberEnd(b, i)
	case c == '{' || c == '[':
		t.kind = jsonObject
		if c == '[' {
			t.kind = jsonArray
		}
		s.spaced = false
		end, f = s.nested(b, i, depth+1)
		t.spaced = s.spaced
	default:
		t.kind, end, f = literal(b, i)
	}
	t.end = uint32(end)
	return f
}

// nested scans the object or array that begins at b[i] and has the given depth.
func (s *scanner) nested(b []byte, i, depth int) (end int, f fault) {
	if depth > s.maxDepth {
		return 0, faultDepth
	}
	closing := b[i] + 2 // '{' and '}', '[' and ']' stand two apart
	object := b[i] == '{'
	if i = s.space(b, i+1); i < len(b) && b[i] == closing {
		return i + 1, faultNone
	}
	for {
		if object {
			if i, f = s.key(b, i); f != faultNone {
				return 0, f
			}
		}
		if i, f = s.element(b, i, depth); f != faultNone {
			return 0, f
		}
		i = s.space(b, i)
		switch {
		case i >= len(b):
			return 0, faultTruncated
		case b[i] == closing:
			return i + 1, faultNone
		case b[i] != ',':
			return 0, faultSyntax
		}
		i = s.space(b, i+1)
	}
}

// element scans a value within an object or array and returns its end.
func (s *scanner) element(b []byte, i, depth int) (end int, f fault) {
	if i >= len(b) {
		return 0, faultTruncated
	}
	switch c := b[i]; {
	case c == '"':
		end, _, f = stringEnd(b, i+1)
	case c == '-' || isDigit(c):
		end, f = numberEnd(b, i)
	case c == '{' || c == '[':
		end, f = s.nested(b, i, depth+1)
	default:
		_, end, f = literal(b, i)
	}
	return end, f
}

// key scans a nested object's key and colon and returns where the value begins.
func (s *scanner) key(b []byte, i int) (int, fault) {
	if i >= len(b) {
		return 0, faultTruncated
	}
	if b[i] != '"' {
		return 0, faultSyntax
	}
	i, _, f := stringEnd(b, i+1)
	if f != faultNone {
		return 0, f
	}
	i = s.space(b, i)
	if i >= len(b) {
		return 0, faultTruncated
	}
	if b[i] != ':' {
		return 0, faultSyntax
	}
	return s.space(b, i+1), faultNone
}

func (s *scanner) space(b []byte, i int) int {
	j := skipSpace(b, i)
	if j > i {
		s.spaced = true
	}
	return j
}

func literal(b []byte, i int) (kind, int, fault) {
	switch rest := b[i:]; {
	case hasPrefix(rest, "true"):
		return jsonTrue, i + 4, faultNone
	case hasPrefix(rest, "null"):
		return jsonNull, i + 4, faultNone
	case hasPrefix(rest, "false"):
		return jsonFalse, i + 5, faultNone
	case len(rest) < 5 && (hasPrefix([]byte("true"), string(rest)) || hasPrefix([]byte("null"), string(rest)) || hasPrefix([]byte("false"), string(rest))):
		return absent, 0, faultTruncated
	}
	return absent, 0, faultSyntax
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// numberEnd scans the number that begins at b[i].
func numberEnd(b []byte, i int) (end int, f fault) {
	if b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return 0, faultTruncated
	case b[i] == '0':
		i++
		if i < len(b) && isDigit(b[i]) {
			return 0, faultNumber
		}
	case isDigit(b[i]):
		i = digitsEnd(b, i)
	default:
		return 0, faultNumber
	}
	if i < len(b) && b[i] == '.' {
		j := digitsEnd(b, i+1)
		if j == i+1 {
			return 0, faultNumber
		}
		i = j
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		j := digitsEnd(b, i)
		if j == i {
			return 0, faultNumber
		}
		i = j
	}
	return i, faultNone
}

func digitsEnd(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}

// isNumber reports whether b is one JSON number and nothing else.
func isNumber(b []byte) bool {
	if len(b) == 0 || b[0] != '-' && !isDigit(b[0]) {
		return false
	}
	end, f := numberEnd(b, 0)
	return f == faultNone && end == len(b)
}

// stringEnd scans a string whose opening quote stands before b[i] and returns
// the index behind its closing quote. It looks at eight bytes at a time.
func stringEnd(b []byte, i int) (end int, escaped bool, f fault) {
	for i < len(b) {
		if i+8 <= len(b) {
			m := specialBytes(binary.LittleEndian.Uint64(b[i:]))
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) / 8
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped, faultNone
		case c == '\\':
			n, f := escapeLen(b[i:])
			if f != faultNone {
				return 0, false, f
			}
			escaped = true
			i += n
		case c < ' ':
			return 0, false, faultControl
		default:
			i++
		}
	}
	return 0, false, faultTruncated
}

// specialBytes marks the bytes of w that end a plain run of a string: quote,
// backslash, control characters. The lowest mark is exact; marks above it may
// be false.
func specialBytes(w uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	low := w ^ ones*2 // a quote becomes 0x20, which no other byte below 0x21 does
	backslash := w ^ ones*'\\'
	return ((low-ones*0x21)&^low | (backslash-ones)&^backslash) & high
}

// escapeLen returns the length of the escape that b begins with.
func escapeLen(b []byte) (int, fault) {
	if len(b) < 2 {
		return 0, faultTruncated
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, faultNone
	case 'u':
		for i := 2; i < 6; i++ {
			if i >= len(b) {
				return 0, faultTruncated
			}
			if hexDigit(b[i]) < 0 {
				return 0, faultEscape
			}
		}
		return 6, faultNone
	}
	return 0, faultEscape
}

func hexDigit(c byte) rune {
	switch {
	case isDigit(c):
		return rune(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10
	}
	return -1
}

// deepest bounds nesting where no record's limit applies, and that limit
// itself: the scanner calls itself for each level.
const deepest = 10_000
