// Package zstd compresses pages of Parquet files into frames of Zstandard,
// https://www.rfc-editor.org/rfc/rfc8878, a page at a time. It is for columns
// that are worth little time and are most of the bytes: it looks for a match at
// one place a position, in a table that the first level of cache nearly holds,
// and lets its caller say how long the shortest match is that is worth looking
// for. Text in words is smaller and sooner done with eight bytes, values with
// fixed parts with six. Readers need to remember 512 KiB at most.
package zstd

import (
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/huff0"
)

const (
	maxBlock = 128 << 10 // of content in a block, by the format
	window   = 512 << 10 // that a match is not farther back than; whole blocks
	slack    = 64        // bytes behind a buffer that a copy may write to
)

// Encoder has the memory for a page at a time, 1.2 MB. It is not safe for use
// by several goroutines at once.
type Encoder struct {
	table    [1 << tableLog]uint32 // hash → position
	repeat   int                   // the offset that was used last
	literals []byte
	matches  []match
	codes    []code
	huffman  huff0.Scratch

	literalLength, offset, matchLength fseTable
}

// NewEncoder returns an encoder.
func NewEncoder() *Encoder {
	const most = maxBlock / shortest
	return &Encoder{literals: make([]byte, maxBlock+slack), matches: make([]match, most), codes: make([]code, most)}
}

// EncodeAll appends a frame of src, of less than 4 GiB, to dst. The table finds
// matches of minMatch bytes and more, 5 to 8, and some that are shorter.
func (e *Encoder) EncodeAll(src, dst []byte, minMatch int) []byte {
	dst = appendFrameHeader(dst, len(src))
	prime := hashPrime << (8 * (8 - minMatch)) // the bytes behind a match fall out of the product
	e.repeat = 1
	for at := 0; ; at += maxBlock {
		if at%window == 0 {
			e.forget(at)
		}
		end := min(at+maxBlock, len(src))
		dst = e.appendBlock(dst, src, at, end, prime)
		if end == len(src) {
			return dst
		}
	}
}

// appendFrameHeader says how long the content is, and what to remember of it:
// all, or a window.
func appendFrameHeader(dst []byte, size int) []byte {
	dst = append(dst, 0x28, 0xB5, 0x2F, 0xFD)
	const whole, twoBytes, fourBytes = 1 << 5, 1 << 6, 2 << 6
	switch {
	case size < 256:
		return append(dst, whole, byte(size))
	case size < 256+1<<16:
		return binary.LittleEndian.AppendUint16(append(dst, whole|twoBytes), uint16(size-256))
	case size <= window:
		return binary.LittleEndian.AppendUint32(append(dst, whole|fourBytes), uint32(size))
	default:
		const windowLog = 19
		return binary.LittleEndian.AppendUint32(append(dst, fourBytes, (windowLog-10)<<3), uint32(size))
	}
}

// appendBlock appends src[at:end], compressed where that is shorter.
func (e *Encoder) appendBlock(dst, src []byte, at, end int, prime uint64) []byte {
	const header, raw, compressed = 3, 0, 2
	start, repeat := len(dst), e.repeat
	dst = append(dst, 0, 0, 0)
	literals, matches := e.find(src, at, end, prime)
	dst = e.appendLiterals(dst, literals)
	dst = e.appendSequences(dst, matches)
	size, kind := len(dst)-start-header, compressed
	if size >= end-at {
		// Nobody hears of its matches, and of the offset that they left.
		e.repeat = repeat
		dst = append(dst[:start+header], src[at:end]...)
		size, kind = end-at, raw
	}
	h := size<<3 | kind<<1
	if end == len(src) {
		h |= 1 // the last one
	}
	dst[start], dst[start+1], dst[start+2] = byte(h), byte(h>>8), byte(h>>16)
	return dst
}

// appendLiterals appends what no match covers, by Huffman codes where that is
// shorter.
func (e *Encoder) appendLiterals(dst, literals []byte) []byte {
	const raw, same, compressed = 0, 1, 2
	const few, oneStream = 32, 1024
	n := len(literals)
	if n < few {
		return append(appendPlainHeader(dst, raw, n), literals...)
	}
	e.huffman.Reuse = huff0.ReusePolicyNone // of an earlier table: a reader may not have it
	compress := huff0.Compress4X
	if n < oneStream {
		compress = huff0.Compress1X
	}
	out, _, err := compress(literals, &e.huffman)
	switch {
	case errors.Is(err, huff0.ErrUseRLE):
		return append(appendPlainHeader(dst, same, n), literals[0])
	case err != nil || len(out) >= n:
		return append(appendPlainHeader(dst, raw, n), literals...)
	}
	h := uint64(compressed | n<<4)
	size := uint64(len(out))
	switch { // both lengths in 10, 14 or 18 bits, and how many streams
	case n < oneStream:
		h |= size << 14
		dst = append(dst, byte(h), byte(h>>8), byte(h>>16))
	case n < 1<<14:
		h |= 2<<2 | size<<18
		dst = binary.LittleEndian.AppendUint32(dst, uint32(h))
	default:
		h |= 3<<2 | size<<22
		dst = append(binary.LittleEndian.AppendUint32(dst, uint32(h)), byte(h>>32))
	}
	return append(dst, out...)
}

// appendPlainHeader begins literals that stand as they are, or are all the same.
func appendPlainHeader(dst []byte, kind, n int) []byte {
	switch {
	case n < 1<<5:
		return append(dst, byte(kind|n<<3))
	case n < 1<<12:
		return append(dst, byte(kind|1<<2|n<<4), byte(n>>4))
	default:
		return append(dst, byte(kind|3<<2|n<<4), byte(n>>4), byte(n>>12))
	}
}
