package delta

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// Row is a row of one of the small tables about workflows, by column name:
// string, int64, float64, bool or time.Time (of microseconds, UTC); a column
// that is absent or nil is NULL.
type Row map[string]any

// Rows reads a small table whole, its files by name, each in its order.
func (t *Table) Rows(ctx context.Context, s *Snapshot) ([]Row, error) {
	var rows []Row
	for _, a := range s.Files() {
		more, err := t.rowsOf(ctx, s, a)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

func (t *Table) rowsOf(ctx context.Context, s *Snapshot, a Add) ([]Row, error) {
	r, err := t.openFile(ctx, a)
	if err != nil {
		return nil, err
	}
	defer r.Close() // nothing was written
	rows := make([]Row, 0, r.NumRows())
	for g := range r.NumRowGroups() {
		group := r.RowGroup(g)
		first := len(rows)
		for range group.NumRows() {
			rows = append(rows, Row{})
		}
		for _, f := range s.fields {
			if err := readCells(group, f, rows[first:]); err != nil {
				return nil, t.fail(errCorrupt, "%s: column %s: %w", a.Path, f.Name, err)
			}
		}
	}
	return rows, nil
}

func readCells(group *file.RowGroupReader, f field, rows []Row) error {
	at := columnIndex(group, f.Name)
	if at < 0 {
		return nil
	}
	column, err := group.Column(at)
	if err != nil {
		return err
	}
	switch r := column.(type) {
	case *file.ByteArrayColumnChunkReader:
		return fillCells(r, r.ReadBatch, f, rows, func(v parquet.ByteArray) any { return string(v) })
	case *file.Float64ColumnChunkReader:
		return fillCells(r, r.ReadBatch, f, rows, func(v float64) any { return v })
	case *file.BooleanColumnChunkReader:
		return fillCells(r, r.ReadBatch, f, rows, func(v bool) any { return v })
	case *file.Int64ColumnChunkReader:
		return fillCells(r, r.ReadBatch, f, rows, func(v int64) any {
			if f.Type == "timestamp" {
				return time.UnixMicro(v).UTC()
			}
			return v
		})
	}
	return fmt.Errorf("is of %s", column.Type())
}

func fillCells[T any](r file.ColumnChunkReader, read readBatch[T], f field, rows []Row, as func(T) any) error {
	return eachBatch(r, read, int64(len(rows)), func(values []T, levels []int16) error {
		for i, level := range levels {
			if level == 1 {
				rows[i][f.Name] = as(values[0])
				values = values[1:]
			}
		}
		rows = rows[len(levels):]
		return nil
	})
}

// addRows appends rows to a file.
func (w *fileWriter) addRows(rows []Row) error {
	for _, row := range rows {
		for name := range row {
			if !slices.ContainsFunc(w.fields, func(f field) bool { return f.Name == name }) {
				return fmt.Errorf("there is no column %s", name)
			}
		}
	}
	group, err := w.begin(int64(len(rows)))
	if err != nil {
		return err
	}
	for i, f := range w.fields {
		out, err := group.Column(i)
		if err != nil {
			return err
		}
		if err := writeCells(out, f, rows); err != nil {
			return fmt.Errorf("column %s: %w", f.Name, err)
		}
	}
	return nil
}

func writeCells(w file.ColumnChunkWriter, f field, rows []Row) error {
	switch w := w.(type) {
	case *file.ByteArrayColumnChunkWriter:
		return takeCells(w.WriteBatch, f, rows, func(v string) parquet.ByteArray { return parquet.ByteArray(v) })
	case *file.Float64ColumnChunkWriter:
		return takeCells(w.WriteBatch, f, rows, func(v float64) float64 { return v })
	case *file.BooleanColumnChunkWriter:
		return takeCells(w.WriteBatch, f, rows, func(v bool) bool { return v })
	case *file.Int64ColumnChunkWriter:
		if f.Type == "timestamp" {
			return takeCells(w.WriteBatch, f, rows, time.Time.UnixMicro)
		}
		return takeCells(w.WriteBatch, f, rows, func(v int64) int64 { return v })
	}
	return fmt.Errorf("%v is not a type of rows", f.Type)
}

func takeCells[V, T any](write writeBatch[T], f field, rows []Row, as func(V) T) error {
	var values []T
	levels := make([]int16, len(rows))
	for i, row := range rows {
		switch v := row[f.Name].(type) {
		case nil:
		case V:
			values, levels[i] = append(values, as(v)), 1
		default:
			return fmt.Errorf("row %d has a %T", i, v)
		}
	}
	_, err := write(values, levels, nil)
	return err
}

// Upsert writes rows of a small table, in one commit: a row with the values of the key
// columns of an old one takes its place. Rows that are there as they are given
// are not written again.
func (t *Table) Upsert(ctx context.Context, key []string, rows []Row) (Committed, error) {
	return t.commit(ctx, func(ctx context.Context, s *Snapshot) (*change, error) {
		if s.Version < 0 {
			return nil, t.fail(ErrNoTable, "nothing can be written")
		}
		fresh := map[string]Row{}
		for _, row := range rows {
			fresh[keyOf(row, key)] = normal(row)
		}
		var actions []action
		for _, a := range s.Files() {
			more, err := t.yield(ctx, s, a, key, fresh)
			if err != nil {
				return nil, err
			}
			actions = append(actions, more...)
		}
		left := slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return fresh[keyOf(r, key)] == nil })
		if len(left) == 0 {
			return nil, nil
		}
		file, err := t.rowFile(ctx, s, "", left)
		if err != nil {
			return nil, err
		}
		return &change{CommitInfo{Operation: "MERGE", OperationParameters: map[string]string{"matchedOn": strings.Join(key, ", ")}},
			append(actions, file.add(true))}, nil
	})
}

// DeleteRows takes the rows with a value in a text column out of a small
// table, in one commit. Older versions have them until [Table.Scrub].
func (t *Table) DeleteRows(ctx context.Context, column, value string) (Committed, error) {
	return t.commit(ctx, func(ctx context.Context, s *Snapshot) (*change, error) {
		var actions []action
		for _, a := range s.Files() {
			if !mayHold(a, []string{column}, map[string]Row{"": {column: value}}) {
				continue
			}
			rows, err := t.rowsOf(ctx, s, a)
			if err != nil {
				return nil, err
			}
			kept := slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r[column] == value })
			more, err := t.keepRows(ctx, s, a, kept, len(rows))
			if err != nil {
				return nil, err
			}
			actions = append(actions, more...)
		}
		if len(actions) == 0 {
			return nil, nil
		}
		return &change{CommitInfo{Operation: "DELETE", OperationParameters: map[string]string{"predicate": fmt.Sprintf("%s = '%s'", column, value)}}, actions}, nil
	})
}

// keepRows are the actions that leave only some of a file's rows.
func (t *Table) keepRows(ctx context.Context, s *Snapshot, a Add, kept []Row, of int) ([]action, error) {
	if len(kept) == of {
		return nil, nil
	}
	actions := []action{a.gone(t.opts.Now(), true)}
	if len(kept) > 0 {
		file, err := t.rowFile(ctx, s, a.Path, kept)
		if err != nil {
			return nil, err
		}
		actions = append(actions, file.add(true))
	}
	return actions, nil
}

// AppendRows adds rows to a small table, once for each version of an application.
func (t *Table) AppendRows(ctx context.Context, app string, version int64, rows []Row) (Committed, error) {
	return t.commit(ctx, func(ctx context.Context, s *Snapshot) (*change, error) {
		if s.Version < 0 {
			return nil, t.fail(ErrNoTable, "nothing can be written")
		}
		if stored, ok := s.Txn(app); ok && stored >= version {
			return nil, nil
		}
		c := &change{info: CommitInfo{Operation: "WRITE", IsBlindAppend: true, OperationParameters: map[string]string{"mode": "Append", "partitionBy": "[]"}},
			actions: []action{{Txn: &Txn{AppID: app, Version: version, LastUpdated: t.opts.Now().UnixMilli()}}}}
		if len(rows) > 0 {
			file, err := t.rowFile(ctx, s, "", rows)
			if err != nil {
				return nil, err
			}
			c.actions = append(c.actions, file.add(true))
		}
		return c, nil
	})
}

// rowFile writes rows to a file that is named by them and by what they follow,
// and by the file that they were taken from, if any: of two writers who both
// want to be next, neither puts its rows into the other's file.
func (t *Table) rowFile(ctx context.Context, s *Snapshot, from string, rows []Row) (DataFile, error) {
	var all strings.Builder
	all.WriteString(from)
	for _, row := range rows {
		all.WriteString(keyOf(row, s.Columns()))
	}
	name := fmt.Sprintf("rows-%d-%s.parquet", s.Version+1, digest(all.String()))
	return t.rewrite(ctx, s, name, func(w *fileWriter) error { return w.addRows(rows) })
}

// yield makes room in one file for fresh rows: its rows of their keys go,
// but for those that are equal, which leave the fresh ones.
func (t *Table) yield(ctx context.Context, s *Snapshot, a Add, key []string, fresh map[string]Row) ([]action, error) {
	if !mayHold(a, key, fresh) {
		return nil, nil
	}
	rows, err := t.rowsOf(ctx, s, a)
	if err != nil {
		return nil, err
	}
	var kept []Row
	for _, row := range rows {
		k := keyOf(row, key)
		switch other := fresh[k]; {
		case other == nil:
			kept = append(kept, row)
		case keyOf(other, s.Columns()) == keyOf(row, s.Columns()):
			kept = append(kept, row)
			delete(fresh, k)
		}
	}
	return t.keepRows(ctx, s, a, kept, len(rows))
}

// mayHold tells from a file's statistics whether it may have a row of one of the keys.
func mayHold(a Add, key []string, fresh map[string]Row) bool {
	stats, ok := a.Statistics()
	if !ok {
		return true
	}
	for row := range maps.Values(fresh) {
		possible := true
		for _, column := range key {
			value, isText := row[column].(string)
			low, hasLow := stats.MinValues[column].(string)
			high, hasHigh := stats.MaxValues[column].(string)
			if isText && hasLow && hasHigh && (value < low || value > high) {
				possible = false
			}
		}
		if possible {
			return true
		}
	}
	return false
}

// keyOf writes the values of some of a row's columns.
func keyOf(row Row, columns []string) string {
	var b strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&b, "%T %q\n", row[c], fmt.Sprint(normalValue(row[c])))
	}
	return b.String()
}

func normal(row Row) Row {
	out := Row{}
	for name, value := range row {
		out[name] = normalValue(value)
	}
	return out
}

// normalValue is a value as it is read back.
func normalValue(v any) any {
	if at, ok := v.(time.Time); ok {
		return at.UTC().Truncate(time.Microsecond)
	}
	return v
}
