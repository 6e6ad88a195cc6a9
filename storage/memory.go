package storage

import (
	"context"
	"sync"
)

// partSize and partsInFlight bound what one upload holds, the part that is
// being filled included.
const (
	partSize      = 8 << 20
	partsInFlight = 4
)

// PartMemory is the memory in which uploads gather their parts, shared by all
// stores that are given the same one. An upload always has one part of its
// own, so that uploads that wait for each other's readers all go on; further
// parts come out of the shared ones.
type PartMemory struct {
	shared chan struct{} // one entry for each shared part in use
	free   sync.Pool
}

// NewPartMemory returns memory with room for the given number of shared parts
// of 8 MiB.
func NewPartMemory(parts int) *PartMemory {
	return &PartMemory{
		shared: make(chan struct{}, parts),
		free:   sync.Pool{New: func() any { return new([partSize]byte) }},
	}
}

// buffers are the parts of one upload.
type buffers struct {
	memory *PartMemory
	idle   chan *[partSize]byte // sent, and free for the next part
	held   int
}

func (m *PartMemory) buffers() *buffers {
	return &buffers{memory: m, idle: make(chan *[partSize]byte, partsInFlight)}
}

// next returns memory for a part. It waits while as many parts are under way
// as an upload may have, or while all shared memory is in use.
func (b *buffers) next(ctx context.Context) (*[partSize]byte, error) {
	shared := b.memory.shared
	switch {
	case len(b.idle) > 0 || b.held == partsInFlight:
		shared = nil
	case b.held == 0:
		return b.take(), nil
	}
	select {
	case part := <-b.idle:
		return part, nil
	case shared <- struct{}{}:
		return b.take(), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b *buffers) take() *[partSize]byte {
	b.held++
	return b.memory.free.Get().(*[partSize]byte) //nolint:forcetypeassert // New gives nothing else
}

// done gives a part back to its upload.
func (b *buffers) done(part *[partSize]byte) { b.idle <- part }

// release gives the upload's memory back. A part that is not done, because a
// reader panicked, is left to the garbage collector.
func (b *buffers) release() {
	for ; b.held > 0; b.held-- {
		select {
		case part := <-b.idle:
			b.memory.free.Put(part)
		default:
		}
		if b.held > 1 {
			<-b.memory.shared
		}
	}
}
