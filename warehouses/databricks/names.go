package databricks

import (
	"regexp"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
)

// Mode is how a customer reads.
type Mode string

// The modes.
const (
	ModeDatabricks Mode = "databricks" // in a Databricks workspace with Unity Catalog
	ModeToken      Mode = "token"      // with an open Delta Sharing client and a credential file
)

// Connector is what the workspace must know of a connector.
type Connector struct {
	ID, Team          string
	Mode              Mode
	SharingIdentifier string        // mode databricks: <cloud>:<region>:<uuid> of the customer's metastore
	TokenLifetime     time.Duration // mode token
	AllowedIPs        []string      // mode token: addresses or CIDR ranges; empty: all
}

// name is that of the connector's recipient, share and schema. Ids hold no
// underscore, so that no two become one name.
func (w *Workspace) name(c Connector) string { return w.o.Brand + "_" + alias(c) }

// alias is the schema's name as the customer sees it: of a shared name's parts
// only letters, digits and underscores are allowed.
func alias(c Connector) string { return strings.ReplaceAll(c.ID, "-", "_") }

// schema is the full name of the connector's schema.
func (w *Workspace) schema(c Connector) string { return w.o.Catalog + "." + w.name(c) }

// full is the full name of one of the connector's tables. Unity Catalog keeps
// names in lower case: compare with [strings.EqualFold].
func (w *Workspace) full(c Connector, table string) string { return w.schema(c) + "." + table }

// StoragePath is the URL below which the connector's tables lie; it ends in a slash.
func (w *Workspace) StoragePath(c Connector) string { return w.o.Storage + c.ID + "/" }

// place is a URL of ours in Databricks' words, which differ for Azure.
// https://docs.databricks.com/azure/connect/storage/azure-storage.html
func (w *Workspace) place(url string) string {
	rest, azure := strings.CutPrefix(url, "azblob://")
	if !azure {
		return url
	}
	container, path, _ := strings.Cut(rest, "/")
	return "abfss://" + container + "@" + w.o.Account + ".dfs.core.windows.net/" + path
}

// samePlace compares storage URLs.
func samePlace(a, b string) bool { return strings.TrimRight(a, "/") == strings.TrimRight(b, "/") }

// mark is the comment of all that is made for the connector. What does not
// carry it is somebody else's, and never used.
func mark(c Connector) string {
	return "Made by Waybill for connector " + c.ID + " of team " + c.Team + ". Leave this comment as it is."
}

// owns refuses what does not carry the connector's mark.
func owns(c Connector, kind, name, comment string) error {
	if comment == mark(c) {
		return nil
	}
	return blocked("databricks.not_ours", "The "+kind+" "+name+" was not made by Waybill for this connector; rename or delete it, or use another connector id.",
		"%s %s carries the comment %s", kind, name, waybill.Quote(comment))
}

// public is what a shared table may be called.
var public = regexp.MustCompile(`^(?i:WF_[A-Z0-9_]+__(?:V[0-9]+|LATEST)|WORKFLOW_RUNS|WORKFLOW_SCHEMA_VERSIONS|WORKFLOW_SCHEMA_FIELDS|ACTIVITY_LOG)$`)

// quoteName and quoteText: https://docs.databricks.com/sql/language-manual/sql-ref-identifiers.html
func quoteName(full string) string {
	parts := strings.Split(full, ".")
	for i, p := range parts {
		parts[i] = "`" + strings.ReplaceAll(p, "`", "``") + "`"
	}
	return strings.Join(parts, ".")
}

func quoteText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
