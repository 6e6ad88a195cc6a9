package config

import (
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
)

// Need is a section that a command cannot do without.
type Need string

// The needs. Redis is always there, for it has a default.
const (
	NeedBucket Need = "bucket" // our own bucket
)

var brandName = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}$`)

// Validate returns everything wrong with the configuration.
func (c Config) Validate(needs ...Need) waybill.Problems {
	var p waybill.Problems
	if !brandName.MatchString(c.Brand) {
		p.Addf("brand", "%s is not a brand; use a lower-case letter, then letters and digits, at most 32", waybill.Quote(c.Brand))
	}
	p.Add("redis", c.Redis.validate())
	p.Add("bucket", c.Bucket.validate(slices.Contains(needs, NeedBucket)))
	p.Add("sources", c.Sources.validate(c.Network))
	p.Add("platform", c.Platform.validate(c.Network))
	p.Add("snowflake", c.Snowflake.validate(c.Network))
	p.Add("databricks", c.Databricks.validate(c.Network))
	p.Add("sharing", c.Sharing.validate(c.Network))
	p.Add("network", c.Network.validate())
	p.Add("limits", c.Limits.validate())
	p.Add("times", c.Times.validate())
	p.Add("log", c.Log.validate())
	p.Add("notify.webhook", c.Notify.Webhook.Validate())
	p.Add("", validateTokens(c.Tokens))
	return p
}

func (r Redis) validate() (p waybill.Problems) {
	sentinel := r.Sentinel.Master != "" || len(r.Sentinel.Addrs) > 0
	cluster := len(r.Cluster.Addrs) > 0
	switch {
	case sentinel && cluster:
		p.Addf("cluster", "stands beside sentinel; give one of url, sentinel, cluster")
	case r.URL != "" && (sentinel || cluster):
		p.Addf("url", "stands beside sentinel or cluster; give one of url, sentinel, cluster")
	case sentinel:
		p.Add("sentinel", r.Sentinel.validate())
	case cluster:
		p.Add("cluster", checkAddrs(r.Cluster.Addrs))
	default:
		p.Add("", r.validateURL())
	}
	if r.TLS.CA != "" && !filepath.IsAbs(r.TLS.CA) {
		p.Addf("tls.ca", "%s is not an absolute path", waybill.Quote(r.TLS.CA))
	}
	if r.WaitReplicas > maxReplicas {
		p.Addf("waitReplicas", "%s is out of range; use 0 to %d", r.WaitReplicas, maxReplicas)
	}
	for i, name := range r.AllowUnsafe {
		oneOf(&p, element("allowUnsafe", i), name, UnsafeEviction, UnsafeNoAOF, UnsafeNoFsync)
	}
	return p
}

// validateURL repeats nothing of the URL: it may hold a password.
func (r Redis) validateURL() (p waybill.Problems) {
	u, err := parseRedisURL(r.URL)
	if err != nil {
		p.Addf("url", "%s", err)
		return p
	}
	if u.username != "" && r.Username != "" {
		p.Addf("username", "stands beside a user in url; give it once")
	}
	if r.TLS.Enabled && !u.tls {
		p.Addf("tls.enabled", "contradicts the redis:// of url; write rediss://")
	}
	if r.TLS.CA != "" && !u.tls {
		p.Addf("tls.ca", "is of no use with redis://; write rediss://")
	}
	if r.TLS.ServerName != "" && !u.tls {
		p.Addf("tls.serverName", "is of no use with redis://; write rediss://")
	}
	return p
}

func (s Sentinel) validate() (p waybill.Problems) {
	if s.Master == "" {
		p.Addf("master", "is missing; give the name by which the Sentinels know the master")
	}
	if s.DB < 0 {
		p.Addf("db", "%d is negative", s.DB)
	}
	if len(s.Addrs) == 0 {
		p.Addf("addrs", "is empty; give host:port of each Sentinel")
	}
	p.Add("", checkAddrs(s.Addrs))
	return p
}

func checkAddrs(addrs []string) (p waybill.Problems) {
	for i, addr := range addrs {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			p.Addf(element("addrs", i), "%s is not host:port", waybill.Quote(addr))
		}
	}
	return p
}

func (b Bucket) validate(needed bool) (p waybill.Problems) {
	u, err := url.Parse(b.URL)
	switch {
	case b.URL == "" && (needed || b.S3 != S3{}):
		p.Addf("url", "is missing; give our own bucket, e.g. s3://waybill-internal or file:///var/lib/waybill")
	case b.URL == "":
	case err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		p.Addf("url", "is not a plain URL; write s3://bucket/prefix or file:///folder, without credentials or query")
	case u.Scheme == "s3" && u.Host != "":
		p.Add("", b.S3.validate(true))
	case u.Scheme == "file" && u.Host == "" && filepath.IsAbs(u.Path):
		if b.S3 != (S3{}) {
			p.Addf("url", "is a folder; region, endpoint, pathStyle and keys belong to s3:// only")
		}
	default:
		p.Addf("url", "%s is not a bucket; write s3://bucket/prefix or file:///folder", waybill.Quote(b.URL))
	}
	return p
}

func (s S3) validate(needsRegion bool) (p waybill.Problems) {
	if needsRegion && s.Region == "" && s.Endpoint == "" {
		p.Addf("region", "is missing; give the bucket's region, e.g. eu-central-1")
	}
	if u, err := url.Parse(s.Endpoint); s.Endpoint != "" && (err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http")) {
		p.Addf("endpoint", "is not an endpoint; write https://host or https://host:port, without credentials")
	}
	if s.AccessKeyID.IsZero() && !s.SecretAccessKey.IsZero() {
		p.Addf("accessKeyId", "is missing beside secretAccessKey; give both, or neither for the process's own credentials")
	}
	if s.SecretAccessKey.IsZero() && !s.AccessKeyID.IsZero() {
		p.Addf("secretAccessKey", "is missing beside accessKeyId; give both, or neither for the process's own credentials")
	}
	return p
}

func (l Limits) validate() (p waybill.Problems) {
	inRange(&p, "maxInFlight", l.MaxInFlight, 1, 1000)
	inRange(&p, "maxFailures", l.MaxFailures, 1, 1000)
	inRange(&p, "largestRecord", l.LargestRecord, 1<<10, 1<<30)
	inRange(&p, "nesting", l.Nesting, 1, 10_000)
	inRange(&p, "expansion", l.Expansion, 1, 100_000)
	inRange(&p, "expansionFloor", l.ExpansionFloor, 1<<20, 1<<50)
	inRange(&p, "apiRequests", l.APIRequests, 1, 100_000)
	inRange(&p, "apiBody", l.APIBody, 1<<10, 1<<20)
	return p
}

func (t Times) validate() (p waybill.Problems) {
	inRange(&p, "lease", t.Lease, time.Second, 10*time.Minute)
	inRange(&p, "sweep", t.Sweep, 100*time.Millisecond, 10*time.Minute)
	inRange(&p, "stall", t.Stall, time.Second, 24*time.Hour)
	inRange(&p, "activity", t.Activity, time.Second, time.Hour)
	inRange(&p, "retention", t.Retention, time.Second, 10*365*24*time.Hour)
	inRange(&p, "tokenLifetime", t.TokenLifetime, MinTokenLifetime, MaxTokenLifetime)
	inRange(&p, "rotationOverlap", t.RotationOverlap, 0, Lifetime(30*day))
	inRange(&p, "keepDeleted", t.KeepDeleted, 0, Lifetime(3650*day))
	return p
}

// The limits of a token's lifetime; the upper one is the platform's promise.
const (
	MinTokenLifetime = Lifetime(time.Hour)
	MaxTokenLifetime = Lifetime(365 * day)
)

func inRange[T Bytes | int | time.Duration | Lifetime](p *waybill.Problems, field string, value, low, high T) {
	if value < low || value > high {
		p.Addf(field, "%v is out of range; use %v to %v", value, low, high)
	}
}

func (l Log) validate() (p waybill.Problems) {
	oneOf(&p, "level", l.Level, "debug", "info", "warn", "error")
	oneOf(&p, "format", l.Format, "json", "text")
	return p
}

func oneOf(p *waybill.Problems, field, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		p.Addf(field, "%s is not known; use %s", waybill.Quote(value), strings.Join(choices, ", "))
	}
}
