package source

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/netguard"
	"github.com/waybillhq/waybill/storage"
)

const outsidePrefixes = "put the records under a prefix that the fleet's sources.allow names for this team"

// allowedKey returns the key that u names if team may read it.
func (o Opener) allowedKey(team string, u *url.URL) (string, error) {
	key := strings.TrimPrefix(u.Path, "/")
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Host == "" || storage.CheckKey(key) != nil {
		return "", notAllowed("name the records as "+u.Scheme+"://bucket/key, without credentials, query, or segments such as ..", "source is no plain object URI")
	}
	if !waybill.ValidID(team) {
		return "", notAllowed("hand the run in with its team's id", "no team")
	}
	name := u.Scheme + "://" + u.Host + "/" + key
	for _, prefix := range o.Allow {
		filled := strings.ReplaceAll(prefix, "{teamId}", team)
		// The slash keeps team-1 out of what is team-10's.
		if filled != prefix && strings.HasPrefix(name, strings.TrimSuffix(filled, "/")+"/") {
			return key, nil
		}
	}
	return "", notAllowed(outsidePrefixes, "source %q is under none of the allowed prefixes of team %s", name, team)
}

// allowedURL refuses a URL that team may not read.
func (o Opener) allowedURL(team string, u *url.URL) error {
	if u.User != nil || u.Fragment != "" || u.Opaque != "" || u.Host == "" || strings.ContainsFunc(u.Host, notPrintableASCII) {
		return notAllowed("name the records as https://host/path, without credentials or fragment, the host in ASCII", "source is no plain URL")
	}
	if err := pathFault(u); err != nil {
		return notAllowed("write the URL's path as the server keeps it, without segments such as .., empty ones, or escaped slashes", "path of source: %w", err)
	}
	if !waybill.ValidID(team) {
		return notAllowed("hand the run in with its team's id", "no team")
	}
	if slices.ContainsFunc(o.Allow, func(prefix string) bool {
		p, err := url.Parse(strings.ReplaceAll(prefix, "{teamId}", team))
		return err == nil && below(p, u)
	}) {
		return nil
	}
	return notAllowed(outsidePrefixes, "source at %.300q is under none of the allowed prefixes of team %s", u.Host, team)
}

// below reports whether u has the prefix's origin and lies below its path.
func below(prefix, u *url.URL) bool {
	return prefix.Host != "" && netguard.SameOrigin(prefix, u) && strings.HasPrefix(u.Path, strings.TrimSuffix(prefix.Path, "/")+"/")
}

// pathFault refuses a path that some server, proxy or framework between us and
// the records could understand as another one than we compared: what a second
// decoding, a Unicode normalisation, a taste for backslashes, or the cutting
// of parameters (;x) turns into "..", ".", "" or a slash.
func pathFault(u *url.URL) error {
	segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	if last := len(segments) - 1; last > 0 && segments[last] == "" {
		segments = segments[:last] // a slash at the end is nobody's way out
	}
	for _, segment := range segments {
		if !isPlain(segment) {
			return fmt.Errorf("has the segment %.100q", segment)
		}
	}
	return nil
}

var escape = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// isPlain reports whether a segment of a path means one name, however often
// and however carelessly it is decoded.
func isPlain(segment string) bool {
	for range 4 {
		name, _, _ := strings.Cut(norm.NFKC.String(segment), ";")
		if strings.ContainsAny(name, "/\u2044\u2215\u29f8") || strings.Trim(name, ".") == "" || storage.CheckKey(name) != nil {
			return false
		}
		decoded := escape.ReplaceAllStringFunc(segment, func(hex string) string {
			b, _ := strconv.ParseUint(hex[1:], 16, 8) // two hex digits are a byte
			return string([]byte{byte(b)})
		})
		if decoded == segment {
			return true
		}
		segment = decoded
	}
	return false
}

func notPrintableASCII(r rune) bool { return r <= ' ' || r > '~' }

// location is the URI without its query, which may be a signature.
func location(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	return uri
}

func notAllowed(mend, format string, args ...any) error {
	return waybill.Failf(waybill.Permanent, "source.not_allowed",
		"The run's source may not be read; "+mend+".", format, args...)
}
