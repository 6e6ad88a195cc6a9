package connectors

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
)

// Databricks is a customer who reads tables that our Databricks workspace shares.
type Databricks struct {
	Recipient         string          `json:"recipient" yaml:"recipient"`                           // one of the modes below
	SharingIdentifier string          `json:"sharingIdentifier,omitempty" yaml:"sharingIdentifier"` // of the customer's metastore: <cloud>:<region>:<uuid>
	SecureContact     string          `json:"secureContact,omitempty" yaml:"secureContact"`         // who receives the activation link, and how
	TokenLifetime     config.Lifetime `json:"tokenLifetime,omitempty" yaml:"tokenLifetime"`         // 0: the fleet's default
	AllowedIPs        []string        `json:"allowedIps,omitempty" yaml:"allowedIps"`               // addresses or ranges that may read; empty: all
}

// How a customer of kind databricks reads.
const (
	RecipientDatabricks = "databricks" // in a workspace with Unity Catalog
	RecipientToken      = "token"      // with an open Delta Sharing client
)

// DeltaSharing is a customer who reads tables from our own Delta Sharing server.
type DeltaSharing struct {
	TokenLifetime config.Lifetime `json:"tokenLifetime,omitempty" yaml:"tokenLifetime"` // 0: the fleet's default
	AllowedIPs    []string        `json:"allowedIps,omitempty" yaml:"allowedIps"`       // addresses or ranges that may read; empty: all
}

// LogsActivity reports whether the connector has the table ACTIVITY_LOG:
// where it does not say, those of Databricks and of Delta Sharing have it.
func (c Connector) LogsActivity() bool {
	if c.ActivityLog != nil {
		return *c.ActivityLog
	}
	return c.Kind == waybill.KindDatabricks || c.Kind == waybill.KindDeltaSharing
}

// Where says in a few words where the connector delivers to.
func (c Connector) Where() string {
	switch {
	case c.Storage != nil:
		return c.Storage.URL
	case c.Snowflake != nil:
		return c.Snowflake.where()
	case c.Databricks != nil:
		return cmp.Or(c.Databricks.SharingIdentifier, "token of "+c.Databricks.SecureContact)
	}
	return "Delta Sharing"
}

// https://docs.databricks.com/delta-sharing/create-recipient.html
var sharingIdentifier = regexp.MustCompile(`^(aws|azure|gcp):[a-z0-9-]+:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

const maxContact = 254

func (d Databricks) validate() (p waybill.Problems) {
	switch d.Recipient {
	case RecipientDatabricks:
		p.Add("", d.inWorkspace())
	case RecipientToken:
		if d.SharingIdentifier != "" {
			p.Addf("sharingIdentifier", "belongs to recipient: databricks; leave it out for recipient: token")
		}
		if !validContact(d.SecureContact) {
			p.Addf("secureContact", "%s is not a contact; name the person or channel that receives the activation link, on one line of at most %d bytes", waybill.Quote(d.SecureContact), maxContact)
		}
		p.Add("", checkTokens(d.TokenLifetime, d.AllowedIPs))
	default:
		p.Addf("recipient", "%s is not known; use databricks, for a workspace with Unity Catalog, or token, for an open client", waybill.Quote(d.Recipient))
	}
	return p
}

func (d Databricks) inWorkspace() (p waybill.Problems) {
	if !sharingIdentifier.MatchString(d.SharingIdentifier) {
		p.Addf("sharingIdentifier", "%s is not a sharing identifier; the customer finds it with SELECT CURRENT_METASTORE(): <cloud>:<region>:<uuid>, e.g. aws:us-east-1:11111111-2222-4333-8444-555555555555", waybill.Quote(d.SharingIdentifier))
	}
	for _, c := range []struct {
		field string
		given bool
	}{{"secureContact", d.SecureContact != ""}, {"tokenLifetime", d.TokenLifetime != 0}, {"allowedIps", len(d.AllowedIPs) > 0}} {
		if c.given {
			p.Addf(c.field, "belongs to recipient: token; leave it out for recipient: databricks")
		}
	}
	return p
}

// fixed names what cannot change: it says whose the shared data is.
func (d Databricks) fixed(old Databricks) (p waybill.Problems) {
	if old.Recipient != d.Recipient {
		p.Addf("recipient", "cannot change from %s to %s; use another id", old.Recipient, d.Recipient)
	}
	if old.SharingIdentifier != d.SharingIdentifier {
		p.Addf("sharingIdentifier", "cannot change: what is shared would go to somebody else; use another id")
	}
	return p
}

func (d DeltaSharing) validate() waybill.Problems { return checkTokens(d.TokenLifetime, d.AllowedIPs) }

// maxAddresses: https://docs.databricks.com/delta-sharing/access-list.html
const maxAddresses = 100

func checkTokens(lifetime config.Lifetime, addresses []string) (p waybill.Problems) {
	if lifetime != 0 && (lifetime < config.MinTokenLifetime || lifetime > config.MaxTokenLifetime) {
		p.Addf("tokenLifetime", "%v is out of range; use %v to %v, or leave it out for the fleet's default", lifetime, config.MinTokenLifetime, config.MaxTokenLifetime)
	}
	if len(addresses) > maxAddresses {
		p.Addf("allowedIps", "has %d entries; at most %d are possible", len(addresses), maxAddresses)
	}
	if i := slices.IndexFunc(addresses, func(a string) bool { return !validAddress(a) }); i >= 0 {
		p.Addf("allowedIps", "%s is neither an address nor a range; write e.g. 203.0.113.7 or 203.0.113.0/24", waybill.Quote(addresses[i]))
	}
	return p
}

// validAddress: a range that does not begin where it says is likely a slip.
func validAddress(text string) bool {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Masked() == prefix
	}
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.Zone() == ""
}

func validContact(text string) bool {
	return strings.TrimSpace(text) != "" && len(text) <= maxContact && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}
