package storage_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/storage/storagetest"
)

// The container holds other objects beside the store's prefix, of which
// nothing may be seen.
func TestAzureConformance(t *testing.T) {
	t.Parallel() // the servers are processes of their own
	e := startAzure(t)
	storagetest.Run(t, func(t *testing.T) storage.Store {
		opts := e.container(t)
		beside := e.open(t, opts)
		put(t, beside, "data/acme-2/other", "other")
		put(t, beside, "data/other", "other")
		opts.Prefix = "data/acme"
		return e.open(t, opts)
	}, storagetest.Caps{
		Presign:    true,
		NoChecksum: true,
		Missing: func(t *testing.T) storage.Store {
			return e.open(t, storage.AzureOptions{Container: "no-such-container"})
		},
		Stranger: func(t *testing.T) storage.Store {
			opts := e.container(t)
			opts.SharedKey = staticSecret("bm90IHRoZSBrZXk=")
			return e.open(t, opts)
		},
		Far: func(t *testing.T) storagetest.Far {
			proxy := testservers.Proxy(t, e.server.Addr)
			opts := e.container(t)
			opts.Endpoint, opts.Attempts = strings.Replace(e.server.Endpoint, e.server.Addr, proxy.Addr, 1), 2
			return storagetest.Far{
				Store:     e.open(t, opts),
				LimitData: func(n int64) { proxy.LimitData(t, n) },
				Cut:       func() { proxy.Cut(t) },
				Restore:   func() { proxy.Restore(t) },
			}
		},
	})
}

// azurite is an emulator of Azure Blob and what the tests made of it.
type azurite struct {
	server     *testservers.AzureServer
	containers atomic.Int32
}

func startAzure(t *testing.T) *azurite { return &azurite{server: testservers.Azure(t)} }

func (e *azurite) container(t *testing.T) storage.AzureOptions {
	t.Helper()
	name := fmt.Sprintf("container-%d", e.containers.Add(1))
	e.server.Container(t, name)
	return storage.AzureOptions{Container: name}
}

// open opens a container of the emulator; what opts do not say is right.
func (e *azurite) open(t *testing.T, opts storage.AzureOptions) *storage.Azure {
	t.Helper()
	opts.Account, opts.Client = e.server.Account, plainClient(t)
	if opts.Endpoint == "" {
		opts.Endpoint = e.server.Endpoint
	}
	if opts.SharedKey == nil && opts.SAS == nil {
		opts.SharedKey = staticSecret(e.server.Key)
	}
	return openAzure(t, opts)
}

func openAzure(t *testing.T, opts storage.AzureOptions) *storage.Azure {
	t.Helper()
	s, err := storage.NewAzure(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
