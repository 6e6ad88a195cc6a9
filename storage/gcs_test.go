package storage_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/storage/storagetest"
)

// The bucket holds other objects beside the store's prefix, of which nothing
// may be seen. The emulator checks neither credentials, nor what a read
// requires, nor the checksum of a resumable upload: those are tested against
// handlers of our own, below.
func TestGCSConformance(t *testing.T) {
	t.Parallel() // the servers are processes of their own
	e := startGCS(t)
	storagetest.Run(t, func(t *testing.T) storage.Store {
		opts := e.bucket(t)
		beside := e.open(t, opts)
		put(t, beside, "data/acme-2/other", "other")
		put(t, beside, "data/other", "other")
		opts.Prefix = "data/acme"
		return e.open(t, opts)
	}, storagetest.Caps{
		Presign:  true,
		Missing:  func(t *testing.T) storage.Store { return e.open(t, storage.GCSOptions{Bucket: "no-such-bucket"}) },
		Stranger: strangerToGoogle,
		Far: func(t *testing.T) storagetest.Far {
			proxy := testservers.Proxy(t, e.server.Addr)
			opts := e.bucket(t)
			opts.Client = dialing(t, proxy.Addr) // the emulator routes by the Host header, which therefore stays
			opts.Attempts = 2
			return storagetest.Far{
				Store:     e.open(t, opts),
				LimitData: func(n int64) { proxy.LimitData(t, n) },
				Cut:       func() { proxy.Cut(t) },
				Restore:   func() { proxy.Restore(t) },
			}
		},
	})
}

// dialing is a client whose connections all go to addr.
func dialing(t *testing.T, addr string) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 8, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// emulator is a fake-gcs-server and what the tests made of it.
type emulator struct {
	server  *testservers.GCSServer
	key     []byte
	buckets atomic.Int32
}

func startGCS(t *testing.T) *emulator {
	return &emulator{server: testservers.GCS(t), key: []byte(testservers.ServiceAccount(t, tokenServer(t, http.StatusOK)))}
}

func (e *emulator) bucket(t *testing.T) storage.GCSOptions {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", e.buckets.Add(1))
	e.server.Bucket(t, name)
	return storage.GCSOptions{Bucket: name}
}

// open opens a bucket of the emulator, as a service account.
func (e *emulator) open(t *testing.T, opts storage.GCSOptions) *storage.GCS {
	t.Helper()
	opts.Endpoint = e.server.Endpoint
	if opts.Client != nil { // through a proxy: nothing but the bucket is there
		opts.Anonymous = true
	} else {
		opts.Client = plainClient(t)
		opts.ServiceAccountKey = staticSecret(e.key)
	}
	return openGCS(t, opts)
}

func plainClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func openGCS(t *testing.T, opts storage.GCSOptions) *storage.GCS {
	t.Helper()
	s, err := storage.NewGCS(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func staticSecret[T any](secret T) func(context.Context) (T, error) {
	return func(context.Context) (T, error) { return secret, nil }
}

// tokenServer gives tokens, or none.
func tokenServer(t *testing.T, status int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		switch status {
		case http.StatusOK:
			fmt.Fprint(w, `{"access_token":"token-1","token_type":"Bearer","expires_in":3600}`)
		case http.StatusBadRequest:
			fmt.Fprint(w, `{"error":"invalid_grant","error_description":"vendor text"}`)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// strangerToGoogle has a key that Google does not take.
func strangerToGoogle(t *testing.T) storage.Store {
	key := []byte(testservers.ServiceAccount(t, tokenServer(t, http.StatusBadRequest)))
	return openGCS(t, storage.GCSOptions{Bucket: "acme", Client: plainClient(t), ServiceAccountKey: staticSecret(key)})
}
