package delta

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
)

// What a LATEST table says of itself in its configuration.
const (
	versionKey = "waybill.schemaVersion" // n of the V<n> that it mirrors
	pinnedKey  = "waybill.pinned"        // true: it does not follow the newest run
	movesKey   = "waybill.moves"         // where it was pointed to, oldest first (JSON)
	epochKey   = "waybill.epoch"         // the version it was last rebuilt at; its files' names begin with it
)

// Latest is where a LATEST table stands.
type Latest struct {
	SchemaVersion int    // n of the V<n> that it mirrors; 0: there is no table
	Pinned        bool   // it stays there until it is told otherwise
	Version       int64  // the version of V<n>'s log that it holds
	Moves         []Move // the last of them, oldest first
}

// Move is one place that a LATEST table was pointed to.
type Move struct {
	SchemaVersion int       `json:"v"`
	Pinned        bool      `json:"pinned,omitempty"`
	At            time.Time `json:"at"`
}

// keptMoves is how many moves are remembered.
const keptMoves = 50

// moved are the moves with another one, where it is another place.
func (l Latest) moved(version int, pinned bool, at time.Time) []Move {
	if n := len(l.Moves); n > 0 && l.Moves[n-1].SchemaVersion == version && l.Moves[n-1].Pinned == pinned {
		return l.Moves
	}
	moves := append(slices.Clone(l.Moves), Move{version, pinned, at.UTC().Truncate(time.Millisecond)})
	return moves[max(0, len(moves)-keptMoves):]
}

// latestOf reads it from a snapshot of the LATEST table and the identity of V<n>.
func latestOf(s *Snapshot, source string) (l Latest) {
	l.SchemaVersion, _ = strconv.Atoi(s.Metadata.Configuration[versionKey]) // absent: 0, it mirrors nothing
	l.Pinned = s.Metadata.Configuration[pinnedKey] == "true"
	_ = json.Unmarshal([]byte(s.Metadata.Configuration[movesKey]), &l.Moves) // absent: none are known
	l.Version = -1
	if v, ok := s.Txn(mirrorApp(source)); ok {
		l.Version = v
	}
	return l
}

func mirrorApp(source string) string { return "waybill:mirror:" + source }

// Latest is where the table stands, if it is a LATEST table. One that is not
// there stands at schema version 0.
func (t *Table) Latest(ctx context.Context) (Latest, error) {
	s, err := t.snapshotOrNone(ctx)
	if err != nil {
		return Latest{}, err
	}
	l := latestOf(s, "")
	l.Version, _ = s.Txn(mirrorApp(s.Metadata.Configuration[sourceKey]))
	return l, nil
}

// sourceKey names the identity of the V<n> that is mirrored.
const sourceKey = "waybill.source"

// Mirror is what a LATEST table is to hold.
type Mirror struct {
	Definition           // the table's own name and comment; the columns of V<n>
	Source        *Table // V<n>, in the same store
	SchemaVersion int    // its n
	Pinned        bool
	Fence         int64 // see [Load]
}

// Follow makes the table a mirror of its V<n>: of another n than it held, it is
// rebuilt in one commit; of the same, it takes what V<n> added and
// removed since. Files are copied by the store, below names of their own, as
// the table must hold all of its files itself.
func (t *Table) Follow(ctx context.Context, m Mirror) (Committed, error) {
	return t.commit(ctx, func(ctx context.Context, s *Snapshot) (*change, error) {
		// Read after s, so that it is never behind what s holds of it.
		source, err := m.Source.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		if err := m.Source.fits(source, m.Columns); err != nil {
			return nil, err
		}
		if err := t.newestAttempt(s, m.Fence); err != nil {
			return nil, err
		}
		now := latestOf(s, source.Metadata.ID)
		rebuilt := s.Version < 0 || now.SchemaVersion != m.SchemaVersion || now.Version < 0
		if !rebuilt && now.Version == source.Version && now.Pinned == m.Pinned {
			return nil, nil
		}
		epoch := s.Metadata.Configuration[epochKey]
		if rebuilt {
			epoch = fmt.Sprint(s.Version + 1)
		}
		files, err := t.difference(ctx, s, source, m.Source, epoch, rebuilt)
		if err != nil {
			return nil, err
		}
		moves, err := json.Marshal(now.moved(m.SchemaVersion, m.Pinned, t.opts.Now()))
		if err != nil {
			return nil, t.fail(errRows, "%w", err)
		}
		actions := append(t.definitionActions(m.definition(source, epoch, moves), s), m.progress(t, s, source)...)
		return &change{info: CommitInfo{Operation: "WRITE", OperationParameters: map[string]string{
			"mode": "Overwrite", "source": fmt.Sprintf("V%d, version %d", m.SchemaVersion, source.Version)}},
			actions: append(actions, files...)}, nil
	})
}

func (m Mirror) definition(source *Snapshot, epoch string, moves []byte) Definition {
	d := m.Definition
	d.Configuration = map[string]string{versionKey: strconv.Itoa(m.SchemaVersion), pinnedKey: strconv.FormatBool(m.Pinned),
		epochKey: epoch, sourceKey: source.Metadata.ID, movesKey: string(moves)}
	return d
}

func (m Mirror) progress(t *Table, s, source *Snapshot) (actions []action) {
	now := t.opts.Now().UnixMilli()
	if fence, ok := s.Txn(fenceApp); m.Fence != 0 && (!ok || fence < m.Fence) {
		actions = append(actions, action{Txn: &Txn{AppID: fenceApp, Version: m.Fence, LastUpdated: now}})
	}
	return append(actions, action{Txn: &Txn{AppID: mirrorApp(source.Metadata.ID), Version: source.Version, LastUpdated: now}})
}

// difference are the actions that make the files of a LATEST table copies of
// those of its source.
func (t *Table) difference(ctx context.Context, s, source *Snapshot, from *Table, epoch string, rebuilt bool) ([]action, error) {
	wanted := map[string]Add{} // by path in the LATEST table
	for _, a := range source.Files() {
		wanted[epoch+"-"+strings.ReplaceAll(a.Path, "/", "-")] = a
	}
	var gone, added []Add
	for _, a := range s.Files() {
		if _, stays := wanted[a.Path]; !stays {
			gone = append(gone, a)
		}
	}
	for name, a := range wanted {
		if _, there := s.files[name]; !there {
			added = append(added, a)
		}
	}
	slices.SortFunc(added, func(a, b Add) int { return cmp.Compare(a.Path, b.Path) })
	// What only compacts the source changes no data here either.
	data := rebuilt || len(gone) == 0 || slices.ContainsFunc(added, func(a Add) bool { return !compacted(a) })
	var actions []action
	for _, a := range gone {
		actions = append(actions, a.gone(t.opts.Now(), data))
	}
	copies, err := t.copyFiles(ctx, added, from, epoch)
	for _, a := range copies {
		a.DataChange = data
		actions = append(actions, action{Add: &a})
	}
	return actions, err
}

// copyFiles has the store copy files of another table below this one.
func (t *Table) copyFiles(ctx context.Context, files []Add, from *Table, epoch string) ([]Add, error) {
	copies := slices.Clone(files)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range copies {
		group.Go(func() error {
			key, err := from.Key(copies[i])
			if err != nil {
				return err
			}
			name := epoch + "-" + strings.ReplaceAll(strings.TrimPrefix(key, from.prefix), "/", "-")
			object, err := t.store.Copy(ctx, key, t.key(name))
			if err != nil {
				return from.missing(err, ErrMissingFile, copies[i].Path)
			}
			copies[i].Path = name
			if !object.Modified.IsZero() {
				copies[i].ModificationTime = object.Modified.UnixMilli()
			}
			return nil
		})
	}
	return copies, group.Wait()
}

func compacted(a Add) bool { return strings.HasPrefix(path.Base(a.Path), compactPrefix) }

// PublishedRun is a row of WORKFLOW_RUNS, as far as LATEST depends on it.
type PublishedRun struct {
	JobID         string
	SchemaVersion int
	FinishedAt    time.Time
}

// PublishedRuns reads a workflow's published runs from WORKFLOW_RUNS.
func (t *Table) PublishedRuns(ctx context.Context, workflowID string) ([]PublishedRun, error) {
	s, err := t.Snapshot(ctx)
	if errors.Is(err, ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var runs []PublishedRun
	for _, a := range s.Files() {
		if !mayHold(a, []string{"WORKFLOW_ID"}, map[string]Row{"": {"WORKFLOW_ID": workflowID}}) {
			continue
		}
		rows, err := t.rowsOf(ctx, s, a)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if r["WORKFLOW_ID"] == workflowID && r["STATUS"] == waybill.StatusPublished {
				job, _ := r["JOB_ID"].(string)
				version, _ := r["SCHEMA_VERSION"].(int64)
				finished, _ := r["RUN_FINISHED_AT"].(time.Time)
				runs = append(runs, PublishedRun{job, int(version), finished})
			}
		}
	}
	return runs, nil
}

// Newest is the run that LATEST follows: the one that finished last; of those that
// finished together, the one with the greatest job id.
func Newest(runs []PublishedRun) (newest PublishedRun, ok bool) {
	for _, r := range runs {
		if c := r.FinishedAt.Compare(newest.FinishedAt); !ok || c > 0 || c == 0 && r.JobID > newest.JobID {
			newest, ok = r, true
		}
	}
	return newest, ok
}
