package delta

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/waybillhq/waybill/storage"
)

// Checkpoint writes a checkpoint of the table as it is now, so that readers
// need not go through the commits before. One is written every so many commits
// by itself: see [Options].
func (t *Table) Checkpoint(ctx context.Context) error {
	s, err := t.Snapshot(ctx)
	if err != nil || s.checkpoint == s.Version {
		return err
	}
	s, err = t.writeCheckpoint(ctx, s)
	if err == nil {
		t.keep(s)
	}
	return err
}

func (t *Table) writeCheckpoint(ctx context.Context, s *Snapshot) (*Snapshot, error) {
	actions := s.actions(t.opts.Now(), t.opts)
	text, err := encodeCheckpoint(actions)
	if err != nil {
		return nil, t.fail(errRows, "checkpoint: %w", err)
	}
	// Two who write the checkpoint of one version write the same table.
	if _, err := t.store.Put(ctx, t.key(checkpointName(s.Version)), bytes.NewReader(text), storage.PutOptions{}); err != nil {
		return nil, err
	}
	hint, err := json.Marshal(map[string]int64{"version": s.Version, "size": int64(len(actions)), "sizeInBytes": int64(len(text)), "numOfAddFiles": int64(len(s.files))})
	if err != nil {
		return nil, err
	}
	if _, err := t.store.Put(ctx, t.key(lastCheckpoint), bytes.NewReader(hint), storage.PutOptions{ContentType: "application/json"}); err != nil {
		return nil, err
	}
	with := *s
	with.checkpoint = s.Version
	return &with, nil
}

func (t *Table) readCheckpoint(ctx context.Context, version int64) (*Snapshot, error) {
	text, err := readObject(ctx, t.store, t.key(checkpointName(version)), storage.GetOptions{})
	if err != nil {
		return nil, err
	}
	s := emptySnapshot()
	s.Version, s.checkpoint = version, version
	actions, err := decodeCheckpoint(text)
	if err == nil {
		err = s.apply(actions)
	}
	if err != nil {
		return nil, t.fail(errCorrupt, "checkpoint %d: %w", version, err)
	}
	return s, nil
}

// nestedColumn is a column's values, and where they stand.
type nestedColumn struct {
	texts        []parquet.ByteArray
	longs        []int64
	ints         []int32
	bools        []bool
	levels, reps []int16
}

func (c *nestedColumn) add(value any, level, repetition int16) {
	c.levels, c.reps = append(c.levels, level), append(c.reps, repetition)
	switch v := value.(type) {
	case string:
		c.texts = append(c.texts, parquet.ByteArray(v))
	case int64:
		c.longs = append(c.longs, v)
	case int32:
		c.ints = append(c.ints, v)
	case bool:
		c.bools = append(c.bools, v)
	}
}

func (c *nestedColumn) write(w file.ColumnChunkWriter) (err error) {
	switch w := w.(type) {
	case *file.ByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(c.texts, c.levels, c.reps)
	case *file.Int64ColumnChunkWriter:
		_, err = w.WriteBatch(c.longs, c.levels, c.reps)
	case *file.Int32ColumnChunkWriter:
		_, err = w.WriteBatch(c.ints, c.levels, c.reps)
	case *file.BooleanColumnChunkWriter:
		_, err = w.WriteBatch(c.bools, c.levels, c.reps)
	default:
		err = fmt.Errorf("no writer for %s", w.Type())
	}
	return err
}

func encodeCheckpoint(actions []action) ([]byte, error) {
	root, err := checkpointSchema()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := file.NewParquetWriterWithError(&out, root, file.WithWriterProps(parquet.NewWriterProperties(
		parquet.WithCreatedBy("waybill version 1.0.0 (build arrow-go "+arrow.PkgVersion+")"),
		parquet.WithCompression(compress.Codecs.Snappy), parquet.WithDictionaryDefault(false), parquet.WithStats(false))))
	if err != nil {
		return nil, err
	}
	columns := checkpointData(actions)
	group := w.AppendRowGroup()
	for i := range w.Schema.NumColumns() {
		column, err := group.NextColumn()
		if err != nil {
			return nil, err
		}
		path := w.Schema.Column(i).Path()
		if err := columns[path].write(column); err != nil {
			return nil, fmt.Errorf("column %s: %w", path, err)
		}
		if err := column.Close(); err != nil {
			return nil, err
		}
	}
	if err := group.Close(); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

// checkpointData lays actions out in columns, by path. A level is how many of
// a value's optional and repeated parents, and itself, are there.
func checkpointData(actions []action) map[string]*nestedColumn {
	columns := map[string]*nestedColumn{}
	for _, l := range checkpointLeaves() {
		c, depth := &nestedColumn{}, int16(strings.Count(l.path, "."))
		columns[l.path] = c
		for i := range actions {
			switch value, set := l.get(&actions[i]); {
			case !set:
				c.add(nil, 0, 0)
			case value == nil:
				c.add(nil, depth, 0)
			default:
				c.add(value, depth+1, 0)
			}
		}
	}
	for _, p := range writtenPairs() {
		p.layOut(actions, columns)
	}
	return columns
}

func (p pairs) layOut(actions []action, columns map[string]*nestedColumn) {
	depth := int16(strings.Count(p.path, "."))
	keys, values := &nestedColumn{}, &nestedColumn{}
	inKey := depth + 2 // its parents, itself, and being repeated
	if p.list {
		columns[p.path+".list.element"] = keys
		inKey++ // an element is optional
	} else {
		columns[p.path+".key_value.key"], columns[p.path+".key_value.value"] = keys, values
	}
	for i := range actions {
		names, texts, set := p.get(&actions[i])
		empty := depth + 1
		if !set {
			empty = 0
		}
		if len(names) == 0 {
			keys.add(nil, empty, 0)
			values.add(nil, empty, 0)
		}
		for j, name := range names {
			repetition := int16(min(j, 1))
			keys.add(name, inKey, repetition)
			if v := texts[name]; v != nil {
				values.add(*v, depth+3, repetition)
			} else {
				values.add(nil, depth+2, repetition)
			}
		}
	}
}

// decodeCheckpoint reads a checkpoint, of whatever writer: columns that are
// not known are left out, those that are not there are NULL.
func decodeCheckpoint(text []byte) ([]action, error) {
	r, err := file.NewParquetReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // nothing was written
	var actions []action
	for g := range r.NumRowGroups() {
		group := r.RowGroup(g)
		rows := make([]action, group.NumRows())
		if err := readActions(group, rows); err != nil {
			return nil, err
		}
		actions = append(actions, rows...)
	}
	for _, a := range actions {
		if a.Add != nil && a.Add.PartitionValues == nil {
			a.Add.PartitionValues = map[string]*string{}
		}
		if a.Metadata != nil && a.Metadata.PartitionColumns == nil {
			a.Metadata.PartitionColumns = []string{}
		}
	}
	return actions, nil
}

func readActions(group *file.RowGroupReader, rows []action) error {
	for _, l := range checkpointLeaves() {
		c, err := readNested(group, func(path string) bool { return path == l.path })
		if err != nil {
			return fmt.Errorf("column %s: %w", l.path, err)
		}
		if c == nil {
			continue
		}
		for i := range rows {
			if value := c.next(); value != nil {
				if fmt.Sprintf("%T", value) != fmt.Sprintf("%T", l.like) {
					return fmt.Errorf("column %s is of %T", l.path, value)
				}
				l.set(&rows[i], value)
			}
		}
	}
	for _, p := range checkpointPairs() {
		if err := p.read(group, rows); err != nil {
			return fmt.Errorf("column %s: %w", p.path, err)
		}
	}
	return nil
}

// read reads a map or list. Writers name the groups within it differently.
func (p pairs) read(group *file.RowGroupReader, rows []action) error {
	within := func(suffix string) func(string) bool {
		return func(path string) bool {
			rest, ok := strings.CutPrefix(path, p.path+".")
			return ok && strings.HasSuffix("."+rest, suffix)
		}
	}
	suffix := ".key"
	if p.list {
		suffix = ""
	}
	keys, err := readNested(group, within(suffix))
	if err != nil || keys == nil {
		return err
	}
	values := keys
	if !p.list {
		if values, err = readNested(group, within(".value")); err != nil {
			return err
		}
		if values == nil || len(values.reps) != len(keys.reps) {
			return fmt.Errorf("keys and values are not of one number")
		}
	}
	row := -1
	for i := range keys.reps {
		if keys.reps[i] == 0 {
			row++
		}
		if row < 0 || row >= len(rows) {
			return fmt.Errorf("has more rows than its group")
		}
		key := keys.next()
		value := key
		if !p.list {
			value = values.next()
		}
		if name, ok := key.(string); ok {
			var text *string
			if v, ok := value.(string); ok {
				text = &v
			}
			p.set(&rows[row], name, text)
		}
	}
	return nil
}

// readColumn is a column that was read, to be taken value by value.
type readColumn struct {
	levels, reps []int16
	deepest      int16
	value        func(i int) any
	at, taken    int
}

// next is the next value, nil where there is none.
func (c *readColumn) next() any {
	level := c.levels[c.at]
	c.at++
	if level < c.deepest {
		return nil
	}
	c.taken++
	return c.value(c.taken - 1)
}

// readNested reads the column whose path is wanted; nil: there is none.
func readNested(group *file.RowGroupReader, wanted func(path string) bool) (*readColumn, error) {
	schema := group.MetaData().Schema
	for i := range schema.NumColumns() {
		if !wanted(schema.Column(i).Path()) {
			continue
		}
		column, err := group.Column(i)
		if err != nil {
			return nil, err
		}
		switch r := column.(type) {
		case *file.ByteArrayColumnChunkReader:
			return readLevels(r, r.ReadBatch, func(v parquet.ByteArray) any { return string(v) })
		case *file.Int64ColumnChunkReader:
			return readLevels(r, r.ReadBatch, func(v int64) any { return v })
		case *file.Int32ColumnChunkReader:
			return readLevels(r, r.ReadBatch, func(v int32) any { return v })
		case *file.BooleanColumnChunkReader:
			return readLevels(r, r.ReadBatch, func(v bool) any { return v })
		}
		return nil, fmt.Errorf("is of %s", column.Type())
	}
	return nil, nil
}

func readLevels[T any](r file.ColumnChunkReader, read readBatch[T], as func(T) any) (*readColumn, error) {
	c := &readColumn{deepest: r.Descriptor().MaxDefinitionLevel()}
	var all []T
	values, levels, reps := make([]T, batchRows), make([]int16, batchRows), make([]int16, batchRows)
	for r.HasNext() {
		total, n, err := read(batchRows, values, levels, reps)
		if err != nil {
			return nil, err
		}
		if total == 0 {
			break
		}
		if c.deepest == 0 {
			clear(levels[:total])
		}
		if r.Descriptor().MaxRepetitionLevel() == 0 {
			clear(reps[:total])
		}
		c.levels, c.reps = append(c.levels, levels[:total]...), append(c.reps, reps[:total]...)
		all = append(all, values[:n]...)
	}
	c.value = func(i int) any { return as(all[i]) }
	return c, r.Err()
}
