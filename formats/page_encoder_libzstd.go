//go:build libzstd

package formats

import (
	"runtime"

	"github.com/DataDog/zstd"
)

// newPageEncoder is the C library of zstd, https://facebook.github.io/zstd/. Its
// level 2 takes as long as its level 1 and makes texts smaller; of numbers its
// level 3 makes what our own does.
func newPageEncoder(level int) pageEncoder {
	e := libzstd{level: 2, free: make(chan zstd.Ctx, runtime.GOMAXPROCS(0))}
	if level == valuesLevel {
		e.level = 3
	}
	for range cap(e.free) {
		e.free <- zstd.NewCtx()
	}
	return e
}

// libzstd has a context for each core: each is a megabyte that Go does not see.
type libzstd struct {
	level int
	free  chan zstd.Ctx
}

func (e libzstd) EncodeAll(src, dst []byte) []byte {
	c := <-e.free
	defer func() { e.free <- c }()
	room := dst[len(dst):cap(dst)]
	out, err := c.CompressLevel(room, src, e.level)
	if err != nil {
		panic(err) // it refuses levels, and room that is too small, and has been given neither
	}
	return append(dst, out...)
}
