package storage

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"sync/atomic"
	"time"

	gcs "cloud.google.com/go/storage"
)

const (
	// smallObject is the least chunk that Google takes, and the most that is read
	// before the size of a chunk is chosen:
	// https://cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload
	smallObject = 256 << 10
	// chunkDeadline is how long one chunk is tried again.
	chunkDeadline = 2 * time.Minute
)

// Put sends what fits into 8 MiB in one request, and anything larger as a
// resumable upload of 8 MiB at a time, which is all the memory that it takes.
// The last request carries the CRC32C of the whole object, which Google
// compares before the object becomes visible. An upload that is given up never
// becomes visible; Google forgets it after a week.
func (g *GCS) Put(ctx context.Context, key string, r io.Reader, opts PutOptions) (Object, error) {
	if err := cmp.Or(checkKeys(g.prefix, key), checkOptions(opts)); err != nil {
		return Object{}, err
	}
	src := bufio.NewReaderSize(source{ctx, r}, smallObject)
	_, err := src.Peek(smallObject)
	if err != nil && err != io.EOF { //nolint:errorlint // the end is the bare one
		return Object{}, g.fail(ctx, gcsWrite, err)
	}
	small := err == io.EOF //nolint:errorlint // likewise
	attrs, sum, err := g.send(ctx, key, src, small, opts)
	if err == nil && attrs.CRC32C != sum {
		err = g.discard(ctx, key, attrs, sum)
	}
	if err != nil {
		return Object{}, g.fail(ctx, gcsWrite, g.missingBucket(err))
	}
	return gcsObject(key, attrs), nil
}

// send returns what Google made of the object, and the CRC32C of what was sent.
func (g *GCS) send(ctx context.Context, key string, src io.Reader, small bool, opts PutOptions) (*gcs.ObjectAttrs, uint32, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tries := newTries(g.attempts, opts)
	w := g.writable(key, opts).Retryer(retryIf(tries.again)...).NewWriter(ctx)
	w.ContentType, w.Metadata = cmp.Or(opts.ContentType, "application/octet-stream"), opts.Metadata
	w.ChunkSize, w.ChunkRetryDeadline, w.ProgressFunc = partSize, chunkDeadline, tries.progress
	if small {
		w.ChunkSize = smallObject
	}
	sum := crc32.New(castagnoli)
	if _, err := io.CopyBuffer(w, io.TeeReader(src, sum), make([]byte, smallObject)); err != nil {
		cancel()      // so that what was sent never becomes an object
		_ = w.Close() // which waits until nothing is under way; why is known
		return nil, 0, err
	}
	if err := w.Close(); err != nil {
		return nil, 0, err
	}
	return w.Attrs(), sum.Sum32(), nil
}

func (g *GCS) writable(key string, opts PutOptions) *gcs.ObjectHandle {
	switch handle := g.object(key); {
	case opts.IfAbsent:
		return handle.If(gcs.Conditions{DoesNotExist: true})
	case opts.IfMatch != "":
		return handle.If(gcs.Conditions{GenerationMatch: generation(opts.IfMatch)})
	default:
		return handle
	}
}

// discard removes an object that is not what was sent, and says so.
func (g *GCS) discard(ctx context.Context, key string, attrs *gcs.ObjectAttrs, sum uint32) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	err := fmt.Errorf("%w: sent %s, the store has %s", errCorrupted, hexCRC32C(sum), hexCRC32C(attrs.CRC32C))
	failed := g.object(key).If(gcs.Conditions{GenerationMatch: attrs.Generation}).Delete(ctx)
	if failed != nil {
		return fmt.Errorf("%w (it could not be removed: %s)", err, failed.Error())
	}
	return err
}

// tries counts how often a request may be made again. A conditional write is
// sent once: were its answer lost, a second one would be refused by the first.
// But the chunks of an upload that goes on can be repeated, the last included:
// Google then tells what became of it.
type tries struct {
	most int32
	left atomic.Int32
}

func newTries(attempts int, opts PutOptions) *tries {
	t := &tries{most: int32(attempts)}
	t.left.Store(t.most)
	if opts.IfAbsent || opts.IfMatch != "" {
		t.left.Store(1)
	}
	return t
}

func (t *tries) again(err error) bool { return gcsShouldRetry(err) && t.left.Add(-1) > 0 }

func (t *tries) progress(int64) { t.left.Store(t.most) }
