package source

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
)

// s3Setup is an Opener on a real S3 gateway with a bucket "runs", and what
// puts objects there.
type s3Setup struct {
	Opener
	server *testservers.S3Server
	bucket storage.Store
}

func setupS3(t *testing.T) s3Setup {
	t.Helper()
	server := testservers.S3(t)
	server.Bucket(t, "runs")
	dial := func(ctx context.Context, location string) (storage.Store, error) {
		return storage.NewS3(ctx, storage.S3Options{
			Bucket: strings.TrimPrefix(location, "s3://"), Region: server.Region, Endpoint: server.Endpoint, PathStyle: true, Attempts: 1,
			Keys: func(context.Context) (storage.Keys, error) {
				return storage.Keys{AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey}, nil
			},
		})
	}
	bucket, err := dial(t.Context(), "s3://runs")
	if err != nil {
		t.Fatal(err)
	}
	return s3Setup{Opener{Allow: []string{"s3://runs/v1/{teamId}/", "s3://gone/{teamId}/"}, Store: dial, resume: hasty}, server, bucket}
}

func (s s3Setup) put(t *testing.T, key string, content []byte) {
	t.Helper()
	if _, err := s.bucket.Put(t.Context(), key, strings.NewReader(string(content)), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestReadS3(t *testing.T) {
	s := setupS3(t)
	s.put(t, "v1/team-1/run.jsonl.gz", gz(t, records))
	s.put(t, "v1/team-1/a b+c%.jsonl", []byte(records))

	t.Run("read and pinned", func(t *testing.T) {
		src := waybill.Source{URI: "s3://runs/v1/team-1/run.jsonl.gz"}
		r := open(t, s.Opener, src)
		if text, err := io.ReadAll(r); err != nil || string(text) != records || r.ETag() == "" || r.Size() != int64(len(gz(t, records))) {
			t.Errorf("read %q, %v, tag %q, size %d", text, err, r.ETag(), r.Size())
		}
		if text, err := read(t, s.Opener, src, r.ETag()); err != nil || text != records {
			t.Errorf("pinned: %q, %v", text, err)
		}
		s.put(t, "v1/team-1/run.jsonl.gz", gz(t, records+records))
		_, err := read(t, s.Opener, src, r.ETag())
		wantFailure(t, err, waybill.Permanent, "source.changed", "hand the run in again with replace")
	})
	t.Run("keys are percent-encoded in URIs", func(t *testing.T) {
		if text, err := read(t, s.Opener, waybill.Source{URI: "s3://runs/v1/team-1/a%20b+c%25.jsonl"}, ""); err != nil || text != records {
			t.Errorf("read %q, %v", text, err)
		}
	})
	t.Run("not there", func(t *testing.T) {
		_, err := read(t, s.Opener, waybill.Source{URI: "s3://runs/v1/team-1/none.jsonl"}, "")
		wantFailure(t, err, waybill.Permanent, "source.not_found", "are not at s3://runs/v1/team-1/none.jsonl")
	})
	t.Run("no bucket is the operator's fault, not a connector's", func(t *testing.T) {
		_, err := read(t, s.Opener, waybill.Source{URI: "s3://gone/team-1/run.jsonl"}, "")
		wantFailure(t, err, waybill.Blocked, "source.no_bucket", "check the fleet's sources settings")
	})
}

func TestS3Unreachable(t *testing.T) {
	s := setupS3(t)
	s.put(t, "v1/team-1/run.jsonl", []byte(records))
	s.server.Stop()
	_, err := read(t, s.Opener, waybill.Source{URI: "s3://runs/v1/team-1/run.jsonl"}, "")
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok || f.Verdict != waybill.Transient || !strings.HasPrefix(f.Code, "source.") {
		t.Errorf("failure is %+v", err)
	}
}

// A connection that is cut under a compressed source is the connection's
// fault: it heals, the records are not damaged.
func TestS3CutWhileReading(t *testing.T) {
	s := setupS3(t)
	s.put(t, "v1/team-1/run.jsonl.gz", gz(t, incompressible(16<<20))) // more than sockets hold
	proxy := testservers.Proxy(t, strings.TrimPrefix(s.server.Endpoint, "http://"))
	s.server.Endpoint = "http://" + proxy.Addr
	r := open(t, s.Opener, waybill.Source{URI: "s3://runs/v1/team-1/run.jsonl.gz"})
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	proxy.Cut(t)
	_, err := io.ReadAll(r)
	wantFailure(t, err, waybill.Transient, "source.cut", transientAction)
}

// Where the store can be reached again, the read goes on where it stopped.
func TestS3ResumedAfterACut(t *testing.T) {
	s := setupS3(t)
	text := incompressible(16 << 20)
	s.put(t, "v1/team-1/run.jsonl.gz", gz(t, text))
	proxy := testservers.Proxy(t, strings.TrimPrefix(s.server.Endpoint, "http://"))
	s.server.Endpoint = "http://" + proxy.Addr
	s.resume.pause = func(context.Context, int) error { proxy.Restore(t); return nil }
	src := waybill.Source{URI: "s3://runs/v1/team-1/run.jsonl.gz", Checksum: checksum(gz(t, text))}

	r := open(t, s.Opener, src)
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	proxy.Cut(t)
	rest, err := io.ReadAll(r)
	if err != nil || text[1000:] != string(rest) {
		t.Errorf("read %d of %d bytes, %v", len(rest), len(text)-1000, err)
	}

	r = open(t, s.Opener, src)
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	proxy.Cut(t)
	s.put(t, "v1/team-1/run.jsonl.gz", []byte(text)) // not through the proxy
	_, err = io.ReadAll(r)
	wantFailure(t, err, waybill.Permanent, "source.changed", "hand the run in again with replace")
}

func TestAllowedPrefixes(t *testing.T) {
	asked := ""
	o := Opener{
		Allow: []string{"s3://runs/v1/{teamId}/", "s3://plain/shared/", "s3://lax/{teamId}", "gs://runs/{teamId}/", "azblob://runs/{teamId}/"},
		Store: func(_ context.Context, location string) (storage.Store, error) {
			asked = location
			return nil, errors.New("asked for the bucket")
		},
	}
	for uri, allowed := range map[string]bool{
		"s3://runs/v1/team-1/run.jsonl":               true,
		"s3://runs/v1/team-1/deep/er/run.jsonl":       true,
		"s3://lax/team-1/run.jsonl":                   true,
		"s3://lax/team-10/run.jsonl":                  false, // another team
		"s3://runs/v1/team-10/run.jsonl":              false,
		"s3://runs/v1/team-1":                         false,
		"s3://runs/v1/team-1/":                        false,
		"s3://runs/v1/team-2/run.jsonl":               false,
		"s3://runs/v1/team-1/../team-2/run.jsonl":     false,
		"s3://runs/v1/team-1/%2e%2e/team-2/r.jsonl":   false,
		"s3://runs/v1/team-1/x%2f..%2f..%2fteam-2/r":  false,
		"s3://runs/v1//team-1/run.jsonl":              false,
		"s3://runs/v1/{teamId}/run.jsonl":             false,
		"s3://Runs/v1/team-1/run.jsonl":               false,
		"s3://runs.example/v1/team-1/run.jsonl":       false,
		"s3://plain/shared/run.jsonl":                 false, // a prefix without the team allows nothing
		"s3://key:secret@runs/v1/team-1/run.jsonl":    false,
		"s3://runs/v1/team-1/run.jsonl?versionId=1":   false,
		"s3://runs/v1/team-1/run.jsonl#x":             false,
		"s3:///v1/team-1/run.jsonl":                   false,
		"s3://runs/v1/TEAM-1/run.jsonl":               false,
		"s3://runs/v1/team-1/\u2025/team-2/run.jsonl": true,  // a name like any other: stores normalise nothing
		"s3://runs/v1/te\u0430m-1/run.jsonl":          false, // a Cyrillic letter
		"s3://runs/v1/team-2%2f..%2fteam-1/run.jsonl": false,
		"s3://runs/v1/team-1%2f../team-2/run.jsonl":   false,
		"s3://runs/v1/team-1\\..\\team-2/run.jsonl":   false,
		"S3://runs/v1/team-1/run.jsonl":               true, // schemes have no case
		"gs://runs/team-1/run.jsonl":                  true,
		"gs://runs/team-2/run.jsonl":                  false,
		"gs://runs/v1/team-1/run.jsonl":               false, // allowed on S3, which is another store
		"azblob://runs/team-1/run.jsonl":              true,
		"azblob://runs/team-1/../team-2/run.jsonl":    false,
	} {
		asked = ""
		_, err := o.Open(t.Context(), "team-1", waybill.Source{URI: uri}, "")
		if (asked != "") != allowed {
			t.Errorf("%s: asked for bucket %q, want allowed %t: %v", uri, asked, allowed, err)
		}
		if !allowed {
			wantFailure(t, err, waybill.Permanent, "source.not_allowed", "may not be read")
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("credentials are shown: %v", err)
			}
		}
	}
	_, err := o.Open(t.Context(), "", waybill.Source{URI: "s3://lax/run.jsonl"}, "")
	wantFailure(t, err, waybill.Permanent, "source.not_allowed", "its team's id")
}

// incompressible is JSON text of about n bytes that gzip cannot make much smaller.
func incompressible(n int) string {
	var b strings.Builder
	for x := uint64(1); b.Len() < n; {
		x = x*6364136223846793005 + 1442695040888963407
		b.WriteByte(' ' + byte(x>>57)%90)
	}
	return b.String()
}
