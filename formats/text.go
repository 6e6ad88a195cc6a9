package formats

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// appendCSVText appends a text as RFC 4180 has it: in quotes where it holds a
// comma, a quote or a line break, or is empty, so that an empty string is told
// from NULL. Lines end with a single newline, which every loader takes, where
// the RFC has carriage return and newline, which some leave in the last column.
func appendCSVText(dst, s []byte) []byte {
	if len(s) > 0 && !needsQuotes(s) {
		return append(dst, s...)
	}
	return appendQuoted(append(dst, '"'), s)
}

// appendCSVPlain is appendCSVText for what stood in a JSON string without an
// escape, where no quote and no line break can be.
func appendCSVPlain(dst, s []byte) []byte {
	if len(s) > 0 && s[0] != ' ' && s[len(s)-1] != ' ' && bytes.IndexByte(s, ',') < 0 {
		return append(dst, s...)
	}
	return append(append(append(dst, '"'), s...), '"')
}

// appendQuoted appends the rest of a text in quotes, and the closing quote.
func appendQuoted(dst, s []byte) []byte {
	if len(s) <= 128 {
		return appendShortQuoted(dst, s)
	}
	for {
		i := bytes.IndexByte(s, '"')
		if i < 0 {
			return append(append(dst, s...), '"')
		}
		dst = append(append(dst, s[:i+1]...), '"')
		s = s[i+1:]
	}
}

// appendShortQuoted is appendQuoted for texts that are likely to hold a quote
// every few bytes: JSON. It writes one behind every byte, and keeps those that
// stand behind a quote.
func appendShortQuoted(dst, s []byte) []byte {
	n := len(dst)
	dst = slices.Grow(dst, 2*len(s)+1)
	out := dst[n : n+2*len(s)+1]
	i := 0
	for _, c := range s {
		out[i], out[i+1] = c, '"'
		i += int(quotedWidth[c])
	}
	out[i] = '"'
	return dst[:n+i+1]
}

// quotedWidth is how many bytes a byte has within quotes.
var quotedWidth = func() (width [256]uint8) {
	for i := range width {
		width[i] = 1
	}
	width['"'] = 2
	return width
}()

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

// formula reports whether a spreadsheet might run a text: by what it begins
// with, as https://owasp.org/www-community/attacks/CSV_Injection lists it.
func formula(s []byte) bool {
	return len(s) > 0 && strings.IndexByte("=+-@\t\r\n", s[0]) >= 0
}

// appendGuarded appends a text behind an apostrophe and in quotes, which makes
// it a text to spreadsheets. To every other reader the apostrophe is a part of it.
func appendGuarded(dst, s []byte) []byte {
	return appendQuoted(append(dst, '"', '\''), s)
}
