package storage

import (
	"bufio"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"
)

// abortTimeout is what the parts under way have to end in after a failure, and
// then the abort: one that overtakes a part leaves that part behind,
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
const abortTimeout = 5 * time.Second

// pieceSize is what of a part is read before its checksum is taken: it is still
// in the processor's cache then, and a part as a whole no longer would be.
const pieceSize = 256 << 10

// part is a piece of the object in memory.
type part struct {
	memory *[partSize]byte
	n      int
	crc32c uint32
	last   bool
}

func (p part) bytes() []byte { return p.memory[:p.n] }

// parts reads what a Put is to write, part by part, and knows what it read.
type parts struct {
	buffers *buffers
	src     *bufio.Reader // for its Peek; whole parts pass it by
	sum     uint32        // CRC32C of all that was read
	size    int64         // bytes
}

func newParts(ctx context.Context, memory *PartMemory, r io.Reader) *parts {
	return &parts{buffers: memory.buffers(), src: bufio.NewReader(source{ctx, r})}
}

// read fills the next part.
func (p *parts) read(ctx context.Context) (part, error) {
	memory, err := p.buffers.next(ctx)
	if err != nil {
		return part{}, err
	}
	next := part{memory: memory}
	for err == nil && next.n < partSize {
		var n int
		n, err = p.src.Read(memory[next.n:min(next.n+pieceSize, partSize)])
		next.crc32c = crc32.Update(next.crc32c, castagnoli, memory[next.n:next.n+n])
		next.n += n
	}
	if err == nil {
		_, err = p.src.Peek(1)
	}
	next.last = err == io.EOF //nolint:errorlint // the end is the bare one; a reader's fault comes wrapped from source
	if err != nil && !next.last {
		p.buffers.done(memory)
		return part{}, err
	}
	p.sum = joinCRC32C(p.sum, next.crc32c, next.n)
	p.size += int64(next.n)
	return next, nil
}

// sendAll sends the parts, numbered from 1, while it reads the next ones. The
// first error, or the end of ctx, ends the reading; the cause is what it
// returns. It returns when nothing is under way any more.
func (p *parts) sendAll(ctx context.Context, cancel context.CancelCauseFunc, now part, most int32,
	send func(ctx context.Context, number int32, p part) error,
) error {
	sendCtx, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(abortTimeout, cut) })()
	var sending sync.WaitGroup
	for number := int32(1); ; number++ {
		if number > most {
			p.buffers.done(now.memory)
			cancel(fmt.Errorf("%w: more than %d parts of %d bytes", errTooLarge, most, partSize))
			break
		}
		sent := now // now is the next part before this one is sent
		sending.Go(func() {
			defer p.buffers.done(sent.memory) // the SDKs let go of a body before they return
			if err := send(sendCtx, number, sent); err != nil {
				cancel(err)
			}
		})
		if now.last {
			break
		}
		next, err := p.read(ctx)
		if err != nil {
			cancel(err)
			break
		}
		now = next
	}
	sending.Wait()
	return context.Cause(ctx)
}
