package formats

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// dictionaryBytes bounds a dictionary; a column with more goes on without one.
const dictionaryBytes = 1 << 20

// dictionary gathers a column's rows of one row group: each distinct value
// once, and for each row which of them it has. The library gathers them too,
// but allocates for every row.
type dictionary struct {
	seed   maphash.Seed
	secret uint64           // seed of numbers, against those who choose values for their hashes
	slots  []dictionarySlot // open addressing; at least twice as many as values
	values []byte           // plain, one behind the other, as Arrow has them
	ends   []int32          // where each value begins, and the last one ends

	rows    []int32 // which value; 0 where it is NULL
	levels  []int16
	nulls   int
	given   bool // up: there were too many values, now or in an earlier row group
	scratch column
}

type dictionarySlot struct {
	hash  uint64
	value int32 // one more than its position; 0: the slot is free
}

func newDictionary() *dictionary {
	seed := maphash.MakeSeed()
	return &dictionary{seed: seed, secret: maphash.String(seed, ""), slots: make([]dictionarySlot, 1024), ends: make([]int32, 1, 512)}
}

func (d *dictionary) reset() {
	clear(d.slots)
	d.values, d.ends = d.values[:0], d.ends[:1]
	d.rows, d.levels, d.nulls = d.rows[:0], d.levels[:0], 0
	d.scratch.reset()
}

func (d *dictionary) len() int { return len(d.ends) - 1 }

func (d *dictionary) value(i int32) []byte { return d.values[d.ends[i]:d.ends[i+1]] }

// add takes rows and their values, or none of them and gives up.
func (d *dictionary) add(c *column, levels []int16, first, end int) bool {
	rows := len(d.rows)
	width := c.width()
	next := first
	for _, level := range levels {
		if level == 0 {
			d.rows = append(d.rows, 0)
			continue
		}
		var i int32
		var ok bool
		if width > 0 {
			i, ok = d.positionOfNumber(c.numberOf(next), width)
		} else {
			i, ok = d.positionOfText(c.bytesOf(next, nil))
		}
		if !ok {
			d.rows, d.given = d.rows[:rows], true
			return false
		}
		d.rows = append(d.rows, i)
		next++
	}
	d.levels = append(d.levels, levels...)
	d.nulls += len(levels) - (end - first)
	return true
}

// len is how many values there are that bytesOf knows: all but booleans.
func (c *column) len() int {
	return max(len(c.text), len(c.fixed), len(c.floats), len(c.days), len(c.micros))
}

// width is how many bytes a number of the column has; 0: it has texts, or
// others that are too long for a machine word.
func (c *column) width() int {
	switch {
	case len(c.floats) > 0, len(c.micros) > 0:
		return 8
	case len(c.days) > 0:
		return 4
	}
	return 0
}

// numberOf are the bits of a value that has a width.
func (c *column) numberOf(i int) uint64 {
	switch {
	case len(c.floats) > 0:
		return math.Float64bits(c.floats[i])
	case len(c.micros) > 0:
		return uint64(c.micros[i])
	}
	return uint64(uint32(c.days[i]))
}

// bytesOf are a value's plain bytes, without the length of a text.
func (c *column) bytesOf(i int, word *[8]byte) []byte {
	switch {
	case len(c.text) > 0:
		return c.text[i]
	case len(c.fixed) > 0:
		return c.fixed[i]
	}
	binary.LittleEndian.PutUint64(word[:], c.numberOf(i))
	return word[:c.width()]
}

// positionOfText finds a value, or adds it if there is room.
func (d *dictionary) positionOfText(v []byte) (position int32, ok bool) {
	hash := maphash.Bytes(d.seed, v)
	mask := uint64(len(d.slots) - 1)
	i := hash & mask
	for d.slots[i].value > 0 {
		if at := d.slots[i]; at.hash == hash && bytes.Equal(d.value(at.value-1), v) {
			return at.value - 1, true
		}
		i = (i + 1) & mask
	}
	if !d.room(len(v)) {
		return 0, false
	}
	d.values = append(d.values, v...)
	return d.added(i, hash), true
}

// positionOfNumber finds a value, or adds it if there is room. Different
// numbers have different hashes, so that the values need no look.
func (d *dictionary) positionOfNumber(v uint64, width int) (position int32, ok bool) {
	hash := (v ^ d.secret) * 0x9e3779b97f4a7c15 // 2^64 over the golden ratio, which is odd: D. Knuth, TAOCP 6.4
	hash ^= hash >> 32
	mask := uint64(len(d.slots) - 1)
	i := hash & mask
	for d.slots[i].value > 0 {
		if d.slots[i].hash == hash {
			return d.slots[i].value - 1, true
		}
		i = (i + 1) & mask
	}
	if !d.room(width) {
		return 0, false
	}
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], v)
	d.values = append(d.values, word[:width]...)
	return d.added(i, hash), true
}

// room reports whether one more value of a size fits.
func (d *dictionary) room(size int) bool {
	return len(d.values)+size+4*len(d.ends) <= dictionaryBytes
}

// added gives the value that now ends the values its position and slot.
func (d *dictionary) added(slot, hash uint64) (position int32) {
	d.ends = append(d.ends, int32(len(d.values)))
	d.slots[slot] = dictionarySlot{hash, int32(d.len())}
	if 2*d.len() > len(d.slots) {
		d.grow()
	}
	return int32(d.len() - 1)
}

func (d *dictionary) grow() {
	old := d.slots
	d.slots = make([]dictionarySlot, 2*len(old))
	mask := uint64(len(d.slots) - 1)
	for _, s := range old {
		if s.value == 0 {
			continue
		}
		i := s.hash & mask
		for d.slots[i].value > 0 {
			i = (i + 1) & mask
		}
		d.slots[i] = s
	}
}

// dictionaryEncoder is what the library's encoder of a column with a
// dictionary can do; its own name is internal.
type dictionaryEncoder interface {
	PutDictionary(values arrow.Array) error
	NumEntries() int
}

// dictionaryWriter is a column chunk's writer.
type dictionaryWriter interface {
	file.ColumnChunkWriter
	FlushCurrentPage() error
}

// write writes the row group's rows, as one page. The library's statistics are
// fed here: what it does with indices leaves them out.
func (d *dictionary) write(writer file.ColumnChunkWriter) error {
	if len(d.rows) == 0 {
		return nil
	}
	w, isWriter := writer.(dictionaryWriter)
	encoder, ok := writer.CurrentEncoder().(dictionaryEncoder)
	if !ok || !isWriter {
		return fmt.Errorf("the library's %T takes no dictionary", writer.CurrentEncoder())
	}
	values := d.arrowValues(w.Type())
	defer values.Release()
	if err := encoder.PutDictionary(values); err != nil {
		return err
	}
	if n := encoder.NumEntries(); n != d.len() {
		return fmt.Errorf("the library has %d of %d distinct values", n, d.len())
	}
	d.scratch.reset()
	for i := range d.len() {
		d.scratch.append(w.Type(), d.value(int32(i)))
	}
	if err := updateStatistics(w.PageStatistics(), &d.scratch, int64(d.nulls)); err != nil {
		return err
	}
	rows := d.arrowRows()
	defer rows.Release()
	if err := w.WriteDictIndices(rows, d.levels, nil); err != nil {
		return err
	}
	return w.FlushCurrentPage()
}

// writePlain writes the row group's rows without a dictionary.
func (d *dictionary) writePlain(w file.ColumnChunkWriter) error {
	w.FallbackToPlain()
	const rows = 8192
	for from := 0; from < len(d.rows); from += rows {
		to := min(from+rows, len(d.rows))
		d.scratch.reset()
		present := 0
		for i, level := range d.levels[from:to] {
			if level > 0 {
				d.scratch.append(w.Type(), d.value(d.rows[from+i]))
				present++
			}
		}
		if err := writeColumn(w, &d.scratch, d.levels[from:to], 0, present); err != nil {
			return err
		}
	}
	return nil
}

// append adds a value that is given in its plain bytes.
func (c *column) append(t parquet.Type, v []byte) {
	switch t {
	case parquet.Types.ByteArray:
		c.text = append(c.text, v)
	case parquet.Types.FixedLenByteArray:
		c.fixed = append(c.fixed, v)
	case parquet.Types.Double:
		c.floats = append(c.floats, math.Float64frombits(binary.LittleEndian.Uint64(v)))
	case parquet.Types.Int64:
		c.micros = append(c.micros, int64(binary.LittleEndian.Uint64(v)))
	default:
		c.days = append(c.days, int32(binary.LittleEndian.Uint32(v)))
	}
}

// arrowTypes are what the library takes a dictionary of a physical type as.
var arrowTypes = map[parquet.Type]arrow.DataType{
	parquet.Types.ByteArray:         arrow.BinaryTypes.Binary,
	parquet.Types.FixedLenByteArray: &arrow.FixedSizeBinaryType{ByteWidth: 16},
	parquet.Types.Double:            arrow.PrimitiveTypes.Float64,
	parquet.Types.Int64:             arrow.PrimitiveTypes.Int64,
	parquet.Types.Int32:             arrow.PrimitiveTypes.Int32,
}

// arrowValues are the distinct values, in the dictionary's own memory.
func (d *dictionary) arrowValues(t parquet.Type) arrow.Array {
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(d.values)}
	if t == parquet.Types.ByteArray {
		buffers = []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(d.ends)), buffers[1]}
	}
	data := array.NewData(arrowTypes[t], d.len(), buffers, nil, 0, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// arrowRows are the rows' positions, in the dictionary's own memory.
func (d *dictionary) arrowRows() arrow.Array {
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(d.rows))}
	if d.nulls > 0 {
		valid := make([]byte, (len(d.levels)+7)/8)
		for i, level := range d.levels {
			valid[i/8] |= byte(level) << (i % 8)
		}
		buffers[0] = memory.NewBufferBytes(valid)
	}
	data := array.NewData(arrow.PrimitiveTypes.Int32, len(d.rows), buffers, nil, d.nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// updateStatistics takes in the distinct values of a page. The library's way
// by Arrow arrays leaves empty texts out.
func updateStatistics(statistics metadata.TypedStatistics, values *column, nulls int64) error {
	switch s := statistics.(type) {
	case *metadata.ByteArrayStatistics:
		s.Update(values.text, nulls)
	case *metadata.FixedLenByteArrayStatistics:
		s.Update(values.fixed, nulls)
	case *metadata.Float64Statistics:
		s.Update(values.floats, nulls)
	case *metadata.Int64Statistics:
		s.Update(values.micros, nulls)
	case *metadata.Int32Statistics:
		s.Update(values.days, nulls)
	default:
		return fmt.Errorf("no statistics for values of %T", statistics)
	}
	return nil
}

// fewValues reports whether a column's first values repeat so much that those
// of a row group should fit a dictionary. Of n values that are drawn evenly
// from N, about n²/2N are repetitions.
func fewValues(c *column) bool {
	const enough, looked, most = 256, 4096, 20_000
	n := min(c.len(), looked)
	if n < enough {
		return false
	}
	var word [8]byte
	var size int
	distinct := make(map[string]struct{}, n)
	for i := range n {
		v := c.bytesOf(i, &word)
		if _, ok := distinct[string(v)]; !ok {
			distinct[string(v)] = struct{}{}
			size += len(v) + 4
		}
	}
	repeated := n - len(distinct)
	if repeated == 0 {
		return false
	}
	expected := max(len(distinct), n*n/(2*repeated))
	return expected <= most && expected*(size/len(distinct)) <= dictionaryBytes*3/4
}
