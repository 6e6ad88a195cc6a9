package delta

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/waybillhq/waybill/storage"
)

// FileName is the name of a delivery's data file below its table: who wrote
// it, in which generation and attempt, and which part it is. No two attempts
// write one name.
func FileName(delivery string, generation int, fence int64, part int) string {
	return fmt.Sprintf("%s-%d-%d-%05d.parquet", delivery, generation, fence, part)
}

// DataFile is a Parquet file below a table that is not yet, or no longer, part of it.
type DataFile struct {
	Name     string           `json:"name"`
	Size     int64            `json:"size"` // bytes
	Modified int64            `json:"modified"`
	Rows     int64            `json:"rows"`
	NonNull  map[string]int64 `json:"nonNull"` // values by column, NULLs left out
	Stats    string           `json:"stats"`   // as the log has them
}

func (f DataFile) add(dataChange bool) action {
	return action{Add: &Add{Path: f.Name, PartitionValues: map[string]*string{}, Size: f.Size,
		ModificationTime: f.Modified, DataChange: dataChange, Stats: f.Stats}}
}

// Describe reads back a Parquet file that was put below the table: its rows,
// and the statistics by which readers skip it. Its columns must be the
// table's, in order.
func (t *Table) Describe(ctx context.Context, name string) (DataFile, error) {
	s, err := t.Snapshot(ctx)
	if err != nil {
		return DataFile{}, err
	}
	object, err := t.store.Stat(ctx, t.key(name))
	if err != nil {
		return DataFile{}, t.missing(err, ErrMissingFile, name)
	}
	r := &objectReader{ctx: ctx, store: t.store, object: object}
	return t.describe(name, object, r, s.fields)
}

func (t *Table) describe(name string, object storage.Object, r readerAt, fields []field) (DataFile, error) {
	parquet, err := file.NewParquetReader(r)
	if err != nil {
		return DataFile{}, t.unreadable(name, r, err)
	}
	defer parquet.Close() //nolint:errcheck // nothing was written
	f, err := readFooter(parquet, fields)
	if err != nil {
		return DataFile{}, t.fail(ErrSchema, "%s: %w", name, err)
	}
	return DataFile{Name: name, Size: object.Size, Modified: object.Modified.UnixMilli(), Rows: f.rows, NonNull: f.nonNull, Stats: f.stats.text()}, nil
}

// unreadable tells a fault of the store, which the reader keeps, from a file
// that is none.
func (t *Table) unreadable(name string, r readerAt, err error) error {
	if o, ok := r.(*objectReader); ok && o.err != nil {
		return o.err
	}
	return t.fail(errCorrupt, "%s: %w", name, err)
}

type readerAt interface {
	io.ReaderAt
	io.Seeker
}

// tailBytes is what is read of a file at once: its footer, nearly always.
const tailBytes = 128 << 10

// objectReader reads an object in ranges, the last of its bytes first, which
// are kept.
type objectReader struct {
	ctx    context.Context
	store  storage.Store
	object storage.Object
	at     int64 // of Seek
	tail   []byte
	err    error // the store's first
}

func (r *objectReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		r.at = offset
	case io.SeekCurrent:
		r.at += offset
	case io.SeekEnd:
		r.at = r.object.Size + offset
	}
	return r.at, nil
}

func (r *objectReader) ReadAt(p []byte, offset int64) (int, error) {
	start := max(0, r.object.Size-tailBytes)
	if offset < start {
		b, err := r.get(offset, int64(len(p)))
		return copy(p, b), err
	}
	if r.tail == nil {
		b, err := r.get(start, r.object.Size-start)
		if err != nil {
			return 0, err
		}
		r.tail = b
	}
	n := copy(p, r.tail[min(offset-start, int64(len(r.tail))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *objectReader) get(offset, length int64) ([]byte, error) {
	b, err := readObject(r.ctx, r.store, r.object.Key, storage.GetOptions{Offset: offset, Length: length, IfMatch: r.object.ETag})
	if err == nil && int64(len(b)) < length {
		err = io.ErrUnexpectedEOF
	}
	if r.err == nil {
		r.err = err
	}
	return b, err
}

// readObject reads an object, or a range of it, into memory.
func readObject(ctx context.Context, store storage.Store, key string, opts storage.GetOptions) ([]byte, error) {
	r, object, err := store.Get(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if opts.Length == 0 {
		out.Grow(int(object.Size) + bytes.MinRead)
	} else {
		out.Grow(int(opts.Length) + bytes.MinRead)
	}
	_, err = out.ReadFrom(r)
	if closed := r.Close(); err == nil {
		err = closed
	}
	return out.Bytes(), err
}
