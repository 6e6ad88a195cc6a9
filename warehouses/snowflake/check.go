package snowflake

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Check looks for all that the connector needs of our account and reports each
// thing, with an error where it is missing, so that whoever mends it hears of
// everything at once. It changes nothing.
func (d *Destination) Check(ctx context.Context, report func(what string, err error)) {
	_, err := d.identity(ctx)
	report("log in as "+ident(d.account.cfg.User), err)
	if err != nil {
		return // nothing else can be asked
	}
	route, _, err := d.route(ctx)
	report("a way to "+d.target.name()+" in "+string(d.target.Region), err)
	held, err := d.held(ctx)
	if err != nil {
		report("our role's privileges", err)
	} else {
		for _, p := range d.needed(route) {
			report(p.what(), p.missing(held, ident(d.account.cfg.Role)))
		}
	}
	report("the connector's database", d.checkDatabase(ctx))
	accounts, err := d.accounts(ctx, route)
	if err == nil {
		err = d.checkAccounts(accounts)
	}
	report("the share goes to the connector's account alone", err)
	grants, err := d.grants(ctx)
	if err == nil {
		err = d.checkGrants(grants)
	}
	report("the share shows views of the connector's alone", err)
}

// privilege is a privilege of a role on something.
type privilege struct{ name, on, object string }

func (p privilege) what() string {
	if p.object == "" {
		return "may " + p.name
	}
	return fmt.Sprintf("%s on %s %s", p.name, strings.ToLower(p.on), p.object)
}

// missing is a failure that has the statement which grants the privilege,
// unless it is held, or what it is on is owned.
func (p privilege) missing(held []privilege, role string) error {
	for _, h := range held {
		if h.on == p.on && (p.object == "" || h.object == p.object) && (h.name == p.name || p.object != "" && h.name == "OWNERSHIP") {
			return nil
		}
	}
	on := p.on
	if p.object != "" {
		on += " " + ident(p.object)
	}
	return blocked("privilege", fmt.Sprintf("The role %s lacks a privilege; run: GRANT %s ON %s TO ROLE %s.", role, p.name, on, role), "%s lacks %s on %s", role, p.name, on)
}

// needed are the privileges that setting up and delivering need.
// https://docs.snowflake.com/en/user-guide/security-access-control-privileges
func (d *Destination) needed(route Route) []privilege {
	needed := []privilege{{"CREATE DATABASE", "ACCOUNT", ""}, {"CREATE SHARE", "ACCOUNT", ""}}
	switch route {
	case RouteListing:
		needed = append(needed, privilege{"CREATE DATA EXCHANGE LISTING", "ACCOUNT", ""})
	default:
		needed = append(needed, privilege{"MANAGE SHARE TARGET", "ACCOUNT", ""})
	}
	if d.target.AllowLowerEdition {
		needed = append(needed, privilege{"OVERRIDE SHARE RESTRICTIONS", "ACCOUNT", ""})
	}
	needed = append(needed, privilege{"USAGE", "WAREHOUSE", d.account.cfg.Warehouse})
	if i := d.account.cfg.Stage.Integration; i != "" {
		needed = append(needed, privilege{"USAGE", "INTEGRATION", i})
	}
	return needed
}

// held are the privileges of our role, and of the roles that are granted to it.
// https://docs.snowflake.com/en/sql-reference/sql/show-grants
func (d *Destination) held(ctx context.Context) (held []privilege, err error) {
	roles := []string{d.account.cfg.Role}
	for i := 0; i < len(roles); i++ {
		out, err := d.send(ctx, "role_grants", args{"Role": roles[i]})
		if err != nil {
			return nil, err
		}
		for at := range out.values {
			p := privilege{strings.ToUpper(out.at(at, "privilege")), strings.ToUpper(out.at(at, "granted_on")), unquoted(out.at(at, "name"))}
			if p.on == "ROLE" && p.name == "USAGE" && !slices.Contains(roles, p.object) {
				roles = append(roles, p.object)
			}
			held = append(held, p)
		}
	}
	return held, nil
}
