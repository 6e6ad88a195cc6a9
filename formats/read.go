package formats

import (
	"bytes"
	"context"
	"io"
)

// readBytes is how much of the input is asked for at once.
const readBytes = 256 << 10

// read is the reader: it finds the records and fills batches with them.
func (p *pipeline) read(ctx context.Context, r io.Reader) error {
	defer close(p.order)
	defer close(p.work)
	out := &filler{ctx: ctx, pool: p.pool, maxBytes: p.opts.MaxRecordBytes, maxRows: p.layout.maxRows(),
		send: func(b *batch) error {
			p.work <- b // both have room for every batch there is
			p.order <- b
			return nil
		}}
	buf := make([]byte, detectBytes)
	n, err := fill(ctx, r, buf)
	ended := err == io.EOF //nolint:errorlint // io.Reader promises the bare one at the end; a wrapped one is a fault
	if err != nil && !ended {
		return err
	}
	head := bytes.TrimPrefix(buf[:n], []byte("\xef\xbb\xbf"))
	framing, err := p.framing(head, ended)
	if err != nil {
		return err
	}
	var f framer = &lineFramer{out: out}
	if framing != framingLines {
		f = newListFramer(out, framing == framingEnvelope)
	}
	if err := f.feed(head); err != nil {
		return err
	}
	for buf = buf[:readBytes]; !ended; {
		n, err := fill(ctx, r, buf)
		ended = err == io.EOF //nolint:errorlint // io.Reader promises the bare one at the end; a wrapped one is a fault
		if err != nil && !ended {
			return err
		}
		if err := f.feed(buf[:n]); err != nil {
			return err
		}
	}
	return f.finish()
}

// framing is what the options say, or what the input's beginning shows.
func (p *pipeline) framing(head []byte, ended bool) (string, error) {
	if f := p.opts.Framing; f == framingArray || f == framingEnvelope {
		return f, nil
	}
	_, hasData := p.layout.index[dataKey]
	f, err := detect(head, ended, hasData)
	if p.opts.Framing == framingLines {
		f = framingLines
	}
	return f, err
}

// fill reads until buf is full or the input ends, with io.EOF in that case.
func fill(ctx context.Context, r io.Reader, buf []byte) (n int, err error) {
	for empty := 0; n < len(buf); {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		m, err := r.Read(buf[n:])
		n += m
		if err != nil {
			return n, err
		}
		if empty++; m > 0 {
			empty = 0
		}
		if empty > 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}
