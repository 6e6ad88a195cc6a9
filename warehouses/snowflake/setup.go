package snowflake

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/waybillhq/waybill"
)

// Setup is what setting a connector up found and made.
type Setup struct {
	Route    Route  `json:"route"`
	Account  string `json:"account"`  // the customer's, as Snowflake lists it
	Provider string `json:"provider"` // ours: ORG.ACCOUNT
	Share    string `json:"share"`    // of our account; with RouteListing also the listing's name
	Schema   string `json:"schema"`   // where the customer finds the views
}

// identity is who we are.
type identity struct {
	name   string // ORG.ACCOUNT
	region Region
}

func (d *Destination) identity(ctx context.Context) (identity, error) {
	out, err := d.send(ctx, "account", nil)
	if err != nil {
		return identity{}, err
	}
	if len(out.values) != 1 || len(out.values[0]) != 4 {
		return identity{}, fmt.Errorf("account: %d rows", len(out.values))
	}
	v := out.values[0]
	_, region, grouped := strings.Cut(v[3].String, ".") // PUBLIC.AWS_US_EAST_1 where an organization has region groups
	if !grouped {
		region = v[3].String
	}
	return identity{v[0].String + "." + v[1].String, Region(region)}, nil
}

// route chooses the way to the target; never the wrong one silently.
func (d *Destination) route(ctx context.Context) (Route, identity, error) {
	own, err := d.identity(ctx)
	switch {
	case err != nil:
		return "", own, err
	case d.account.cfg.Region != "" && d.account.cfg.Region != own.region:
		return "", own, blocked("region_differs", "Our account is not in the region that the fleet's configuration says; correct snowflake.region, or leave it out.",
			"%s is in %s, not in %s", own.name, own.region, d.account.cfg.Region)
	case d.target.is(own.name):
		return "", own, blocked("own_account", "The connector's account is our own; give the customer's.", "%s is our own account", own.name)
	case own.region == d.target.Region:
		return RouteDirect, own, nil
	case d.target.Organization == "":
		return "", own, blocked("locator_elsewhere",
			"The customer's account is in another region than ours, where an account locator names nothing: give its organization and account name.",
			"locator %s in %s, our region is %s", d.target.Account, d.target.Region, own.region)
	}
	return RouteListing, own, nil
}

// Setup makes what the connector needs and lets the customer's account in. The
// account is verified with a share that shows nothing, before any view is
// granted; and if another account had been let in before, everything is
// revoked first. It may be repeated, and mends what is missing.
func (d *Destination) Setup(ctx context.Context) (Setup, error) {
	route, own, err := d.route(ctx)
	if err != nil {
		return Setup{}, err
	}
	for _, step := range []func(context.Context) error{d.makeDatabase, d.makeShare, func(ctx context.Context) error { return d.letIn(ctx, route) }, d.makeTables, d.grantViews} {
		if err := step(ctx); err != nil {
			return Setup{}, err
		}
	}
	accounts, err := d.accounts(ctx, route)
	if err != nil {
		return Setup{}, err
	}
	if err := d.checkAccounts(accounts); err != nil {
		return Setup{}, err
	}
	return Setup{Route: route, Account: accounts[0], Provider: own.name, Share: d.Database, Schema: schemaShared}, nil
}

func (d *Destination) makeDatabase(ctx context.Context) error {
	if _, err := d.send(ctx, "database_create", nil); err != nil {
		return err
	}
	if err := d.checkDatabase(ctx); err != nil {
		return err
	}
	for _, schema := range []string{schemaData, schemaStaging, schemaShared} {
		if _, err := d.send(ctx, "schema_create", args{"Schema": schema}); err != nil {
			return err
		}
	}
	_, err := d.send(ctx, "stage_create", args{"Integration": d.account.cfg.Stage.Integration, "URL": d.StageURL()})
	return err
}

// checkDatabase refuses a database that is not marked as the connector's.
func (d *Destination) checkDatabase(ctx context.Context) error {
	out, err := d.send(ctx, "database_show", nil)
	if err != nil {
		return err
	}
	if i := out.find("name", d.Database); i >= 0 && out.at(i, "comment") != d.mark() {
		return d.foreign("database")
	} else if i < 0 {
		return blocked("no_database", "The connector's database is not there; run waybill connector apply again.", "no database %s", d.Database)
	}
	return nil
}

// makeShare makes the share, which shows a schema and nothing in it.
func (d *Destination) makeShare(ctx context.Context) error {
	if _, err := d.send(ctx, "share_create", nil); err != nil {
		return err
	}
	if _, err := d.shareAccounts(ctx); err != nil { // is it ours
		return err
	}
	if _, err := d.send(ctx, "grant_database", nil); err != nil {
		return err
	}
	_, err := d.send(ctx, "grant_schema", args{"Schema": schemaShared})
	return err
}

// letIn lets the target in, and nobody else. While the share does not yet go
// to the target alone, it shows nothing.
func (d *Destination) letIn(ctx context.Context, route Route) error {
	accounts, err := d.accounts(ctx, route)
	if err != nil {
		return err
	}
	if d.isTarget(accounts) {
		return d.dropOtherRoute(ctx, route)
	}
	if err := d.showNothing(ctx); err != nil {
		return err
	}
	if err := d.dropOthers(ctx, route); err != nil {
		return err
	}
	if err := d.add(ctx, route); err != nil {
		return err
	}
	if accounts, err = d.accounts(ctx, route); err != nil {
		return err
	}
	if d.target.Organization == "" && len(accounts) == 1 {
		d.target.Resolved = accounts[0] // the share went to nobody before: this is what the locator names
	}
	return d.checkAccounts(accounts)
}

// showNothing revokes every view and reads back that none is left.
func (d *Destination) showNothing(ctx context.Context) error {
	grants, err := d.grants(ctx)
	if err != nil {
		return err
	}
	if err := d.checkGrants(grants); err != nil {
		return err
	}
	views := d.views(grants)
	if len(views) == 0 {
		return nil
	}
	for _, view := range views {
		if _, err := d.send(ctx, "revoke_view", args{"View": view}); err != nil {
			return err
		}
	}
	if grants, err = d.grants(ctx); err != nil {
		return err
	}
	if len(d.views(grants)) > 0 {
		return blocked("grants_differ", "A view could not be revoked from the share; revoke it by hand, then apply the connector again.", "share %s still shows %v", d.Database, d.views(grants))
	}
	return nil
}

// dropOthers takes the share from everybody.
func (d *Destination) dropOthers(ctx context.Context, route Route) error {
	direct, err := d.shareAccounts(ctx)
	if err != nil {
		return err
	}
	for _, account := range direct {
		if route != RouteDirect || !d.target.is(account) {
			if _, err := d.send(ctx, "share_remove", args{"Account": account}); err != nil {
				return err
			}
		}
	}
	targets, exists, err := d.listing(ctx)
	if err != nil || !exists || route == RouteListing && d.isTarget(targets) {
		return err
	}
	return d.dropListing(ctx)
}

// dropOtherRoute drops a listing that a direct share has made needless.
func (d *Destination) dropOtherRoute(ctx context.Context, route Route) error {
	if route == RouteListing {
		return nil
	}
	if _, exists, err := d.listing(ctx); err != nil || !exists {
		return err
	}
	return d.dropListing(ctx)
}

func (d *Destination) dropListing(ctx context.Context) error {
	if _, err := d.send(ctx, "listing_unpublish", nil); err != nil {
		return err
	}
	_, err := d.send(ctx, "listing_drop", nil)
	return err
}

func (d *Destination) add(ctx context.Context, route Route) error {
	if route == RouteListing {
		_, err := d.send(ctx, "listing_create", d.listingArgs())
		return err
	}
	_, err := d.send(ctx, "share_add", args{"Account": d.target.name(), "Unrestricted": d.target.AllowLowerEdition})
	return err
}

func (d *Destination) listingArgs() args {
	return args{"Account": d.target.name(), "Title": fmt.Sprintf("%s for %s", d.Brand, d.target.name()),
		"Description": "Results of workflow runs, as secure views."}
}

// makeTables makes the provider's tables and the views about workflows.
func (d *Destination) makeTables(ctx context.Context) error {
	tables := providerTables()
	views := []string{"runs_current", "latest_current", "hidden_current"}
	if d.activity {
		tables = append(tables, metadataTable(waybill.TableActivity))
	}
	for _, t := range tables {
		if _, err := d.sendText(ctx, "table_create", d.createTable(t)); err != nil {
			return err
		}
	}
	for _, view := range views {
		if _, err := d.send(ctx, view, nil); err != nil {
			return err
		}
	}
	for _, table := range d.metadata() {
		if _, err := d.send(ctx, metadataViews[table], args{"Comment": metadataTable(table).Comment}); err != nil {
			return err
		}
	}
	return nil
}

// metadataViews are the statements that make the views about workflows.
var metadataViews = map[string]string{waybill.TableRuns: "view_runs", waybill.TableVersions: "view_versions",
	waybill.TableFields: "view_fields", waybill.TableActivity: "view_activity"}

// metadata lists the views about workflows that this connector has.
func (d *Destination) metadata() []string {
	names := []string{waybill.TableRuns, waybill.TableVersions, waybill.TableFields}
	if d.activity {
		names = append(names, waybill.TableActivity)
	}
	return names
}

// grantViews grants every view that the customer is to see, and takes the
// activity log from one who is no longer to see it.
func (d *Destination) grantViews(ctx context.Context) error {
	grants, err := d.grants(ctx)
	if err != nil {
		return err
	}
	wanted, err := d.wantedViews(ctx)
	if err != nil {
		return err
	}
	shown := d.views(grants)
	for _, view := range wanted {
		if !slices.Contains(shown, view) {
			if _, err := d.send(ctx, "grant_view", args{"View": view}); err != nil {
				return err
			}
		}
	}
	if !d.activity && slices.Contains(shown, waybill.TableActivity) {
		if _, err := d.send(ctx, "revoke_view", args{"View": waybill.TableActivity}); err != nil {
			return err
		}
	}
	if grants, err = d.grants(ctx); err != nil {
		return err
	}
	for _, view := range wanted {
		if !slices.Contains(grants, d.viewGrant(view)) {
			return blocked("grants_differ", "The share does not show all of the connector's views; see that the role owns the share and the database, then apply the connector again.", "share %s does not show %s", d.Database, view)
		}
	}
	return d.checkGrants(grants)
}

// wantedViews are the views about workflows and those of every workflow that
// is not hidden.
func (d *Destination) wantedViews(ctx context.Context) ([]string, error) {
	wanted := d.metadata()
	out, err := d.send(ctx, "shown_workflows", nil)
	if err != nil {
		return nil, err
	}
	return append(wanted, viewNames(out)...), nil
}

// viewNames are the views that a statement lists by workflow.
func viewNames(out rows) (names []string) {
	for i := range out.values {
		name := out.at(i, "table_name")
		if name == "LATEST" {
			name = waybill.LatestTable(out.at(i, "workflow_id"))
		}
		names = append(names, name)
	}
	return names
}
