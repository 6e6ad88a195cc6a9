package handlers

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// said are the tables about workflows, in the order in which what they say of a
// workflow is taken away: the promise that a run is complete first, and last
// what tells that there is something to take.
var said = []string{waybill.TableRuns, waybill.TableFields, waybill.TableVersions}

// withheld is where the rows of a table about workflows are kept that were
// taken from the customer. Its name is no public one, so that it is never shown.
func (t tables) withheld(name string) *delta.Table { return t.open("_withheld/" + name) }

// all are the names of the workflow's own tables that there may be, of
// whatever schema version.
func (d *deltaPublished) all(ctx context.Context, lane *ledger.Lane) ([]string, error) {
	schemas, err := d.h.Ledger.Schemas(ctx, lane.TeamID, lane.WorkflowID)
	names := []string{waybill.LatestTable(lane.WorkflowID)}
	for _, n := range slices.Sorted(maps.Keys(schemas)) {
		names = append(names, waybill.VersionTable(lane.WorkflowID, n))
	}
	return names, err
}

// existing are those of the names that there is a table of, with what it holds.
func (d *deltaPublished) existing(ctx context.Context, t tables, names []string, effect waybill.Effect) (changes []waybill.TableChange, err error) {
	for _, name := range names {
		s, err := t.open(name).Snapshot(ctx)
		if errors.Is(err, delta.ErrNoTable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rows, _ := s.Rows() // ours all say how many they have
		changes = append(changes, waybill.TableChange{Table: name, Effect: effect, Rows: rows, Files: len(s.Files()), Bytes: s.Bytes()})
	}
	return changes, nil
}

// Narrow implements [Published]. The tables leave the share before the rows
// about them leave the tables about workflows, whose former versions are made
// unreadable.
func (d *deltaPublished) Narrow(ctx context.Context, lane *ledger.Lane) (Step, error) {
	t := d.of(lane.WorkflowID)
	names, err := d.all(ctx, lane)
	if err != nil {
		return Step{}, err
	}
	changes, err := d.existing(ctx, t, names, waybill.EffectRevoked)
	if err != nil {
		return Step{}, err
	}
	for _, name := range said {
		rows, err := t.about(ctx, name)
		if err != nil {
			return Step{}, err
		}
		if len(rows) > 0 {
			changes = append(changes, waybill.TableChange{Table: name, Effect: waybill.EffectRemoved, Rows: int64(len(rows))})
		}
	}
	return Step{Changes: changes, Do: func(ctx context.Context) error {
		if err := d.shown.hide(ctx, names); err != nil {
			return err
		}
		for _, name := range said {
			if err := t.withhold(ctx, name); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}

// withhold moves what a table about workflows says of this one out of the
// customer's reach.
func (t tables) withhold(ctx context.Context, name string) error {
	rows, err := t.about(ctx, name)
	if err != nil {
		return err
	}
	if err := t.move(ctx, name, t.withheld(name), rows); err != nil {
		return err
	}
	table := t.open(name)
	if len(rows) > 0 {
		if _, err := table.DeleteRows(ctx, columnWorkflow, t.workflow); err != nil {
			return err
		}
	}
	_, err = table.Scrub(ctx)
	return err
}

const columnWorkflow = "WORKFLOW_ID"

// move writes rows of a table about workflows into another of its kind.
func (t tables) move(ctx context.Context, name string, to *delta.Table, rows []delta.Row) error {
	if len(rows) == 0 {
		return nil
	}
	def := definition(name)
	if _, err := to.Create(ctx, delta.Definition{Name: def.Name, Comment: def.Comment, Columns: def.Columns}); err != nil {
		return err
	}
	_, err := to.Upsert(ctx, def.Key, rows)
	return err
}

// Readmit implements [Published]. What was published meanwhile stays as it is.
func (d *deltaPublished) Readmit(ctx context.Context, lane *ledger.Lane) (Step, error) {
	t := d.of(lane.WorkflowID)
	names, err := d.all(ctx, lane)
	if err != nil {
		return Step{}, err
	}
	changes, err := d.existing(ctx, t, names, waybill.EffectRestored)
	if err != nil {
		return Step{}, err
	}
	there := make([]string, len(changes))
	for i, c := range changes {
		there[i] = c.Table
	}
	return Step{Changes: changes, Do: func(ctx context.Context) error {
		for _, name := range slices.Backward(said) { // the promise last
			if err := t.giveBack(ctx, name); err != nil {
				return err
			}
		}
		if len(there) == 0 {
			return nil
		}
		if err := d.shown.show(ctx, t, there); err != nil {
			return err
		}
		now, err := d.Latest(ctx, lane.WorkflowID)
		to := now.Version
		if !now.Pinned {
			to = cmp.Or(now.Newest, to)
		}
		if err != nil || to == 0 {
			return err
		}
		return d.point(ctx, t, lane, to, now.Pinned)
	}}, nil
}

// giveBack moves the rows back that were withheld, but for those that a
// publication has written anew.
func (t tables) giveBack(ctx context.Context, name string) error {
	kept, err := t.rowsOf(ctx, t.withheld(name))
	if err != nil || len(kept) == 0 {
		return err
	}
	now, err := t.about(ctx, name)
	if err != nil {
		return err
	}
	key := definition(name).Key
	kept = slices.DeleteFunc(kept, func(old delta.Row) bool {
		return slices.ContainsFunc(now, func(r delta.Row) bool {
			return !slices.ContainsFunc(key, func(column string) bool { return r[column] != old[column] })
		})
	})
	if err := t.move(ctx, name, t.open(name), kept); err != nil {
		return err
	}
	return t.dropWithheld(ctx, name)
}

func (t tables) dropWithheld(ctx context.Context, name string) error {
	table := t.withheld(name)
	if _, err := table.Snapshot(ctx); errors.Is(err, delta.ErrNoTable) {
		return nil
	}
	if _, err := table.DeleteRows(ctx, columnWorkflow, t.workflow); err != nil {
		return err
	}
	_, err := table.Scrub(ctx)
	return err
}

// Purge implements [Published].
func (d *deltaPublished) Purge(ctx context.Context, lane *ledger.Lane) (Step, error) {
	t := d.of(lane.WorkflowID)
	narrow, err := d.Narrow(ctx, lane)
	if err != nil {
		return Step{}, err
	}
	names, err := d.all(ctx, lane)
	if err != nil {
		return Step{}, err
	}
	for i, c := range narrow.Changes {
		if c.Effect == waybill.EffectRevoked {
			narrow.Changes[i].Effect = waybill.EffectErased
		}
	}
	return Step{Changes: narrow.Changes, Do: func(ctx context.Context) error {
		if err := narrow.Do(ctx); err != nil {
			return err
		}
		if err := d.shown.forget(ctx, names); err != nil {
			return err
		}
		for _, name := range names {
			if err := d.erase(ctx, name+"/"); err != nil {
				return err
			}
		}
		for _, name := range said {
			if err := t.dropWithheld(ctx, name); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}

// erase deletes every object below a prefix of the connector's place: logs after
// all data, and of each the newest first. So what an attempt leaves that was cut
// short are still tables, and the next one finds them.
func (d *deltaPublished) erase(ctx context.Context, prefix string) error {
	var data, logs []string
	for o, err := range d.tables.store.List(ctx, prefix) {
		switch {
		case err != nil:
			return err
		case strings.Contains(o.Key, "/_delta_log/"):
			logs = append(logs, o.Key)
		default:
			data = append(data, o.Key)
		}
	}
	slices.Sort(logs)
	slices.Reverse(logs)
	for _, key := range slices.Concat(data, logs) {
		if err := d.tables.store.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// narrowed are the tables that are kept and that the customer does not read.
func (d *deltaPublished) narrowed(ctx context.Context) (names []string, err error) {
	rows, err := allRows(ctx, d.tables.withheld(waybill.TableVersions))
	for _, r := range rows {
		workflow, _ := r[columnWorkflow].(string)
		version, _ := r["SCHEMA_VERSION"].(int64)
		names = append(names, waybill.VersionTable(workflow, int(version)), waybill.LatestTable(workflow))
	}
	return names, err
}

// everything is what lies in the connector's place, by table.
func (d *deltaPublished) everything(ctx context.Context, effect waybill.Effect) ([]waybill.TableChange, error) {
	names := map[string]bool{}
	for o, err := range d.tables.store.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		if name, _, ok := strings.Cut(o.Key, "/"); ok && !strings.HasPrefix(name, "_") {
			names[name] = true
		}
	}
	return d.existing(ctx, d.tables, slices.Sorted(maps.Keys(names)), effect)
}

// Revoke implements [Published].
func (d *deltaPublished) Revoke(ctx context.Context) (Step, error) {
	changes, err := d.everything(ctx, waybill.EffectRevoked)
	return Step{Changes: changes, Do: d.shown.revoke}, err
}

// Erase implements [Published].
func (d *deltaPublished) Erase(ctx context.Context) (Step, error) {
	changes, err := d.everything(ctx, waybill.EffectErased)
	return Step{Changes: changes, Do: func(ctx context.Context) error {
		if err := d.shown.purge(ctx); err != nil {
			return err
		}
		return d.erase(ctx, "")
	}}, err
}
