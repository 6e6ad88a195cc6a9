package formats

import (
	"runtime"
	"sync"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/zstd"
)

// pageCodec compresses Parquet's pages. It differs from the library's own zstd
// codec, whose place it takes in this process, in what it costs, not in what
// readers get: as many encoders as there are cores, whatever the number of
// columns that have a page to compress, each with a window that suits a page;
// and no checksum of a frame, which Parquet's readers do not ask for.
type pageCodec struct {
	libraryCodec
	encoders map[int]func() *zstd.Encoder // by level
}

type libraryCodec interface {
	compress.ErrorCodec
	compress.StreamingCodec
}

// Parquet's library wants codecs to be there before anything runs.
func init() { //nolint:gochecknoinits // see above
	codec, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil {
		panic(err)
	}
	compress.RegisterCodec(compress.Codecs.Zstd, pageCodec{
		codec.(libraryCodec), //nolint:forcetypeassert // it has both
		map[int]func() *zstd.Encoder{fastLevel: pageEncoder(fastLevel), thoroughLevel: pageEncoder(thoroughLevel)},
	})
}

// pageEncoder returns the encoder of a level, which is made when it is needed.
func pageEncoder(level int) func() *zstd.Encoder {
	return sync.OnceValue(func() *zstd.Encoder { return newPageEncoder(level) })
}

func newPageEncoder(level int) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithWindowSize(pageWindow), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true), zstd.WithAllLitEntropyCompression(true))
	if err != nil {
		panic(err) // one of the options above makes no sense
	}
	return e
}

// EncodeLevel compresses a page.
func (c pageCodec) EncodeLevel(dst, src []byte, level int) []byte {
	encoder, ok := c.encoders[level]
	if !ok {
		return c.libraryCodec.EncodeLevel(dst, src, level)
	}
	return encoder().EncodeAll(src, dst[:0])
}
