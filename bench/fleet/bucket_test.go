package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waybillhq/waybill/storage"
)

// bucket is an object store that costs this machine nothing, as one far away
// does: the queue alone writes to none, and a folder's CPU time is not what is
// measured here. The ledger writes a run and a receipt of each delivery to it.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
	writes  int
}

var _ storage.Store = (*bucket)(nil)

// URL implements [storage.Store].
func (*bucket) URL() string { return "memory:///" }

// Put implements [storage.Store].
func (b *bucket) Put(_ context.Context, key string, r io.Reader, opts storage.PutOptions) (storage.Object, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return storage.Object{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old, there := b.objects[key]
	if opts.IfAbsent && there || opts.IfMatch != "" && (!there || etag(old) != opts.IfMatch) {
		return storage.Object{}, storage.ErrPrecondition
	}
	b.objects[key] = content
	b.writes++
	return object(key, content), nil
}

func etag(content []byte) string { return fmt.Sprintf("%x-%d", len(content), len(content)) }

func object(key string, content []byte) storage.Object {
	return storage.Object{Key: key, Size: int64(len(content)), ETag: etag(content)}
}

// Get implements [storage.Store].
func (b *bucket) Get(_ context.Context, key string, _ storage.GetOptions) (io.ReadCloser, storage.Object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	content, there := b.objects[key]
	if !there {
		return nil, storage.Object{}, storage.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(content)), object(key, content), nil
}

// Stat implements [storage.Store].
func (b *bucket) Stat(ctx context.Context, key string) (storage.Object, error) {
	_, o, err := b.Get(ctx, key, storage.GetOptions{})
	return o, err
}

// List implements [storage.Store].
func (b *bucket) List(_ context.Context, prefix string) iter.Seq2[storage.Object, error] {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := slices.Sorted(maps.Keys(b.objects))
	return func(yield func(storage.Object, error) bool) {
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && !yield(storage.Object{Key: key}, nil) {
				return
			}
		}
	}
}

// Copy implements [storage.Store].
func (*bucket) Copy(context.Context, string, string) (storage.Object, error) {
	return storage.Object{}, errors.ErrUnsupported
}

// Delete implements [storage.Store].
func (b *bucket) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
	return nil
}

// Presign implements [storage.Store].
func (*bucket) Presign(context.Context, string, time.Duration) (string, error) {
	return "", errors.ErrUnsupported
}
