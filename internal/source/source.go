// Package source opens the records of a run: it checks that the run may name
// them, reads them from where they are, goes on after a cut connection,
// decompresses them and verifies what the producer said of them, as a stream.
//
// # Who may read what
//
// A file must lie under the configured root. An object must lie under an
// allowed prefix that contains the id of the run's team. A URL must lie under
// an allowed prefix too, but that prefix need not name the team, because the
// URLs of a platform's API do not: whoever may hand in runs for any team may
// name anything below such a prefix, so it should be as long as it can be.
// The address behind a URL is checked by package netguard. A redirect must
// stay under the allowed prefixes.
//
// # One version
//
// The first read of a delivery pins the version of what it reads: an ETag, or
// the time of the last change. A later attempt that finds another version, and
// a resumption that does, end in source.changed. A source that names no
// version is read from its beginning or not at all.
package source

import (
	"cmp"
	"context"
	"io"
	"net/url"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/netguard"
	"github.com/waybillhq/waybill/storage"
)

// Opener opens sources. The zero Opener allows none.
type Opener struct {
	// FileRoot is the folder that file:/// sources must lie in. Empty: none are allowed.
	FileRoot string
	// Allow are the prefixes that other sources must begin with, e.g.
	// s3://runs/{teamId}/ or https://api.example/v4/workflows/. A prefix of
	// objects without {teamId} allows nothing.
	Allow []string
	// Store returns the store at s3://bucket, gs://bucket or azblob://container,
	// rooted at the bucket itself. Nil: no objects are read.
	Store func(ctx context.Context, location string) (storage.Store, error)
	// Web makes the requests for https sources. Nil: there are none.
	Web *netguard.Guard
	// Platform is the one server that is shown a key.
	Platform Platform
	// Expansion is how many times larger than the compressed bytes the records
	// may be (default 200); ExpansionFloor bytes are always allowed (default 1 GiB).
	Expansion      int
	ExpansionFloor int64

	resume patience // zero: the defaults
}

// Platform is the server of the provider's own run data.
type Platform struct {
	URL string // e.g. https://api.platform.example; the key is sent to URLs of this origin and below this path alone
	// Key returns the value of the header x-api-key; nil: none is sent. It is
	// asked for each request, so that a rotated key is used at once.
	Key func(ctx context.Context) (string, error)
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
	case "s3", "gs", "azblob":
		raw, err = o.openObject(ctx, team, u, pin)
	case "https", "http": // the latter is refused unless the guard allows it for this host
		raw, err = o.openWeb(ctx, team, src, u, pin)
	default:
		return nil, notAllowed("hand in records as an s3://, gs:// or azblob:// object or an https:// URL under an allowed prefix", "source: no reader for scheme %.20q", u.Scheme)
	}
	if err != nil {
		return nil, classifyOpen(name, err)
	}
	r, err := newReader(ctx, raw, src, o.limit)
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
	etag   string
	size   int64  // unknownSize: the server does not say
	coding string // gzip: the server's own compression, beside the records' one
	web    bool   // a server answered, which may answer with a page
}

const unknownSize = -1

func (o Opener) openObject(ctx context.Context, team string, u *url.URL, pin string) (rawObject, error) {
	key, err := o.allowedKey(team, u)
	if err != nil {
		return rawObject{}, err
	}
	if o.Store == nil {
		return rawObject{}, notAllowed("this fleet reads no objects; hand in records by an https:// URL", "no stores are configured")
	}
	store, err := o.Store(ctx, u.Scheme+"://"+u.Host)
	if err != nil {
		return rawObject{}, err
	}
	body, object, err := store.Get(ctx, key, storage.GetOptions{IfMatch: pin})
	if err != nil {
		return rawObject{}, err
	}
	r := &resumed{ctx: ctx, body: body, size: object.Size, patience: o.resume.withDefaults()}
	if object.ETag != "" {
		r.reopen = func(ctx context.Context, offset int64) (io.ReadCloser, error) {
			body, _, err := store.Get(ctx, key, storage.GetOptions{Offset: offset, IfMatch: object.ETag})
			return body, err
		}
	}
	return rawObject{ReadCloser: r, etag: object.ETag, size: object.Size}, nil
}
