package snowflake

import (
	"context"
	"fmt"
	"strings"

	"github.com/waybillhq/waybill"
)

// Connector is what a destination is opened with.
type Connector struct {
	ID          string
	Team        string
	Brand       string
	Target      Target
	ActivityLog bool
}

// Destination is one connector's part of our account. Its methods are steps of
// a delivery and operations on a lane: each may be repeated, from any point.
type Destination struct {
	place

	account  *Account
	target   Target
	activity bool
}

// Connector returns a connector's destination. It does not touch the account.
func (a *Account) Connector(c Connector) (*Destination, error) {
	p, err := newPlace(c.Brand, c.ID, c.Team)
	if err != nil {
		return nil, err
	}
	return &Destination{place: p, account: a, target: c.Target, activity: c.ActivityLog}, nil
}

// send renders a statement of sql/ and sends it.
func (d *Destination) send(ctx context.Context, name string, a args) (rows, error) {
	return d.sendText(ctx, name, d.statement(name, a))
}

func (d *Destination) sendText(ctx context.Context, name, text string, binds ...any) (rows, error) {
	out, err := d.account.query(ctx, text, binds...)
	if err != nil {
		return rows{}, d.account.fail(fmt.Errorf("%s: %w", name, err), about{
			grant: d.grantFor(name), account: d.target.name(), region: string(d.target.Region)})
	}
	return out, nil
}

// block sends a scripting block and returns what it returns.
func (d *Destination) block(ctx context.Context, name string, a args) (n int64, err error) {
	out, err := d.send(ctx, name, a)
	if err != nil {
		return 0, err
	}
	return out.number(name)
}

// grantFor is the statement that gives our role what it needs.
// https://docs.snowflake.com/en/user-guide/security-access-control-privileges
func (d *Destination) grantFor(statement string) string {
	onAccount := map[string]string{"database_create": "CREATE DATABASE", "share_create": "CREATE SHARE", "share_add": "MANAGE SHARE TARGET",
		"share_remove": "MANAGE SHARE TARGET", "listing_create": "CREATE DATA EXCHANGE LISTING"}
	role := ident(d.account.cfg.Role)
	integration := d.account.cfg.Stage.Integration
	switch name, _, _ := strings.Cut(statement, "."); {
	case onAccount[name] != "":
		return fmt.Sprintf("GRANT %s ON ACCOUNT TO ROLE %s", onAccount[name], role)
	case name == "stage_create" && integration != "":
		return fmt.Sprintf("GRANT USAGE ON INTEGRATION %s TO ROLE %s", ident(integration), role)
	case strings.HasPrefix(name, "share_"), strings.HasPrefix(name, "listing_"):
		return fmt.Sprintf("GRANT OWNERSHIP ON SHARE %s TO ROLE %s", ident(d.Database), role)
	}
	return fmt.Sprintf("GRANT OWNERSHIP ON DATABASE %s TO ROLE %s COPY CURRENT GRANTS", ident(d.Database), role)
}

// blocked is a failure that our own checks found.
func blocked(code, action, format string, values ...any) error {
	return waybill.Failf(waybill.Blocked, "snowflake."+code, action, format, values...)
}
