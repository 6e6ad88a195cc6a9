package zstd

import (
	"math/bits"
	"slices"
	"unsafe"
)

// code is what stands for a match in a block: three symbols, and so many bits
// more that say which of the values of the symbols it is.
type code struct {
	extra                        uint64
	literals, offset, length, of uint8
}

// How many bits more the symbols of lengths have: see the tables of RFC 8878,
// 3.1.1.3.2.1.1.
var (
	literalBits = [36]uint8{16: 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	lengthBits  = [53]uint8{32: 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
)

// Symbols of lengths below 64 and 128, with the bits more: symbol, how many
// bits<<8, bits<<13. From there on each power of two has a symbol.
var (
	shortLiterals = shortCodes[[64]uint32](literalBits[:])
	shortLengths  = shortCodes[[128]uint32](lengthBits[:])
)

const (
	literalsFrom = 19 // symbol of a length of literals from 64, less the power of two
	lengthsFrom  = 36 // of a match's from 128
)

func shortCodes[T [64]uint32 | [128]uint32](more []uint8) (table T) {
	value := 0
	for symbol, n := range more {
		for extra := 0; extra < 1<<n && value < len(table); extra++ {
			table[value] = uint32(extra<<13 | int(n)<<8 | symbol)
			value++
		}
	}
	return table
}

func longCode(v, from uint32) uint32 {
	power := uint32(bits.Len32(v)-1) & 31
	return (v^1<<power)<<13 | power<<8 | (power + from)
}

// counts are how often each symbol comes.
type counts [64]uint32

// appendSequences appends the matches of a block.
func (e *Encoder) appendSequences(dst []byte, matches []match) []byte {
	n := len(matches)
	switch {
	case n == 0:
		return append(dst, 0)
	case n < 1<<7:
		dst = append(dst, byte(n))
	case n < 0x7F00:
		dst = append(dst, byte(n>>8)+128, byte(n))
	default:
		dst = append(dst, 255, byte(n-0x7F00), byte((n-0x7F00)>>8))
	}
	codes := e.codes[:n]
	var literals, offsets, lengths counts
	code3(codes, matches, &literals, &offsets, &lengths)
	modes := len(dst)
	dst = append(dst, 0)
	var l, o, m byte
	dst, l = e.literalLength.describe(dst, &literals, n, 9)
	dst, o = e.offset.describe(dst, &offsets, n, 8)
	dst, m = e.matchLength.describe(dst, &lengths, n, 9)
	dst[modes] = l<<6 | o<<4 | m<<2
	return e.appendCodes(dst, codes)
}

// code3 codes the matches, and counts the three kinds of symbols. A code is
// written field by field: copied whole, it would wait for its parts.
func code3(codes []code, matches []match, literals, offsets, lengths *counts) {
	for i := range codes {
		m, c := &matches[i], &codes[i]
		var l, s uint32
		if n := m.literals; n < 64 {
			l = shortLiterals[n]
		} else {
			l = longCode(n, literalsFrom)
		}
		if n := m.length - 3; n < 128 {
			s = shortLengths[n]
		} else {
			s = longCode(n, lengthsFrom)
		}
		o := uint32(bits.Len32(m.offset)-1) & 31
		lbits, sbits := l>>8&31, s>>8&31
		c.extra = uint64(l>>13) | (uint64(s>>13)|uint64(m.offset^1<<o)<<sbits)<<lbits
		c.literals, c.offset, c.length = uint8(l), uint8(o), uint8(s)
		c.of = uint8(lbits + sbits + o)
		literals[l&63]++
		offsets[o]++
		lengths[s&63]++
	}
}

// appendCodes appends the last code first, as readers take them from the end:
// the states of the three tables and the bits more of each. 26 bits and 50 are
// the most that a code has.
func (e *Encoder) appendCodes(dst []byte, codes []code) []byte {
	const most, end = 10, 32
	n, start := len(codes), len(dst)
	dst = slices.Grow(dst, n*most+end)[:start+n*most+end]
	w := bitWriter{p: unsafe.Pointer(&dst[start])} //nolint:gosec // there is room for all
	ll, of, ml := &e.literalLength, &e.offset, &e.matchLength
	last := &codes[n-1]
	lit, off, length := ll.first(last.literals), of.first(last.offset), ml.first(last.length)
	w.add(last.extra, uint(last.of))
	w.flush()
	for i := n - 2; i >= 0; i-- {
		c := &codes[i]
		var v uint64
		var k uint
		v, k, off = of.next(off, c.offset)
		w.add(v, k)
		v, k, length = ml.next(length, c.length)
		w.add(v, k)
		v, k, lit = ll.next(lit, c.literals)
		w.add(v, k)
		if w.n+uint(c.of) > 63 {
			w.flush()
		}
		w.add(c.extra, uint(c.of))
		w.flush()
	}
	w.add(uint64(length)&(1<<ml.log-1), ml.log)
	w.add(uint64(off)&(1<<of.log-1), of.log)
	w.add(uint64(lit)&(1<<ll.log-1), ll.log)
	w.add(1, 1) // where a reader begins
	return dst[:start+w.end()]
}

// bitWriter writes bits, the lowest first, to where there is room for a word more.
type bitWriter struct {
	p   unsafe.Pointer
	at  int
	acc uint64
	n   uint // bits in acc
}

func (w *bitWriter) add(v uint64, n uint) {
	w.acc |= v << (w.n & 63)
	w.n += n
}

// flush leaves less than a byte.
func (w *bitWriter) flush() {
	putWord(w.p, w.at, w.acc)
	w.at += int(w.n >> 3)
	w.acc >>= w.n &^ 7 & 63
	w.n &= 7
}

// end returns how many bytes there are.
func (w *bitWriter) end() int {
	putWord(w.p, w.at, w.acc)
	return w.at + int(w.n+7)>>3
}
