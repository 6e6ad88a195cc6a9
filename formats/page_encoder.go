//go:build !libzstd

package formats

import (
	"runtime"

	"github.com/klauspost/compress/zstd"
)

// newPageEncoder is zstd in Go. The tag libzstd takes the C library in its
// place, which is faster and needs cgo.
func newPageEncoder(level int) pageEncoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithWindowSize(pageWindow), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true), zstd.WithAllLitEntropyCompression(true))
	if err != nil {
		panic(err) // one of the options above makes no sense
	}
	return e
}
