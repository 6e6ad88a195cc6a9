package formats

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// The pipeline, every arrow a channel:
//
//	reader ─┬─▶ work ──▶ parse workers
//	        └─▶ order ─▶ collector ─┬─▶ a writer for JSONL, CSV, JSON each
//	                                └─▶ Parquet ──▶ a goroutine for each column
//
// The reader takes free batches from a pool and the last output that is done
// with one gives it back, so that the slowest part sets the pace and memory
// stays bounded. Every channel has room for all batches of the pool: nobody
// waits for a channel that another output keeps full, and nothing can deadlock.
type pipeline struct {
	opts   Options
	layout *layout
	pool   *batchPool
	work   chan *batch
	order  chan *batch
	outs   []chan *batch
	refs   int32 // outputs that hold a batch: text writers, and Parquet's columns
	files  map[Format]*parts
	tally  *tally

	group  sync.WaitGroup
	cancel context.CancelCauseFunc
}

// pooledBatches is how many batches there are: one a parse worker, and some on
// the way before and behind them.
func pooledBatches(cpus int) int { return cpus + 6 }

// abandonAfter is how long a failed conversion waits for a Read or Write that
// is still under way. Nothing else is called after that, and the call's end
// ends its goroutine.
const abandonAfter = time.Second

func convert(ctx context.Context, r io.Reader, outputs map[Format]Output, opts Options) (Result, error) {
	l := newLayout(opts.Schema)
	if opts.Warehouse != nil {
		opts.Warehouse.name(l, opts.Schema)
	}
	n := pooledBatches(opts.CPUs)
	p := &pipeline{opts: opts, layout: l, pool: newBatchPool(n, len(l.columns)), tally: newTally(l),
		work: make(chan *batch, n), order: make(chan *batch, n), files: map[Format]*parts{}}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.cancel = cancel

	for _, f := range slices.Sorted(maps.Keys(outputs)) {
		p.output(inner, f, outputs[f])
	}
	for range opts.CPUs {
		p.start(nil, func() error { return p.parse(inner, outputs) })
	}
	p.start(nil, func() error { return p.collect(inner) })
	p.start(asInputError, func() error { return p.read(inner, r) })
	if err := p.wait(inner); err != nil {
		if ctx.Err() != nil {
			return Result{}, ctx.Err()
		}
		return Result{}, err
	}
	result := Result{Conversion: p.tally.conversion(), Parts: map[Format][]Part{}}
	for f, files := range p.files {
		result.Parts[f] = files.whole
	}
	return result, nil
}

// start runs one part of the pipeline. Its error, or a panic, ends the others.
func (p *pipeline) start(as func(error) error, part func() error) {
	p.group.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				p.cancel(fmt.Errorf("conversion: %v\n%s", v, debug.Stack()))
			}
		}()
		if err := part(); err != nil {
			if as != nil {
				err = as(err)
			}
			p.cancel(err)
		}
	})
}

// wait returns the first fault once everybody has ended.
func (p *pipeline) wait(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		p.group.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		select {
		case <-ended:
		case <-time.After(abandonAfter):
		}
	}
	return context.Cause(ctx)
}

func asInputError(err error) error {
	if _, ok := errors.AsType[*InputError](err); ok {
		return err
	}
	return &InputError{err}
}

func asOutputError(f Format) func(error) error {
	return func(err error) error { return &OutputError{f, err} }
}

// output starts the writer of one format.
func (p *pipeline) output(ctx context.Context, f Format, open Output) {
	in := make(chan *batch, cap(p.order))
	p.outs = append(p.outs, in)
	files := &parts{ctx: ctx, open: open, compression: p.opts.Compression[f], pieces: f == Parquet}
	p.files[f] = files
	if f == Parquet {
		p.parquet(ctx, files, in)
		return
	}
	p.refs++
	out := newTextOutput(f, p.layout, files, p.opts)
	p.start(asOutputError(f), func() error {
		if err := out.begin(); err != nil {
			return err
		}
		err := each(ctx, in, func(b *batch) error {
			err := out.batch(b)
			b.release()
			return err
		})
		if err != nil {
			return err
		}
		return out.end()
	})
}

func (p *pipeline) parquet(ctx context.Context, files *parts, in chan *batch) {
	out := newParquetOutput(p.layout, files, p.opts.MaxFileBytes, cap(p.order))
	if p.opts.rowGroupRows > 0 {
		out.rows = p.opts.rowGroupRows
	}
	p.refs += int32(len(p.layout.columns))
	for i := range p.layout.columns {
		p.start(asOutputError(Parquet), func() error { return out.column(ctx, i) })
	}
	p.start(asOutputError(Parquet), func() error {
		if err := files.begin(); err != nil {
			return err
		}
		if err := each(ctx, in, func(b *batch) error { return out.batch(ctx, b) }); err != nil {
			return err
		}
		return out.end(ctx)
	})
}

// each calls f for every batch of a channel, until it is closed.
func each(ctx context.Context, in <-chan *batch, f func(*batch) error) error {
	for {
		select {
		case b, ok := <-in:
			if !ok {
				return nil
			}
			if err := f(b); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// parse is one parse worker.
func (p *pipeline) parse(ctx context.Context, outputs map[Format]Output) error {
	e := &emitter{parser: *newParser(p.layout, p.opts.MaxDepth), guard: p.opts.CSVFormulaGuard, split: p.opts.MaxFileBytes > 0}
	_, e.wantParquet = outputs[Parquet]
	_, e.wantCSV = outputs[CSV]
	_, jsonl := outputs[JSONL]
	_, envelope := outputs[JSON]
	e.wantJSONL = jsonl || envelope
	return each(ctx, p.work, func(b *batch) error {
		e.batch(b)
		close(b.done)
		return nil
	})
}

// collect takes the parsed batches in their order, counts them, and hands
// them to the outputs.
func (p *pipeline) collect(ctx context.Context) error {
	err := each(ctx, p.order, func(b *batch) error {
		select {
		case <-b.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		p.tally.add(b)
		b.refs.Store(p.refs + 1) // one is ours
		if b.rows() == 0 {
			b.refs.Store(1)
		} else {
			for _, out := range p.outs {
				out <- b
			}
		}
		b.release()
		return nil
	})
	if err != nil {
		return err
	}
	for _, out := range p.outs {
		close(out)
	}
	return nil
}
