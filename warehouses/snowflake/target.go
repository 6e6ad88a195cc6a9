package snowflake

import (
	"regexp"
	"strings"

	"github.com/waybillhq/waybill"
)

// Target is the customer's account.
type Target struct {
	Organization string `json:"organization"` // ACMEORG; empty where only the locator is known
	Account      string `json:"account"`      // PROD_ANALYTICS, or the locator ALC62998
	Region       Region `json:"region"`
	// Resolved is the organization and account name that Snowflake gave for a
	// locator when it was set up: see [Setup.Account].
	Resolved string `json:"resolved,omitempty"`
	// AllowLowerEdition lets a Business Critical account of ours share with an
	// account of a lower edition.
	// https://docs.snowflake.com/en/user-guide/override_share_restrictions
	AllowLowerEdition bool `json:"allowLowerEdition,omitempty"`
}

var accountName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,254}$`)

// ParseTarget reads a customer's account as a connector names it.
// https://docs.snowflake.com/en/user-guide/admin-account-identifier
func ParseTarget(organization, account, region, cloud string) (Target, error) {
	var p waybill.Problems
	t := Target{Organization: strings.ToUpper(strings.TrimSpace(organization)), Account: strings.ToUpper(strings.TrimSpace(account))}
	if org, name, both := strings.Cut(strings.Replace(t.Account, "-", ".", 1), "."); both && (t.Organization == "" || t.Organization == org) {
		t.Organization, t.Account = org, name // ORG.ACCOUNT or ORG-ACCOUNT in one
	}
	t.Account = strings.ReplaceAll(t.Account, "-", "_") // a URL has - where the name has _
	if t.Organization != "" && !accountName.MatchString(t.Organization) {
		p.Addf("organization", "%s is not an organization's name; give what SELECT CURRENT_ORGANIZATION_NAME() answers in the customer's account", waybill.Quote(organization))
	}
	if !accountName.MatchString(t.Account) {
		p.Addf("account", "%s is not an account's name; give what SELECT CURRENT_ACCOUNT_NAME() answers in the customer's account", waybill.Quote(account))
	}
	var err error
	if t.Region, err = ParseRegion(region, cloud); err != nil {
		p.Addf("region", "%v", err)
	}
	return t, p.Err()
}

// name is the account as statements have it.
func (t Target) name() string {
	if t.Organization != "" {
		return t.Organization + "." + t.Account
	}
	return t.Account
}

// is reports whether an account that Snowflake lists is the target.
func (t Target) is(account string) bool {
	return account == t.name() || t.Organization == "" && t.Resolved != "" && account == t.Resolved
}
