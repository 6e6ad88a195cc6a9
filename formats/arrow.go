package formats

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
)

// WriteArrow writes Arrow data as a Parquet file like those of [Convert], its
// columns side by side on all cores. The data has the columns that are given,
// in order: text and JSON as utf8, numbers as float64 or int64, money as
// decimal128(38, 9), booleans, dates as date32, timestamps of microseconds in UTC.
// All of it is in memory already, so that pages are encoded straight from
// Arrow's own buffers, and whether a column has a dictionary is known before
// its first page is written.
func WriteArrow(ctx context.Context, w io.Writer, columns []waybill.Column, batches []arrow.RecordBatch) error {
	return writeArrow(ctx, w, columns, batches, rowGroupRows)
}

func writeArrow(ctx context.Context, w io.Writer, columns []waybill.Column, batches []arrow.RecordBatch, groupRows int64) error {
	if err := sameColumns(columns, batches); err != nil {
		return err
	}
	f, err := newArrowFile(w, columns)
	if err != nil {
		return err
	}
	defer pageMemories.Put(f.memory)
	for group := range rowGroupsOf(batches, groupRows) {
		err := f.rowGroup(ctx, group)
		for _, b := range group {
			b.Release()
		}
		if err != nil {
			return err
		}
	}
	return f.close()
}

// arrowTypeOf are the Arrow types that columns are taken as.
var arrowTypeOf = map[waybill.ColumnType]arrow.DataType{
	waybill.ColumnText:      arrow.BinaryTypes.String,
	waybill.ColumnJSON:      arrow.BinaryTypes.String,
	waybill.ColumnDouble:    arrow.PrimitiveTypes.Float64,
	waybill.ColumnInteger:   arrow.PrimitiveTypes.Int64,
	waybill.ColumnMoney:     &arrow.Decimal128Type{Precision: 38, Scale: decimalScale},
	waybill.ColumnBoolean:   arrow.FixedWidthTypes.Boolean,
	waybill.ColumnDate:      arrow.FixedWidthTypes.Date32,
	waybill.ColumnTimestamp: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"},
}

// sameColumns refuses data with other columns than the file's.
func sameColumns(columns []waybill.Column, batches []arrow.RecordBatch) error {
	for _, b := range batches {
		if int(b.NumCols()) != len(columns) {
			return fmt.Errorf("the data has %d columns, the file %d", b.NumCols(), len(columns))
		}
		for i, c := range columns {
			got := b.Schema().Field(i)
			if want := arrowTypeOf[c.Type]; got.Name != c.Name || want == nil || !arrow.TypeEqual(got.Type, want) {
				return fmt.Errorf("column %d of the data is %s %s, that of the file %s %v", i, got.Name, got.Type, c.Name, want)
			}
		}
	}
	return nil
}

// rowGroupsOf cuts data into row groups of at most so many rows: each a list
// of batches, to be released.
func rowGroupsOf(batches []arrow.RecordBatch, rows int64) func(yield func([]arrow.RecordBatch) bool) {
	return func(yield func([]arrow.RecordBatch) bool) {
		var group []arrow.RecordBatch
		room := rows
		for _, b := range batches {
			for from := int64(0); from < b.NumRows(); {
				n := min(room, b.NumRows()-from)
				group = append(group, b.NewSlice(from, from+n))
				from, room = from+n, room-n
				if room > 0 {
					continue
				}
				if !yield(group) {
					return
				}
				group, room = nil, rows
			}
		}
		if len(group) > 0 {
			yield(group)
		}
	}
}

// arrowFile is a Parquet file whose row groups are written one after the
// other. It does what the library's writer does around the columns, which that
// does not let others encode.
type arrowFile struct {
	sink   *offsetWriter
	props  *parquet.WriterProperties
	schema *schema.Schema
	meta   *metadata.FileMetaDataBuilder
	index  *metadata.PageIndexBuilder
	memory *pageMemory
	groups int16
}

// pageMemories are kept between files until the garbage collector wants them.
var pageMemories = sync.Pool{New: func() any { return &pageMemory{} }}

// offsetWriter tells how much was written.
type offsetWriter struct {
	io.Writer
	at int64
}

func (w *offsetWriter) Tell() int64 { return w.at }

func (w *offsetWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.at += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

var parquetMagic = []byte("PAR1")

// createdBy names the writer as readers parse it.
const createdBy = "waybill version 1.0.0 (build arrow-go " + arrow.PkgVersion + ")"

func newArrowFile(w io.Writer, columns []waybill.Column) (*arrowFile, error) {
	nodes := make(schema.FieldList, len(columns))
	for i, c := range columns {
		node, err := arrowNode(c)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		nodes[i] = node
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, nodes, -1)
	if err != nil {
		return nil, err
	}
	memory := pageMemories.Get().(*pageMemory) //nolint:forcetypeassert // nothing else is put there
	props := parquet.NewWriterProperties(parquet.WithVersion(parquet.V2_LATEST), parquet.WithCreatedBy(createdBy),
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(valuesLevel), parquet.WithAllocator(memory))
	f := &arrowFile{sink: &offsetWriter{Writer: w}, props: props, schema: schema.NewSchema(root), memory: memory}
	f.meta = metadata.NewFileMetadataBuilder(f.schema, props, nil)
	f.index = &metadata.PageIndexBuilder{Schema: f.schema}
	_, err = f.sink.Write(parquetMagic)
	return f, err
}

func arrowNode(c waybill.Column) (schema.Node, error) {
	if c.Type == waybill.ColumnInteger {
		return schema.NewPrimitiveNode(c.Name, parquet.Repetitions.Optional, parquet.Types.Int64, -1, -1)
	}
	return parquetNode(columnSpec{c.Name, map[waybill.ColumnType]cast{
		waybill.ColumnText: castText, waybill.ColumnJSON: castJSON, waybill.ColumnDouble: castNumber, waybill.ColumnMoney: castMoney,
		waybill.ColumnBoolean: castBool, waybill.ColumnDate: castDate, waybill.ColumnTimestamp: castDateTime}[c.Type]})
}

// rowGroup encodes the columns of a row group side by side, the largest first, and
// writes them in their order.
func (f *arrowFile) rowGroup(ctx context.Context, batches []arrow.RecordBatch) error {
	group := f.meta.AppendRowGroup()
	if err := f.index.AppendRowGroup(); err != nil {
		return err
	}
	chunks := make([]*arrowChunk, f.schema.NumColumns())
	for i := range chunks {
		chunk, err := f.chunk(group.NextColumnChunk(), i)
		if err != nil {
			return err
		}
		for _, b := range batches {
			chunk.parts = append(chunk.parts, b.Column(i))
		}
		chunks[i] = chunk
	}
	if err := encodeAll(ctx, chunks); err != nil {
		return err
	}
	f.grow(chunks)
	for _, c := range chunks {
		if err := c.pager.Close(c.hasDictionary, false); err != nil {
			return err
		}
	}
	group.SetNumRows(chunks[0].rows)
	defer func() { f.groups++ }()
	return group.Finish(0, f.groups)
}

// grow makes room in a sink that is memory.
func (f *arrowFile) grow(chunks []*arrowChunk) {
	if memory, ok := f.sink.Writer.(interface{ Grow(n int) }); ok {
		n := int64(0)
		for _, c := range chunks {
			n += c.bytes
		}
		memory.Grow(int(n))
	}
}

func (f *arrowFile) chunk(meta *metadata.ColumnChunkMetaDataBuilder, column int) (*arrowChunk, error) {
	level := valuesLevel
	if f.schema.Column(column).PhysicalType() == parquet.Types.ByteArray {
		level = textsLevel
	}
	pager, err := file.NewPageWriter(f.sink, compress.Codecs.Zstd, level, meta, f.groups, int16(column), f.memory, true, nil, nil)
	if err != nil {
		return nil, err
	}
	columns, err := f.index.GetColumnIndexBuilder(column)
	if err != nil {
		return nil, err
	}
	offsets, err := f.index.GetOffsetIndexBuilder(column)
	if err != nil {
		return nil, err
	}
	pager.SetIndexBuilders(columns, offsets)
	return &arrowChunk{meta: meta, pager: pager}, nil
}

func encodeAll(ctx context.Context, chunks []*arrowChunk) error {
	bySize := slices.Clone(chunks)
	slices.SortStableFunc(bySize, func(a, b *arrowChunk) int { return cmp.Compare(b.size(), a.size()) })
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(runtime.GOMAXPROCS(0))
	for _, c := range bySize {
		work.Go(func() error {
			if err := c.encode(ctx); err != nil {
				return fmt.Errorf("column %s: %w", c.meta.Descr().Name(), err)
			}
			return nil
		})
	}
	return work.Wait()
}

// close writes the page indexes and the footer.
func (f *arrowFile) close() error {
	f.index.Finish()
	var location metadata.PageIndexLocation
	if err := f.index.WriteTo(f.sink, &location); err != nil {
		return err
	}
	if err := f.meta.SetPageIndexLocation(location); err != nil {
		return err
	}
	footer, err := f.meta.Finish()
	if err != nil {
		return err
	}
	size, err := footer.WriteTo(f.sink, nil)
	if err != nil {
		return err
	}
	_, err = f.sink.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(size)), parquetMagic...))
	return err
}

// size is how many bytes the column's values have.
func (c *arrowChunk) size() (n uint64) {
	for _, part := range c.parts {
		n += part.Data().SizeInBytes()
	}
	return n
}

// whole is the column's rows as one array.
func (c *arrowChunk) whole() (arrow.Array, error) {
	if len(c.parts) == 1 {
		return c.parts[0], nil
	}
	return array.Concatenate(c.parts, memory.DefaultAllocator)
}
