package formats

import (
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is how the files of a text format are compressed.
type Compression string

// The compressions. The same records give the same compressed bytes too: no
// names, no times, one encoder from a file's beginning to its end.
const (
	Uncompressed Compression = ""
	Gzip         Compression = "gzip" // RFC 1952, one member
	Zstd         Compression = "zstd" // RFC 8878, one frame, with its checksum
)

// Compressions lists them.
func Compressions() []Compression { return []Compression{Gzip, Zstd} }

func (c Compression) extension() string {
	switch c {
	case Gzip:
		return ".gz"
	case Zstd:
		return ".zst"
	default:
		return ""
	}
}

func (c Compression) contentType() string {
	switch c {
	case Gzip:
		return "application/gzip"
	case Zstd:
		return "application/zstd"
	default:
		return ""
	}
}

func (c Compression) validate(f Format) error {
	switch {
	case c == Uncompressed:
		return nil
	case c != Gzip && c != Zstd:
		return fmt.Errorf("%q is not a compression of %s; use gzip or zstd, or leave it out", string(c), f)
	case f == Parquet:
		return fmt.Errorf("%s is compressed inside and is not compressed as a whole; leave its compression out", f)
	}
	return nil
}

// encoder compresses one file after the other.
type encoder interface {
	io.WriteCloser
	Flush() error // what was written so far is passed on
	Reset(w io.Writer)
}

var (
	_ encoder = (*gzipEncoder)(nil)
	_ encoder = (*zstd.Encoder)(nil)
)

// Levels at which a core compresses faster than a network takes it.
const (
	gzipLevel     = 5
	zstdTextLevel = zstd.SpeedDefault
)

// encoder returns one for a compression, which must not be none. It runs in
// its caller's goroutine: that is the format's own already.
func (c Compression) encoder() (encoder, error) {
	if c == Zstd {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstdTextLevel), zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
	}
	z, err := gzip.NewWriterLevel(nil, gzipLevel)
	return &gzipEncoder{z}, err
}

// gzipEncoder writes no time into a file's head: the library takes the zero
// time for one of long ago, whose seconds do not fit there.
type gzipEncoder struct{ *gzip.Writer }

// Reset begins a file.
func (e *gzipEncoder) Reset(w io.Writer) {
	e.Writer.Reset(w)
	e.ModTime = time.Unix(0, 0)
}

// worst is the most bytes that n bytes become which compress badly, with a
// file's head, its end, and one flush: both compressions store such bytes as
// they are, in blocks of 64 KiB or more with a head of 5 bytes at most.
func worst(n int64) int64 { return n + n/1024 + 128 }
