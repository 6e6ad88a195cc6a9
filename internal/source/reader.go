package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/waybillhq/waybill"
)

// Reader gives the plain bytes of a source. It is used by one goroutine at a time.
type Reader struct {
	ctx    context.Context
	raw    *rawReader
	plain  io.Reader
	unpack func()                 // releases the decompressor
	limit  func(size int64) int64 // plain bytes allowed of so many compressed ones; nil: no limit
	given  int64
	name   string // the URI without its query
	sum    string // wanted SHA-256 of the raw bytes, hex; empty: none was announced
	err    error  // sticky
}

func newReader(ctx context.Context, raw rawObject, src waybill.Source, limit func(size int64) int64) (*Reader, error) {
	r := &Reader{ctx: ctx, name: location(src.URI), raw: newRawReader(raw, src.Checksum != ""), sum: strings.TrimPrefix(src.Checksum, "sha256:"), unpack: func() {}}
	compressed, err := r.open(src)
	if err != nil {
		r.unpack()
		return nil, r.classify(err)
	}
	if compressed {
		r.limit = limit
	}
	return r, nil
}

// open sets what gives the plain bytes, and reports whether there is anything
// to unpack.
func (r *Reader) open(src waybill.Source) (compressed bool, err error) {
	packed, coded := r.raw.buffered, false
	if r.raw.object.coding == string(gzipped) {
		if packed, coded, err = r.decode(); err != nil {
			return false, err
		}
	}
	if named := byName(src.URI); coded && (src.Compression == string(gzipped) || src.Compression == "" && named == gzipped) && !isPacked(packed) {
		src.Compression, src.URI = "", "" // the server calls the file's own compression a coding of its answer
	}
	found, err := detect(packed, src)
	if err != nil {
		return false, err
	}
	plain, unpack, err := decompress(found, packed)
	if err != nil {
		return false, err
	}
	r.plain, r.unpack = plain, unpack
	if r.raw.object.web {
		p := newPeeker(plain)
		if r.plain = p; looksLikePage(p) {
			return false, notRecords("the bytes begin like a page")
		}
	}
	return coded || found != none, nil
}

// decode undoes a server's own compression, if the bytes are compressed at
// all: some servers say so of what a proxy before us has unpacked.
func (r *Reader) decode() (*peeker, bool, error) {
	head, err := r.raw.buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	if byMagic(head) != gzipped {
		return r.raw.buffered, false, nil
	}
	plain, _, err := decompress(gzipped, r.raw.buffered) // gzip has nothing to release
	if err != nil {
		return nil, false, err
	}
	return newPeeker(plain), true, nil
}

// ETag identifies the bytes that are read; the next attempt passes it as its pin.
func (r *Reader) ETag() string { return r.raw.object.etag }

// Size is the number of bytes at the URI, compressed if they are; -1 if the
// server does not say.
func (r *Reader) Size() int64 { return r.raw.object.size }

// BytesRead is the number of bytes taken from the URI so far.
func (r *Reader) BytesRead() int64 { return r.raw.count }

// Read gives the next plain bytes. io.EOF comes only after the source's
// checksum, where one was announced, is verified.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.err = r.ctx.Err(); r.err != nil {
		return 0, r.err
	}
	n, err := r.plain.Read(p)
	r.given += int64(n)
	switch {
	case r.limit != nil && r.given > r.limit(max(r.raw.object.size, r.raw.count)):
		n, r.err = 0, r.tooLarge()
	case errors.Is(err, io.EOF):
		r.err = r.end()
	case err != nil:
		r.err = r.classify(err)
	}
	return n, r.err
}

// end verifies the raw bytes once all of them were read, and returns io.EOF if they are right.
func (r *Reader) end() error {
	if _, err := io.Copy(io.Discard, r.raw.buffered); err != nil {
		return r.classify(err)
	}
	if size := r.raw.object.size; size != unknownSize && r.raw.count != size {
		return waybill.Failf(waybill.Transient, "source.cut", transientAction, "source ended after %d of %d bytes", r.raw.count, size)
	}
	if r.sum == "" {
		return io.EOF
	}
	if got := hex.EncodeToString(r.raw.hash.Sum(nil)); got != r.sum {
		return waybill.Failf(waybill.Permanent, "source.checksum_mismatch",
			"The run's records are not those whose checksum was announced; store them again, or hand the run in again with replace and the right checksum.",
			"source has sha256:%s, announced was sha256:%s", got, r.sum)
	}
	return io.EOF
}

// Close releases the source.
func (r *Reader) Close() error {
	r.unpack()
	return r.raw.object.Close()
}

// classify tells a fault of reading from a fault in what was read.
func (r *Reader) classify(err error) error {
	if r.raw.err != nil && !errors.Is(r.raw.err, io.EOF) {
		return classifyOpen(r.name, r.raw.err) // what the decompressor made of it does not matter
	}
	if f, ok := errors.AsType[*waybill.Failure](err); ok {
		return f
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return waybill.Failf(waybill.Permanent, "source.truncated",
			"The run's compressed records end in the middle; store them whole and hand the run in again with replace.", "decompress source: %w", err)
	}
	if errors.Is(err, errWindow) {
		return waybill.Failf(waybill.Permanent, "source.too_large",
			fmt.Sprintf("The run's records were compressed by zstd with a window of more than %d MiB; compress them without --ultra or --long and hand the run in again with replace.", maxWindow>>20),
			"decompress source: %w", err)
	}
	return waybill.Failf(waybill.Permanent, "source.corrupt",
		"The run's compressed records are damaged; store them again and hand the run in again with replace.", "decompress source: %w", err)
}

func (r *Reader) tooLarge() error {
	return waybill.Failf(waybill.Permanent, "source.too_large",
		"The run's records become far larger when they are decompressed than records do; store them as several runs or uncompressed, and hand the run in again with replace.",
		"%d compressed bytes became more than is allowed, %d", r.raw.count, r.given)
}

// rawReader counts, hashes and buffers the bytes at the URI, and remembers
// which fault was theirs.
type rawReader struct {
	object   rawObject
	buffered *peeker
	hash     hash.Hash // nil: not wanted
	count    int64
	err      error
}

func newRawReader(object rawObject, hashed bool) *rawReader {
	r := &rawReader{object: object}
	if hashed {
		r.hash = sha256.New()
	}
	r.buffered = newPeeker(r)
	return r
}

func (r *rawReader) Read(p []byte) (int, error) {
	n, err := r.object.Read(p)
	r.count += int64(n)
	if r.hash != nil {
		r.hash.Write(p[:n])
	}
	if err != nil {
		r.err = err
	}
	return n, err
}
