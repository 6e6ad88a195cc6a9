package storage

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/waybillhq/waybill"
)

// source reads what a Put is to write. It ends with the context, so that a
// cancelled Put stops at its next read, and marks the reader's own errors, so
// that they are not taken for the store's.
type source struct {
	ctx context.Context
	r   io.Reader
}

func (s source) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF { //nolint:errorlint // a wrapped EOF is a fault: the end is the bare one
		err = readerFailure(err)
	}
	return n, err
}

func readerFailure(err error) error {
	if _, ok := errors.AsType[*waybill.Failure](err); ok {
		return err
	}
	return &waybill.Failure{Verdict: waybill.Transient, Code: "storage.reader",
		Action: "What was to be written could not be read to its end; the step is repeated by itself.",
		Err:    fmt.Errorf("read what is to be written: %w", err)}
}

// body gives an object's bytes, ends with the context, and classifies what
// goes wrong on the way.
type body struct {
	ctx context.Context
	r   io.Reader
	io.Closer
	fail func(error) error
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, b.fail(err)
	}
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // as in source
		err = b.fail(err)
	}
	return n, err
}
