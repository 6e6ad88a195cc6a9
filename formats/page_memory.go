package formats

import (
	"math/bits"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// pageMemory is where the compressed pages of row groups are kept until the
// row group is whole. What one row group gives back the next one takes, so that
// a conversion of any length allocates as much as two row groups need.
type pageMemory struct {
	mu   sync.Mutex
	free [bits.UintSize][][]byte // by the power of two that is their size
}

var _ memory.Allocator = (*pageMemory)(nil)

// Smaller pieces are left to the garbage collector.
const leastPageMemory = 64 << 10

func (m *pageMemory) Allocate(size int) []byte {
	if size < leastPageMemory {
		return memory.DefaultAllocator.Allocate(size)
	}
	class := bits.Len(uint(size - 1))
	m.mu.Lock()
	list := m.free[class]
	if len(list) == 0 {
		m.mu.Unlock()
		return memory.DefaultAllocator.Allocate(1 << class)[:size]
	}
	b := list[len(list)-1]
	m.free[class] = list[:len(list)-1]
	m.mu.Unlock()
	b = b[:size]
	clear(b)
	return b
}

func (m *pageMemory) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) {
		old := len(b)
		b = b[:size]
		if size > old {
			clear(b[old:])
		}
		return b
	}
	larger := m.Allocate(size)
	copy(larger, b)
	m.Free(b)
	return larger
}

func (m *pageMemory) Free(b []byte) {
	if cap(b) < leastPageMemory || cap(b)&(cap(b)-1) != 0 {
		return
	}
	class := bits.Len(uint(cap(b) - 1))
	m.mu.Lock()
	m.free[class] = append(m.free[class], b[:0])
	m.mu.Unlock()
}
