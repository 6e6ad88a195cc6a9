package zstd

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

const (
	tableLog         = 15
	hashPrime uint64 = 0xCF1BBCDCB7A56463
	shortest         = 4  // bytes of a match
	margin           = 20 // at a block's end where no match begins, so that words may be read without a look at the end
)

// match is so many literals, and then so many bytes more that stood before.
type match struct {
	literals, length uint32
	offset           uint32 // how far back, and 3; or 1: as far as the last one
}

// forget makes all before a position unknown: a candidate is at it or behind.
func (e *Encoder) forget(before int) {
	if before == 0 {
		clear(e.table[:])
		return
	}
	for i := range e.table {
		e.table[i] = uint32(before)
	}
}

// The words below are read and written without a look at bounds, which would
// make all this a fifth slower, and are a machine instruction each. What makes
// them safe: a position that is read at is below limit, or is a candidate, which
// is below that; and a word more, or two, ends before the block does.

func word(p unsafe.Pointer, at int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(p, at))[:])
}

func half(p unsafe.Pointer, at int) uint32 {
	return binary.LittleEndian.Uint32((*[4]byte)(unsafe.Add(p, at))[:])
}

func putWord(p unsafe.Pointer, at int, v uint64) {
	binary.LittleEndian.PutUint64((*[8]byte)(unsafe.Add(p, at))[:], v)
}

func hash(v, prime uint64) uint64 { return v * prime >> (64 - tableLog) & (1<<tableLog - 1) }

// find covers src[at:end] with matches, the first that comes at each position,
// and with literals, which it copies. Both are good until the next call. It is
// one function, and its loop looks at two positions a turn, because calls and
// jumps are what it would spend its time with.
func (e *Encoder) find(src []byte, at, end int, prime uint64) ([]byte, []match) { //nolint:funlen,gocognit // see above
	table, repeat, literals := &e.table, e.repeat, unsafe.Pointer(unsafe.SliceData(e.literals)) //nolint:gosec // see word
	p := unsafe.Pointer(unsafe.SliceData(src))                                                  //nolint:gosec // see word
	copied, found := 0, 0
	pos, covered, limit := at, at, end-margin
	if at%window == 0 {
		pos++ // candidates are before it
	}
	for pos < limit {
		var from int
		var differ uint64 // what the eight bytes of the two have not in common; of the first four, nothing
		for {
			this, next := word(p, pos), word(p, pos+1)
			h, g := hash(this, prime), hash(next, prime)
			from = int(table[h])
			table[h] = uint32(pos)
			if differ = this ^ word(p, from); uint32(differ) == 0 {
				break
			}
			if from = pos + 1 - repeat; half(p, from) == uint32(next) {
				differ = next ^ word(p, from)
				pos++
				break
			}
			from = int(table[g])
			table[g] = uint32(pos + 1)
			if differ = next ^ word(p, from); uint32(differ) == 0 {
				pos++
				break
			}
			// The longer nothing is found, the less closely it is looked for.
			if pos += 2 + (pos-covered)>>6; pos >= limit {
				return e.found(src[covered:end], copied, found, repeat)
			}
		}
		length := 8
		if differ != 0 {
			length = bits.TrailingZeros64(differ) >> 3
		} else {
			length += common(src[from+8:], src[pos+8:end])
		}
		for from > 0 && pos > covered && src[from-1] == src[pos-1] {
			from, pos, length = from-1, pos-1, length+1
		}
		n := pos - covered
		if n <= 16 {
			putWord(literals, copied, word(p, covered))
			putWord(literals, copied+8, word(p, covered+8))
		} else {
			copy(e.literals[copied:], src[covered:pos])
		}
		copied += n
		m := &e.matches[found]
		found++
		m.literals, m.length = uint32(n), uint32(length)
		m.offset = uint32(pos - from + 3)
		if pos-from == repeat && n > 0 {
			m.offset = 1
		}
		repeat = pos - from
		start := pos
		pos += length
		covered = pos
		if pos < limit {
			table[hash(word(p, start+2), prime)] = uint32(start + 2)
			table[hash(word(p, pos-2), prime)] = uint32(pos - 2)
		}
	}
	return e.found(src[covered:end], copied, found, repeat)
}

// found ends a block with what no match covers.
func (e *Encoder) found(rest []byte, copied, found, repeat int) ([]byte, []match) {
	e.repeat = repeat
	copied += copy(e.literals[copied:], rest)
	return e.literals[:copied], e.matches[:found]
}

// common is how many bytes a and b, which is not the longer one, begin with alike.
func common(a, b []byte) int {
	n := 0
	for ; n+8 <= len(b); n += 8 {
		if differ := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); differ != 0 {
			return n + bits.TrailingZeros64(differ)>>3
		}
	}
	for n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
