package ledger_test

import (
	"context"
	"io"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill/storage"
)

// watchedStore is our bucket, and notes what is asked of it. A hook is called
// before each call, and may refuse it.
type watchedStore struct {
	storage.Store
	mu    sync.Mutex
	calls []string
	hook  func(call string) error
}

func (s *watchedStore) note(call string) error {
	s.mu.Lock()
	s.calls = append(s.calls, call)
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		return hook(call)
	}
	return nil
}

// during sets the hook.
func (s *watchedStore) during(hook func(call string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// asked returns the calls since it was asked last.
func (s *watchedStore) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.calls = nil }()
	return s.calls
}

func (s *watchedStore) Put(ctx context.Context, key string, r io.Reader, opts storage.PutOptions) (storage.Object, error) {
	if err := s.note("put " + key); err != nil {
		return storage.Object{}, err
	}
	return s.Store.Put(ctx, key, r, opts)
}

func (s *watchedStore) Get(ctx context.Context, key string, opts storage.GetOptions) (io.ReadCloser, storage.Object, error) {
	if err := s.note("get " + key); err != nil {
		return nil, storage.Object{}, err
	}
	return s.Store.Get(ctx, key, opts)
}

func (s *watchedStore) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	if err := s.note("list " + prefix); err != nil {
		return func(yield func(storage.Object, error) bool) { yield(storage.Object{}, err) }
	}
	return s.Store.List(ctx, prefix)
}

// keys are the objects below a prefix.
func (s *watchedStore) keys(t *testing.T, prefix string) (keys []string) {
	t.Helper()
	for o, err := range s.Store.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return slices.Sorted(slices.Values(keys))
}

func (s *watchedStore) text(t *testing.T, key string) string {
	t.Helper()
	body, _, err := s.Store.Get(t.Context(), key, storage.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// another is another client of the same Redis.
func (b bundle) another(t *testing.T) *redis.Client {
	t.Helper()
	client := redis.NewClient(b.rdb.Options())
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// beforeCommand is called before each command of a client, outside of
// pipelines, and may refuse it.
type beforeCommand func(redis.Cmder) error

func (beforeCommand) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b beforeCommand) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, c redis.Cmder) error {
		if err := b(c); err != nil {
			return err
		}
		return next(ctx, c)
	}
}

func (beforeCommand) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
