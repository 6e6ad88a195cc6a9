package storage

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/waybillhq/waybill"
)

// Location is where a store is.
type Location struct {
	Scheme string // s3, gs, azblob or file
	Bucket string // of s3 and gs; of azblob, the container
	Prefix string // of s3, gs and azblob: empty, or folders with a slash at the end
	Dir    string // of file: absolute
}

// String is the location as a URL.
func (l Location) String() string {
	u := url.URL{Scheme: l.Scheme, Host: l.Bucket, Path: "/" + l.Prefix}
	if l.Scheme == "file" {
		u.Path = l.Dir
	}
	return u.String()
}

// bucketKind is how a service's buckets are named.
type bucketKind struct {
	noun  string
	most  int // characters
	name  *regexp.Regexp
	rules string
}

// The names of buckets:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
// https://cloud.google.com/storage/docs/buckets#naming
// https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
var bucketKinds = map[string]bucketKind{
	"s3": {"bucket", 63, regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`),
		"it has 3 to 63 lower-case letters, digits, dots and dashes"},
	"gs": {"bucket", 222, regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`),
		"it has at least 3 lower-case letters, digits, dots, dashes and underscores"},
	"azblob": {"container", 63, regexp.MustCompile(`^[a-z0-9](-?[a-z0-9]){2,62}$`),
		"it has 3 to 63 lower-case letters, digits and single dashes; the storage account is a setting of its own"},
}

const urlForms = "s3://bucket/prefix, gs://bucket/prefix, azblob://container/prefix or file:///dir"

// ParseURL reads s3://bucket/prefix, gs://bucket/prefix, azblob://container/prefix
// and file:///dir. Azure's storage account is not part of the URL. The error is
// a [waybill.Problems] about the field url, which says how to mend it and never
// repeats what could be a secret.
func ParseURL(raw string) (Location, error) {
	var p waybill.Problems
	location, problem := parseURL(raw)
	if problem != "" {
		p.Addf("url", "%s", problem)
	}
	return location, p.Err()
}

func parseURL(raw string) (Location, string) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return Location{}, "is missing; write " + urlForms
	case err != nil:
		return Location{}, "is not a URL; write " + urlForms
	case u.User != nil:
		return Location{}, "holds credentials; they belong into access, by reference"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Location{}, "has something after ? or #; give the place alone, and the rest as settings of their own"
	}
	if u.Scheme == "file" {
		return parseFileURL(u)
	}
	if kind, ok := bucketKinds[u.Scheme]; ok {
		return parseBucketURL(u, kind)
	}
	return Location{}, fmt.Sprintf("%.60q is not supported as a kind of store; use %s", u.Scheme, urlForms)
}

func parseBucketURL(u *url.URL, kind bucketKind) (Location, string) {
	if !kind.name.MatchString(u.Host) || len(u.Host) > kind.most {
		return Location{}, fmt.Sprintf("%.80q is not a %s's name; %s", u.Host, kind.noun, kind.rules)
	}
	prefix := strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), "/")
	if prefix != "" {
		if err := keyFault(prefix); err != nil {
			return Location{}, fmt.Sprintf("the prefix %v; give folders separated by single slashes", err)
		}
	}
	return Location{Scheme: u.Scheme, Bucket: u.Host, Prefix: folderPrefix(prefix)}, ""
}

func parseFileURL(u *url.URL) (Location, string) {
	switch {
	case u.Host != "" || u.Opaque != "" || !path.IsAbs(u.Path):
		return Location{}, "does not name an absolute folder; write file:///dir, with three slashes"
	case path.Clean(u.Path) == "/":
		return Location{}, "is the whole file system; name a folder of it"
	case path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/"):
		return Location{}, `has an empty, "." or ".." segment; write the folder's plain path`
	case strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return Location{}, "has a control character; write the folder's plain path"
	}
	return Location{Scheme: "file", Dir: path.Clean(u.Path)}, ""
}
