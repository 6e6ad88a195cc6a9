//go:build !libzstd

package formats

import (
	"runtime"
	"sync"

	"github.com/waybillhq/waybill/formats/internal/zstd"
)

// newPageEncoder is zstd in Go. The tag libzstd takes the C library in its
// place, which is about as fast and needs cgo.
func newPageEncoder(level int) pageEncoder {
	return inGo{minMatch: map[int]int{valuesLevel: 5, textsLevel: 7, wordsLevel: 8}[level], free: idleEncoders()}
}

// idleEncoders are as many as there are cores, which the levels share.
var idleEncoders = sync.OnceValue(func() chan *zstd.Encoder {
	free := make(chan *zstd.Encoder, runtime.GOMAXPROCS(0))
	for range cap(free) {
		free <- zstd.NewEncoder()
	}
	return free
})

type inGo struct {
	minMatch int
	free     chan *zstd.Encoder
}

func (e inGo) EncodeAll(src, dst []byte) []byte {
	encoder := <-e.free
	defer func() { e.free <- encoder }()
	return encoder.EncodeAll(src, dst, e.minMatch)
}
