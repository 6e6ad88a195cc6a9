package formats

import (
	"context"
	"fmt"
	"io"
	"sort"

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
	pageBytes     = 384 << 10
	statBytes     = 512 // longer minima and maxima are left out, as they stay in memory until the footer
)

// parquetOutput writes the files: one goroutine a column encodes and
// compresses, so that the columns of a row group are made side by side.
type parquetOutput struct {
	layout *layout
	parts  *parts
	rows   int64 // of a row group, for tests to make smaller
	bytes  int64
	size   parquetSize

	props   *parquet.WriterProperties
	writer  *file.Writer
	group   file.BufferedRowGroupWriter
	columns []chan columnStep
	flushed chan struct{}
	inGroup struct{ rows, bytes int64 }
	inFile  int64 // rows
}

// columnStep is what a column's goroutine does next: take a new row group's
// writer, write some rows of a batch, or end the row group.
type columnStep struct {
	writer   file.ColumnChunkWriter
	batch    *batch
	from, to int  // rows
	last     bool // of the batch
	flush    bool
}

func newParquetOutput(l *layout, files *parts, limit int64, batches int) *parquetOutput {
	o := &parquetOutput{layout: l, parts: files, rows: rowGroupRows, bytes: rowGroupBytes, size: newParquetSize(l, limit),
		columns: make([]chan columnStep, len(l.columns)), flushed: make(chan struct{}, len(l.columns))}
	for i := range o.columns {
		o.columns[i] = make(chan columnStep, batches+2) // every batch there is, and a group's end and begin
	}
	return o
}

// open begins a file. Which columns get a dictionary is decided by the first
// batch of all: everywhere it would make files larger and slower.
func (o *parquetOutput) open(first *batch) (err error) {
	if o.props == nil {
		o.props = o.properties(first)
	}
	root, err := parquetSchema(o.layout)
	if err != nil {
		return err
	}
	o.size.begin()
	o.inFile = 0
	o.writer, err = file.NewParquetWriterWithError(unclosed{o.parts}, root, file.WithWriterProps(o.props))
	return err
}

// unclosed hides every method but Write: the library would close what it can.
type unclosed struct{ io.Writer }

func (o *parquetOutput) properties(first *batch) *parquet.WriterProperties {
	props := []parquet.WriterProperty{
		parquet.WithVersion(parquet.V2_LATEST),
		parquet.WithCreatedBy(createdBy),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(valuesLevel),
		parquet.WithAllocator(&pageMemory{}),
		parquet.WithDataPageSize(pageBytes),
		parquet.WithBatchSize(8192),
		parquet.WithDictionaryDefault(false),
		parquet.WithPageIndexEnabled(true),
		parquet.WithMaxStatsSize(statBytes),
	}
	for i, c := range o.layout.columns {
		props = append(props, parquet.WithCompressionLevelFor(c.name, levelOf(first, i)))
		if first != nil && fewValues(&first.columns[i]) {
			props = append(props, parquet.WithDictionaryFor(c.name, true))
			o.size.dictionaries++
		}
	}
	return parquet.NewWriterProperties(props...)
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

// batch hands a batch to every column: whole, in a new row group where the
// present one is full; or, where files have a limit, row group by row group and
// file by file.
func (o *parquetOutput) batch(ctx context.Context, b *batch) error {
	if o.writer == nil {
		if err := o.open(b); err != nil {
			return err
		}
	}
	o.size.see(b)
	rows := b.rows() // once the columns have the batch's end, it may be anybody's
	for from := 0; from < rows; {
		n := o.fitting(b, from)
		if n == 0 {
			if err := o.next(ctx, b); err != nil {
				return err
			}
			continue
		}
		if o.group == nil {
			if err := o.beginGroup(ctx); err != nil {
				return err
			}
		}
		step := columnStep{batch: b, from: from, to: from + n, last: from+n == rows}
		o.inGroup.rows += int64(n)
		o.inGroup.bytes += o.plain(b, from, from+n)
		from += n
		if err := o.each(ctx, func(int) (columnStep, error) { return step, nil }); err != nil {
			return err
		}
	}
	return nil
}

// plain is the plainly encoded size of some rows of a batch.
func (o *parquetOutput) plain(b *batch, from, to int) int64 {
	if to == b.rows() && from == 0 {
		return b.plain
	}
	return plainBefore(b, to) - plainBefore(b, from)
}

// fitting is how many of a batch's rows the row group under way takes, or one
// that is begun for them; none: it, or the file, is full.
func (o *parquetOutput) fitting(b *batch, from int) int {
	rows, left := o.inGroup.rows, b.rows()-from
	if o.size.limit == 0 {
		if o.group != nil && (rows+int64(left) > o.rows || o.inGroup.bytes+b.plain > o.bytes) {
			return 0
		}
		return left
	}
	room := o.size.limit - o.size.with(o.parts.size())
	if o.group == nil && o.inFile > 0 && room < o.size.limit/8 {
		return 0 // ever smaller row groups would read and compress ever worse
	}
	n := sort.Search(left, func(i int) bool {
		rows, bytes := rows+int64(i)+1, o.inGroup.bytes+o.plain(b, from, from+i+1)
		return rows > o.rows || bytes > o.bytes || o.size.group(rows, bytes) > room
	})
	if o.group == nil && o.inFile == 0 {
		n = max(n, 1) // a record that fits nowhere has a file of its own
	}
	return n
}

// next ends what is full: the row group, or else the file.
func (o *parquetOutput) next(ctx context.Context, b *batch) error {
	if o.group != nil {
		return o.endGroup(ctx)
	}
	if err := o.endFile(); err != nil {
		return err
	}
	if err := o.parts.begin(); err != nil {
		return err
	}
	return o.open(b)
}

func (o *parquetOutput) beginGroup(ctx context.Context) (err error) {
	if o.group, err = o.writer.AppendBufferedRowGroupChecked(); err != nil {
		return err
	}
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
	o.size.add(o.inGroup.bytes)
	o.inFile += o.inGroup.rows
	o.inGroup.rows, o.inGroup.bytes = 0, 0
	group := o.group
	o.group = nil
	return group.Close()
}

// endFile writes the footer.
func (o *parquetOutput) endFile() error {
	if err := o.writer.Close(); err != nil {
		return err
	}
	return o.parts.end(o.inFile)
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
	return o.endFile()
}

// column is the goroutine of one column.
func (o *parquetOutput) column(ctx context.Context, i int) error {
	w := columnWriter{position: i}
	for {
		select {
		case step, ok := <-o.columns[i]:
			if !ok {
				return nil
			}
			if err := w.do(step); err != nil {
				return fmt.Errorf("column %s: %w", o.layout.columns[i].name, err)
			}
			if step.flush {
				o.flushed <- struct{}{} // has room for every column
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
