package storage_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
)

// damaging changes the first byte of what is uploaded, while it is on.
type damaging struct {
	http.RoundTripper
	on bool
}

func (d *damaging) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.on && r.Method == http.MethodPut && r.ContentLength > 0 {
		r = r.Clone(r.Context())
		r.Body = &damaged{ReadCloser: r.Body}
	}
	return d.RoundTripper.RoundTrip(r)
}

type damaged struct {
	io.ReadCloser
	begun bool
}

func (d *damaged) Read(b []byte) (int, error) {
	n, err := d.ReadCloser.Read(b)
	if n > 0 && !d.begun {
		b[0], d.begun = ^b[0], true
	}
	return n, err
}

// Over TLS a content's CRC32C is all that the store holds it against. What
// arrives otherwise than it was read becomes no object, in one part or several.
func TestS3OverTLSTakesOnlyWhatWasRead(t *testing.T) {
	server, certificates := testservers.S3TLS(t)
	server.Bucket(t, "acme")
	authority, err := os.ReadFile(certificates.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}
	t.Cleanup(transport.CloseIdleConnections)
	way := &damaging{RoundTripper: transport}
	store, err := storage.NewS3(t.Context(), storage.S3Options{Bucket: "acme", Region: server.Region, Endpoint: server.Endpoint, PathStyle: true, Attempts: 1,
		Keys: staticKeys(storage.Keys{AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey}), Client: &http.Client{Transport: way}})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{10, 20<<20 + 1} {
		key := fmt.Sprint(size)
		way.on = true
		_, err := store.Put(t.Context(), key, io.LimitReader(zeros{}, size), storage.PutOptions{})
		wantCode(t, err, waybill.Transient, "storage.corrupted")
		if _, err := store.Stat(t.Context(), key); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("%d damaged bytes are there: %v", size, err)
		}
		way.on = false
		written, err := store.Put(t.Context(), key, io.LimitReader(zeros{}, size), storage.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if there, err := store.Stat(t.Context(), key); err != nil || there.Size != size || there.CRC32C == "" || there.CRC32C != written.CRC32C {
			t.Errorf("wrote %+v, there is %+v, %v", written, there, err)
		}
	}
}
