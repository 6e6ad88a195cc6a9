// Package source opens the records of a run: it checks that the run may name
// them, reads them from where they are, decompresses them and verifies what
// the producer said of them, as a stream.
package source

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/url"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// Opener opens sources. The zero Opener allows none.
type Opener struct {
	// FileRoot is the folder that file:/// sources must lie in. Empty: none are allowed.
	FileRoot string
	// Allow are the prefixes that object-store sources must begin with, e.g.
	// s3://runs/{teamId}/. A prefix without {teamId} allows nothing.
	Allow []string
	// Bucket returns the store of an S3 bucket, rooted at the bucket itself.
	Bucket func(ctx context.Context, bucket string) (storage.Store, error)
	// Expansion is how many times larger than the compressed bytes the records
	// may be (default 200); ExpansionFloor bytes are always allowed (default 1 GiB).
	Expansion      int
	ExpansionFloor int64
}

// Open returns the plain bytes of src, a source of one of team's runs. A pin is
// the ETag that an earlier read of the same delivery saw; it may be empty.
// The caller closes the reader.
//
// Every error, of Open and of the reader, is a [waybill.Failure] without a
// stage, or the context's error.
func (o Opener) Open(ctx context.Context, team string, src waybill.Source, pin string) (*Reader, error) {
	u, err := url.Parse(src.URI)
	if err != nil {
		return nil, notAllowed("name the run's records by an absolute URI", "source is not a URI")
	}
	name := location(src.URI)
	var raw rawObject
	switch u.Scheme {
	case "file":
		raw, err = o.openFile(u, pin)
	case "s3":
		raw, err = o.openS3(ctx, team, u, pin)
	default:
		return nil, notAllowed("hand in records as an s3:// object under an allowed prefix", "source %q: no reader for this scheme", name)
	}
	if err != nil {
		return nil, classifyOpen(name, err)
	}
	r, err := newReader(ctx, raw, src, o.limit(raw.size))
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return r, nil
}

// limit is how many plain bytes may come of size compressed ones.
func (o Opener) limit(size int64) int64 {
	ratio, floor := int64(cmp.Or(o.Expansion, 200)), cmp.Or(o.ExpansionFloor, 1<<30)
	if size > (1<<62)/ratio {
		return 1 << 62
	}
	return max(floor, size*ratio)
}

// rawObject is the bytes at the URI, as they are there.
type rawObject struct {
	io.ReadCloser
	etag string
	size int64
}

func (o Opener) openS3(ctx context.Context, team string, u *url.URL, pin string) (rawObject, error) {
	key, err := o.allowedKey(team, u)
	if err != nil {
		return rawObject{}, err
	}
	store, err := o.Bucket(ctx, u.Host)
	if err != nil {
		return rawObject{}, err
	}
	body, object, err := store.Get(ctx, key, storage.GetOptions{IfMatch: pin})
	return rawObject{body, object.ETag, object.Size}, err
}

// allowedKey returns the key that u names if team may read it.
func (o Opener) allowedKey(team string, u *url.URL) (string, error) {
	key := strings.TrimPrefix(u.Path, "/")
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Host == "" || storage.CheckKey(key) != nil {
		return "", notAllowed("name the records as s3://bucket/key, without credentials, query, or segments such as ..", "source is no plain object URI")
	}
	if !waybill.ValidID(team) {
		return "", notAllowed("hand the run in with its team's id", "no team")
	}
	name := "s3://" + u.Host + "/" + key
	for _, prefix := range o.Allow {
		filled := strings.ReplaceAll(prefix, "{teamId}", team)
		// The slash keeps team-1 out of what is team-10's.
		if filled != prefix && strings.HasPrefix(name, strings.TrimSuffix(filled, "/")+"/") {
			return key, nil
		}
	}
	return "", notAllowed("put the records under a prefix that the fleet's sources.allow names for this team", "source %q is under none of the allowed prefixes of team %s", name, team)
}

// location is the URI without its query, which may be a signature.
func location(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	return uri
}

func notAllowed(mend, format string, args ...any) error {
	return waybill.Failf(waybill.Permanent, "source.not_allowed",
		"The run's source may not be read; "+mend+".", format, args...)
}

// classifyOpen turns what stores say of an object into what it means for a source.
func classifyOpen(name string, err error) error {
	switch {
	case errors.Is(err, storage.ErrNotExist):
		return &waybill.Failure{Verdict: waybill.Permanent, Code: "source.not_found", Err: err,
			Action: "The run's records are not at " + name + "; store them there and hand the run in again with replace."}
	case errors.Is(err, storage.ErrPrecondition):
		return changed(err)
	}
	return classifyRead(err)
}

// classifyRead makes a store's failure one of the source: the store wrote its
// sentence for who owns a destination, and a connector is not to blame for it.
// The verdict stays.
func classifyRead(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok {
		return waybill.Failf(waybill.Transient, "source.unreadable", transientAction, "read source: %w", err)
	}
	code, ours := strings.CutPrefix(f.Code, "storage.")
	if !ours {
		return f
	}
	g := *f
	g.Code, g.Action, g.Err = "source."+code, transientAction, err
	if f.Verdict == waybill.Blocked {
		g.Action = "The workers cannot read where the run's records are; check sources.s3 in the fleet's configuration and what its credentials may do there."
	}
	return &g
}

const transientAction = "The run's records cannot be read at the moment; it is tried again by itself."

func changed(cause error) error {
	return &waybill.Failure{Verdict: waybill.Permanent, Code: "source.changed", Err: cause,
		Action: "The run's records were changed after the run was handed in; hand the run in again with replace."}
}
