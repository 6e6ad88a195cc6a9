package formats

import (
	"sync"

	"github.com/apache/arrow-go/v18/parquet/compress"
)

// pageCodec compresses Parquet's pages. It differs from the library's own zstd
// codec, whose place it takes in this process, in what it costs, not in what
// readers get: as many encoders as there are cores, whatever the number of
// columns that have a page to compress, each with a window that suits a page;
// and no checksum of a frame, which Parquet's readers do not ask for.
type pageCodec struct {
	libraryCodec
	encoders map[int]func() pageEncoder // by level
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
	encoders := map[int]func() pageEncoder{}
	for _, level := range []int{valuesLevel, textsLevel, wordsLevel} {
		encoders[level] = sync.OnceValue(func() pageEncoder { return newPageEncoder(level) })
	}
	compress.RegisterCodec(compress.Codecs.Zstd, pageCodec{
		codec.(libraryCodec), //nolint:forcetypeassert // it has both
		encoders,
	})
}

// A pageEncoder compresses pages, several at once, each to the end of dst.
// Whose it is, a build tag says: see newPageEncoder.
type pageEncoder interface {
	EncodeAll(src, dst []byte) []byte
}

// EncodeLevel compresses a page.
func (c pageCodec) EncodeLevel(dst, src []byte, level int) []byte {
	encoder, ok := c.encoders[level]
	if !ok {
		return c.libraryCodec.EncodeLevel(dst, src, level)
	}
	return encoder().EncodeAll(src, dst[:0])
}
