package formats

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// arrowChunk encodes one column of a row group.
type arrowChunk struct {
	meta  *metadata.ColumnChunkMetaDataBuilder
	pager file.PageWriter
	parts []arrow.Array

	rows          int
	bytes         int64 // of its pages
	hasDictionary bool
	array         arrow.Array
	values        arrowValues
	plain         []byte // of the page under way
	compressed    bytes.Buffer
	stats         metadata.EncodedStatistics
}

// arrowValues are the values of a column. The rows that its methods are given
// are not NULL.
type arrowValues interface {
	// fitting is how many rows from there, of those before end, make a page.
	fitting(from, end int) int
	// plain appends values in Parquet's plain encoding:
	// https://parquet.apache.org/docs/file-format/data-pages/encodings/
	plain(dst []byte, from, to int) []byte
	// see takes values into the extent, which begins with reset.
	see(from, to int)
	reset()
	// extent is from the least to the greatest value seen, if there are some that have an order.
	extent() (low, high []byte, ok bool)
	less(a, b []byte) bool
	// look appends where values stand in a dictionary; false: it is full.
	look(positions []int32, from, to int) ([]int32, bool)
	// distinct is how many values the dictionary has.
	distinct() int
	plainDistinct() []byte
	seeDistinct()
}

func (c *arrowChunk) encode(ctx context.Context) (err error) {
	if c.array, err = c.whole(); err != nil {
		return err
	}
	if c.values, err = valuesOf(c.array); err != nil {
		return err
	}
	c.rows = c.array.Len()
	positions, few := c.positions()
	if few {
		c.hasDictionary = true
		err = c.dictionaryPages(positions)
	} else {
		err = c.plainPages(ctx)
	}
	c.stats.SetNullCount(int64(c.array.NullN()))
	c.finish(&c.stats)
	c.meta.SetStats(c.stats)
	c.array, c.values, c.plain, c.compressed = nil, nil, nil, bytes.Buffer{}
	return err
}

// finish makes statistics as the format has them: of long texts neither the
// least nor the greatest, as readers may take one that is missing for empty.
func (c *arrowChunk) finish(s *metadata.EncodedStatistics) {
	if len(s.Min) > statBytes || len(s.Max) > statBytes {
		s.HasMin, s.Min, s.HasMax, s.Max = false, nil, false, nil
	}
	s.Signed = c.meta.Descr().SortOrder() == schema.SortSIGNED
}

// present calls f with the rows that are not NULL, run by run.
func (c *arrowChunk) present(from, to int, f func(from, to int)) {
	if c.array.NullN() == 0 {
		f(from, to)
		return
	}
	for from < to {
		for from < to && c.array.IsNull(from) {
			from++
		}
		begin := from
		for from < to && c.array.IsValid(from) {
			from++
		}
		if begin < from {
			f(begin, from)
		}
	}
}

// plainPages writes the column without a dictionary.
func (c *arrowChunk) plainPages(ctx context.Context) error {
	for from := 0; from < c.rows; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		to := from + c.values.fitting(from, c.rows)
		nulls := c.levels(from, to)
		c.values.reset()
		c.present(from, to, func(from, to int) {
			c.plain = c.values.plain(c.plain, from, to)
			c.values.see(from, to)
		})
		if err := c.page(from, to, nulls, parquet.Encodings.Plain); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// page writes the page under way.
func (c *arrowChunk) page(from, to, nulls int, encoding parquet.Encoding) error {
	var stats metadata.EncodedStatistics
	if low, high, ok := c.values.extent(); ok {
		stats.SetMin(low)
		stats.SetMax(high)
		c.widen(low, high)
	}
	stats.SetNullCount(int64(nulls))
	stats.AllNullValue = nulls == to-from
	c.finish(&stats)
	c.compressed.Reset()
	compressed := c.pager.Compress(&c.compressed, c.plain)
	page := file.NewDataPageV1WithConfig(memory.NewBufferBytes(compressed), parquet.Encodings.RLE, parquet.Encodings.RLE, file.DataPageConfig{
		Num: int32(to - from), Encoding: encoding, UncompressedSize: int32(len(c.plain)), Stats: stats, FirstRowIndex: int64(from)})
	defer page.Release()
	n, err := c.pager.WriteDataPage(page)
	c.bytes += n
	return err
}

// widen takes a page's extent into the chunk's.
func (c *arrowChunk) widen(low, high []byte) {
	if !c.stats.HasMin || c.values.less(low, c.stats.Min) {
		c.stats.SetMin(low)
	}
	if !c.stats.HasMax || c.values.less(c.stats.Max, high) {
		c.stats.SetMax(high)
	}
}

// levels begins a page with which of its rows are not NULL, and returns how
// many are: one run where all are alike, otherwise Arrow's own bitmap.
func (c *arrowChunk) levels(from, to int) (nulls int) {
	rows := to - from
	if c.array.NullN() > 0 {
		nulls = rows - bitutil.CountSetBits(c.array.NullBitmapBytes(), c.array.Data().Offset()+from, rows)
	}
	c.plain = append(c.plain[:0], 0, 0, 0, 0) // how many bytes they are
	switch nulls {
	case 0, rows:
		c.plain = binary.AppendUvarint(c.plain, uint64(rows)<<1)
		c.plain = append(c.plain, byte(min(1, rows-nulls)))
	default:
		groups := (rows + 7) / 8
		c.plain = binary.AppendUvarint(c.plain, uint64(groups)<<1|1)
		begin := len(c.plain)
		c.plain = append(c.plain, make([]byte, groups)...)
		bitutil.CopyBitmap(c.array.NullBitmapBytes(), c.array.Data().Offset()+from, rows, c.plain[begin:], 0)
	}
	binary.LittleEndian.PutUint32(c.plain, uint32(len(c.plain)-4))
	return nulls
}

// positions are where the rows' values stand in a dictionary, if all fit and
// repeat often enough for one to be worth its while. To find out costs little: a
// dictionary of values that hardly repeat is full after few rows.
func (c *arrowChunk) positions() (positions []int32, few bool) {
	positions = make([]int32, 0, c.rows)
	few = true
	c.present(0, c.rows, func(from, to int) {
		if few {
			positions, few = c.values.look(positions, from, to)
		}
	})
	return positions, few && 2*c.values.distinct() <= len(positions) && len(positions) > 0
}

// dictionaryPages writes the column as a dictionary and one page of positions in it.
func (c *arrowChunk) dictionaryPages(positions []int32) error {
	n := c.values.distinct()
	dictionary := file.NewDictionaryPage(memory.NewBufferBytes(c.values.plainDistinct()), int32(n), parquet.Encodings.Plain)
	defer dictionary.Release()
	written, err := c.pager.WriteDictionaryPage(dictionary)
	if err != nil {
		return err
	}
	c.bytes += written
	c.values.reset()
	c.values.seeDistinct()
	nulls := c.levels(0, c.rows)
	width := bits.Len(uint(n - 1))
	c.plain = appendPositions(append(c.plain, byte(width)), positions, width)
	return c.page(0, c.rows, nulls, parquet.Encodings.RLEDict)
}

// appendPositions appends numbers of so many bits in runs of equal ones, and
// of eights of others:
// https://parquet.apache.org/docs/file-format/data-pages/encodings/#run-length-encoding--bit-packing-hybrid-rle--3
func appendPositions(dst []byte, positions []int32, width int) []byte {
	const eights = 63 // in a run, so that its header has one byte
	header := -1      // of the run of eights under way
	for len(positions) > 0 {
		run := 1
		for run < len(positions) && positions[run] == positions[0] {
			run++
		}
		if run >= 8 {
			header = -1
			dst = binary.AppendUvarint(dst, uint64(run)<<1)
			for shift := 0; shift < width; shift += 8 {
				dst = append(dst, byte(positions[0]>>shift))
			}
			positions = positions[run:]
			continue
		}
		if header < 0 || dst[header] == eights<<1|1 {
			header = len(dst)
			dst = append(dst, 1)
		}
		dst[header] += 2
		n := min(8, len(positions))
		dst = appendEight(dst, positions[:n], width)
		positions = positions[n:]
	}
	return dst
}

// appendEight packs eight numbers, or as many as there are and zeros.
func appendEight(dst []byte, eight []int32, width int) []byte {
	end := len(dst) + width
	var word uint64
	filled := 0
	for _, p := range eight {
		word |= uint64(p) << filled
		if filled += width; filled >= 32 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(word))
			word >>= 32
			filled -= 32
		}
	}
	for len(dst) < end {
		dst = append(dst, byte(word))
		word >>= 8
	}
	return dst
}
