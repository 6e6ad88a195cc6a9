package formats

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/waybillhq/waybill/internal/testsize"
)

// brokenShelf fails at its nth call, whatever that is.

type brokenShelf struct{ left *int }

func (s brokenShelf) call() error {
	if *s.left--; *s.left < 0 {
		return errFull
	}
	return nil
}

func (s brokenShelf) open(int) (io.WriteCloser, error) { return s, s.call() }

func (s brokenShelf) Write(p []byte) (int, error) { return len(p), s.call() }

func (s brokenShelf) Close() error { return s.call() }

func TestAFaultAtAnyCallOfAnOutput(t *testing.T) {
	input := noise(90)
	few := strings.Join(strings.SplitAfter(input, "\n")[:8], "") // Parquet has a file for each
	for _, compression := range []Compression{Uncompressed, Gzip, Zstd} {
		opts := Options{Schema: noiseSchema, MaxFileBytes: 3000, Compression: compressAll(compression)}
		for _, f := range []Format{JSONL, CSV, JSON, Parquet} {
			input := input
			if f == Parquet {
				input = few
			}
			calls := 0
			for n := 0; ; n++ {
				left := n
				outputs := map[Format]Output{}
				for _, other := range All() {
					outputs[other] = (&shelf{}).open
				}
				outputs[f] = brokenShelf{left: &left}.open
				_, err := Convert(context.Background(), strings.NewReader(input), outputs, opts)
				if err == nil {
					break
				}
				if o, ok := errors.AsType[*OutputError](err); !ok || o.Format != f || !errors.Is(err, errFull) {
					t.Errorf("%s %s, call %d: %v", f, compression, n, err)
				}
				calls++
			}
			if calls < 6 {
				t.Errorf("%s %s: only %d calls", f, compression, calls)
			}
		}
	}
	goleak.VerifyNone(t)
}

func TestPartsThroughPipes(t *testing.T) {
	input := string(products(testsize.Of(5000, 1000)))
	opts := Options{Schema: productSchema, MaxFileBytes: int64(len(input) / 10), Compression: map[Format]Compression{CSV: Gzip, JSONL: Zstd}}
	want := mustRun(t, input, opts, All()...)
	var readers sync.WaitGroup
	got := map[Format]*[][]byte{}
	outputs := map[Format]Output{}
	for i, f := range All() {
		files := new([][]byte)
		got[f] = files
		outputs[f] = func(int) (io.WriteCloser, error) {
			r, w := io.Pipe()
			done := make(chan struct{})
			readers.Go(func() {
				defer close(done)
				var b bytes.Buffer
				if _, err := io.CopyBuffer(struct{ io.Writer }{&b}, r, make([]byte, []int{100, 1 << 20, 7000, 1000}[i])); err != nil {
					t.Error(err)
				}
				*files = append(*files, b.Bytes())
			})
			return awaited{w, done}, nil
		}
	}
	if _, err := Convert(context.Background(), strings.NewReader(input), outputs, opts); err != nil {
		t.Fatal(err)
	}
	readers.Wait()
	for _, f := range All() {
		if !reflect.DeepEqual(*got[f], want.parts[f]) {
			t.Errorf("%s: other files through pipes", f)
		}
	}
	goleak.VerifyNone(t)
}

// awaited is a pipe whose Close waits until it was read to its end.

type awaited struct {
	*io.PipeWriter
	done chan struct{}
}

func (a awaited) Close() error {
	err := a.PipeWriter.Close()
	<-a.done
	return err
}

func TestCancelWhileAnOutputHangs(t *testing.T) {
	for _, where := range []string{"open", "close"} {
		t.Run(where, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			h := &hanging{where: where, hangs: make(chan struct{}), release: make(chan struct{})}
			ended := make(chan error)
			go func() {
				_, err := Convert(ctx, bytes.NewReader(products(3000)), map[Format]Output{JSONL: h.open, Parquet: (&shelf{}).open},
					Options{Schema: productSchema, MaxFileBytes: 100_000})
				ended <- err
			}()
			<-h.hangs
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			calls := h.calls
			close(h.release)
			goleak.VerifyNone(t)
			if h.calls != calls {
				t.Errorf("%d calls after the conversion ended", h.calls-calls)
			}
		})
	}
}

// hanging hangs in its second open or close.

type hanging struct {
	where          string
	hangs, release chan struct{}
	opened, calls  int
}

func (h *hanging) open(int) (io.WriteCloser, error) {
	h.calls++
	if h.opened++; h.opened == 2 && h.where == "open" {
		h.hang()
	}
	return h, nil
}

func (h *hanging) Write(p []byte) (int, error) {
	h.calls++
	return len(p), nil
}

func (h *hanging) Close() error {
	h.calls++
	if h.opened == 2 && h.where == "close" {
		h.hang()
	}
	return nil
}

func (h *hanging) hang() {
	close(h.hangs)
	<-h.release
}
