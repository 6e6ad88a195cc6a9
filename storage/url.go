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
	Scheme string // s3 or file
	Bucket string // of s3
	Prefix string // of s3: empty, or folders with a slash at the end
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

// bucketName: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// ParseURL reads s3://bucket/prefix and file:///dir. Its error is a
// [waybill.Problems] about the field url, which says how to mend it and never
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
		return Location{}, "is missing; write s3://bucket/prefix or file:///dir"
	case err != nil:
		return Location{}, "is not a URL; write s3://bucket/prefix or file:///dir"
	case u.User != nil:
		return Location{}, "holds credentials; they belong into access, by reference"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Location{}, "has something after ? or #; give the place alone, and the rest as settings of their own"
	}
	switch u.Scheme {
	case "s3":
		return parseS3URL(u)
	case "file":
		return parseFileURL(u)
	}
	return Location{}, fmt.Sprintf("%.60q is not supported as a kind of store; use s3://bucket/prefix or file:///dir", u.Scheme)
}

func parseS3URL(u *url.URL) (Location, string) {
	if !bucketName.MatchString(u.Host) {
		return Location{}, fmt.Sprintf("%.80q is not a bucket's name; it has 3 to 63 lower-case letters, digits, dots and dashes", u.Host)
	}
	prefix := strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), "/")
	if prefix != "" {
		if err := keyFault(prefix); err != nil {
			return Location{}, fmt.Sprintf("the prefix %v; give folders separated by single slashes", err)
		}
	}
	return Location{Scheme: "s3", Bucket: u.Host, Prefix: folderPrefix(prefix)}, ""
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
