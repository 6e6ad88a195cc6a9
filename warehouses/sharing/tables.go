package sharing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// table is a table, and what was worked out of its newest snapshots. What is
// kept is used as long as the log has no newer commit, which is asked each time.
type table struct {
	*delta.Table

	mu   sync.Mutex
	view *view // of the newest snapshot that was asked for
	said struct {
		of   *delta.Snapshot
		rows []delta.Row
	}
}

// view is a table at a version, ready to be told.
type view struct {
	*delta.Snapshot
	files []delta.Add
	bytes int64
	stats func() []delta.Statistics // by file; NumRecords -1: not known
}

func newView(s *delta.Snapshot) *view {
	v := &view{Snapshot: s, files: s.Files(), bytes: s.Bytes()}
	v.stats = sync.OnceValue(func() []delta.Statistics {
		all := make([]delta.Statistics, len(v.files))
		for i, f := range v.files {
			stats, ok := f.Statistics()
			if !ok {
				stats.NumRecords = -1
			}
			all[i] = stats
		}
		return all
	})
	return v
}

// maxKnown bounds the tables of which snapshots are kept in memory.
const maxKnown = 1024

// table returns one of the share's tables, without looking whether there is one.
func (r *request) table(name string) *table {
	s, url := r.s, r.share.Store.URL()+name
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.known[url]
	if ok {
		return t
	}
	for other := range s.known { // any: it is read again when it is asked for
		if len(s.known) < maxKnown {
			break
		}
		delete(s.known, other)
	}
	t = &table{Table: delta.Open(r.share.Store, name, s.tables)}
	s.known[url] = t
	return t
}

// newest is the table as it is now.
func (t *table) newest(ctx context.Context) (*view, error) {
	s, err := t.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.view == nil || t.view.Snapshot != s {
		t.view = newView(s)
	}
	return t.view, nil
}

// rows reads the table whole: it is one of the small ones.
func (t *table) rows(ctx context.Context) ([]delta.Row, error) {
	s, err := t.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	said := t.said
	t.mu.Unlock()
	if said.of == s {
		return said.rows, nil
	}
	if said.rows, err = t.Rows(ctx, s); err != nil {
		return nil, err
	}
	said.of = s
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said = said
	return said.rows, nil
}

// public are the names of the tables that the connector's customer may see, in
// order. Of tables of runs WORKFLOW_SCHEMA_VERSIONS decides: it names a table
// when its rows are complete. What else lies in the connector's place is never shown.
func (r *request) public() ([]string, error) {
	rows, err := r.table(waybill.TableVersions).rows(r.Context())
	if err != nil && !errors.Is(err, delta.ErrNoTable) { // without it no run was published yet
		return nil, err
	}
	names := []string{waybill.TableRuns, waybill.TableVersions, waybill.TableFields}
	if r.share.Activity {
		names = append(names, waybill.TableActivity)
	}
	for _, row := range rows {
		workflow, _ := row["WORKFLOW_ID"].(string)
		version, _ := row["SCHEMA_VERSION"].(int64)
		if len(r.share.Workflows) > 0 && !slices.Contains(r.share.Workflows, workflow) {
			continue
		}
		names = append(names, waybill.VersionTable(workflow, int(version)))
		if row["IS_LATEST"] == true {
			names = append(names, waybill.LatestTable(workflow))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// existing are those of the public tables that are there: some come later than others.
func (r *request) existing() ([]string, error) {
	names, err := r.public()
	if err != nil {
		return nil, err
	}
	var missing error
	names = slices.DeleteFunc(names, func(name string) bool {
		if strings.HasPrefix(name, "WF_") || missing != nil {
			return false
		}
		_, err := r.table(name).Snapshot(r.Context())
		if errors.Is(err, delta.ErrNoTable) {
			return true
		}
		missing = err
		return false
	})
	return names, missing
}

// notShared is one answer for all that is not to be seen, whether it is there or not.
func notShared(what, name string) error {
	return notFound("%s %s does not exist", what, waybill.Quote(name))
}

// inShare refuses the names of other shares and schemas.
func (r *request) inShare() error {
	if share := r.PathValue("share"); !strings.EqualFold(share, r.connector) {
		return notShared("share", share)
	}
	if schema := r.PathValue("schema"); schema != "" && !strings.EqualFold(schema, r.s.o.Brand) {
		return notShared("schema", schema)
	}
	return nil
}

// asked is the table that the path names.
func (r *request) asked() (*table, error) {
	if err := r.inShare(); err != nil {
		return nil, err
	}
	asked := r.PathValue("table")
	names, err := r.public()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.EqualFold(name, asked) {
			return r.table(name), nil
		}
	}
	return nil, notShared("table", asked)
}
