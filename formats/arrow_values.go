package formats

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// valuesOf gives access to an array's values in its own memory.
func valuesOf(a arrow.Array) (arrowValues, error) {
	whole, ofWhole := func(v int64) uint64 { return uint64(v) }, func(b uint64) int64 { return int64(b) }
	words, halves := arrow.Uint64Traits.CastFromBytes, arrow.Uint32Traits.CastFromBytes
	switch a := a.(type) {
	case *array.String:
		offsets := a.ValueOffsets()
		return &arrowTexts{offsets: offsets, data: a.ValueBytes(), first: offsets[0], dictionary: newDictionary(), position: -1}, nil
	case *array.Float64:
		plain := arrow.Float64Traits.CastToBytes(a.Float64Values())
		return &arrowNumbers[float64, uint64]{values: a.Float64Values(), bits: words(plain), plainly: plain, bitsOf: math.Float64bits, ofBits: math.Float64frombits}, nil
	case *array.Int64:
		plain := arrow.Int64Traits.CastToBytes(a.Int64Values())
		return &arrowNumbers[int64, uint64]{values: a.Int64Values(), bits: words(plain), plainly: plain, bitsOf: whole, ofBits: ofWhole}, nil
	case *array.Timestamp:
		plain := arrow.TimestampTraits.CastToBytes(a.TimestampValues())
		values := arrow.Int64Traits.CastFromBytes(plain)
		return &arrowNumbers[int64, uint64]{values: values, bits: words(plain), plainly: plain, bitsOf: whole, ofBits: ofWhole}, nil
	case *array.Date32:
		plain := arrow.Date32Traits.CastToBytes(a.Date32Values())
		values := arrow.Int32Traits.CastFromBytes(plain)
		return &arrowNumbers[int32, uint32]{values: values, bits: halves(plain), plainly: plain, bitsOf: func(v int32) uint32 { return uint32(v) }, ofBits: func(b uint32) int32 { return int32(b) }}, nil
	case *array.Decimal128:
		return &arrowMoney{values: a.Values()}, nil
	case *array.Boolean:
		return &arrowBooleans{values: a}, nil
	}
	return nil, fmt.Errorf("%s is not a type that is written", a.DataType())
}

// arrowTexts are texts: where each begins and the last one ends, and all of
// them, one behind the other.
type arrowTexts struct {
	offsets []int32
	first   int32 // the offset at which data begins
	data    []byte

	dictionary *dictionary
	position   int32 // of the last value that was looked up; -1: of none

	low, high       []byte
	lowKey, highKey uint64
	seen            bool
}

func (t *arrowTexts) at(i int) []byte {
	return t.data[t.offsets[i]-t.first : t.offsets[i+1]-t.first]
}

func (t *arrowTexts) fitting(from, end int) int {
	return 1 + sort.Search(end-from-1, func(i int) bool {
		to := from + i + 2
		return int(t.offsets[to]-t.offsets[from])+4*(to-from) > pageBytes
	})
}

func (t *arrowTexts) plain(dst []byte, from, to int) []byte {
	for i := from; i < to; i++ {
		text := t.at(i)
		dst = append(binary.LittleEndian.AppendUint32(dst, uint32(len(text))), text...)
	}
	return dst
}

func (t *arrowTexts) reset() { t.seen = false }

func (t *arrowTexts) see(from, to int) {
	for i := from; i < to; i++ {
		t.seeText(t.at(i))
	}
}

// seeText compares texts by their first eight bytes, and only where those are
// equal by all of them.
func (t *arrowTexts) seeText(text []byte) {
	key := textKey(text)
	if !t.seen {
		t.low, t.high, t.lowKey, t.highKey, t.seen = text, text, key, key, true
		return
	}
	if key < t.lowKey || key == t.lowKey && bytes.Compare(text, t.low) < 0 {
		t.low, t.lowKey = text, key
	}
	if key > t.highKey || key == t.highKey && bytes.Compare(text, t.high) > 0 {
		t.high, t.highKey = text, key
	}
}

// textKey has the order of texts, as far as their first eight bytes tell it.
func textKey(text []byte) uint64 {
	if len(text) >= 8 {
		return binary.BigEndian.Uint64(text)
	}
	var first [8]byte
	copy(first[:], text)
	return binary.BigEndian.Uint64(first[:])
}

// extent copies: of an empty text there must be something that is not nil.
func (t *arrowTexts) extent() (low, high []byte, ok bool) {
	return append([]byte{}, t.low...), append([]byte{}, t.high...), t.seen
}

func (t *arrowTexts) less(a, b []byte) bool { return bytes.Compare(a, b) < 0 }

func (t *arrowTexts) look(positions []int32, from, to int) ([]int32, bool) {
	for i := from; i < to; i++ {
		text := t.at(i)
		if t.position < 0 || !bytes.Equal(text, t.dictionary.value(t.position)) {
			position, ok := t.dictionary.positionOfText(text)
			if !ok {
				return positions, false
			}
			t.position = position
		}
		positions = append(positions, t.position)
	}
	return positions, true
}

func (t *arrowTexts) distinct() int { return t.dictionary.len() }

func (t *arrowTexts) plainDistinct() (plain []byte) {
	for i := range t.dictionary.len() {
		text := t.dictionary.value(int32(i))
		plain = append(binary.LittleEndian.AppendUint32(plain, uint32(len(text))), text...)
	}
	return plain
}

func (t *arrowTexts) seeDistinct() {
	for i := range t.dictionary.len() {
		t.seeText(t.dictionary.value(int32(i)))
	}
}

// arrowNumbers are numbers, and times as numbers: by their order, and by their bits.
type arrowNumbers[T int32 | int64 | float64, B uint32 | uint64] struct {
	values  []T
	bits    []B
	plainly []byte
	bitsOf  func(T) B
	ofBits  func(B) T

	dictionary numberDictionary[B]
	low, high  T
	seen       bool
}

func (n *arrowNumbers[T, B]) size() int { return len(n.plainly) / len(n.values) }

func (n *arrowNumbers[T, B]) fitting(from, end int) int { return min(end-from, pageBytes/n.size()) }

func (n *arrowNumbers[T, B]) plain(dst []byte, from, to int) []byte {
	return append(dst, n.plainly[from*n.size():to*n.size()]...)
}

func (n *arrowNumbers[T, B]) reset() { n.seen = false }

func (n *arrowNumbers[T, B]) see(from, to int) {
	for _, v := range n.values[from:to] {
		n.seeNumber(v)
	}
}

func (n *arrowNumbers[T, B]) seeNumber(v T) {
	switch {
	case v != v: //nolint:gocritic // NaN alone is not itself
	case !n.seen:
		n.low, n.high, n.seen = v, v, true
	case v < n.low:
		n.low = v
	case v > n.high:
		n.high = v
	}
}

// extent has for zero as the least value -0 and as the greatest +0, which are
// one to whoever compares: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
func (n *arrowNumbers[T, B]) extent() (low, high []byte, ok bool) {
	least, greatest := n.bitsOf(n.low), n.bitsOf(n.high+0)
	if f, isFloat := any(n.low).(float64); isFloat && f == 0 {
		least = n.bitsOf(any(math.Copysign(0, -1)).(T)) //nolint:forcetypeassert // it is a float64
	}
	return appendBits(nil, least), appendBits(nil, greatest), n.seen
}

func appendBits[B uint32 | uint64](dst []byte, word B) []byte {
	if half, ok := any(word).(uint32); ok {
		return binary.LittleEndian.AppendUint32(dst, half)
	}
	return binary.LittleEndian.AppendUint64(dst, uint64(word))
}

func (n *arrowNumbers[T, B]) less(a, b []byte) bool {
	switch any(n.low).(type) {
	case float64:
		return math.Float64frombits(binary.LittleEndian.Uint64(a)) < math.Float64frombits(binary.LittleEndian.Uint64(b))
	case int32:
		return int32(binary.LittleEndian.Uint32(a)) < int32(binary.LittleEndian.Uint32(b))
	}
	return int64(binary.LittleEndian.Uint64(a)) < int64(binary.LittleEndian.Uint64(b))
}

func (n *arrowNumbers[T, B]) look(positions []int32, from, to int) ([]int32, bool) {
	return n.dictionary.look(positions, n.bits[from:to])
}

func (n *arrowNumbers[T, B]) distinct() int { return len(n.dictionary.values) }

func (n *arrowNumbers[T, B]) plainDistinct() (plain []byte) {
	for _, v := range n.dictionary.values {
		plain = appendBits(plain, v)
	}
	return plain
}

func (n *arrowNumbers[T, B]) seeDistinct() {
	for _, v := range n.dictionary.values {
		n.seeNumber(n.ofBits(v))
	}
}

// arrowMoney are amounts. They have no dictionary.
type arrowMoney struct {
	values    []decimal128.Num
	low, high decimal128.Num
	seen      bool
}

func (m *arrowMoney) fitting(from, end int) int { return min(end-from, pageBytes/16) }

func appendMoney(dst []byte, v decimal128.Num) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, uint64(v.HighBits())), v.LowBits())
}

func (m *arrowMoney) plain(dst []byte, from, to int) []byte {
	for _, v := range m.values[from:to] {
		dst = appendMoney(dst, v)
	}
	return dst
}

func (m *arrowMoney) reset() { m.seen = false }

func (m *arrowMoney) see(from, to int) {
	for _, v := range m.values[from:to] {
		if !m.seen || v.Less(m.low) {
			m.low = v
		}
		if !m.seen || m.high.Less(v) {
			m.high = v
		}
		m.seen = true
	}
}

func (m *arrowMoney) extent() (low, high []byte, ok bool) {
	return appendMoney(nil, m.low), appendMoney(nil, m.high), m.seen
}

func (m *arrowMoney) less(a, b []byte) bool {
	high := cmp.Compare(int64(binary.BigEndian.Uint64(a)), int64(binary.BigEndian.Uint64(b)))
	return high < 0 || high == 0 && bytes.Compare(a[8:], b[8:]) < 0
}

func (*arrowMoney) look(positions []int32, _, _ int) ([]int32, bool) { return positions, false }
func (*arrowMoney) distinct() int                                    { return 0 }
func (*arrowMoney) plainDistinct() []byte                            { return nil }
func (*arrowMoney) seeDistinct()                                     {}

// arrowBooleans are bits.
type arrowBooleans struct {
	values *array.Boolean
	filled int // bits of the page under way
	seen   [2]bool
}

func (b *arrowBooleans) fitting(from, end int) int { return end - from }

func (b *arrowBooleans) plain(dst []byte, from, to int) []byte {
	for i := from; i < to; i++ {
		if b.filled%8 == 0 {
			dst = append(dst, 0)
		}
		if b.values.Value(i) {
			dst[len(dst)-1] |= 1 << (b.filled % 8)
		}
		b.filled++
	}
	return dst
}

func (b *arrowBooleans) reset() { b.filled, b.seen = 0, [2]bool{} }

func (b *arrowBooleans) see(from, to int) {
	for i := from; i < to && (!b.seen[0] || !b.seen[1]); i++ {
		if b.values.Value(i) {
			b.seen[1] = true
		} else {
			b.seen[0] = true
		}
	}
}

func (b *arrowBooleans) extent() (low, high []byte, ok bool) {
	low, high = []byte{1}, []byte{0}
	if b.seen[0] {
		low[0] = 0
	}
	if b.seen[1] {
		high[0] = 1
	}
	return low, high, b.seen[0] || b.seen[1]
}

func (*arrowBooleans) less(a, b []byte) bool                            { return a[0] < b[0] }
func (*arrowBooleans) look(positions []int32, _, _ int) ([]int32, bool) { return positions, false }
func (*arrowBooleans) distinct() int                                    { return 0 }
func (*arrowBooleans) plainDistinct() []byte                            { return nil }
func (*arrowBooleans) seeDistinct()                                     {}

// numberDictionary is a [dictionary] of numbers, by their bits.
type numberDictionary[B uint32 | uint64] struct {
	values []B
	slots  []int32 // open addressing; one more than a value's position, 0: free; at least twice as many as values
	shift  int     // from a hash to a slot
}

// look appends where values stand, and adds those that are new.
func (d *numberDictionary[B]) look(positions []int32, values []B) ([]int32, bool) {
	if d.slots == nil {
		d.resize(1 << 10)
	}
	for _, v := range values {
		i := d.slot(v)
		for d.slots[i] > 0 && d.values[d.slots[i]-1] != v {
			i = (i + 1) & (len(d.slots) - 1)
		}
		if d.slots[i] == 0 {
			if len(d.values)*binary.Size(v) >= dictionaryBytes {
				return positions, false
			}
			d.values = append(d.values, v)
			d.slots[i] = int32(len(d.values))
			if 2*len(d.values) > len(d.slots) {
				d.resize(4 * len(d.slots))
			}
			positions = append(positions, int32(len(d.values)-1))
			continue
		}
		positions = append(positions, d.slots[i]-1)
	}
	return positions, true
}

// slot is where a value is looked for first: Fibonacci hashing.
func (d *numberDictionary[B]) slot(v B) int {
	return int(uint64(v) * 0x9e3779b97f4a7c15 >> d.shift)
}

func (d *numberDictionary[B]) resize(slots int) {
	d.slots, d.shift = make([]int32, slots), 65-bits.Len(uint(slots))
	for position, v := range d.values {
		i := d.slot(v)
		for d.slots[i] > 0 {
			i = (i + 1) & (slots - 1)
		}
		d.slots[i] = int32(position + 1)
	}
}
