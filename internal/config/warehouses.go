package config

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/secrets"
)

// Databricks is the provider's own workspace, through which connectors of kind
// databricks are served.
type Databricks struct {
	Host         string      `yaml:"host" help:"https://… of our workspace"`
	Auth         string      `yaml:"auth" help:"how to log in: oauth-m2m, pat, file-oidc, azure-client-secret or azure-msi; nothing else is tried"`
	ClientID     secrets.Ref `yaml:"clientId" help:"reference to the service principal's client id; of azure-msi, to that of the identity where there are several"`
	ClientSecret secrets.Ref `yaml:"clientSecret" help:"reference to its secret, for oauth-m2m and azure-client-secret"`
	Token        secrets.Ref `yaml:"token" help:"reference to the token, for pat"`
	TokenFile    string      `yaml:"tokenFile" help:"file in which another issuer keeps a token for us, for file-oidc"`
	TenantID     string      `yaml:"tenantId" help:"id of the Entra tenant, for azure-client-secret"`
	Catalog      string      `yaml:"catalog" help:"catalog of Unity Catalog in which each connector gets a schema"`
	WarehouseID  string      `yaml:"warehouseId" help:"id of the SQL warehouse that registers tables"`
	Owner        string      `yaml:"owner" help:"group that is to own the shares; left out: who logs in"`
	Tables
}

// Sharing is our own Delta Sharing server.
type Sharing struct {
	URL string `yaml:"url" help:"https://… at which customers reach the Delta Sharing server; with or without a path"`
	Tables
}

// Tables is where Delta tables lie and how we reach them.
type Tables struct {
	Storage string `yaml:"storage" help:"bucket, container or folder of the Delta tables, e.g. s3://waybill-delta/; each connector has a path of its own there"`
	S3      S3     `yaml:"s3"`
	GCS     GCS    `yaml:"gcs"`
	Azure   Azure  `yaml:"azure"`
}

// authNeeds are the settings that each way to log in needs, those that it may
// have after a bar.
var authNeeds = map[string]string{
	"oauth-m2m": "clientId clientSecret", "pat": "token", "file-oidc": "clientId tokenFile",
	"azure-client-secret": "clientId clientSecret tenantId", "azure-msi": "| clientId",
}

var (
	// https://docs.databricks.com/sql/language-manual/sql-ref-names.html
	catalogName = regexp.MustCompile(`^[a-z0-9_-]{1,255}$`)
	warehouseID = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
)

func (d Databricks) validate(n Network) (p waybill.Problems) {
	if d == (Databricks{}) {
		return nil
	}
	switch why := checkServer(d.Host, n); {
	case d.Host == "":
		p.Addf("host", "is missing; give our workspace, e.g. https://our.cloud.databricks.com")
	case why != "":
		p.Addf("host", "%s", why)
	case !strings.HasSuffix(strings.TrimRight(d.Host, "/"), "://"+hostOf(d.Host)):
		p.Addf("host", "has a path; write https://host alone")
	}
	p.Add("", d.login())
	if !catalogName.MatchString(d.Catalog) {
		p.Addf("catalog", "%s is not a catalog; name the one that holds the connectors' schemas, in lower-case letters, digits, _ and -", waybill.Quote(d.Catalog))
	}
	if !warehouseID.MatchString(d.WarehouseID) {
		p.Addf("warehouseId", "%s is not a SQL warehouse's id; copy it from the warehouse's page", waybill.Quote(d.WarehouseID))
	}
	p.Add("", d.Tables.validate())
	return p
}

func (d Databricks) login() (p waybill.Problems) {
	needs, known := authNeeds[d.Auth]
	if !known {
		p.Addf("auth", "%s is not known; use oauth-m2m, pat, file-oidc, azure-client-secret or azure-msi", waybill.Quote(d.Auth))
		return p
	}
	p.Add("", checkNeeds(d.Auth, needs, []given{
		{"clientId", !d.ClientID.IsZero()}, {"clientSecret", !d.ClientSecret.IsZero()}, {"token", !d.Token.IsZero()},
		{"tokenFile", d.TokenFile != ""}, {"tenantId", d.TenantID != ""},
	}))
	if d.TokenFile != "" && !filepath.IsAbs(d.TokenFile) {
		p.Addf("tokenFile", "%s is not an absolute path", waybill.Quote(d.TokenFile))
	}
	return p
}

// given is a setting, and whether the author gave it.
type given struct {
	field string
	is    bool
}

// checkNeeds holds settings against those that a way to log in needs, and may
// have after a bar.
func checkNeeds(auth, needs string, settings []given) (p waybill.Problems) {
	needed, allowed, _ := strings.Cut(needs, "|")
	for _, s := range settings {
		switch need := slices.Contains(strings.Fields(needed), s.field); {
		case need && !s.is:
			p.Addf(s.field, "is missing; auth: %s needs it", auth)
		case !need && s.is && !slices.Contains(strings.Fields(allowed), s.field):
			p.Addf(s.field, "is not used with auth: %s; leave it out", auth)
		}
	}
	return p
}

func (s Sharing) validate(n Network) (p waybill.Problems) {
	if s == (Sharing{}) {
		return nil
	}
	switch why := checkServer(s.URL, n); {
	case s.URL == "":
		p.Addf("url", "is missing; give the address at which customers reach the server, e.g. https://share.example")
	case why != "":
		p.Addf("url", "%s", why)
	}
	p.Add("", s.Tables.validate())
	return p
}

// checkServer says what is wrong with the address of a server, or nothing.
func checkServer(text string, n Network) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http"):
		return "is not the address of a server; write https://host or https://host/path, without credentials or query"
	case u.Scheme == "http" && !n.plain(u.Host):
		return "is not encrypted; write https://, or allow http://host:port under network.allow"
	}
	return ""
}

func (t Tables) validate() (p waybill.Problems) {
	u, err := url.Parse(t.Storage)
	switch {
	case t.Storage == "":
		p.Addf("storage", "is missing; give the bucket of the Delta tables, e.g. s3://waybill-delta/")
	case err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		p.Addf("storage", "is not a plain URL; write s3://bucket/prefix/, gs://bucket/, azblob://container/ or file:///folder/, without credentials or query")
	case u.Scheme == "file" && u.Host == "" && filepath.IsAbs(u.Path):
	case u.Host != "" && slices.Contains([]string{"s3", "gs", "azblob"}, u.Scheme):
	default:
		p.Addf("storage", "%s is not a bucket, container or folder; write s3://bucket/prefix/, gs://bucket/, azblob://container/ or file:///folder/", waybill.Quote(t.Storage))
	}
	p.Add("s3", t.S3.validate(strings.HasPrefix(t.Storage, "s3://")))
	if strings.HasPrefix(t.Storage, "azblob://") && t.Azure.Account == "" {
		p.Addf("azure.account", "is missing; name the storage account of the container")
	}
	p.Add("azure", t.Azure.validate())
	return p
}
