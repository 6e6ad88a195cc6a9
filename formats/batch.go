package formats

import (
	"context"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/parquet"
)

// A batch travels through the pipeline: the reader fills its text, a parse
// worker its columns and output bytes, the outputs drain it, the last of them
// gives it back. Where batches are cut depends on the records alone.
type batch struct {
	pool *batchPool
	refs atomic.Int32
	done chan struct{} // the parse worker has filled it

	// By the reader.
	text    []byte // the records, each followed by a newline
	records []record
	large   bool // holds the pool's token for batches beyond the usual size

	// By the parse worker.
	columns []column
	jsonl   []byte
	csv     []byte
	arena   []byte // decoded and compacted text that columns point to
	plain   int64  // bytes of the columns' values, plainly encoded
	ends    ends
	report  report
}

// ends are where each record that came through ends: in the bytes of a text
// format, and in the plain bytes of the columns. They are kept only where
// files have a limit.
type ends struct{ jsonl, csv, plain []int64 }

// record is where a record stands in its batch.
type record struct {
	start, end uint32
	line       int64
	fault      fault // known before it was parsed
}

// column is one column's values of a batch, as the Parquet writer takes them:
// definition levels for every row, values for those that are not NULL.
type column struct {
	levels []int16
	text   []parquet.ByteArray
	fixed  []parquet.FixedLenByteArray
	floats []float64
	bools  []bool
	days   []int32
	micros []int64
	bytes  []byte // what fixed points to
}

func (c *column) null() { c.levels = append(c.levels, 0) }

func (c *column) reset() {
	c.levels, c.text, c.fixed, c.bytes = c.levels[:0], c.text[:0], c.fixed[:0], c.bytes[:0]
	c.floats, c.bools, c.days, c.micros = c.floats[:0], c.bools[:0], c.days[:0], c.micros[:0]
}

// Batches are cut when they hold this much text, or layout.maxRows records.
// One with a larger record grows; of those beyond largeBatch there is one at a
// time, so that a run of huge records does not take a pool of huge buffers.
const (
	batchBytes = 512 << 10
	largeBatch = 4 << 20
)

// batchPool bounds how many batches there are, and thereby the memory of a
// conversion: whoever is slow leaves the reader without a batch to fill.
type batchPool struct {
	free  chan *batch
	large chan struct{}
	cols  int
}

func newBatchPool(batches, columns int) *batchPool {
	p := &batchPool{free: make(chan *batch, batches), large: make(chan struct{}, 1), cols: columns}
	for range batches {
		p.free <- p.fresh()
	}
	return p
}

func (p *batchPool) fresh() *batch {
	return &batch{pool: p, columns: make([]column, p.cols)}
}

// take waits for a batch that is free.
func (p *batchPool) take(ctx context.Context) (*batch, error) {
	select {
	case b := <-p.free:
		b.done = make(chan struct{})
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// grow waits until the batch may grow beyond the usual size. Those who hold
// the token are ahead in the pipeline and need nothing of this one.
func (b *batch) grow(ctx context.Context) error {
	select {
	case b.pool.large <- struct{}{}:
		b.large = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release gives up one reference; the last one gives the batch back.
func (b *batch) release() {
	if b.refs.Add(-1) > 0 {
		return
	}
	p := b.pool
	if b.large {
		<-p.large
		b = p.fresh() // the large buffers go
	}
	b.reset()
	p.free <- b
}

func (b *batch) reset() {
	b.text, b.records, b.jsonl, b.csv, b.arena = b.text[:0], b.records[:0], b.jsonl[:0], b.csv[:0], b.arena[:0]
	b.plain = 0
	b.ends = ends{b.ends.jsonl[:0], b.ends.csv[:0], b.ends.plain[:0]}
	b.report.reset()
	for i := range b.columns {
		b.columns[i].reset()
	}
}

// rows is the number of records that came through.
func (b *batch) rows() int { return int(b.report.rows) }
