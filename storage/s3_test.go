package storage_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/storage/storagetest"
)

// The bucket holds other objects beside the store's prefix, of which nothing
// may be seen.
func TestS3Conformance(t *testing.T) {
	t.Parallel() // the servers are processes of their own
	g := startGateway(t)
	storagetest.Run(t, func(t *testing.T) storage.Store {
		opts := g.bucket(t)
		beside := g.open(t, opts)
		put(t, beside, "data/acme-2/other", "other")
		put(t, beside, "data/other", "other")
		opts.Prefix = "data/acme"
		return g.open(t, opts)
	}, storagetest.Caps{
		Presign: true,
		Missing: func(t *testing.T) storage.Store { return g.open(t, storage.S3Options{Bucket: "no-such-bucket"}) },
		Stranger: func(t *testing.T) storage.Store {
			opts := g.bucket(t)
			opts.Keys = staticKeys(storage.Keys{AccessKeyID: g.server.AccessKey, SecretAccessKey: "not the secret"})
			return g.open(t, opts)
		},
		Far: func(t *testing.T) storagetest.Far {
			proxy := testservers.Proxy(t, g.server.Endpoint[len("http://"):])
			opts := g.bucket(t)
			opts.Endpoint, opts.Attempts = "http://"+proxy.Addr, 2
			return storagetest.Far{
				Store:     g.open(t, opts),
				LimitData: func(n int64) { proxy.LimitData(t, n) },
				Cut:       func() { proxy.Cut(t) },
				Restore:   func() { proxy.Restore(t) },
			}
		},
		Leftovers: g.unfinished,
	})
}

// gateway is a versitygw and what the tests made of it.
type gateway struct {
	server  *testservers.S3Server
	buckets atomic.Int32
}

func startGateway(t *testing.T) *gateway { return &gateway{server: testservers.S3(t)} }

// bucket makes a bucket and returns how it is reached.
func (g *gateway) bucket(t *testing.T) storage.S3Options {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", g.buckets.Add(1))
	g.server.Bucket(t, name)
	return storage.S3Options{Bucket: name}
}

// open opens a bucket of the gateway; what opts do not say is right.
func (g *gateway) open(t *testing.T, opts storage.S3Options) *storage.S3 {
	t.Helper()
	opts.PathStyle = true
	opts.Region = cmp.Or(opts.Region, g.server.Region)
	if opts.Endpoint == "" {
		opts.Endpoint = g.server.Endpoint
	}
	if opts.Keys == nil {
		opts.Keys = staticKeys(storage.Keys{AccessKeyID: g.server.AccessKey, SecretAccessKey: g.server.SecretKey})
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	opts.Client = &http.Client{Transport: transport}
	s, err := storage.NewS3(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func staticKeys(keys storage.Keys) func(context.Context) (storage.Keys, error) {
	return func(context.Context) (storage.Keys, error) { return keys, nil }
}

// client is the SDK's own, for looking at what the port does not show.
func (g *gateway) client() *s3.Client {
	return s3.New(s3.Options{Region: g.server.Region, BaseEndpoint: &g.server.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(g.server.AccessKey, g.server.SecretKey, "")})
}

// unfinished names the multipart uploads in the store's bucket that were neither completed nor aborted.
func (g *gateway) unfinished(t *testing.T, store storage.Store) []string {
	t.Helper()
	u, err := url.Parse(store.URL())
	if err != nil {
		t.Fatal(err)
	}
	out, err := g.client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &u.Host})
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, upload := range out.Uploads {
		left = append(left, aws.ToString(upload.Key))
	}
	return left
}

// Without keys of the connector's, the process's own identity signs.
func TestS3OwnIdentity(t *testing.T) {
	g := startGateway(t)
	opts := g.bucket(t)
	opts.Region, opts.Endpoint, opts.PathStyle = g.server.Region, g.server.Endpoint, true
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": g.server.AccessKey, "AWS_SECRET_ACCESS_KEY": g.server.SecretKey, "AWS_SESSION_TOKEN": "",
		"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ENDPOINT_URL": "http://127.0.0.1:1", // an adapter has its own settings, and takes no others from the environment
	} {
		t.Setenv(name, value)
	}
	s, err := storage.NewS3(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "text")

	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	s, err = storage.NewS3(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Stat(t.Context(), "a")
	wantCode(t, err, waybill.Blocked, "storage.no_credentials")
}

func TestStoresNameThemselves(t *testing.T) {
	s, err := storage.NewS3(t.Context(), storage.S3Options{Bucket: "acme", Prefix: "raw/data", Region: "eu-central-1", Keys: staticKeys(storage.Keys{})})
	if err != nil {
		t.Fatal(err)
	}
	if s.URL() != "s3://acme/raw/data/" {
		t.Errorf("the bucket is %s", s.URL())
	}
	dir := t.TempDir()
	if f := openFolder(t, dir); f.URL() != "file://"+dir+"/" {
		t.Errorf("the folder is %s", f.URL())
	}
}

// Over TLS the signature covers the CRC32C of a request's content, else its SHA-256.
func TestS3SignsWhatTLSDoesNotGuard(t *testing.T) {
	for scheme, start := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		var sum, signed, crc []string
		server := start(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			sum, signed, crc = r.Header["X-Amz-Content-Sha256"], r.Header["Authorization"], r.Header["X-Amz-Checksum-Crc32c"]
		}))
		if _, err := openEndpoint(t, server.URL, server.Client()).Put(t.Context(), "a", strings.NewReader("x"), storage.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		server.Close()
		want := "UNSIGNED-PAYLOAD"
		if scheme == "http" {
			want = fmt.Sprintf("%x", sha256.Sum256([]byte("x")))
		}
		if len(sum) != 1 || sum[0] != want || len(crc) != 1 || len(signed) != 1 || !strings.Contains(signed[0], "x-amz-checksum-crc32c") {
			t.Errorf("%s: SHA-256 %q, want %s; CRC32C %q, signature %q", scheme, sum, want, crc, signed)
		}
	}
}
