package monitoring

import (
	"context"
	"sync"
)

// flight runs one question at a time. Who asks while it is under way gets the
// same answer; who cannot wait leaves. So a question that hangs is put once,
// however many scrapes and probes come meanwhile.
type flight[T any] struct {
	mu      sync.Mutex
	current *answer[T]
}

type answer[T any] struct {
	done  chan struct{} // closed when value and err are there
	value T
	err   error
}

// do returns what ask returns, or the context's error if that comes first.
func (f *flight[T]) do(ctx context.Context, ask func() (T, error)) (T, error) {
	a := f.join(ask)
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (f *flight[T]) join(ask func() (T, error)) *answer[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil {
		return f.current
	}
	a := &answer[T]{done: make(chan struct{})}
	f.current = a
	go func() {
		a.value, a.err = ask()
		f.mu.Lock()
		f.current = nil
		f.mu.Unlock()
		close(a.done)
	}()
	return a
}
