package source

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/waybillhq/waybill"
)

type compression string

const (
	none     compression = "none"
	gzipped  compression = "gzip"
	zstdized compression = "zstd"
)

// maxWindow bounds what one zstd frame makes the decoder keep: all levels but
// the ultra ones stay below it.
const maxWindow = 32 << 20

// errWindow is what the decoder says of a frame that wants more.
var errWindow = zstd.ErrWindowSizeExceeded

type peeker = bufio.Reader

func newPeeker(r io.Reader) *peeker { return bufio.NewReaderSize(r, 64<<10) }

// detect returns how the bytes are compressed. Records never begin with the
// magic bytes of a compression, so those decide; what the producer declared,
// or the name ends in, must not contradict them.
func detect(r *peeker, src waybill.Source) (compression, error) {
	head, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	found := byMagic(head)
	if declared := compression(src.Compression); declared != "" && declared != found {
		return "", contradiction("source.compression says "+string(declared), found, head)
	}
	if named := byName(src.URI); found == none && src.Compression == "" && named != none && !looksPlain(r) {
		return "", contradiction("its name says "+string(named), found, head)
	}
	return found, nil
}

func byMagic(head []byte) compression {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzipped
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18}): // a skippable frame first
		return zstdized
	}
	return none
}

func byName(uri string) compression {
	u, err := url.Parse(uri)
	if err != nil {
		return none
	}
	return cmp.Or(map[string]compression{".gz": gzipped, ".gzip": gzipped, ".zst": zstdized, ".zstd": zstdized}[path.Ext(u.Path)], none)
}

// looksPlain reports whether records begin here after all: some clients
// decompress what they store and keep its name.
func looksPlain(r *peeker) bool {
	head, _ := r.Peek(512)
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	return len(head) > 0 && (head[0] == '{' || head[0] == '[')
}

func contradiction(claim string, found compression, head []byte) error {
	if len(head) == 0 {
		return waybill.Failf(waybill.Permanent, "source.truncated",
			"The run's records should be compressed, but there is not one byte; store them whole and hand the run in again with replace.",
			"%s, but the source is empty", claim)
	}
	return waybill.Failf(waybill.Permanent, "source.corrupt",
		"The run's records are not compressed in the way they are declared or named; store them again and hand the run in again with replace.",
		"%s, but the bytes say %s", claim, found)
}

// isPacked reports whether compressed bytes begin here.
func isPacked(r *peeker) bool {
	head, _ := r.Peek(4)
	return byMagic(head) != none
}

// looksLikePage reports whether markup begins here. Records never begin so.
func looksLikePage(r *peeker) bool {
	head, _ := r.Peek(512)
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	return len(head) > 0 && head[0] == '<'
}

// decompress returns a reader of the plain bytes and what releases it.
func decompress(c compression, packed *peeker) (io.Reader, func(), error) {
	switch c {
	case none:
		return packed, func() {}, nil
	case gzipped: // all members of the file, one after the other
		z, err := gzip.NewReader(packed)
		return z, func() {}, err
	case zstdized:
		// One core, no goroutines: memory is a window and a block.
		z, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return nil, nil, fmt.Errorf("unknown compression %q", c)
}
