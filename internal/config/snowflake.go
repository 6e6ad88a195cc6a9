package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/secrets"
)

// Snowflake is the provider's own account, through which connectors of kind
// snowflake are served.
type Snowflake struct {
	Account        string      `yaml:"account" help:"our account as ORGANIZATION-ACCOUNT, e.g. OURORG-PROVIDER"`
	Region         string      `yaml:"region" help:"its region, e.g. us-east-1; left out: what the account says. With it, an account elsewhere is refused"`
	User           string      `yaml:"user" help:"user who logs in; not needed with workload-identity"`
	Role           string      `yaml:"role" help:"role that owns the connectors' databases and shares"`
	Warehouse      string      `yaml:"warehouse" help:"warehouse that loads"`
	Auth           string      `yaml:"auth" help:"how to log in: key-pair (default), oauth, oauth-client or workload-identity"`
	PrivateKey     secrets.Ref `yaml:"privateKey" help:"reference to the private key, PEM (PKCS #8), for key-pair"`
	NextPrivateKey secrets.Ref `yaml:"nextPrivateKey" help:"reference to the key that takes its place: each is tried where the other is refused"`
	Token          secrets.Ref `yaml:"token" help:"reference to the access token, for oauth; to the identity token, for workload-identity with provider OIDC"`
	ClientID       string      `yaml:"clientId" help:"the client's id, for oauth-client"`
	ClientSecret   secrets.Ref `yaml:"clientSecret" help:"reference to the client's secret, for oauth-client"`
	TokenURL       string      `yaml:"tokenUrl" help:"https://… at which oauth-client fetches tokens"`
	Provider       string      `yaml:"provider" help:"AWS, GCP, AZURE or OIDC, for workload-identity"`
	Sessions       int         `yaml:"sessions" help:"sessions of one process at once; left out: 8"`
	Endpoint       string      `yaml:"endpoint" help:"http://host:port of a server in place of Snowflake, for tests; it must stand under network.allow"`
	Stage          Stage       `yaml:"stage"`
}

// Stage is our ingestion bucket, which Snowflake enters by a storage
// integration. Without one, files are staged in Snowflake itself.
type Stage struct {
	Integration string `yaml:"integration" help:"storage integration by which Snowflake enters the ingestion bucket; left out, with url: files are staged in Snowflake itself"`
	URL         string `yaml:"url" help:"ingestion bucket as Snowflake writes it: s3://bucket/, gcs://bucket/ or azure://account.blob.core.windows.net/container/"`
	Storage     string `yaml:"storage" help:"the same as we write it: gs://bucket/, azblob://container/, or file:///folder/ where a test server reads a folder; left out with s3://"`
	S3          S3     `yaml:"s3"`
	GCS         GCS    `yaml:"gcs"`
	Azure       Azure  `yaml:"azure"`
}

// Place is the ingestion bucket as we write it.
func (s Stage) Place() string {
	if s.Storage == "" {
		return s.URL
	}
	return s.Storage
}

// snowflakeNeeds are the settings that each way to log in needs, those that it
// may have after a bar.
var snowflakeNeeds = map[string]string{
	"key-pair": "user privateKey | nextPrivateKey", "oauth": "token | user", "oauth-client": "clientId clientSecret tokenUrl | user",
	"workload-identity": "provider | token user",
}

func (s Snowflake) validate(n Network) (p waybill.Problems) {
	if s == (Snowflake{}) {
		return nil
	}
	for _, c := range []struct{ field, value, what string }{
		{"account", s.Account, "our account as ORGANIZATION-ACCOUNT"},
		{"role", s.Role, "the role that owns what is shared"},
		{"warehouse", s.Warehouse, "the warehouse that loads"},
	} {
		if c.value == "" {
			p.Addf(c.field, "is missing; give %s", c.what)
		}
	}
	p.Add("", s.login())
	if why := checkServer(s.TokenURL, n); s.TokenURL != "" && why != "" {
		p.Addf("tokenUrl", "%s", why)
	}
	if s.Sessions < 0 || s.Sessions > 1000 {
		p.Addf("sessions", "%d is out of range; use 1 to 1000, or leave it out", s.Sessions)
	}
	if s.Endpoint != "" {
		u, err := url.Parse(s.Endpoint)
		switch why := checkServer(s.Endpoint, n); {
		case why != "":
			p.Addf("endpoint", "%s", why)
		case err != nil || u.Scheme != "http" || u.Port() == "" || strings.Trim(u.Path, "/") != "":
			p.Addf("endpoint", "is not http://host:port; leave it out to reach Snowflake")
		}
	}
	p.Add("stage", s.Stage.validate())
	return p
}

func (s Snowflake) login() (p waybill.Problems) {
	auth := s.Auth
	if auth == "" {
		auth = "key-pair"
	}
	needs, known := snowflakeNeeds[auth]
	if !known {
		p.Addf("auth", "%s is not known; use key-pair, oauth, oauth-client or workload-identity", waybill.Quote(s.Auth))
		return p
	}
	p.Add("", checkNeeds(auth, needs, []given{
		{"user", s.User != ""}, {"privateKey", !s.PrivateKey.IsZero()}, {"nextPrivateKey", !s.NextPrivateKey.IsZero()}, {"token", !s.Token.IsZero()},
		{"clientId", s.ClientID != ""}, {"clientSecret", !s.ClientSecret.IsZero()}, {"tokenUrl", s.TokenURL != ""}, {"provider", s.Provider != ""},
	}))
	if providers := []string{"AWS", "GCP", "AZURE", "OIDC"}; s.Provider != "" && !slices.Contains(providers, s.Provider) {
		p.Addf("provider", "%s is not known; use %s", waybill.Quote(s.Provider), strings.Join(providers, ", "))
	} else if (s.Provider == "OIDC") == s.Token.IsZero() && auth == "workload-identity" {
		p.Addf("token", "belongs to provider: OIDC, which needs it")
	}
	return p
}

func (s Stage) validate() (p waybill.Problems) {
	if s == (Stage{}) {
		return nil
	}
	if s.Integration == "" {
		p.Addf("integration", "is missing; name the storage integration by which Snowflake enters the bucket, or leave out the whole stage to stage in Snowflake itself")
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !slices.Contains([]string{"s3", "gcs", "azure"}, u.Scheme) {
		p.Addf("url", "%s is not a bucket as Snowflake writes it; use s3://bucket/, gcs://bucket/ or azure://account.blob.core.windows.net/container/", waybill.Quote(s.URL))
		return p
	}
	if u.Scheme != "s3" && s.Storage == "" {
		p.Addf("storage", "is missing; give the bucket of url as we write it: gs://bucket/ or azblob://container/")
		return p
	}
	p.Add("", Tables{Storage: s.Place(), S3: s.S3, GCS: s.GCS, Azure: s.Azure}.validate())
	return p
}
