package delta

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// Row groups of files that are written anew.
const (
	groupRows = 1 << 20
	batchRows = 8 << 10
)

// fileWriter writes a data file into memory, column by column.
type fileWriter struct {
	fields []field
	out    bytes.Buffer
	writer *file.Writer
	group  file.BufferedRowGroupWriter
	rows   int64 // of the group
	total  int64
}

func newFileWriter(fields []field) (*fileWriter, error) {
	root, err := parquetRoot(fields)
	if err != nil {
		return nil, err
	}
	w := &fileWriter{fields: fields}
	w.writer, err = file.NewParquetWriterWithError(&w.out, root, file.WithWriterProps(parquet.NewWriterProperties(
		parquet.WithVersion(parquet.V2_LATEST),
		parquet.WithCreatedBy("waybill version 1.0.0 (build arrow-go "+arrow.PkgVersion+")"),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithMaxStatsSize(512),
	)))
	return w, err
}

// begin makes room for so many rows and returns the writers of their columns.
func (w *fileWriter) begin(rows int64) (file.BufferedRowGroupWriter, error) {
	if w.group != nil && w.rows+rows > groupRows {
		if err := w.endGroup(); err != nil {
			return nil, err
		}
	}
	if w.group == nil {
		group, err := w.writer.AppendBufferedRowGroupChecked()
		if err != nil {
			return nil, err
		}
		w.group = group
	}
	w.rows += rows
	w.total += rows
	return w.group, nil
}

func (w *fileWriter) endGroup() error {
	group := w.group
	w.group, w.rows = nil, 0
	return group.Close()
}

func (w *fileWriter) close() ([]byte, error) {
	if w.group != nil {
		if err := w.endGroup(); err != nil {
			return nil, err
		}
	}
	if err := w.writer.Close(); err != nil {
		return nil, err
	}
	return w.out.Bytes(), nil
}

// copyRows appends the rows of a file for which keep is true; nil: all. Columns are
// found by name; those that the file lacks are NULL.
func (w *fileWriter) copyRows(r *file.Reader, keep []bool) error {
	first := int64(0)
	for g := range r.NumRowGroups() {
		group := r.RowGroup(g)
		var mask []bool
		rows := group.NumRows()
		if keep != nil {
			mask = keep[first : first+rows]
			first += rows
			rows = kept(mask)
		}
		if rows == 0 {
			continue
		}
		if err := w.copyGroup(group, mask, rows); err != nil {
			return err
		}
	}
	return nil
}

func kept(mask []bool) (n int64) {
	for _, keep := range mask {
		if keep {
			n++
		}
	}
	return n
}

func (w *fileWriter) copyGroup(from *file.RowGroupReader, mask []bool, rows int64) error {
	to, err := w.begin(rows)
	if err != nil {
		return err
	}
	for i, f := range w.fields {
		out, err := to.Column(i)
		if err != nil {
			return err
		}
		at := columnIndex(from, f.Name)
		if at < 0 {
			err = writeNulls(out, rows)
		} else {
			var in file.ColumnChunkReader
			if in, err = from.Column(at); err == nil {
				err = copyColumn(in, out, from.NumRows(), mask)
			}
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", f.Name, err)
		}
	}
	return nil
}

func columnIndex(g *file.RowGroupReader, name string) int {
	schema := g.MetaData().Schema
	for i := range schema.NumColumns() {
		if schema.Column(i).Name() == name {
			return i
		}
	}
	return -1
}

func copyColumn(in file.ColumnChunkReader, out file.ColumnChunkWriter, rows int64, mask []bool) error {
	switch out := out.(type) {
	case *file.ByteArrayColumnChunkWriter:
		if in, ok := in.(*file.ByteArrayColumnChunkReader); ok {
			return copyValues(in, in.ReadBatch, out.WriteBatch, rows, mask)
		}
	case *file.FixedLenByteArrayColumnChunkWriter:
		if in, ok := in.(*file.FixedLenByteArrayColumnChunkReader); ok {
			return copyValues(in, in.ReadBatch, out.WriteBatch, rows, mask)
		}
	case *file.Float64ColumnChunkWriter:
		if in, ok := in.(*file.Float64ColumnChunkReader); ok {
			return copyValues(in, in.ReadBatch, out.WriteBatch, rows, mask)
		}
	case *file.BooleanColumnChunkWriter:
		if in, ok := in.(*file.BooleanColumnChunkReader); ok {
			return copyValues(in, in.ReadBatch, out.WriteBatch, rows, mask)
		}
	case *file.Int32ColumnChunkWriter:
		if in, ok := in.(*file.Int32ColumnChunkReader); ok {
			return copyValues(in, in.ReadBatch, out.WriteBatch, rows, mask)
		}
	case *file.Int64ColumnChunkWriter:
		if in, ok := in.(*file.Int64ColumnChunkReader); ok {
			return copyValues(in, in.ReadBatch, out.WriteBatch, rows, mask)
		}
	}
	return fmt.Errorf("is %s in the file and %s in the table", in.Type(), out.Type())
}

type (
	readBatch[T any]  func(batch int64, values []T, levels, repetitions []int16) (total int64, read int, err error)
	writeBatch[T any] func(values []T, levels, repetitions []int16) (int64, error)
)

// eachBatch reads a column's rows: values holds those that are not NULL,
// levels 1 for each of them and 0 for each NULL.
func eachBatch[T any](r file.ColumnChunkReader, read readBatch[T], rows int64, f func(values []T, levels []int16) error) error {
	deepest := r.Descriptor().MaxDefinitionLevel()
	if deepest > 1 || r.Descriptor().MaxRepetitionLevel() > 0 {
		return fmt.Errorf("is nested")
	}
	values, levels := make([]T, batchRows), make([]int16, batchRows)
	for done := int64(0); done < rows; {
		total, n, err := read(min(batchRows, rows-done), values, levels, nil)
		if err != nil {
			return err
		}
		if total == 0 {
			return fmt.Errorf("ends after %d of %d rows", done, rows)
		}
		if deepest == 0 { // a column that cannot be NULL has no levels
			for i := range total {
				levels[i] = 1
			}
		}
		if err := f(values[:n], levels[:total]); err != nil {
			return err
		}
		done += total
	}
	return nil
}

func copyValues[T any](r file.ColumnChunkReader, read readBatch[T], write writeBatch[T], rows int64, mask []bool) error {
	return eachBatch(r, read, rows, func(values []T, levels []int16) error {
		if mask != nil {
			n := len(levels)
			values, levels = masked(values, levels, mask[:n])
			mask = mask[n:]
		}
		_, err := write(values, levels, nil)
		return err
	})
}

func masked[T any](values []T, levels []int16, mask []bool) ([]T, []int16) {
	keptValues, keptLevels := values[:0], levels[:0]
	next := 0
	for i, level := range levels {
		if mask[i] {
			keptLevels = append(keptLevels, level)
			keptValues = append(keptValues, values[next:next+int(level)]...)
		}
		next += int(level)
	}
	return keptValues, keptLevels
}

func writeNulls(w file.ColumnChunkWriter, rows int64) error {
	levels := make([]int16, rows)
	var err error
	switch w := w.(type) {
	case *file.ByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(nil, levels, nil)
	case *file.FixedLenByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(nil, levels, nil)
	case *file.Float64ColumnChunkWriter:
		_, err = w.WriteBatch(nil, levels, nil)
	case *file.BooleanColumnChunkWriter:
		_, err = w.WriteBatch(nil, levels, nil)
	case *file.Int32ColumnChunkWriter:
		_, err = w.WriteBatch(nil, levels, nil)
	case *file.Int64ColumnChunkWriter:
		_, err = w.WriteBatch(nil, levels, nil)
	}
	return err
}

// texts reads a text column: nil is NULL.
func texts(r *file.Reader, name string) ([]*string, error) {
	var out []*string
	for g := range r.NumRowGroups() {
		group := r.RowGroup(g)
		at := columnIndex(group, name)
		if at < 0 {
			out = append(out, make([]*string, group.NumRows())...)
			continue
		}
		column, err := group.Column(at)
		if err != nil {
			return nil, err
		}
		chunk, ok := column.(*file.ByteArrayColumnChunkReader)
		if !ok {
			return nil, fmt.Errorf("column %s is %s, no text", name, column.Type())
		}
		err = eachBatch(chunk, chunk.ReadBatch, group.NumRows(), func(values []parquet.ByteArray, levels []int16) error {
			out = slices.Grow(out, len(levels))
			for _, level := range levels {
				if level == 0 {
					out = append(out, nil)
					continue
				}
				text := string(values[0])
				out, values = append(out, &text), values[1:]
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
