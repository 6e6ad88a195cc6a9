package formats

import (
	"bufio"
	"context"
	"errors"
	"io"
)

// Output opens the files of one format: part 0, which there always is, and
// with [Options.MaxFileBytes] part 1, 2 and so on. A file is closed once it is
// whole, before the next is opened; one that is not closed never became whole.
type Output func(part int) (io.WriteCloser, error)

// To is an Output of one file, which stays the caller's to close.
func To(w io.Writer) Output {
	return func(part int) (io.WriteCloser, error) {
		if part > 0 {
			return nil, errors.New("it has room for one file only")
		}
		return notClosed{w}, nil
	}
}

type notClosed struct{ io.Writer }

func (notClosed) Close() error { return nil }

// Part is one file of a format.
type Part struct {
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"` // as they were written, compressed where that was wanted
}

// parts writes the files of one format, one after the other, compressed where
// that is wanted.
type parts struct {
	ctx         context.Context
	open        Output
	compression Compression
	pieces      bool // the format writes in small pieces

	whole   []Part
	sink    sink
	buffer  *bufio.Writer // where pieces are small
	encoder encoder       // nil: not compressed

	// Of the file under way, if it is compressed.
	flushed int64 // its size when the encoder last held nothing back
	pending int64 // plain bytes since then
}

var _ io.Writer = (*parts)(nil)

// begin opens the next file.
func (p *parts) begin() error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	w, err := p.open(len(p.whole))
	if err != nil {
		return err
	}
	if w == nil {
		return errors.New("it has no writer")
	}
	p.sink = sink{ctx: p.ctx, w: w}
	p.flushed, p.pending = 0, 0
	var dst io.Writer = &p.sink
	if p.pieces || p.compression != Uncompressed {
		if p.buffer == nil {
			p.buffer = bufio.NewWriterSize(nil, 256<<10)
		}
		p.buffer.Reset(dst)
		dst = p.buffer
	}
	if p.compression == Uncompressed {
		return nil
	}
	if p.encoder == nil {
		if p.encoder, err = p.compression.encoder(); err != nil {
			return err
		}
	}
	p.encoder.Reset(dst)
	return nil
}

// Write writes to the file under way.
func (p *parts) Write(b []byte) (int, error) {
	switch {
	case p.sink.err != nil: // whatever the layers between made of it
		return 0, p.sink.err
	case len(b) == 0:
		return 0, nil
	case p.encoder != nil:
		p.pending += int64(len(b))
		return p.encoder.Write(b)
	case p.buffer != nil:
		return p.buffer.Write(b)
	}
	return p.sink.Write(b)
}

// size is how many bytes the file under way has. Of a compressed file it is
// not exact: see most.
func (p *parts) size() int64 {
	if p.buffer != nil {
		return p.sink.bytes + int64(p.buffer.Buffered())
	}
	return p.sink.bytes
}

// most is the size that the file under way can have at most if it is ended
// after n more bytes.
func (p *parts) most(n int64) int64 {
	if p.encoder == nil {
		return p.size() + n
	}
	return p.flushed + worst(p.pending+n)
}

// flush makes most exact: what is compressed by now is counted.
func (p *parts) flush() error {
	if p.encoder == nil || p.pending == 0 {
		return nil
	}
	if err := p.encoder.Flush(); err != nil {
		return err
	}
	p.flushed, p.pending = p.size(), 0
	return nil
}

// end makes the file under way whole.
func (p *parts) end(rows int64) error {
	if p.encoder != nil {
		if err := p.encoder.Close(); err != nil {
			return err
		}
	}
	if p.buffer != nil {
		if err := p.buffer.Flush(); err != nil {
			return err
		}
	}
	if err := p.sink.close(); err != nil {
		return err
	}
	p.whole = append(p.whole, Part{Rows: rows, Bytes: p.sink.bytes})
	return nil
}

// sink is the file under way. It remembers the first fault and repeats it on
// every later call, so that no layer above can lose it; and it makes no call
// once the conversion has ended.
type sink struct {
	ctx   context.Context
	w     io.WriteCloser
	bytes int64
	err   error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.err == nil && s.ctx.Err() != nil {
		s.err = context.Cause(s.ctx)
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	s.bytes += int64(n)
	s.err = err
	return n, err
}

func (s *sink) close() error {
	if s.err == nil && s.ctx.Err() != nil {
		s.err = context.Cause(s.ctx)
	}
	if s.err == nil {
		s.err = s.w.Close()
	}
	return s.err
}
