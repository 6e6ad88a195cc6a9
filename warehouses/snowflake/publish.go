package snowflake

import (
	"context"
	"slices"

	"github.com/waybillhq/waybill"
)

// Share grants the view of the run's schema version, which does not show the
// run yet, and what was granted before and is no longer: a grant may have been
// revoked by hand, and a workflow may have come back to the connector. With
// nothing to grant it only reads the grants.
func (d *Destination) Share(ctx context.Context, r Run) error {
	grants, err := d.grants(ctx)
	if err != nil {
		return err
	}
	wanted := append(d.metadata(), r.table())
	shown := d.views(grants)
	if !slices.Contains(shown, r.table()) || !slices.Contains(shown, waybill.LatestTable(r.WorkflowID)) {
		out, err := d.send(ctx, "views_of_workflow", r.args(d.Brand))
		if err != nil {
			return err
		}
		wanted = append(wanted, viewNames(out)...)
	}
	for _, view := range wanted {
		if slices.Contains(shown, view) {
			continue
		}
		if _, err := d.send(ctx, "grant_view", args{"View": view}); err != nil {
			return err
		}
		shown = append(shown, view)
	}
	return nil
}

// Published is what a publication came to.
type Published struct {
	View   string `json:"view"`   // that shows the run
	Rows   int64  `json:"rows"`   // of the run, as the view shows them
	Latest Latest `json:"latest"` // where LATEST points now
	Moved  bool   `json:"moved"`  // whether LATEST was moved for it
}

// Publish reads the share back, shows the run, and lets LATEST follow. The
// run's rows and its row in WORKFLOW_RUNS appear together, and only if the
// view shows as many rows as were written.
func (d *Destination) Publish(ctx context.Context, r Run, route Route) (Published, error) {
	if err := d.checkShare(ctx, route, r.table()); err != nil {
		return Published{}, err
	}
	seen, err := d.block(ctx, "publish", r.args(d.Brand))
	if err != nil {
		return Published{}, err
	}
	latest, moved, err := d.followLatest(ctx, r.Lane, route)
	return Published{View: r.table(), Rows: seen, Latest: latest, Moved: moved}, err
}

// checkShare reads back whom the share goes to and that it shows the views, and
// nothing that is not a view of ours.
func (d *Destination) checkShare(ctx context.Context, route Route, views ...string) error {
	grants, err := d.grants(ctx)
	if err != nil {
		return err
	}
	if err := d.checkGrants(grants); err != nil {
		return err
	}
	wanted := d.usageGrants()
	for _, view := range append(d.metadata(), views...) {
		wanted = append(wanted, d.viewGrant(view))
	}
	for _, g := range wanted {
		if !slices.Contains(grants, g) {
			return waybill.Failf(waybill.Transient, "snowflake.not_granted", "The share does not show what it should; it is granted again by itself.", "share %s lacks %s on %s", d.Database, g.privilege, g.name)
		}
	}
	accounts, err := d.accounts(ctx, route)
	if err != nil {
		return err
	}
	return d.checkAccounts(accounts)
}

// Unpublish takes a run back: its rows vanish from the views, its row in
// WORKFLOW_RUNS says UNPUBLISHED, and LATEST follows what is left. It reports
// whether the run was published.
func (d *Destination) Unpublish(ctx context.Context, l Lane, jobID string, route Route) (bool, error) {
	if err := d.makeLane(ctx, l); err != nil {
		return false, err
	}
	hidden, err := d.block(ctx, "unpublish", l.with(args{"Job": jobID}))
	if err != nil {
		return false, err
	}
	_, _, err = d.followLatest(ctx, l, route)
	return hidden > 0, err
}

// RunState is the newest word on a run.
type RunState struct {
	SchemaVersion int64
	Rows          int64
	Status        string // PUBLISHED or UNPUBLISHED; "" if the run was never published
	LoadID        string // <delivery>:<generation>
}

// RunState reads the newest word on a run.
func (d *Destination) RunState(ctx context.Context, workflowID, jobID string) (RunState, error) {
	out, err := d.send(ctx, "run_show", Lane{WorkflowID: workflowID}.with(args{"Job": jobID}))
	if err != nil || len(out.values) == 0 {
		return RunState{}, err
	}
	return RunState{SchemaVersion: out.integer(0, "schema_version"), Rows: out.integer(0, "row_count"), Status: out.at(0, "status"), LoadID: out.at(0, "load_id")}, nil
}
