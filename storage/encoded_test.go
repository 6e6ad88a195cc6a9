package storage_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"

	gcs "cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"google.golang.org/api/option"

	"github.com/waybillhq/waybill/storage"
)

// What somebody stored with a Content-Encoding is read as it is stored, whole
// and by range: services and HTTP clients like to unpack it.
func TestEncodedObjectsAreReadAsStored(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(bytes.Repeat([]byte("text "), 1000)) // memory takes everything
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, store := range map[string]func(*testing.T, []byte) storage.Store{"s3": encodedS3, "gcs": encodedGCS, "azure": encodedAzure} {
		t.Run(name, func(t *testing.T) {
			s := store(t, packed.Bytes())
			for _, from := range []int64{0, 10} {
				r, object, err := s.Get(t.Context(), "a.gz", storage.GetOptions{Offset: from})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				text, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(text, packed.Bytes()[from:]) || object.Size != int64(packed.Len()) {
					t.Errorf("from %d: %d bytes, %v, of %+v; want the %d bytes that are stored", from, len(text), err, object, packed.Len())
				}
			}
		})
	}
}

func encodedS3(t *testing.T, content []byte) storage.Store {
	g := startGateway(t)
	opts := g.bucket(t)
	_, err := g.client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &opts.Bucket, Key: new("a.gz"),
		Body: bytes.NewReader(content), ContentEncoding: new("gzip")})
	if err != nil {
		t.Fatal(err)
	}
	return g.open(t, opts)
}

func encodedGCS(t *testing.T, content []byte) storage.Store {
	e := startGCS(t)
	opts := e.bucket(t)
	client, err := gcs.NewClient(t.Context(), option.WithEndpoint(e.server.Endpoint), option.WithHTTPClient(plainClient(t)), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	w := client.Bucket(opts.Bucket).Object("a.gz").NewWriter(t.Context())
	w.ContentEncoding = "gzip"
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return e.open(t, opts)
}

func encodedAzure(t *testing.T, content []byte) storage.Store {
	e := startAzure(t)
	opts := e.container(t)
	key, err := blob.NewSharedKeyCredential(e.server.Account, e.server.Key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := blockblob.NewClientWithSharedKeyCredential(e.server.Endpoint+"/"+opts.Container+"/a.gz", key, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.UploadBuffer(t.Context(), content, &blockblob.UploadBufferOptions{HTTPHeaders: &blob.HTTPHeaders{BlobContentEncoding: new("gzip")}}); err != nil {
		t.Fatal(err)
	}
	return e.open(t, opts)
}
