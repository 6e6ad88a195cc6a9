package handlers_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	fake "github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testsize"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

// planning lists n runs of a history, and returns by how much the heap in use
// grew at most meanwhile, and by how many keys Redis did.
func planning(t *testing.T, n int) (heap uint64, keys int64) {
	t.Helper()
	p := newPast(t, waybill.KindStorage)
	p.connector.Workflows = []string{"wf_movies"}
	p.platform.AddWorkflow("wf_movies", team, schemaA)
	var runs []fake.Run
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) { // they do not finish in the order in which they start
		at := dawn.Add(time.Duration(i) * time.Second)
		runs = append(runs, fake.Run{ID: fmt.Sprintf("job-%06d", i), State: waybill.RunFinished, StartedAt: dawn, FinishedAt: at, Count: 3})
	}
	p.platform.AddRuns("wf_movies", runs...)
	w := p.process(long)
	w.ChunkRuns = handlers.ChunkRuns
	w.start(ledger.BackfillPlan{})
	before, err := p.rdb.DBSize(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}

	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	base, reports := used(), 0
	ctx := tasks.WithProgress(t.Context(), func() {
		if reports++; reports%(n/10) == 0 {
			heap = max(heap, used())
		}
	})
	if err := w.BackfillChunk(ctx, tasks.BackfillRef{Connector: "lake", Number: 1}); err != nil {
		t.Fatal(err)
	}
	b, err := w.Ledger.Backfill(t.Context(), "lake")
	if err != nil || b.Size.Runs != n || b.Size.Rows != int64(3*n) || b.Size.Chunks != n/handlers.ChunkRuns || b.State != ledger.BackfillWaiting {
		t.Fatalf("%+v, %v", b, err)
	}
	after, err := p.rdb.DBSize(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	p.wantOldestFirst(n)
	return heap - min(base, heap), after - before
}

// wantOldestFirst reads the chunks as they stand in our bucket.
func (p *past) wantOldestFirst(n int) {
	p.Helper()
	var jobs []string
	for o, err := range p.bucket.List(p.Context(), "backfills/") {
		if err != nil {
			p.Fatal(err)
		}
		for line := range strings.SplitSeq(p.read(o.Key), "\n") {
			if _, rest, ok := strings.Cut(line, `"jobId":"`); ok {
				jobs = append(jobs, rest[:10])
			}
		}
	}
	if len(jobs) != n || !slices.IsSorted(jobs) {
		p.Errorf("%d runs in the chunks, in order: %t", len(jobs), slices.IsSorted(jobs))
	}
}

func (p *past) read(key string) string {
	p.Helper()
	body, _, err := p.bucket.Get(p.Context(), key, storage.GetOptions{})
	if err != nil {
		p.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		p.Fatal(err)
	}
	return string(text)
}

func TestAHundredThousandRunsArePlannedInBoundedMemory(t *testing.T) {
	n := testsize.Of(100_000, 10_000)
	few, _ := planning(t, n/10)
	many, keys := planning(t, n)
	t.Logf("heap in use grew by %d KB for %d runs, by %d KB for %d; %d keys in Redis", few>>10, n/10, many>>10, n, keys)
	if many > few+(8<<20) {
		t.Errorf("ten times the runs take %d KB more", (many-few)>>10)
	}
	if keys > 4 {
		t.Errorf("the plan takes %d keys in Redis", keys)
	}
}
