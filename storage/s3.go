package storage

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// S3Options say which bucket is meant and how it is reached. Bucket, and
// Region or Endpoint, must be given.
type S3Options struct {
	Bucket    string
	Prefix    string // keys are relative to it; a slash at its end is added
	Region    string // of the bucket; with an Endpoint, by default us-east-1
	Endpoint  string // http(s)://host[:port] of a store other than AWS's
	PathStyle bool   // name the bucket in the path and not in the host name

	// Keys is asked before each request, so that keys can change under way. If
	// nil, requests are signed with the identity that the process has: its
	// environment, its web identity, its machine's role.
	Keys func(context.Context) (Keys, error)
	// RoleARN is a role of the customer's that the identity above assumes; the
	// role's trust policy should ask for ExternalID. Its session is renewed in
	// time, also while an upload is under way.
	RoleARN    string
	ExternalID string
	// STSEndpoint is where roles are assumed; by default AWS's in Region.
	STSEndpoint string
	// KMSKeyID is the id, ARN or alias of the KMS key that objects are encrypted
	// with; by default what the bucket says.
	KMSKeyID string
	// Client makes the requests. It should limit how long it waits for a
	// connection and for an answer's header; the default one does.
	Client *http.Client
	// Memory holds the parts of uploads; by default 16 shared parts for this store.
	Memory *PartMemory
	// Attempts is how often one request is tried, with under 5 s in between; default 3.
	Attempts int
}

// S3 is a bucket, or a prefix of one, behind the S3 API.
type S3 struct {
	client *s3.Client
	bucket string
	prefix string // empty, or with a slash at its end
	kmsKey string // empty: as the bucket says
	memory *PartMemory

	maxParts int32 // of one object; fewer in tests
}

var _ Store = (*S3)(nil)

// NewS3 returns the store. It makes no request to the bucket.
func NewS3(ctx context.Context, opts S3Options) (*S3, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	credentials, err := opts.credentials(ctx)
	if err != nil {
		return nil, failure(ctx, "bucket "+opts.Bucket, fmt.Errorf("%w: %w", errNoCredentials, err))
	}
	options := s3.Options{
		Region:       cmp.Or(opts.Region, "us-east-1"),
		Credentials:  credentials,
		UsePathStyle: opts.PathStyle,
		HTTPClient:   client(opts.Client),
		Retryer:      opts.retryer(),
		// Waybill gives CRC32C where it matters; other stores than AWS's do not know the SDK's own choices.
		RequestChecksumCalculation:                aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation:                aws.ResponseChecksumValidationWhenRequired,
		DisableLogOutputChecksumValidationSkipped: true,
	}
	if opts.Endpoint != "" {
		options.BaseEndpoint = &opts.Endpoint
	}
	memory := opts.Memory
	if memory == nil {
		memory = NewPartMemory(16)
	}
	return &S3{client: s3.New(options), bucket: opts.Bucket, prefix: folderPrefix(opts.Prefix),
		kmsKey: opts.KMSKeyID, memory: memory, maxParts: maxParts}, nil
}

func folderPrefix(prefix string) string {
	if prefix = strings.TrimSuffix(prefix, "/"); prefix == "" {
		return ""
	}
	return prefix + "/"
}

func (o S3Options) retryer() aws.Retryer {
	return retry.NewStandard(func(r *retry.StandardOptions) {
		r.MaxAttempts, r.MaxBackoff = cmp.Or(o.Attempts, 3), maxBackoff
	})
}

func (o S3Options) validate() error {
	p := checkBucket("bucket", o.Bucket, o.Prefix)
	if o.Region == "" && o.Endpoint == "" {
		p.Addf("region", "is missing; name the region that the bucket is in, e.g. eu-central-1")
	}
	for field, endpoint := range map[string]string{"endpoint": o.Endpoint, "stsEndpoint": o.STSEndpoint} {
		if endpoint != "" && !isServerURL(endpoint) {
			p.Addf(field, "is not a URL of a server; write it as https://host or https://host:port")
		}
	}
	if o.RoleARN != "" && !arn.IsARN(o.RoleARN) {
		p.Addf("roleArn", "is not an ARN; write it as arn:aws:iam::123456789012:role/name")
	}
	if o.ExternalID != "" && o.RoleARN == "" {
		p.Addf("externalId", "is given without a roleArn; name the role that it is for")
	}
	return p.Err()
}

func isServerURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// URL is s3://bucket/prefix/.
func (s *S3) URL() string {
	u := url.URL{Scheme: "s3", Host: s.bucket, Path: "/" + s.prefix}
	return u.String()
}

// Get opens an object. The bytes of a whole object are compared with the
// checksum that the store keeps, if it does, as they are read.
func (s *S3) Get(ctx context.Context, key string, opts GetOptions) (io.ReadCloser, Object, error) {
	if err := s.check(key); err != nil {
		return nil, Object{}, err
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(key), IfMatch: nonEmpty(opts.IfMatch), Range: byteRange(opts)}
	if in.Range == nil {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	out, err := s.client.GetObject(ctx, in)
	if code, status := answer(err); code == "InvalidRange" || status == http.StatusRequestedRangeNotSatisfiable {
		object, err := s.head(ctx, key, opts.IfMatch)
		return http.NoBody, object, s.fail(ctx, err)
	}
	if err != nil {
		return nil, Object{}, s.fail(ctx, err)
	}
	object := Object{Key: key, Size: fullSize(out), ETag: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified),
		ContentType: aws.ToString(out.ContentType), Metadata: out.Metadata, CRC32C: fullCRC32C(out.ChecksumCRC32C, out.ChecksumType)}
	return &body{ctx: ctx, r: out.Body, Closer: out.Body, fail: func(err error) error { return s.fail(ctx, err) }}, object, nil
}

// byteRange is the Range header, or nil for the whole object.
func byteRange(opts GetOptions) *string {
	switch {
	case opts.Length > 0:
		return aws.String(fmt.Sprintf("bytes=%d-%d", opts.Offset, opts.Offset+opts.Length-1))
	case opts.Offset > 0:
		return aws.String(fmt.Sprintf("bytes=%d-", opts.Offset))
	}
	return nil
}

// fullSize is the size of the whole object, of which out may be a range.
func fullSize(out *s3.GetObjectOutput) int64 {
	_, total, _ := strings.Cut(aws.ToString(out.ContentRange), "/")
	if size, err := strconv.ParseInt(total, 10, 64); err == nil {
		return size
	}
	return aws.ToInt64(out.ContentLength)
}

// Stat asks for the object's header.
func (s *S3) Stat(ctx context.Context, key string) (Object, error) {
	if err := s.check(key); err != nil {
		return Object{}, err
	}
	object, err := s.head(ctx, key, "")
	return object, s.fail(ctx, err)
}

func (s *S3) head(ctx context.Context, key, ifMatch string) (Object, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.key(key),
		IfMatch: nonEmpty(ifMatch), ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return Object{}, s.explain(ctx, key, err)
	}
	return Object{Key: key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified),
		ContentType: aws.ToString(out.ContentType), Metadata: out.Metadata, CRC32C: fullCRC32C(out.ChecksumCRC32C, out.ChecksumType)}, nil
}

// explain finds out why a HEAD was refused. Its answer has no body, so that a
// missing bucket, expired keys and a wrong region look like a missing object
// or a malformed request; a GET, which needs the same permission, tells.
func (s *S3) explain(ctx context.Context, key string, err error) error {
	_, status := answer(err)
	if status != http.StatusNotFound && status != http.StatusForbidden && status != http.StatusBadRequest {
		return err
	}
	out, got := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(key), Range: aws.String("bytes=0-0")})
	if got != nil {
		return got
	}
	_ = out.Body.Close() // the object has come into being since
	if status == http.StatusNotFound {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

// List asks for a thousand objects at a time.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: s.key(prefix)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Object{}, s.fail(ctx, err))
				return
			}
			for _, o := range page.Contents {
				key := strings.TrimPrefix(aws.ToString(o.Key), s.prefix)
				if strings.HasSuffix(key, "/") || key == "" { // a folder's marker, as consoles make them
					continue
				}
				if !yield(Object{Key: key, Size: aws.ToInt64(o.Size), ETag: aws.ToString(o.ETag), Modified: aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
		}
	}
}

// Copy copies on the server's side, objects of up to 5 GiB:
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
func (s *S3) Copy(ctx context.Context, from, to string) (Object, error) {
	if err := cmp.Or(s.check(from), s.check(to)); err != nil {
		return Object{}, err
	}
	in := &s3.CopyObjectInput{Bucket: &s.bucket, Key: s.key(to), SSEKMSKeyId: nonEmpty(s.kmsKey), ServerSideEncryption: s.encryption(),
		CopySource: aws.String(copySource(s.bucket + "/" + *s.key(from))), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c}
	_, err := s.client.CopyObject(ctx, in)
	if err != nil {
		return Object{}, s.fail(ctx, err)
	}
	return s.Stat(ctx, to)
}

// copySource escapes a path for a header: slashes stay, a plus must not.
func copySource(path string) string {
	return strings.NewReplacer("%2F", "/", "+", "%20").Replace(url.QueryEscape(path))
}

// Delete removes an object.
func (s *S3) Delete(ctx context.Context, key string) error {
	if err := s.check(key); err != nil {
		return err
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.key(key)})
	if code, _ := answer(err); code == "NoSuchKey" { // some stores say so; AWS's does not
		return nil
	}
	return s.fail(ctx, err)
}

// Presign signs a GET, also of a range, for the given time, 7 days at most.
// With temporary keys the URL ends with them if that is sooner.
func (s *S3) Presign(ctx context.Context, key string, valid time.Duration) (string, error) {
	if err := s.check(key); err != nil {
		return "", err
	}
	req, err := s3.NewPresignClient(s.client).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(key)},
		s3.WithPresignExpires(valid))
	if err != nil {
		return "", s.fail(ctx, err)
	}
	return req.URL, nil
}

func (s *S3) key(key string) *string { return aws.String(s.prefix + key) }

func (s *S3) check(key string) error { return checkKeys(s.prefix, key) }

// encryption is how objects are encrypted; empty: as the bucket says.
func (s *S3) encryption() types.ServerSideEncryption {
	if s.kmsKey == "" {
		return ""
	}
	return types.ServerSideEncryptionAwsKms
}

func (s *S3) fail(ctx context.Context, err error) error {
	if s.kmsKey != "" && err != nil { // without it, writing is refused as if the bucket did
		err = asked{err, s3Dialect, permission(err) + " and, for its KMS key, kms:GenerateDataKey and kms:Decrypt"}
	}
	return failure(ctx, "bucket "+s.bucket, err)
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
