// Package config reads the fleet's configuration: defaults, then one strict
// YAML file, then WAYBILL_… variables, then a validation that reports every
// problem at once, each with its place and its path.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/secrets"
)

// Config is the fleet's configuration, the content of waybill.yaml. The yaml
// tag is a setting's key, the help tag its line in the README.
type Config struct {
	Brand      string     `yaml:"brand" help:"the provider's name in paths, object metadata and system columns"`
	Redis      Redis      `yaml:"redis"`
	Bucket     Bucket     `yaml:"bucket"`
	Sources    Sources    `yaml:"sources"`
	Platform   Platform   `yaml:"platform"`
	Snowflake  Snowflake  `yaml:"snowflake"`
	Databricks Databricks `yaml:"databricks"`
	Sharing    Sharing    `yaml:"sharing"`
	Network    Network    `yaml:"network"`
	Limits     Limits     `yaml:"limits"`
	Times      Times      `yaml:"times"`
	Monitoring Monitoring `yaml:"monitoring"`
	Log        Log        `yaml:"log"`
	Notify     Notify     `yaml:"notify"`
	Tokens     []Token    `yaml:"tokens" help:"tokens of the HTTP API, beside those that waybill token create makes: a list of {name, hash, scope, teams}, where hash is a reference; not by a variable"`
}

// Redis says where the ledger and the queue are: one server by URL, or a
// Sentinel's master, or a Cluster.
type Redis struct {
	URL      string      `yaml:"url" help:"redis://[user@]host:port/db, or rediss:// for TLS; redis://127.0.0.1:6379/0 if neither sentinel nor cluster is given"`
	Username string      `yaml:"username" help:"ACL user, where there is no URL"`
	Password secrets.Ref `yaml:"password" help:"reference to the password"`
	Sentinel Sentinel    `yaml:"sentinel"`
	Cluster  Cluster     `yaml:"cluster"`
	TLS      TLS         `yaml:"tls"`

	WaitReplicas Replicas `yaml:"waitReplicas" help:"replicas that must have an accepted run before its producer hears of it; left out: 1 with sentinel, with cluster, and where a server has a replica"`
	AllowUnsafe  []string `yaml:"allowUnsafe" help:"start although Redis may lose what it is given: eviction (it evicts keys), no-aof (no append-only file), no-fsync (appendfsync no)"`
}

// Sentinel names a master that Redis Sentinels know.
type Sentinel struct {
	Master   string      `yaml:"master" help:"name of the master"`
	Addrs    []string    `yaml:"addrs" help:"host:port of each Sentinel"`
	DB       int         `yaml:"db" help:"database number at the master"`
	Username string      `yaml:"username" help:"ACL user at the Sentinels"`
	Password secrets.Ref `yaml:"password" help:"reference to the Sentinels' password"`
}

// Cluster names nodes of a Redis Cluster.
type Cluster struct {
	Addrs []string `yaml:"addrs" help:"host:port of some nodes"`
}

// TLS says how connections to Redis are encrypted.
type TLS struct {
	Enabled bool   `yaml:"enabled" help:"encrypt connections to sentinel and cluster; with a URL write rediss://"`
	CA      string `yaml:"ca" help:"file with the certificates to trust; the system's if left out"`

	ServerName string `yaml:"serverName" help:"name that the servers' certificates must bear; left out: the host that is connected to"`
}

// S3 says how a bucket is reached. Without keys the ambient credentials of the
// process are used: role, instance profile, AWS_… variables.
type S3 struct {
	Region          string      `yaml:"region" help:"region of the bucket"`
	Endpoint        string      `yaml:"endpoint" help:"https://… of a store that is not AWS"`
	PathStyle       bool        `yaml:"pathStyle" help:"put the bucket's name into the path of the endpoint"`
	AccessKeyID     secrets.Ref `yaml:"accessKeyId" help:"reference to the access key id; left out: the process's own credentials"`
	SecretAccessKey secrets.Ref `yaml:"secretAccessKey" help:"reference to the secret access key"`
}

// Bucket is our own bucket: receipts and mirrors.
type Bucket struct {
	URL string `yaml:"url" help:"our own bucket: s3://bucket/prefix or file:///folder"`
	S3
}

// Sources says where the records of runs may be read from.
type Sources struct {
	Allow    []string `yaml:"allow" help:"prefixes that runs may name: s3://, gs:// or azblob://, each with {teamId}, or https://, where whoever hands in runs of any team may name anything below a prefix without {teamId}; each with a slash at the end, e.g. s3://runs/{teamId}/"`
	FileRoot string   `yaml:"fileRoot" help:"folder that file:/// sources must lie in; none: no such sources"`
	S3       S3       `yaml:"s3"`
	GCS      GCS      `yaml:"gcs"`
	Azure    Azure    `yaml:"azure"`
}

// GCS says who we are to Google Cloud Storage. Without a key we are who the
// process is.
type GCS struct {
	ServiceAccount secrets.Ref `yaml:"serviceAccount" help:"reference to a service account's key file, JSON; left out: the process's own identity"`
	Impersonate    string      `yaml:"impersonate" help:"e-mail of a service account to act as"`
}

// Azure says which storage account is meant and who we are to it. Without a
// signature or a key we are who the process is.
type Azure struct {
	Account         string      `yaml:"account" help:"storage account of azblob:// sources"`
	SAS             secrets.Ref `yaml:"sas" help:"reference to a shared access signature"`
	AccountKey      secrets.Ref `yaml:"accountKey" help:"reference to a key of the account"`
	ManagedIdentity string      `yaml:"managedIdentity" help:"client id of a managed identity, where there are several"`
}

// Platform is the provider's own API, where runs' records can be read from.
type Platform struct {
	URL    string      `yaml:"url" help:"https://… of the platform's API; of all servers only this one is shown apiKey"`
	APIKey secrets.Ref `yaml:"apiKey" help:"reference to the key that is sent as x-api-key"`
}

// Network says what the guard of outbound https lets through beyond the public
// internet: sources, webhooks, custom endpoints.
type Network struct {
	Allow []string `yaml:"allow" help:"exceptions: addresses such as 10.0.0.0/8, or host:port whatever its address, or http://host:port to do without encryption there"`
}

// Limits bound what one run, record or connector may take.
type Limits struct {
	MaxInFlight    int   `yaml:"maxInFlight" help:"deliveries of one connector under way at once, where the connector does not say"`
	MaxFailures    int   `yaml:"maxFailures" help:"a connector is paused after so many deliveries in a row that failed by its destination"`
	LargestRecord  Bytes `yaml:"largestRecord" help:"a larger record is quarantined"`
	Nesting        int   `yaml:"nesting" help:"a deeper record is quarantined"`
	Expansion      int   `yaml:"expansion" help:"a compressed source may become this many times larger"`
	ExpansionFloor Bytes `yaml:"expansionFloor" help:"what a compressed source may always become"`
	APIRequests    int   `yaml:"apiRequests" help:"requests a second that a token may make of the HTTP API, at each scheduler"`
	APIBody        Bytes `yaml:"apiBody" help:"what a request of the HTTP API may hold"`
}

// Times are the intervals of the machinery.
type Times struct {
	Lease time.Duration `yaml:"lease" help:"how long a worker holds a delivery without a sign of life; renewed every third"`
	Sweep time.Duration `yaml:"sweep" help:"how often each scheduler looks for what a crash left"`
	Stall time.Duration `yaml:"stall" help:"a step without progress is cancelled after this"`

	Activity time.Duration `yaml:"activity" help:"how often each connector's activity log is brought up to date; whole seconds"`

	Retention       time.Duration `yaml:"retention" help:"how long a delivery that is complete, cancelled or unpublished stays in the ledger; then it is in our bucket, below history/"`
	TokenLifetime   Lifetime      `yaml:"tokenLifetime" help:"how long a customer's token for shared tables is valid, where the connector does not say; at most 365d"`
	RotationOverlap Lifetime      `yaml:"rotationOverlap" help:"how long the former token is valid after a rotation"`
	KeepDeleted     Lifetime      `yaml:"keepDeleted" help:"how long the tables of a deleted connector, or of a workflow that it no longer selects, are kept after the customer lost them; then they are erased"`
}

// Monitoring says what the metrics tell beyond what they tell of all.
type Monitoring struct {
	Connectors []string `yaml:"connectors" help:"connectors with series of their own in the metrics: the few that somebody watches"`
}

// Log says what the log holds and how it is written.
type Log struct {
	Level  string `yaml:"level" help:"debug, info, warn or error"`
	Format string `yaml:"format" help:"json or text"`
}

// Default returns the documented defaults.
func Default() Config {
	return Config{
		Brand: "kadoa",
		Limits: Limits{MaxInFlight: 4, MaxFailures: 5, LargestRecord: 64 << 20, Nesting: 128, Expansion: 200, ExpansionFloor: 1 << 30,
			APIRequests: 50, APIBody: 1 << 20},
		Times: Times{Lease: 15 * time.Second, Sweep: 3 * time.Second, Stall: 5 * time.Minute, Activity: time.Minute, Retention: 30 * 24 * time.Hour,
			TokenLifetime: Lifetime(90 * day), RotationOverlap: Lifetime(day), KeepDeleted: Lifetime(30 * day)},
		Log: Log{Level: "info", Format: "json"},
	}
}

// Load reads the configuration: the defaults, over them the file at path (none
// if path is empty), over it the environment that lookup knows, usually
// [os.LookupEnv]. Needs are sections that the caller cannot do without. The
// error is a [waybill.Problems] that names every problem.
func Load(path string, lookup func(string) (string, bool), needs ...Need) (Config, error) {
	c := Default()
	p := &places{}
	problems, err := p.decodeFile(path, &c)
	if err != nil {
		return c, err
	}
	problems = append(problems, p.override(&c, lookup)...)
	// What could not be decoded still has its default: validating it as well
	// tells the author everything in one go.
	return c, Merge(problems, locate(c.Validate(needs...), p.where)).Err()
}

// places knows where each setting came from.
type places struct {
	doc  *Document
	vars map[string]string // path → variable
}

func (p *places) decodeFile(path string, c *Config) (waybill.Problems, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	name := filepath.Base(path)
	docs, err := ParseYAML(name, text)
	if err != nil {
		return nil, err
	}
	if len(docs) > 1 {
		return nil, waybill.Problems{{Field: name, Message: "holds several YAML documents; the configuration is one"}}
	}
	if len(docs) == 0 {
		return nil, nil
	}
	p.doc = docs[0]
	return p.doc.Decode(c), nil
}

func (p *places) where(path string) string {
	for above := path; above != ""; above = parent(above) {
		if name, ok := p.vars[above]; ok {
			return name
		}
	}
	if p.doc == nil {
		return ""
	}
	return p.doc.place(path)
}

// Merge adds the problems that a validation found to those of the decoding,
// but for fields that could not be decoded in the first place.
func Merge(decoding, validation waybill.Problems) waybill.Problems {
	all := slices.Clone(decoding)
	for _, p := range validation {
		if !slices.ContainsFunc(decoding, func(q waybill.Problem) bool { return q.Field == p.Field }) {
			all = append(all, p)
		}
	}
	return all
}
