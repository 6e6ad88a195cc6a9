package handlers

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/storage"
)

// What our bucket holds of a connector's backfills:
//
//	backfills/<connector>/<number>/<attempt>/<chunk>.jsonl  ids of the chunk's deliveries in the first line, then its runs
//	backfills/<connector>/<number>/failed/<chunk>.json      ids of its deliveries that failed
//	backfills/<connector>/manifests/<sha256>.jsonl          runs, as an operator listed them
const backfillsPrefix = "backfills/"

// ManifestKey is where a manifest with these contents is kept.
func ManifestKey(connector, sha256 string) string {
	return backfillsPrefix + connector + "/manifests/" + sha256 + ".jsonl"
}

var readAll storage.GetOptions

// chunk is a window of a backfill's runs, the oldest first.
type chunk struct {
	Deliveries []string `json:"deliveries"` // by run
	runs       []waybill.Run
}

func (b *backfill) chunkKey(n int) string {
	return fmt.Sprintf("%s%s/%d/%d/%06d.jsonl", backfillsPrefix, b.Connector, b.Number, b.Attempt, n)
}

func (b *backfill) writeChunk(ctx context.Context, n int, runs []waybill.Run) error {
	var c chunk
	for _, run := range runs {
		c.Deliveries = append(c.Deliveries, waybill.DeliveryID(run.RunKey, b.Connector))
	}
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	err := lines.Encode(c)
	for _, run := range runs {
		err = errors.Join(err, lines.Encode(run))
	}
	if err != nil {
		return fmt.Errorf("encode chunk: %w", err)
	}
	_, err = b.h.Bucket.Put(ctx, b.chunkKey(n), &text, storage.PutOptions{ContentType: "application/jsonl"})
	return ours(err)
}

// chunk reads a chunk.
func (b *backfill) chunk(ctx context.Context, n int) (chunk, error) { return b.readChunk(ctx, n, true) }

// chunkDeliveries reads the ids of a chunk's deliveries alone.
func (b *backfill) chunkDeliveries(ctx context.Context, n int) (chunk, error) {
	return b.readChunk(ctx, n, false)
}

func (b *backfill) readChunk(ctx context.Context, n int, runs bool) (c chunk, err error) {
	body, _, err := b.h.Bucket.Get(ctx, b.chunkKey(n), readAll)
	if err != nil {
		return c, ours(err)
	}
	defer body.Close()
	d := json.NewDecoder(body)
	if err := d.Decode(&c); err != nil {
		return c, ours(fmt.Errorf("decode %s: %w", b.chunkKey(n), err))
	}
	for runs && d.More() {
		var run waybill.Run
		if err := d.Decode(&run); err != nil {
			return c, ours(fmt.Errorf("decode %s: %w", b.chunkKey(n), err))
		}
		c.runs = append(c.runs, run)
	}
	return c, nil
}

func ours(err error) error {
	if err != nil {
		return fmt.Errorf("our own bucket: %w", err)
	}
	return nil
}

func failedPrefix(connector string, number int) string {
	return fmt.Sprintf("%s%s/%d/failed/", backfillsPrefix, connector, number)
}

func (b *backfill) noteFailed(ctx context.Context, n int, ids []string) error {
	text, err := json.Marshal(ids)
	if err != nil {
		return fmt.Errorf("encode ids: %w", err)
	}
	_, err = b.h.Bucket.Put(ctx, fmt.Sprintf("%s%06d.json", failedPrefix(b.Connector, b.Number), n), bytes.NewReader(text), storage.PutOptions{ContentType: "application/json"})
	return ours(err)
}

// BackfillProgress is how far a backfill has come, with its chunks under way.
type BackfillProgress struct {
	ledger.BackfillCount                    // deliveries that have ended
	Open                 int                // handed in, and under way or waiting
	Troubled             []waybill.Delivery // those that failed and are not complete by now
}

// BackfillProgress looks at how far a backfill has come.
func (h *Handlers) BackfillProgress(ctx context.Context, p ledger.BackfillPlan) (progress BackfillProgress, err error) {
	b := &backfill{BackfillPlan: p, h: h}
	progress.BackfillCount = p.Done
	for n := p.Past; n < p.Next; n++ {
		done, open, err := b.ended(ctx, n)
		if p.Ended() && errors.Is(err, storage.ErrNotExist) {
			continue // it is long over: see TidyBackfills
		}
		if err != nil {
			return progress, err
		}
		progress.BackfillCount, progress.Open = progress.Add(done), progress.Open+open
	}
	for o, err := range h.Bucket.List(ctx, failedPrefix(p.Connector, p.Number)) {
		if err != nil {
			return progress, ours(err)
		}
		list, err := h.troubled(ctx, o.Key)
		if err != nil {
			return progress, err
		}
		progress.Troubled = append(progress.Troubled, list...)
	}
	return progress, nil
}

func (h *Handlers) troubled(ctx context.Context, key string) ([]waybill.Delivery, error) {
	body, _, err := h.Bucket.Get(ctx, key, readAll)
	if err != nil {
		return nil, ours(err)
	}
	defer body.Close()
	var ids []string
	if err := json.NewDecoder(body).Decode(&ids); err != nil {
		return nil, ours(fmt.Errorf("decode %s: %w", key, err))
	}
	list, err := h.Ledger.Deliveries(ctx, ids)
	return slices.DeleteFunc(list, func(d waybill.Delivery) bool { return d.ID == "" || d.State == waybill.StateComplete }), err
}

// runSorter sorts any number of runs by the time they finished: batches in
// memory, each written down in order, and then merged.
type runSorter struct {
	batch []waybill.Run
	files []*os.File
}

const sorterBatch = 1000 // runs; a descriptor of 2,000 fields makes some 200 KB

func older(a, b waybill.Run) int {
	return cmp.Or(a.FinishedAt.Compare(b.FinishedAt), cmp.Compare(a.WorkflowID, b.WorkflowID), cmp.Compare(a.JobID, b.JobID))
}

func (s *runSorter) add(run waybill.Run) error {
	if s.batch = append(s.batch, run); len(s.batch) < sorterBatch {
		return nil
	}
	return s.spill()
}

func (s *runSorter) spill() error {
	slices.SortFunc(s.batch, older)
	f, err := os.CreateTemp("", "waybill-backfill-*.jsonl")
	if err != nil {
		return fmt.Errorf("sort runs: %w", err)
	}
	s.files = append(s.files, f)
	w := bufio.NewWriter(f)
	lines := json.NewEncoder(w)
	for _, run := range s.batch {
		if err := lines.Encode(run); err != nil {
			return fmt.Errorf("sort runs: %w", err)
		}
	}
	clear(s.batch) // lets go of what the runs hold
	s.batch = s.batch[:0]
	if err = w.Flush(); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("sort runs: %w", err)
	}
	return nil
}

func (s *runSorter) close() {
	for _, f := range s.files {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
}

// sorted yields the runs, the oldest first, each once.
func (s *runSorter) sorted() iter.Seq2[waybill.Run, error] {
	return func(yield func(waybill.Run, error) bool) {
		if err := s.spill(); err != nil {
			yield(waybill.Run{}, err)
			return
		}
		var m merger
		for _, f := range s.files {
			if err := m.push(json.NewDecoder(bufio.NewReaderSize(f, 16<<10))); err != nil {
				yield(waybill.Run{}, err)
				return
			}
		}
		var last waybill.RunKey
		for m.Len() > 0 {
			next := heap.Pop(&m).(batch) //nolint:forcetypeassert // push puts nothing else there
			if next.run.RunKey != last && !yield(next.run, nil) {
				return
			}
			last = next.run.RunKey
			if err := m.push(next.rest); err != nil {
				yield(waybill.Run{}, err)
				return
			}
		}
	}
}

// batch is a sorted batch: its first run, and what follows.
type batch struct {
	run  waybill.Run
	rest *json.Decoder
}

// merger has the batch with the oldest run on top.
type merger []batch

var _ heap.Interface = (*merger)(nil)

func (m merger) Len() int           { return len(m) }
func (m merger) Less(i, j int) bool { return older(m[i].run, m[j].run) < 0 }
func (m merger) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merger) Push(b any)        { *m = append(*m, b.(batch)) } //nolint:forcetypeassert // see push

func (m *merger) Pop() any {
	last := len(*m) - 1
	b := (*m)[last]
	(*m)[last] = batch{}
	*m = (*m)[:last]
	return b
}

// push adds the next run of a batch, if there is one.
func (m *merger) push(rest *json.Decoder) error {
	var run waybill.Run
	switch err := rest.Decode(&run); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("sort runs: %w", err)
	}
	heap.Push(m, batch{run, rest})
	return nil
}
