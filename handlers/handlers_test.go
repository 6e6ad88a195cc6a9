package handlers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

const team = "team-a"

// records is a source in memory.
type records struct {
	io.Reader
	etag string
}

func (records) Close() error   { return nil }
func (r records) ETag() string { return r.etag }

// queue keeps the last task that was enqueued.
type queue struct {
	mu   sync.Mutex
	last ledger.Ready
}

func (q *queue) Enqueue(_ context.Context, ready []ledger.Ready) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last = ready[len(ready)-1]
	return nil
}

// rig is a handler with everything it needs, one connector, and a bucket.
type rig struct {
	*handlers.Handlers
	queue     *queue
	customer  *storage.Folder // the customer's bucket
	store     storage.Store   // what the handler is given of it
	connector connectors.Connector
	source    func() io.Reader
	etag      string
}

func setup(t *testing.T, text string) *rig {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	r := &rig{queue: &queue{}, customer: folder(t), source: func() io.Reader { return strings.NewReader(text) }, etag: "v1"}
	t.Cleanup(func() { _ = rdb.Close() })
	r.store = r.customer
	r.connector = connectors.Connector{ID: "lake", Team: team, Kind: waybill.KindStorage,
		Storage: &connectors.Storage{Formats: []string{"parquet", "jsonl", "csv"}}}
	r.Handlers = &handlers.Handlers{
		Ledger:    ledger.New(rdb, folder(t), r.queue, ledger.Options{}),
		Connector: func(context.Context, string) (connectors.Connector, error) { return r.connector, nil },
		Store:     func(context.Context, connectors.Connector) (storage.Store, error) { return r.store, nil },
		Source: func(_ context.Context, _ string, _ waybill.Source, _ string) (handlers.Records, error) {
			return records{r.source(), r.etag}, nil
		},
		Brand: "kadoa",
		Log:   slog.New(slog.DiscardHandler),
	}
	return r
}

func folder(t *testing.T) *storage.Folder {
	t.Helper()
	return folderAt(t, t.TempDir())
}

func folderAt(t *testing.T, dir string) *storage.Folder {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := storage.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

const threeMovies = `{"Title":"The Land Girls","US_Gross":146083,"_sourceIndex":0}
{"Title":"First Love, Last Rites","US_Gross":"10876"}
{"Title":12,"US_Gross":"n/a","Extra":true}
`

func movies(rows int64) waybill.Run {
	return waybill.Run{
		RunKey:     waybill.RunKey{TeamID: team, WorkflowID: "wf_movies", JobID: "job_20250115_01"},
		State:      waybill.RunFinished,
		FinishedAt: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC),
		RowCount:   rows,
		Source:     waybill.Source{URI: "file:///movies.jsonl", Format: "jsonl"},
		Schema: waybill.Schema{Fields: []waybill.Field{
			{Name: "Title", DataType: waybill.String, IsKey: true}, {Name: "US_Gross", DataType: waybill.Number}, {Name: "_sourceIndex", DataType: waybill.Number}}},
	}
}

const prefix = "kadoa/team-a/wf_movies/2025-01-15T10-30-00Z-job_20250115_01/"

// plan hands in a run and returns its task.
func (r *rig) plan(t *testing.T, run waybill.Run) tasks.DeliveryRef {
	t.Helper()
	a, err := r.Ledger.Accept(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Ledger.Plan(t.Context(), a, []ledger.Planned{{Task: "export.push", Queue: "export", Connector: ledger.Connector{
		ID: "lake", Team: a.Run.TeamID, Kind: waybill.KindStorage, Live: "export", MaxInFlight: 4}}}); err != nil {
		t.Fatal(err)
	}
	r.Ledger.Wait()
	return tasks.DeliveryRef{Delivery: r.queue.last.Delivery, Generation: r.queue.last.Generation, Enqueue: r.queue.last.Enqueue}
}

// failed runs the task and returns its failure, settled so that it can run again.
func (r *rig) failed(t *testing.T, ref tasks.DeliveryRef) *waybill.Failure {
	t.Helper()
	err := r.ExportPush(t.Context(), ref)
	attempt, ok := errors.AsType[*ledger.Attempt](err)
	if !ok {
		t.Fatalf("got %v, want a failed attempt", err)
	}
	if _, err := attempt.Settle(t.Context(), ledger.Decision{State: waybill.StateQueued}); err != nil {
		t.Fatal(err)
	}
	return waybill.At("", attempt)
}

// objects are the customer's objects, by name below the run's folder.
func (r *rig) objects(t *testing.T) map[string]string {
	t.Helper()
	objects := map[string]string{}
	for o, err := range r.customer.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := r.customer.Get(t.Context(), o.Key, storage.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(body); err != nil {
			t.Fatal(err)
		}
		body.Close()
		objects[strings.TrimPrefix(o.Key, prefix)] = b.String()
	}
	return objects
}

// faultyStore fails its nth call: before it takes effect, or after, as when
// the answer is lost.
type faultyStore struct {
	storage.Store
	calls, failAt int
	after         bool
	puts          atomic.Int32
	mu            sync.Mutex
}

var errInjected = errors.New("injected")

// call counts a call and returns its number.
func (s *faultyStore) call() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	return s.calls
}

func (s *faultyStore) fault(call int, after bool) error {
	if call == s.failAt && s.after == after {
		return waybill.Failf(waybill.Transient, "storage.unavailable", "It is tried again by itself.", "%w", errInjected)
	}
	return nil
}

func (s *faultyStore) Put(ctx context.Context, key string, r io.Reader, opts storage.PutOptions) (storage.Object, error) {
	n := s.call()
	if err := s.fault(n, false); err != nil {
		return storage.Object{}, err
	}
	s.puts.Add(1)
	o, err := s.Store.Put(ctx, key, r, opts)
	if err == nil {
		err = s.fault(n, true)
	}
	return o, err
}

func (s *faultyStore) Get(ctx context.Context, key string, opts storage.GetOptions) (io.ReadCloser, storage.Object, error) {
	if err := s.fault(s.call(), false); err != nil {
		return nil, storage.Object{}, err
	}
	return s.Store.Get(ctx, key, opts)
}

func (s *faultyStore) Stat(ctx context.Context, key string) (storage.Object, error) {
	if err := s.fault(s.call(), false); err != nil {
		return storage.Object{}, err
	}
	return s.Store.Stat(ctx, key)
}

func wantFailure(t *testing.T, f *waybill.Failure, stage waybill.Stage, verdict waybill.Verdict, code string) {
	t.Helper()
	if f.Stage != stage || f.Verdict != verdict || f.Code != code {
		t.Errorf("failed with %s %s %s (%v), want %s %s %s", f.Stage, f.Verdict, f.Code, f, stage, verdict, code)
	}
	if f.Action == "" {
		t.Error("nobody is told what to do")
	}
}

// repeat gives the same line n times without holding them.
func repeat(line string, n int) io.Reader {
	readers := make([]io.Reader, n)
	for i := range readers {
		readers[i] = strings.NewReader(line)
	}
	return io.MultiReader(readers...)
}

// oversized is one record of the given size.
func oversized(size int64) io.Reader {
	return io.MultiReader(strings.NewReader(`{"Title":"`), io.LimitReader(endless{}, size), strings.NewReader("\"}\n"))
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func unknownFields(n int) string {
	var b strings.Builder
	b.WriteString(`{"Title":"a"`)
	for i := range n {
		fmt.Fprintf(&b, `,"u%d":1`, i)
	}
	b.WriteString("}\n")
	return b.String()
}
