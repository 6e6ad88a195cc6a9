package formats

import (
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/file"
)

// columnWriter writes one column, row group by row group.
type columnWriter struct {
	position   int                    // of the column in a batch
	chunk      file.ColumnChunkWriter // of the row group under way
	dictionary *dictionary            // nil: it never had one
	values     int                    // of the batch under way that are written
}

func (w *columnWriter) do(step columnStep) error {
	switch {
	case step.writer != nil:
		w.begin(step.writer)
		return nil
	case step.flush:
		return w.flush()
	}
	if step.from == 0 {
		w.values = 0
	}
	c := &step.batch.columns[w.position]
	levels, end := c.levels[step.from:step.to], w.values
	for _, level := range levels {
		end += int(level)
	}
	if err := w.write(c, levels, w.values, end); err != nil {
		return err
	}
	if w.values = end; step.last {
		step.batch.release()
	}
	return nil
}

// begin begins a row group.
func (w *columnWriter) begin(chunk file.ColumnChunkWriter) {
	w.chunk = chunk
	if !chunk.Properties().DictionaryEnabledFor(chunk.Descr().Path()) {
		return
	}
	if w.dictionary == nil {
		w.dictionary = newDictionary()
	}
	w.dictionary.reset()
	if w.dictionary.given {
		chunk.FallbackToPlain()
	}
}

// write takes rows and their values, and gives a dictionary up that they do
// not fit.
func (w *columnWriter) write(c *column, levels []int16, first, end int) error {
	if d := w.dictionary; d != nil && !d.given {
		if d.add(c, levels, first, end) {
			return nil
		}
		if err := d.writePlain(w.chunk); err != nil {
			return err
		}
	}
	return writeColumn(w.chunk, c, levels, first, end)
}

// flush compresses the column's last page, which closing the row group would
// do for one column after the other.
func (w *columnWriter) flush() error {
	if d := w.dictionary; d != nil && !d.given {
		return d.write(w.chunk)
	}
	p, ok := w.chunk.(interface {
		FlushCurrentPage() error
		EstimatedBufferedValueBytes() int64
	})
	if !ok || p.EstimatedBufferedValueBytes() == 0 {
		return nil // the library cannot take an empty page
	}
	return p.FlushCurrentPage()
}

// writeColumn writes rows and their values as they are.
func writeColumn(w file.ColumnChunkWriter, c *column, levels []int16, first, end int) (err error) {
	switch w := w.(type) {
	case *file.ByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(c.text[first:end], levels, nil)
	case *file.FixedLenByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(c.fixed[first:end], levels, nil)
	case *file.Float64ColumnChunkWriter:
		_, err = w.WriteBatch(c.floats[first:end], levels, nil)
	case *file.BooleanColumnChunkWriter:
		_, err = w.WriteBatch(c.bools[first:end], levels, nil)
	case *file.Int32ColumnChunkWriter:
		_, err = w.WriteBatch(c.days[first:end], levels, nil)
	case *file.Int64ColumnChunkWriter:
		_, err = w.WriteBatch(c.micros[first:end], levels, nil)
	default:
		err = fmt.Errorf("no writer for %s", w.Type())
	}
	return err
}
