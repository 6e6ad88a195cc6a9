package snowflake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waybillhq/waybill"
)

// Latest is where a workflow's LATEST points, and why. Versions are 0 where
// there is none.
type Latest struct {
	Shows  int64  `json:"shows"`           // the version it points to
	Newest int64  `json:"newest"`          // the version of the newest published run
	Pinned bool   `json:"pinned"`          // whether it stays where it is
	Moves  []Move `json:"moves,omitempty"` // newest first, the last 100

	NewestJob string    `json:"newestJob,omitempty"` // the newest published run
	NewestAt  time.Time `json:"newestAt,omitzero"`   // when it finished
	Versions  []int64   `json:"versions,omitempty"`  // that LATEST can point to
}

// Move is one place that LATEST was pointed to.
type Move struct {
	Version int64     `json:"version"`
	Pinned  bool      `json:"pinned"`
	At      time.Time `json:"at"`
	Fence   int64     `json:"fence"`
}

// Target is the version that LATEST is to point to. Where nothing is published
// it stays where it is.
func (l Latest) Target() int64 {
	if l.Pinned || l.Newest == 0 {
		return l.Shows
	}
	return l.Newest
}

func latestComment(version int64) string {
	return fmt.Sprintf("%s (now V%d)", waybill.LatestComment, version)
}

// Latest tells where a workflow's LATEST points, and where it pointed before.
func (d *Destination) Latest(ctx context.Context, workflowID string) (Latest, error) {
	l := Lane{WorkflowID: workflowID}
	latest, err := d.latest(ctx, l, "")
	if err != nil {
		return Latest{}, err
	}
	out, err := d.send(ctx, "versions", l.args())
	if err != nil {
		return Latest{}, err
	}
	for i := range out.values {
		latest.Versions = append(latest.Versions, out.integer(i, "schema_version"))
	}
	out, err = d.send(ctx, "latest_moves", l.args())
	for i := range out.values {
		at, parseErr := time.Parse(time.RFC3339Nano, out.at(i, "moved_at"))
		err = errors.Join(err, parseErr)
		latest.Moves = append(latest.Moves, Move{Version: out.integer(i, "schema_version"), Pinned: out.boolean(i, "pinned"), At: at.UTC(), Fence: out.integer(i, "fence")})
	}
	return latest, err
}

// LatestWithout tells where LATEST would point without one job.
func (d *Destination) LatestWithout(ctx context.Context, l Lane, job string) (Latest, error) {
	return d.latest(ctx, l, job)
}

func (d *Destination) latest(ctx context.Context, l Lane, except string) (latest Latest, err error) {
	out, err := d.send(ctx, "latest_state", l.with(args{"Except": except}))
	if i := out.find("what", "newest"); i >= 0 {
		at, parseErr := time.Parse(time.RFC3339Nano, out.at(i, "run_finished_at"))
		err = errors.Join(err, parseErr)
		latest.Newest, latest.NewestJob, latest.NewestAt = out.integer(i, "schema_version"), out.at(i, "job_id"), at.UTC()
	}
	if i := out.find("what", "shown"); i >= 0 {
		latest.Shows, latest.Pinned = out.integer(i, "schema_version"), out.boolean(i, "pinned")
	}
	return latest, err
}

// followLatest points LATEST to the version of the newest published run, or
// leaves it where it is pinned. It compares the view itself with where it
// should point, and so repairs what an attempt that lost its lane, or half a
// move, left behind.
func (d *Destination) followLatest(ctx context.Context, l Lane, route Route) (latest Latest, moved bool, err error) {
	if latest, err = d.latest(ctx, l, ""); err != nil || latest.Target() == 0 {
		return latest, false, err
	}
	out, err := d.send(ctx, "latest_show", l.with(args{"Schema": schemaShared}))
	if err != nil {
		return latest, false, err
	}
	view := waybill.LatestTable(l.WorkflowID)
	if i := out.find("name", view); i >= 0 && latest.Shows == latest.Target() && out.at(i, "comment") == latestComment(latest.Target()) {
		return latest, false, nil
	}
	if err := d.point(ctx, l, latest.Target(), latest.Pinned); err != nil {
		return latest, false, err
	}
	latest.Shows = latest.Target()
	return latest, true, d.checkShare(ctx, route, view)
}

// point replaces LATEST. Nobody sees it missing: the view and its grants are
// replaced at once.
// https://docs.snowflake.com/en/sql-reference/sql/create-view
func (d *Destination) point(ctx context.Context, l Lane, version int64, pinned bool) error {
	out, err := d.send(ctx, "version_columns", l.with(args{"Version": version}))
	if err != nil {
		return err
	}
	var columns []string
	for i := range out.values {
		columns = append(columns, out.values[i][0].String)
	}
	if len(columns) == 0 {
		return blocked("no_version", "There is no such schema version at this connector; waybill connector latest lists them.", "%s has no V%d", l.WorkflowID, version)
	}
	columns = append(columns, waybill.JobColumn(d.Brand).Name, waybill.FinishedColumn(d.Brand).Name)
	_, err = d.sendText(ctx, "latest_point", d.pointLatest(l, version, pinned, columns))
	return err
}

func (p place) pointLatest(l Lane, version int64, pinned bool, columns []string) string {
	return p.statement("latest_point", l.with(args{"Version": version, "Pinned": pinned, "Columns": columns,
		"Table": waybill.VersionTable(l.WorkflowID, int(version)), "Comment": latestComment(version)}))
}

// Pin points LATEST to a version and keeps it there until [Destination.Unpin].
func (d *Destination) Pin(ctx context.Context, l Lane, version int64, route Route) (Latest, error) {
	if err := d.makeLane(ctx, l); err != nil {
		return Latest{}, err
	}
	if err := d.point(ctx, l, version, true); err != nil {
		return Latest{}, err
	}
	if err := d.checkShare(ctx, route, waybill.LatestTable(l.WorkflowID)); err != nil {
		return Latest{}, err
	}
	return d.Latest(ctx, l.WorkflowID)
}

// Unpin lets LATEST follow the newest published run again.
func (d *Destination) Unpin(ctx context.Context, l Lane, route Route) (Latest, error) {
	latest, err := d.latest(ctx, l, "")
	if err != nil {
		return Latest{}, err
	}
	if latest.Pinned {
		latest.Pinned = false
		if err := d.makeLane(ctx, l); err != nil {
			return Latest{}, err
		}
		if err := d.point(ctx, l, latest.Target(), false); err != nil {
			return Latest{}, err
		}
	}
	if _, _, err := d.followLatest(ctx, l, route); err != nil {
		return Latest{}, err
	}
	return d.Latest(ctx, l.WorkflowID)
}
