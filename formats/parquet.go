package formats

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// What a Parquet file is cut into. Row groups are cut between batches, by
// their rows and the plainly encoded size of their values; both depend on the
// records alone.
const (
	rowGroupRows  = 1_000_000
	rowGroupBytes = 64 << 20
	pageBytes     = 1 << 20
	zstdLevel     = 1
	statBytes     = 512 // longer minima and maxima are left out, as they stay in memory until the footer
)

// parquetOutput writes one file: one goroutine a column encodes and
// compresses, so that the columns of a row group are made side by side.
type parquetOutput struct {
	layout *layout
	sink   *sink
	rows   int64 // of a row group, for tests to make smaller
	bytes  int64

	writer  *file.Writer
	group   file.BufferedRowGroupWriter
	columns []chan columnStep
	flushed chan struct{}
	inGroup struct{ rows, bytes int64 }
}

// columnStep is what a column's goroutine does next: take a new row group's
// writer, write a batch, or end the row group.
type columnStep struct {
	writer file.ColumnChunkWriter
	batch  *batch
	flush  bool
}

func newParquetOutput(l *layout, w io.Writer, batches int) *parquetOutput {
	o := &parquetOutput{layout: l, sink: newSink(w), rows: rowGroupRows, bytes: rowGroupBytes,
		columns: make([]chan columnStep, len(l.columns)), flushed: make(chan struct{}, len(l.columns))}
	for i := range o.columns {
		o.columns[i] = make(chan columnStep, batches+2) // every batch there is, and a group's end and begin
	}
	return o
}

// open begins the file. Which columns get a dictionary is decided by the first
// batch: everywhere it would make files larger and slower.
func (o *parquetOutput) open(first *batch) (err error) {
	props := []parquet.WriterProperty{
		parquet.WithVersion(parquet.V2_LATEST),
		parquet.WithCreatedBy("waybill version 1.0.0 (build arrow-go " + arrow.PkgVersion + ")"),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(zstdLevel),
		parquet.WithDataPageSize(pageBytes),
		parquet.WithBatchSize(8192),
		parquet.WithDictionaryDefault(false),
		parquet.WithPageIndexEnabled(true),
		parquet.WithMaxStatsSize(statBytes),
	}
	for i, c := range o.layout.columns {
		if first != nil && lowCardinality(first.columns[i].text) {
			props = append(props, parquet.WithDictionaryFor(c.name, true))
		}
	}
	root, err := parquetSchema(o.layout)
	if err != nil {
		return err
	}
	o.writer, err = file.NewParquetWriterWithError(o.sink, root, file.WithWriterProps(parquet.NewWriterProperties(props...)))
	return err
}

// lowCardinality reports whether a column's first values repeat enough for a
// dictionary.
func lowCardinality(values []parquet.ByteArray) bool {
	const enough, looked, each = 256, 4096, 16
	if len(values) < enough {
		return false
	}
	values = values[:min(len(values), looked)]
	distinct := make(map[string]struct{})
	for _, v := range values {
		if _, ok := distinct[string(v)]; !ok {
			distinct[string(v)] = struct{}{}
			if len(distinct) > len(values)/each {
				return false
			}
		}
	}
	return true
}

func parquetSchema(l *layout) (*schema.GroupNode, error) {
	nodes := make(schema.FieldList, len(l.columns))
	for i, c := range l.columns {
		node, err := parquetNode(c)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
		nodes[i] = node
	}
	return schema.NewGroupNode("schema", parquet.Repetitions.Required, nodes, -1)
}

func parquetNode(c columnSpec) (schema.Node, error) {
	const noLength = -1
	optional := parquet.Repetitions.Optional
	logical := func(t schema.LogicalType, physical parquet.Type, length int) (schema.Node, error) {
		return schema.NewPrimitiveNodeLogical(c.name, optional, t, physical, length, -1)
	}
	switch c.cast {
	case castNumber:
		return schema.NewPrimitiveNode(c.name, optional, parquet.Types.Double, -1, noLength)
	case castBool:
		return schema.NewPrimitiveNode(c.name, optional, parquet.Types.Boolean, -1, noLength)
	case castMoney:
		return logical(schema.NewDecimalLogicalType(38, decimalScale), parquet.Types.FixedLenByteArray, 16)
	case castDate:
		return logical(schema.DateLogicalType{}, parquet.Types.Int32, noLength)
	case castDateTime:
		return logical(schema.NewTimestampLogicalType(true, schema.TimeUnitMicros), parquet.Types.Int64, noLength)
	}
	return logical(schema.StringLogicalType{}, parquet.Types.ByteArray, noLength)
}

// batch hands a batch to every column, in a new row group where the present
// one is full.
func (o *parquetOutput) batch(ctx context.Context, b *batch) error {
	if o.writer == nil {
		if err := o.open(b); err != nil {
			return err
		}
	}
	full := o.inGroup.rows+int64(b.rows()) > o.rows || o.inGroup.bytes+b.plain > o.bytes
	if o.group != nil && full {
		if err := o.endGroup(ctx); err != nil {
			return err
		}
	}
	if o.group == nil {
		if err := o.beginGroup(ctx); err != nil {
			return err
		}
	}
	o.inGroup.rows += int64(b.rows())
	o.inGroup.bytes += b.plain
	return o.each(ctx, func(int) (columnStep, error) { return columnStep{batch: b}, nil })
}

func (o *parquetOutput) beginGroup(ctx context.Context) (err error) {
	if o.group, err = o.writer.AppendBufferedRowGroupChecked(); err != nil {
		return err
	}
	o.inGroup.rows, o.inGroup.bytes = 0, 0
	return o.each(ctx, func(i int) (columnStep, error) {
		w, err := o.group.Column(i)
		return columnStep{writer: w}, err
	})
}

// endGroup waits until every column has compressed its last page, and writes
// the row group.
func (o *parquetOutput) endGroup(ctx context.Context) error {
	if err := o.each(ctx, func(int) (columnStep, error) { return columnStep{flush: true}, nil }); err != nil {
		return err
	}
	for range o.columns {
		select {
		case <-o.flushed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	group := o.group
	o.group = nil
	return group.Close()
}

func (o *parquetOutput) each(ctx context.Context, step func(i int) (columnStep, error)) error {
	for i, c := range o.columns {
		s, err := step(i)
		if err != nil {
			return err
		}
		select {
		case c <- s:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// end writes what is left and the footer. A run without records is a file
// with a schema and no row group.
func (o *parquetOutput) end(ctx context.Context) error {
	if o.writer == nil {
		if err := o.open(nil); err != nil {
			return err
		}
	}
	if o.group != nil {
		if err := o.endGroup(ctx); err != nil {
			return err
		}
	}
	for _, c := range o.columns {
		close(c)
	}
	if err := o.writer.Close(); err != nil {
		return err
	}
	return o.sink.flush()
}

// column is the goroutine of one column.
func (o *parquetOutput) column(ctx context.Context, i int) error {
	var w file.ColumnChunkWriter
	for {
		select {
		case step, ok := <-o.columns[i]:
			switch {
			case !ok:
				return nil
			case step.writer != nil:
				w = step.writer
			case step.batch != nil:
				if err := writeColumn(w, &step.batch.columns[i]); err != nil {
					return fmt.Errorf("column %s: %w", o.layout.columns[i].name, err)
				}
				step.batch.release()
			default:
				if err := flushPage(w); err != nil {
					return fmt.Errorf("column %s: %w", o.layout.columns[i].name, err)
				}
				o.flushed <- struct{}{} // has room for every column
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func writeColumn(w file.ColumnChunkWriter, c *column) (err error) {
	switch w := w.(type) {
	case *file.ByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(c.text, c.levels, nil)
	case *file.FixedLenByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(c.fixed, c.levels, nil)
	case *file.Float64ColumnChunkWriter:
		_, err = w.WriteBatch(c.floats, c.levels, nil)
	case *file.BooleanColumnChunkWriter:
		_, err = w.WriteBatch(c.bools, c.levels, nil)
	case *file.Int32ColumnChunkWriter:
		_, err = w.WriteBatch(c.days, c.levels, nil)
	case *file.Int64ColumnChunkWriter:
		_, err = w.WriteBatch(c.micros, c.levels, nil)
	default:
		err = fmt.Errorf("no writer for %s", w.Type())
	}
	return err
}

// flushPage compresses the column's last page, which closing the row group
// would do for one column after the other. Empty pages and those of
// dictionaries are left to it: FlushCurrentPage cannot take the former, and
// the latter are small.
func flushPage(w file.ColumnChunkWriter) error {
	p, ok := w.(interface {
		FlushCurrentPage() error
		EstimatedBufferedValueBytes() int64
	})
	if !ok || w.Properties().DictionaryEnabledFor(w.Descr().Path()) || p.EstimatedBufferedValueBytes() == 0 {
		return nil
	}
	return p.FlushCurrentPage()
}

// sink is the file's writer. It remembers the first fault and repeats it on
// every later call, so that no layer above can lose it, and it hides a Close.
type sink struct {
	w   *bufio.Writer
	err error
}

func newSink(w io.Writer) *sink { return &sink{w: bufio.NewWriterSize(w, 256<<10)} }

func (s *sink) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}

func (s *sink) flush() error {
	if s.err == nil {
		s.err = s.w.Flush()
	}
	return s.err
}
