package snowflake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/waybillhq/waybill"
)

// Route is the way from our account to the customer's.
type Route string

// The routes.
const (
	// RouteDirect is a share with the account itself; it must be in our region.
	// https://docs.snowflake.com/en/user-guide/data-sharing-provider
	RouteDirect Route = "direct"
	// RouteListing is a private listing whose data Snowflake brings to the
	// account's region. https://docs.snowflake.com/en/collaboration/provider-listings-auto-fulfillment
	RouteListing Route = "listing"
)

// grant is what the share lets see.
type grant struct{ privilege, on, name string }

// grants reads back what the share lets see.
func (d *Destination) grants(ctx context.Context) ([]grant, error) {
	out, err := d.send(ctx, "grants_show", nil)
	if err != nil {
		return nil, err
	}
	var all []grant
	for i := range out.values {
		all = append(all, grant{strings.ToUpper(out.at(i, "privilege")), strings.ToUpper(out.at(i, "granted_on")), unquoted(out.at(i, "name"))})
	}
	return all, nil
}

// unquoted takes the quotes from a qualified name. None of our names has a dot.
func unquoted(name string) string { return strings.ReplaceAll(name, `"`, "") }

func (d *Destination) viewGrant(view string) grant {
	return grant{"SELECT", "VIEW", d.Database + "." + schemaShared + "." + view}
}

func (d *Destination) usageGrants() []grant {
	return []grant{{"USAGE", "DATABASE", d.Database}, {"USAGE", "SCHEMA", d.Database + "." + schemaShared}}
}

// views lists the views that grants show.
func (d *Destination) views(grants []grant) (views []string) {
	for _, g := range grants {
		if view, ok := strings.CutPrefix(g.name, d.Database+"."+schemaShared+"."); ok && g == d.viewGrant(view) {
			views = append(views, view)
		}
	}
	return views
}

// checkGrants refuses what a share of ours never has.
func (d *Destination) checkGrants(grants []grant) error {
	for _, g := range grants {
		if !slices.Contains(d.usageGrants(), g) && !slices.Contains(d.views([]grant{g}), strings.TrimPrefix(g.name, d.Database+"."+schemaShared+".")) {
			return blocked("grants_differ", "The share has a grant that is not Waybill's; revoke it, then retry the delivery.",
				"share %s has %s on %s %s", d.Database, g.privilege, g.on, g.name)
		}
	}
	return nil
}

// accounts reads back whom the share goes to: through the share itself, and
// through the listing if that is the route.
func (d *Destination) accounts(ctx context.Context, route Route) ([]string, error) {
	direct, err := d.shareAccounts(ctx)
	if err != nil || route == RouteDirect {
		return direct, err
	}
	targets, _, err := d.listing(ctx)
	return append(direct, targets...), err
}

func (d *Destination) shareAccounts(ctx context.Context) ([]string, error) {
	out, err := d.send(ctx, "share_show", nil)
	if err != nil {
		return nil, err
	}
	for i := range out.values {
		if out.at(i, "kind") == "OUTBOUND" && shareName(out.at(i, "name")) == d.Database {
			if out.at(i, "comment") != d.mark() {
				return nil, d.foreign("share")
			}
			if in := unquoted(out.at(i, "database_name")); in != "" && in != d.Database {
				return nil, d.foreign("share")
			}
			return splitList(out.at(i, "to")), nil
		}
	}
	return nil, blocked("no_share", "The connector's share is not there; run waybill connector apply again.", "no share %s", d.Database)
}

// shareName: an older form of the answer has the account before the name.
// https://docs.snowflake.com/en/release-notes/bcr-bundles/2023_05/bcr-1180
func shareName(name string) string { return name[strings.LastIndex(name, ".")+1:] }

// listing reads back whom the listing is for, and whether there is one.
//
// Not confirmed on a real account: the form of target_accounts (a JSON array
// and a plain list are both understood), and that a share behind a listing
// itself lists no accounts.
func (d *Destination) listing(ctx context.Context) (targets []string, exists bool, err error) {
	out, err := d.send(ctx, "listing_describe", nil)
	if f, ok := errors.AsType[*waybill.Failure](err); ok && f.Code == "snowflake.not_found" {
		return nil, false, nil
	}
	if err != nil || len(out.values) == 0 {
		return nil, false, err
	}
	if out.at(0, "comment") != d.mark() {
		return nil, true, d.foreign("listing")
	}
	return splitList(out.at(0, "target_accounts")), true, nil
}

func splitList(text string) (items []string) {
	var list []string
	if json.Unmarshal([]byte(text), &list) != nil {
		list = strings.Split(text, ",")
	}
	for _, item := range list {
		if item = unquoted(strings.TrimSpace(item)); item != "" {
			items = append(items, strings.ToUpper(item))
		}
	}
	return items
}

// foreign says that something of the connector's name is not the connector's.
func (d *Destination) foreign(what string) error {
	return blocked("name_taken", fmt.Sprintf("There is a %s %s that is not this connector's; rename or drop it, or give the connector another id.", what, d.Database),
		"%s %s is not marked %q", what, d.Database, d.mark())
}

// isTarget reports whether accounts are the target alone.
func (d *Destination) isTarget(accounts []string) bool {
	return len(accounts) == 1 && d.target.is(accounts[0])
}

// checkAccounts refuses a share that goes to anybody but the target.
func (d *Destination) checkAccounts(accounts []string) error {
	if d.isTarget(accounts) {
		return nil
	}
	return blocked("accounts_differ", "The share does not go to the connector's account alone; run waybill connector apply again, which corrects it.",
		"share %s goes to %s, want %s", d.Database, strings.Join(accounts, ", "), d.target.name())
}
