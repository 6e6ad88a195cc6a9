package delta

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/storage"
)

// digest is what stands for a text in a file's name.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// openFile reads a data file into memory: those that are read are small, or
// were made by a compaction, which bounds them.
func (t *Table) openFile(ctx context.Context, a Add) (*file.Reader, error) {
	key, err := t.Key(a)
	if err != nil {
		return nil, err
	}
	text, err := readObject(ctx, t.store, key, storage.GetOptions{})
	if err != nil {
		return nil, t.missing(err, ErrMissingFile, a.Path)
	}
	r, err := file.NewParquetReader(bytes.NewReader(text))
	if err != nil {
		return nil, t.fail(errCorrupt, "%s: %w", a.Path, err)
	}
	return r, nil
}

// rewrite puts a data file below the table, with the rows that fill writes.
// Its name is derived from what is in it, so that a repetition puts it again.
func (t *Table) rewrite(ctx context.Context, s *Snapshot, name string, fill func(w *fileWriter) error) (DataFile, error) {
	return t.writeFile(ctx, s.fields, name, fill)
}

// PutArrow puts Arrow data as a data file below the table, which need not be
// there yet: see [formats.WriteArrow]. The file is in memory until it is whole.
func (t *Table) PutArrow(ctx context.Context, name string, columns []waybill.Column, batches []arrow.RecordBatch) (DataFile, error) {
	var out bytes.Buffer
	if err := formats.WriteArrow(ctx, &out, columns, batches); err != nil {
		return DataFile{}, t.fail(errRows, "%s: %w", name, err)
	}
	return t.putFile(ctx, name, out.Bytes(), fieldsOf(columns))
}

func (t *Table) writeFile(ctx context.Context, fields []field, name string, fill func(w *fileWriter) error) (DataFile, error) {
	w, err := newFileWriter(fields)
	if err != nil {
		return DataFile{}, t.fail(errUnsupported, "%w", err)
	}
	if err := fill(w); err != nil {
		if _, known := errors.AsType[*waybill.Failure](err); known {
			return DataFile{}, err
		}
		return DataFile{}, t.fail(errRows, "%s: %w", name, err)
	}
	text, err := w.close()
	if err != nil {
		return DataFile{}, t.fail(errRows, "%s: %w", name, err)
	}
	return t.putFile(ctx, name, text, fields)
}

// putFile puts a data file below the table, and describes it as it is in memory.
func (t *Table) putFile(ctx context.Context, name string, text []byte, fields []field) (DataFile, error) {
	object, err := t.store.Put(ctx, t.key(name), bytes.NewReader(text), storage.PutOptions{ContentType: "application/vnd.apache.parquet"})
	if err != nil {
		return DataFile{}, err
	}
	if object.Modified.IsZero() { // some stores do not say
		object.Modified = t.opts.Now()
	}
	return t.describe(name, object, bytes.NewReader(text), fields)
}
