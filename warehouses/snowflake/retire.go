package snowflake

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/waybillhq/waybill"
)

// Workflows are those that the customer can read.
func (d *Destination) Workflows(ctx context.Context) (names []string, err error) {
	out, err := d.send(ctx, "shown_workflows", nil)
	for i := range out.values {
		names = append(names, out.at(i, "workflow_id"))
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// Views are a workflow's views, and those of them that the share shows.
func (d *Destination) Views(ctx context.Context, workflowID string) (all, shown []string, err error) {
	out, err := d.send(ctx, "views_of_workflow", Lane{WorkflowID: workflowID}.args())
	if err != nil {
		return nil, nil, err
	}
	grants, err := d.grants(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, granted := viewNames(out), d.views(grants)
	return all, slices.DeleteFunc(slices.Clone(all), func(view string) bool { return !slices.Contains(granted, view) }), nil
}

// Shown are all views that the share shows; none where there is no share.
func (d *Destination) Shown(ctx context.Context) ([]string, error) {
	grants, err := d.grants(ctx)
	if err != nil && failureCode(err) == "snowflake.not_found" {
		return nil, nil
	}
	return d.views(grants), err
}

// Narrow takes a workflow from the customer: its views leave the share, and
// the views about workflows no longer speak of it. What was delivered stays,
// until [Destination.Purge] or until the workflow is published again or
// readmitted. It returns the views that were revoked.
func (d *Destination) Narrow(ctx context.Context, l Lane) ([]string, error) {
	if err := d.makeLane(ctx, l); err != nil {
		return nil, err
	}
	_, views, err := d.Views(ctx, l.WorkflowID)
	if err != nil {
		return nil, err
	}
	if _, err := d.block(ctx, "narrow", l.with(args{"Views": views})); err != nil {
		return nil, err
	}
	_, left, err := d.Views(ctx, l.WorkflowID)
	if err == nil && len(left) > 0 {
		err = blocked("grants_differ", "A view could not be revoked from the share; revoke it by hand, then retry.", "share %s still shows %v", d.Database, left)
	}
	return views, err
}

// Readmit shows a workflow again that was narrowed away, with all of its
// views. It returns them.
func (d *Destination) Readmit(ctx context.Context, l Lane) ([]string, error) {
	if err := d.makeLane(ctx, l); err != nil {
		return nil, err
	}
	views, _, err := d.Views(ctx, l.WorkflowID)
	if err == nil {
		_, err = d.block(ctx, "readmit", l.with(args{"Views": views}))
	}
	return views, err
}

// Purge narrows, and then erases everything of the workflow. Snowflake itself
// keeps dropped tables for the account's Time Travel and Fail-safe.
// https://docs.snowflake.com/en/user-guide/data-cdp-storage-costs
// It returns the tables that were dropped.
func (d *Destination) Purge(ctx context.Context, l Lane) ([]string, error) {
	if _, err := d.Narrow(ctx, l); err != nil {
		return nil, err
	}
	out, err := d.send(ctx, "views_of_workflow", l.args())
	if err != nil {
		return nil, err
	}
	latest := waybill.LatestTable(l.WorkflowID)
	tables := slices.DeleteFunc(viewNames(out), func(view string) bool { return view == latest })
	_, err = d.block(ctx, "purge", l.with(args{"Tables": tables}))
	return tables, err
}

// Revoke takes everything from the customer at once; what was delivered stays
// until [Destination.Drop]. It returns the accounts that it was taken from.
func (d *Destination) Revoke(ctx context.Context) ([]string, error) {
	var from []string
	targets, exists, err := d.listing(ctx)
	if err != nil {
		return nil, err
	}
	if exists {
		if err := d.dropListing(ctx); err != nil {
			return nil, err
		}
		from = targets
	}
	accounts, err := d.shareAccounts(ctx)
	if gone(err) {
		return from, nil
	}
	if err != nil {
		return nil, err
	}
	for _, account := range accounts {
		if _, err := d.send(ctx, "share_remove", args{"Account": account}); err != nil {
			return nil, err
		}
	}
	return append(from, accounts...), d.showNothing(ctx)
}

// Drop revokes, and then erases everything of the connector, the mark being
// what says that it is the connector's.
func (d *Destination) Drop(ctx context.Context) error {
	if _, err := d.Revoke(ctx); err != nil {
		return err
	}
	if _, err := d.send(ctx, "share_drop", nil); err != nil {
		return err
	}
	if err := d.checkDatabase(ctx); gone(err) {
		return nil
	} else if err != nil {
		return err
	}
	_, err := d.send(ctx, "database_drop", nil)
	return err
}

// gone reports whether a thing is not there, which is what dropping wants.
func gone(err error) bool {
	return slices.Contains([]string{"snowflake.no_share", "snowflake.no_database"}, failureCode(err))
}

// failureCode is the code of a classified error, and "" of none.
func failureCode(err error) string {
	f, _ := errors.AsType[*waybill.Failure](err)
	if f == nil {
		return ""
	}
	return f.Code
}

// keepSuperseded is how long the rows of a load that is no longer shown are kept.
const keepSuperseded = 7 * 24 * 60 * 60 * 1000 // ms, as fences count

// Swept is what a sweep removed.
type Swept struct {
	Tables []string // of attempts that ended without removing theirs
	Loads  []string // superseded or unpublished for a week
	Rows   int64
}

// Sweep removes what nobody needs any more: staging tables of older attempts
// of the lane, and rows of loads that were superseded or unpublished a week
// ago. It belongs to the lane's holder, after its receipt.
func (d *Destination) Sweep(ctx context.Context, l Lane) (swept Swept, err error) {
	tables, err := d.send(ctx, "stg_show", args{"Schema": schemaStaging})
	if err != nil {
		return swept, err
	}
	for i := range tables.values {
		name := tables.at(i, "name")
		if tables.at(i, "comment") != l.WorkflowID || fenceOf(name) >= l.Fence {
			continue
		}
		if _, err := d.send(ctx, "stg_drop", args{"Stg": name}); err != nil {
			return swept, err
		}
		swept.Tables = append(swept.Tables, name)
	}
	loads, err := d.send(ctx, "loads_superseded", l.with(args{"Before": l.Fence - keepSuperseded}))
	if err != nil {
		return swept, err
	}
	for i := range loads.values {
		load := loads.at(i, "load_id")
		rows, err := d.block(ctx, "sweep", l.with(args{"LoadID": load, "Table": waybill.VersionTable(l.WorkflowID, int(loads.integer(i, "schema_version")))}))
		if err != nil {
			return swept, err
		}
		swept.Loads, swept.Rows = append(swept.Loads, load), swept.Rows+rows
	}
	return swept, nil
}

// fenceOf reads the fence from a staging table's name.
func fenceOf(table string) int64 {
	n, err := strconv.ParseInt(table[strings.LastIndex(table, "_")+1:], 10, 64)
	if err != nil {
		return math.MaxInt64 // not one of ours
	}
	return n
}
