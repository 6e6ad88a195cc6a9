package delta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
)

// Definition is what a table is to be.
type Definition struct {
	Name    string
	Comment string
	Columns []waybill.Column
	// Configuration of ours, beside Delta's own.
	Configuration map[string]string
}

// metadata is the definition as an action. A table that is there keeps its identity.
func (t *Table) metadata(d Definition, was Metadata) Metadata {
	m := Metadata{ID: was.ID, Name: d.Name, Description: d.Comment, Format: Format{Provider: "parquet", Options: map[string]string{}},
		SchemaString: schemaString(d.Columns), PartitionColumns: []string{}, CreatedTime: was.CreatedTime,
		Configuration: map[string]string{
			"delta.enableDeletionVectors":           "false",
			"delta.checkpointInterval":              fmt.Sprint(t.opts.CheckpointEvery),
			"delta.logRetentionDuration":            interval(t.opts.LogRetention),
			"delta.deletedFileRetentionDuration":    interval(t.opts.FileRetention),
			"delta.setTransactionRetentionDuration": interval(t.opts.TxnRetention),
		}}
	maps.Copy(m.Configuration, d.Configuration)
	if m.ID == "" {
		m.ID, m.CreatedTime = t.opts.NewID(), t.opts.Now().UnixMilli()
	}
	return m
}

func interval(d time.Duration) string { return fmt.Sprintf("interval %d seconds", int64(d.Seconds())) }

// Create makes the table, or finds it made, with the very columns.
func (t *Table) Create(ctx context.Context, d Definition) (Committed, error) {
	return t.commit(ctx, func(_ context.Context, s *Snapshot) (*change, error) {
		if s.Version >= 0 {
			return nil, t.fits(s, d.Columns)
		}
		m := t.metadata(d, Metadata{})
		return &change{CommitInfo{Operation: "CREATE TABLE", OperationParameters: map[string]string{"description": d.Comment}},
			[]action{{Protocol: &Protocol{MinReaderVersion: 1, MinWriterVersion: 2}}, {Metadata: &m}}}, nil
	})
}

func (t *Table) fits(s *Snapshot, columns []waybill.Column) error {
	if columnsDigest(s.fields) != columnsDigest(fieldsOf(columns)) {
		return t.fail(ErrSchema, "they are %s", s.Metadata.SchemaString)
	}
	return nil
}

// Load is one delivery's part of a table.
type Load struct {
	Delivery   string
	Generation int
	// Fence of the attempt. Where it is not 0, an attempt with a lower one is
	// refused from then on, with [ErrSuperseded].
	Fence int64
	JobID string     // whose rows they are
	Files []DataFile // as [Table.Describe] gave them
}

// fenceApp is the application whose version is the highest fence that wrote.
const fenceApp = "waybill:fence"

// admit refuses an attempt that is not the newest, and tells whether the
// generation's change is made already.
func (l Load) admit(t *Table, s *Snapshot) (done bool, err error) {
	if err := t.newestAttempt(s, l.Fence); err != nil {
		return false, err
	}
	stored, ok := s.Txn(l.Delivery)
	return ok && stored >= int64(l.Generation), nil
}

// newestAttempt refuses an attempt that is not the newest.
func (t *Table) newestAttempt(s *Snapshot, mine int64) error {
	if fence, ok := s.Txn(fenceApp); ok && mine != 0 && fence > mine {
		return t.fail(ErrSuperseded, "fence %d is behind %d", mine, fence)
	}
	return nil
}

// progress are the txn actions that tell the load was made.
func (l Load) progress(t *Table, s *Snapshot) []action {
	now := t.opts.Now().UnixMilli()
	var actions []action
	if fence, ok := s.Txn(fenceApp); l.Fence != 0 && (!ok || fence < l.Fence) {
		actions = append(actions, action{Txn: &Txn{AppID: fenceApp, Version: l.Fence, LastUpdated: now}})
	}
	return append(actions, action{Txn: &Txn{AppID: l.Delivery, Version: int64(l.Generation), LastUpdated: now}})
}

// adds are the load's files as actions; those without rows are left out.
func (l Load) adds() (actions []action) {
	for _, f := range l.Files {
		if f.Rows > 0 {
			actions = append(actions, f.add(true))
		}
	}
	return actions
}

// take refuses files whose columns are not the table's.
func (t *Table) take(s *Snapshot, files []DataFile) error {
	columns := columnsDigest(s.fields)
	for _, f := range files {
		if f.Columns != columns {
			return t.fail(ErrSchema, "those of %s are not %s", f.Name, s.Metadata.SchemaString)
		}
	}
	return nil
}

// there refuses files that are not where they were put: a file may wait so
// long for its commit that it was swept away.
func (t *Table) there(ctx context.Context, files []DataFile) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, f := range files {
		group.Go(func() error {
			object, err := t.store.Stat(ctx, t.key(f.Name))
			if err == nil && object.Size != f.Size {
				err = t.fail(ErrMissingFile, "%s has %d bytes, not %d", f.Name, object.Size, f.Size)
			}
			return t.missing(err, ErrMissingFile, f.Name)
		})
	}
	return group.Wait()
}

// Append adds a load's files, once: an application that has come as far
// already is not followed again.
func (t *Table) Append(ctx context.Context, l Load) (Committed, error) {
	return t.load(ctx, l, func(context.Context, *Snapshot) (*change, error) {
		return &change{info: CommitInfo{Operation: "WRITE", IsBlindAppend: true,
			OperationParameters: map[string]string{"mode": "Append", "partitionBy": "[]"}}}, nil
	})
}

// Replace makes a load's files the only rows of its job, in one commit: what
// another generation brought goes. Files that hold other jobs' rows as well
// are written anew without the job's.
func (t *Table) Replace(ctx context.Context, l Load) (Committed, error) {
	return t.load(ctx, l, func(ctx context.Context, s *Snapshot) (*change, error) {
		old, err := t.jobRows(ctx, s, l)
		if err != nil {
			return nil, err
		}
		_, known := s.Txn(l.Delivery)
		if !known && l.Generation == 1 && len(old) > 0 {
			return nil, nil // the log has forgotten the delivery; its rows tell that it was made
		}
		c := &change{info: CommitInfo{Operation: "WRITE", IsBlindAppend: len(old) == 0,
			OperationParameters: map[string]string{"mode": "Append", "partitionBy": "[]"}}, actions: old}
		if len(old) > 0 {
			c.info.OperationParameters = map[string]string{"mode": "Overwrite", "predicate": t.jobPredicate(l.JobID)}
		}
		return c, nil
	})
}

func (t *Table) jobPredicate(job string) string { return fmt.Sprintf("%s = '%s'", t.job, job) }

// Overwrite makes a load's files all there is in the table, with the columns
// of a definition. It makes the table if there is none; a table keeps its identity.
func (t *Table) Overwrite(ctx context.Context, d Definition, l Load) (Committed, error) {
	return t.load(ctx, l, func(_ context.Context, s *Snapshot) (*change, error) {
		c := &change{info: CommitInfo{Operation: "WRITE", OperationParameters: map[string]string{"mode": "Overwrite", "partitionBy": "[]"}},
			actions: t.definitionActions(d, s)}
		for _, a := range s.Files() {
			c.actions = append(c.actions, a.gone(t.opts.Now(), true))
		}
		return c, nil
	})
}

// definitionActions are what makes a table, or changes its metadata.
func (t *Table) definitionActions(d Definition, s *Snapshot) (actions []action) {
	if s.Version < 0 {
		actions = append(actions, action{Protocol: &Protocol{MinReaderVersion: 1, MinWriterVersion: 2}})
	}
	m := t.metadata(d, s.Metadata)
	if m.SchemaString != s.Metadata.SchemaString || m.Description != s.Metadata.Description || m.Name != s.Metadata.Name ||
		!maps.Equal(m.Configuration, s.Metadata.Configuration) {
		actions = append(actions, action{Metadata: &m})
	}
	return actions
}

// load commits a load together with what work finds to do before it.
func (t *Table) load(ctx context.Context, l Load, work func(ctx context.Context, s *Snapshot) (*change, error)) (Committed, error) {
	checked := false
	return t.commit(ctx, func(ctx context.Context, s *Snapshot) (*change, error) {
		if done, err := l.admit(t, s); done || err != nil {
			return nil, err
		}
		c, err := work(ctx, s)
		if err != nil || c == nil {
			return nil, err
		}
		after, err := s.after(s.Version+1, c.actions)
		if err != nil {
			return nil, t.fail(errCorrupt, "%w", err)
		}
		if after.Metadata.ID == "" {
			return nil, t.fail(ErrNoTable, "nothing can be loaded")
		}
		if err := t.take(after, l.Files); err != nil {
			return nil, err
		}
		if !checked {
			if err := t.there(ctx, l.Files); err != nil {
				return nil, err
			}
			checked = true
		}
		c.actions = slices.Concat(c.actions, l.progress(t, s), l.adds())
		return c, nil
	})
}

// Remove takes a job's rows out of the table, in one commit. The delivery's
// generation is done from then on: an attempt at it that is still under way
// cannot bring the rows back. A table that is not there has no rows.
func (t *Table) Remove(ctx context.Context, l Load) (Committed, error) {
	l.Files = nil
	return t.commit(ctx, func(ctx context.Context, s *Snapshot) (*change, error) {
		done, err := l.admit(t, s)
		if err != nil || s.Version < 0 {
			return nil, err
		}
		old, err := t.jobRows(ctx, s, l)
		if err != nil || done && len(old) == 0 {
			return nil, err
		}
		l := l
		if stored, ok := s.Txn(l.Delivery); ok {
			l.Generation = max(l.Generation, int(stored))
		}
		return &change{t.removal(l), append(old, l.progress(t, s)...)}, nil
	})
}

// Retract takes a job's rows out of the table, like [Table.Remove], but leaves
// the delivery's generation to be loaded anew: by an attempt with a higher fence.
func (t *Table) Retract(ctx context.Context, l Load) (Committed, error) {
	return t.commit(ctx, func(ctx context.Context, s *Snapshot) (*change, error) {
		if err := t.newestAttempt(s, l.Fence); err != nil || s.Version < 0 {
			return nil, err
		}
		old, err := t.jobRows(ctx, s, l)
		if err != nil {
			return nil, err
		}
		if stored, loaded := s.Txn(l.Delivery); len(old) == 0 && (!loaded || stored < int64(l.Generation)) {
			return nil, nil
		}
		l := l
		l.Generation-- // of a txn the last word counts, whatever came before
		return &change{t.removal(l), append(old, l.progress(t, s)...)}, nil
	})
}

func (t *Table) removal(l Load) CommitInfo {
	return CommitInfo{Operation: "DELETE", OperationParameters: map[string]string{"predicate": t.jobPredicate(l.JobID)}}
}

// jobRows are the actions that take a job's rows out of the table.
func (t *Table) jobRows(ctx context.Context, s *Snapshot, l Load) ([]action, error) {
	var actions []action
	for _, a := range s.Files() {
		whose, certain := jobOf(a, t.job, l.JobID)
		switch {
		case certain && !whose:
			continue
		case certain:
			actions = append(actions, a.gone(t.opts.Now(), true))
		default:
			mixed, err := t.without(ctx, s, a, l)
			if err != nil {
				return nil, err
			}
			actions = append(actions, mixed...)
		}
	}
	return actions, nil
}

// jobOf tells from a file's statistics whether all its rows are the job's, or none.
func jobOf(a Add, column, job string) (all, certain bool) {
	stats, ok := a.Statistics()
	low, hasLow := stats.MinValues[column].(string)
	high, hasHigh := stats.MaxValues[column].(string)
	switch {
	case !ok || !hasLow || !hasHigh:
		return false, false
	case job < low || job > high:
		return false, true
	case low == high:
		return true, stats.NullCount[column] == 0
	}
	return false, false
}

// without are the actions that take a job's rows out of one file that may have others.
func (t *Table) without(ctx context.Context, s *Snapshot, a Add, l Load) ([]action, error) {
	r, err := t.openFile(ctx, a)
	if err != nil {
		return nil, err
	}
	defer r.Close() // nothing was written
	jobs, err := texts(r, t.job)
	if err != nil {
		return nil, t.fail(errCorrupt, "%s: %w", a.Path, err)
	}
	keep := make([]bool, len(jobs))
	for i, job := range jobs {
		keep[i] = job == nil || *job != l.JobID
	}
	switch kept(keep) {
	case int64(len(jobs)):
		return nil, nil
	case 0:
		return []action{a.gone(t.opts.Now(), true)}, nil
	}
	name := fmt.Sprintf("%s-%d-%d-without-%s.parquet", l.Delivery, l.Generation, l.Fence, digest(a.Path))
	file, err := t.rewrite(ctx, s, name, func(w *fileWriter) error { return w.copyRows(r, keep) })
	if err != nil {
		return nil, err
	}
	return []action{a.gone(t.opts.Now(), true), file.add(true)}, nil
}

// JobRows is how many rows of a job the table has.
func (t *Table) JobRows(ctx context.Context, s *Snapshot, job string) (rows int64, err error) {
	for _, a := range s.Files() {
		all, certain := jobOf(a, t.job, job)
		stats, _ := a.Statistics()
		switch {
		case certain && all:
			rows += stats.NumRecords
		case !certain:
			r, err := t.openFile(ctx, a)
			if err != nil {
				return 0, err
			}
			jobs, err := texts(r, t.job)
			if err = errors.Join(err, r.Close()); err != nil {
				return 0, t.fail(errCorrupt, "%s: %w", a.Path, err)
			}
			for _, j := range jobs {
				if j != nil && *j == job {
					rows++
				}
			}
		}
	}
	return rows, nil
}
