package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	gcs "cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/waybillhq/waybill"
)

// GCSOptions say which bucket of Google Cloud Storage is meant and how it is
// reached. Bucket must be given.
type GCSOptions struct {
	Bucket   string
	Prefix   string // keys are relative to it; a slash at its end is added
	Endpoint string // of an emulator's JSON API: http(s)://host[:port]/storage/v1/

	// ServiceAccountKey returns the JSON key file of a service account. It is
	// asked before each request, so that the key can change under way. If nil,
	// Waybill is who the process is: its environment, its machine's or pod's account.
	ServiceAccountKey func(context.Context) ([]byte, error)
	// Impersonate is the email address of a service account that the identity
	// above acts as. It needs roles/iam.serviceAccountTokenCreator on it.
	Impersonate string
	// Anonymous sends no credentials: for emulators.
	Anonymous bool
	// Client makes the requests, those for tokens included. It should limit how
	// long it waits for a connection and for an answer's header; the default one does.
	Client *http.Client
	// Attempts is how often one request is tried, with under 5 s in between; default 3.
	Attempts int
}

// GCS is a bucket of Google Cloud Storage, or a prefix of one. An object's ETag
// is its generation: the number that its preconditions compare.
// https://cloud.google.com/storage/docs/request-preconditions
type GCS struct {
	bucket   *gcs.BucketHandle
	name     string
	prefix   string // empty, or with a slash at its end
	insecure bool   // http
	attempts int
	identity *gcsIdentity
	words    dialect
}

var _ Store = (*GCS)(nil)

const gcsEndpoint = "https://storage.googleapis.com/storage/v1/"

// NewGCS returns the store. It makes no request.
func NewGCS(ctx context.Context, opts GCSOptions) (*GCS, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	bare := client(opts.Client)
	g := &GCS{name: opts.Bucket, prefix: folderPrefix(opts.Prefix), insecure: strings.HasPrefix(opts.Endpoint, "http:"),
		attempts: cmp.Or(opts.Attempts, 3), words: gcsDialect(opts.Impersonate)}
	g.identity = &gcsIdentity{opts: opts, client: bare, words: g.words}
	authorized := *bare
	if !opts.Anonymous {
		authorized.Transport = bearer{cmp.Or(bare.Transport, http.DefaultTransport), g.identity.token}
	}
	// The client brings its own credentials, and the endpoint is always said: else
	// the SDK would look for both in the environment.
	service, err := gcs.NewClient(ctx, option.WithHTTPClient(&authorized), option.WithoutAuthentication(),
		option.WithEndpoint(cmp.Or(opts.Endpoint, gcsEndpoint)))
	if err != nil {
		return nil, g.fail(ctx, "", err)
	}
	g.bucket = service.Bucket(opts.Bucket).Retryer(append(retryIf(gcsShouldRetry), gcs.WithMaxAttempts(g.attempts))...)
	return g, nil
}

func (o GCSOptions) validate() error {
	p := checkBucket("bucket", o.Bucket, o.Prefix)
	if o.Endpoint != "" && !isServerURL(o.Endpoint) {
		p.Addf("endpoint", "is not a URL of a server; write it as https://host/storage/v1/")
	}
	if o.Impersonate != "" && !strings.Contains(o.Impersonate, "@") {
		p.Addf("impersonate", "is not a service account; write its email address, name@project.iam.gserviceaccount.com")
	}
	if o.Anonymous && (o.ServiceAccountKey != nil || o.Impersonate != "") {
		p.Addf("anonymous", "is said together with credentials; leave out one of them")
	}
	return p.Err()
}

// retryIf says after which errors a request is made again.
func retryIf(again func(error) bool) []gcs.RetryOption {
	return []gcs.RetryOption{gcs.WithPolicy(gcs.RetryAlways), gcs.WithBackoff(gax.Backoff{Max: maxBackoff}), gcs.WithErrorFunc(again)}
}

// URL is gs://bucket/prefix/.
func (g *GCS) URL() string {
	u := url.URL{Scheme: "gs", Host: g.name, Path: "/" + g.prefix}
	return u.String()
}

// Get opens an object. The bytes of a whole object are compared with its
// checksum as they are read; a connection that breaks is taken up again where
// it broke. What is stored compressed is given as it is stored.
func (g *GCS) Get(ctx context.Context, key string, opts GetOptions) (io.ReadCloser, Object, error) {
	if err := checkKeys(g.prefix, key); err != nil {
		return nil, Object{}, err
	}
	handle, length := g.object(key).ReadCompressed(true), int64(-1)
	if opts.IfMatch != "" {
		handle = handle.If(gcs.Conditions{GenerationMatch: generation(opts.IfMatch)})
	}
	if opts.Length > 0 {
		length = opts.Length
	}
	r, err := handle.NewRangeReader(ctx, opts.Offset, length)
	if _, status := answer(err); status == http.StatusRequestedRangeNotSatisfiable {
		object, err := g.attrs(ctx, key, opts.IfMatch)
		return http.NoBody, object, g.fail(ctx, gcsRead, err)
	}
	if err != nil {
		return nil, Object{}, g.fail(ctx, gcsRead, g.explain(ctx, err))
	}
	object := Object{Key: key, Size: r.Attrs.Size, ETag: strconv.FormatInt(r.Attrs.Generation, 10), Modified: r.Attrs.LastModified,
		ContentType: r.Attrs.ContentType, Metadata: lowerKeys(r.Metadata()), CRC32C: hexCRC32C(r.Attrs.CRC32C)}
	if opts.IfMatch != "" && object.ETag != opts.IfMatch { // emulators do not look at a read's conditions
		_ = r.Close() // nothing was read
		return nil, Object{}, g.fail(ctx, gcsRead, fmt.Errorf("%w: its generation is %s", ErrPrecondition, object.ETag))
	}
	return &body{ctx: ctx, r: r, Closer: r, fail: func(err error) error { return g.fail(ctx, gcsRead, corruption(err)) }}, object, nil
}

// corruption marks the one error of the SDK's reader that has no type.
func corruption(err error) error {
	if strings.Contains(err.Error(), "bad CRC on read") {
		return fmt.Errorf("%w: %w", errCorrupted, err)
	}
	return err
}

// Stat asks for the object's attributes.
func (g *GCS) Stat(ctx context.Context, key string) (Object, error) {
	if err := checkKeys(g.prefix, key); err != nil {
		return Object{}, err
	}
	object, err := g.attrs(ctx, key, "")
	return object, g.fail(ctx, gcsRead, err)
}

func (g *GCS) attrs(ctx context.Context, key, ifMatch string) (Object, error) {
	attrs, err := g.object(key).Attrs(ctx)
	if err != nil {
		return Object{}, g.explain(ctx, err)
	}
	object := gcsObject(key, attrs)
	if ifMatch != "" && object.ETag != ifMatch {
		return Object{}, fmt.Errorf("%w: its generation is %s", ErrPrecondition, object.ETag)
	}
	return object, nil
}

func gcsObject(key string, a *gcs.ObjectAttrs) Object {
	return Object{Key: key, Size: a.Size, ETag: strconv.FormatInt(a.Generation, 10), Modified: a.Updated,
		ContentType: a.ContentType, Metadata: lowerKeys(a.Metadata), CRC32C: hexCRC32C(a.CRC32C)}
}

// lowerKeys: names of metadata lose their case in the header of an answer.
func lowerKeys(metadata map[string]string) map[string]string {
	lower := make(map[string]string, len(metadata))
	for name, value := range metadata {
		lower[strings.ToLower(name)] = value
	}
	return lower
}

// explain finds out what does not exist: Google's answers for a missing object
// and for a missing bucket differ in a sentence only. Who may not list gets
// the likelier answer.
func (g *GCS) explain(ctx context.Context, err error) error {
	_, status := answer(err)
	if !errors.Is(err, gcs.ErrObjectNotExist) && status != http.StatusNotFound {
		return err
	}
	objects := g.bucket.Objects(ctx, &gcs.Query{Prefix: g.prefix, Projection: gcs.ProjectionNoACL})
	objects.PageInfo().MaxSize = 1
	_, listErr := objects.Next()
	_, status = answer(listErr)
	switch {
	case errors.Is(listErr, gcs.ErrBucketNotExist):
		return fmt.Errorf("%w: %w", errNoBucket, listErr)
	case listErr == nil, errors.Is(listErr, iterator.Done), status == http.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrNotExist, err)
	}
	return listErr
}

// List asks for a thousand objects at a time.
func (g *GCS) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		query := &gcs.Query{Prefix: g.prefix + prefix, Projection: gcs.ProjectionNoACL}
		if err := query.SetAttrSelection([]string{"Name", "Size", "Generation", "Updated"}); err != nil {
			yield(Object{}, g.fail(ctx, gcsList, err))
			return
		}
		for objects := g.bucket.Objects(ctx, query); ; {
			o, err := objects.Next()
			if errors.Is(err, iterator.Done) {
				return
			}
			if err != nil {
				yield(Object{}, g.fail(ctx, gcsList, g.missingBucket(err)))
				return
			}
			key := strings.TrimPrefix(o.Name, g.prefix)
			if strings.HasSuffix(key, "/") || key == "" { // a folder's marker, as consoles make them
				continue
			}
			if !yield(Object{Key: key, Size: o.Size, ETag: strconv.FormatInt(o.Generation, 10), Modified: o.Updated}, nil) {
				return
			}
		}
	}
}

// missingBucket marks the answer of operations that a missing object does not hinder.
func (g *GCS) missingBucket(err error) error {
	if _, status := answer(err); status == http.StatusNotFound {
		return fmt.Errorf("%w: %w", errNoBucket, err)
	}
	return err
}

// Copy copies on the server's side.
func (g *GCS) Copy(ctx context.Context, from, to string) (Object, error) {
	if err := cmp.Or(checkKeys(g.prefix, from), checkKeys(g.prefix, to)); err != nil {
		return Object{}, err
	}
	attrs, err := g.object(to).CopierFrom(g.object(from)).Run(ctx)
	if err != nil {
		return Object{}, g.fail(ctx, gcsCopy, g.explain(ctx, err))
	}
	return gcsObject(to, attrs), nil
}

// Delete removes an object. In a bucket with versions, the old one stays as
// the bucket's rules say.
func (g *GCS) Delete(ctx context.Context, key string) error {
	if err := checkKeys(g.prefix, key); err != nil {
		return err
	}
	err := g.object(key).Delete(ctx)
	if err == nil {
		return nil
	}
	if err = g.explain(ctx, err); errors.Is(err, ErrNotExist) {
		return nil
	}
	return g.fail(ctx, gcsDelete, err)
}

func (g *GCS) object(key string) *gcs.ObjectHandle { return g.bucket.Object(g.prefix + key) }

// generation is what an ETag of this store says; another store's matches none.
func generation(etag string) int64 {
	if n, err := strconv.ParseInt(etag, 10, 64); err == nil && n > 0 {
		return n
	}
	return 1 // generations are points in time, in µs: none has this one
}

// What Google calls the permissions, and the roles that hold them:
// https://cloud.google.com/storage/docs/access-control/iam-roles
const (
	gcsWrite = "storage.objects.create (the role roles/storage.objectCreator) and, to replace objects, " +
		"storage.objects.delete (the role roles/storage.objectUser)"
	gcsRead   = "storage.objects.get and storage.objects.list (the role roles/storage.objectViewer)"
	gcsList   = "storage.objects.list (the role roles/storage.objectViewer)"
	gcsCopy   = "storage.objects.get, storage.objects.create and storage.objects.delete (the role roles/storage.objectUser)"
	gcsDelete = "storage.objects.delete (the role roles/storage.objectUser)"
)

func gcsDialect(impersonated string) dialect {
	return dialect{secret: "service account's JSON key", session: "access token", role: "the service account " + impersonated,
		trust: "grant Waybill's own identity roles/iam.serviceAccountTokenCreator on that account"}
}

// fail classifies an error; permission is what was needed.
func (g *GCS) fail(ctx context.Context, permission string, err error) error {
	if err == nil {
		return nil
	}
	return failure(ctx, "bucket "+g.name, asked{err, g.words, permission})
}

// gcsShouldRetry is the SDK's rule, but for errors of credentials: who
// gives them has tried already.
func gcsShouldRetry(err error) bool {
	if _, ok := errors.AsType[*waybill.Failure](err); ok || errors.Is(err, errNoCredentials) || errors.Is(err, errBadSecret) {
		return false
	}
	if google, ok := errors.AsType[*googleapi.Error](err); ok && google.Code == http.StatusTooManyRequests {
		return true
	}
	return gcs.ShouldRetry(err)
}
