package config

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waybillhq/waybill"
)

func (s Sources) validate(n Network) (p waybill.Problems) {
	for i, prefix := range s.Allow {
		if why := checkPrefix(prefix, n); why != "" {
			p.Addf(element("allow", i), "%s %s", waybill.Quote(prefix), why)
		}
	}
	if s.FileRoot != "" && !filepath.IsAbs(s.FileRoot) {
		p.Addf("fileRoot", "%s is not an absolute path", waybill.Quote(s.FileRoot))
	}
	onS3 := slices.ContainsFunc(s.Allow, func(prefix string) bool { return strings.HasPrefix(prefix, "s3://") })
	p.Add("s3", s.S3.validate(onS3))
	onAzure := slices.ContainsFunc(s.Allow, func(prefix string) bool { return strings.HasPrefix(prefix, "azblob://") })
	if onAzure && s.Azure.Account == "" {
		p.Addf("azure.account", "is missing; name the storage account of the azblob:// sources that allow lists")
	}
	p.Add("azure", s.Azure.validate())
	return p
}

func (a Azure) validate() (p waybill.Problems) {
	if !a.SAS.IsZero() && !a.AccountKey.IsZero() {
		p.Addf("sas", "stands beside accountKey; give one of them, or neither for the process's own identity")
	}
	return p
}

// checkPrefix says what is wrong with an allowed prefix, or nothing.
func checkPrefix(prefix string, n Network) string {
	scheme, rest, _ := strings.Cut(prefix, "://")
	switch scheme {
	case "s3", "gs", "azblob":
		return checkObjectPrefix(scheme, rest)
	case "https", "http":
		return checkWebPrefix(prefix, n)
	}
	return "is not a prefix; write s3://bucket/path/{teamId}/, likewise gs:// or azblob://, or https://host/path/ (folders are allowed by fileRoot)"
}

// checkObjectPrefix: without the team in it, one team's run could name
// another's records; without the slash, team a's prefix would match team ab's too.
func checkObjectPrefix(scheme, rest string) string {
	bucket, path, _ := strings.Cut(rest, "/")
	plain := strings.ReplaceAll(path, "{teamId}", "")
	switch {
	case bucket == "" || strings.ContainsAny(bucket, "{}@:?#"):
		return "names no bucket; write " + scheme + "://bucket/path/{teamId}/"
	case plain == path:
		return "does not contain {teamId}; without it one team could read another's runs"
	case strings.ContainsAny(plain, "{}"):
		return "has a variable that is not {teamId}"
	case !strings.HasSuffix(path, "/"):
		return "does not end with a slash; without it team-1 would match team-10 too"
	}
	return ""
}

// checkWebPrefix: the URLs of a platform's API do not name the team, so that a
// prefix need not.
func checkWebPrefix(prefix string, n Network) string {
	u, err := url.Parse(strings.ReplaceAll(prefix, "{teamId}", "t"))
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "is not a plain URL; write https://host/path/"
	case u.User != nil:
		return "holds credentials; write https://host/path/"
	case strings.Contains(hostOf(prefix), "{"):
		return "has a variable in its host; write https://host/path/{teamId}/"
	case strings.ContainsAny(u.Path, "{}"):
		return "has a variable that is not {teamId}"
	case !strings.HasSuffix(u.Path, "/"):
		return "does not end with a slash; without it /v4 would match /v40 too"
	case u.EscapedPath() != u.Path || u.JoinPath().Path != u.Path:
		return "has escapes or segments such as .. in its path; write the plain path"
	case u.Scheme == "http" && !n.plain(u.Host):
		return "is not encrypted; write https://, or allow http://host:port under network.allow"
	}
	return ""
}

func hostOf(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func (f Platform) validate(n Network) (p waybill.Problems) {
	switch why := checkServer(f.URL, n); {
	case f.URL == "" && f.APIKey.IsZero():
	case f.URL == "":
		p.Addf("url", "is missing beside apiKey; give the platform's API, e.g. https://api.platform.example")
	case why != "":
		p.Addf("url", "%s", why)
	}
	return p
}

func (n Network) validate() (p waybill.Problems) {
	for i, entry := range n.Allow {
		if _, err := netip.ParsePrefix(entry); err == nil {
			continue
		}
		host, port, err := net.SplitHostPort(strings.TrimPrefix(entry, "http://"))
		if err != nil || host == "" || port == "" {
			p.Addf(element("allow", i), "%s is no exception; write addresses such as 10.0.0.0/8, or host:port, or http://host:port", waybill.Quote(entry))
		}
	}
	return p
}

// plain reports whether a host, as it stands in an http:// URL, may be spoken
// to without encryption.
func (n Network) plain(host string) bool {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), "80")
	}
	return slices.ContainsFunc(n.Allow, func(entry string) bool { return strings.EqualFold(entry, "http://"+host) })
}
