package ledger_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/internal/testsize"
	"github.com/waybillhq/waybill/storage"
)

// discarding is a bucket that takes everything: what is measured is Redis.
type discarding struct{ storage.Store }

func (discarding) Put(_ context.Context, key string, _ io.Reader, _ storage.PutOptions) (storage.Object, error) {
	return storage.Object{Key: key}, nil
}

// The memory of a delivery, without its receipt, which is in our bucket, and
// without its run, of which there is one for all connectors: its own keys, its
// entries in every index and its history, with ids as long as the platform's.
func TestADeliveryTakesLessThanAKilobyte(t *testing.T) {
	n := testsize.Of(10_000, 2000)
	rdb := testservers.Redis(t).Client(t)
	b := setup(t, rdb, ledger.Options{})
	l := ledger.New(rdb, discarding{b.bucket}, b.queue, ledger.Options{})
	runs := make([]ledger.Accepted, n)
	for i := range runs {
		r := live(fmt.Sprintf("65a1b2c3d4e5f607%08x", i))
		r.TeamID, r.WorkflowID = "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d", "65a1b2c3d4e5f60718293a4b"
		var err error
		if runs[i], err = l.Accept(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Mend(t.Context(), map[string]int{"export": 4 * n}); err != nil {
		t.Fatal(err)
	}
	before := dataset(t, rdb)
	for _, a := range runs {
		if err := l.Plan(t.Context(), a, planned(a.Run.TeamID, "acme-production-lake", n)); err != nil {
			t.Fatal(err)
		}
	}
	l.Wait()
	var shown waybill.Delivery
	for _, r := range b.queue.take() {
		lease, err := l.Begin(t.Context(), r.Delivery, r.Generation, r.Enqueue)
		if err != nil {
			t.Fatal(err)
		}
		for _, stage := range []waybill.Stage{waybill.StageStage, waybill.StageVerify} {
			if _, err := lease.Enter(t.Context(), stage); err != nil {
				t.Fatal(err)
			}
			if err := lease.Record(t.Context(), stage, map[string]string{"sha256": rand.Text()}, 12345*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		if err := lease.Complete(t.Context(), waybill.Receipt{Rows: 3_201_000, Bytes: 1_234_567_890}); err != nil {
			t.Fatal(err)
		}
		if err := lease.Close(nil); err != nil {
			t.Fatal(err)
		}
		shown = lease.Delivery
	}
	each := (dataset(t, rdb) - before) / int64(n)
	own, err := rdb.MemoryUsage(t.Context(), fmt.Sprintf("wb:{s%02d}:d:%s", waybill.Slot(shown.TeamID), shown.ID)).Result()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes of Redis for each of %d complete deliveries, %d of them its own hash", each, n, own)
	if each > 1024 {
		t.Errorf("a delivery takes %d bytes, want at most 1024", each)
	}
	if h, err := l.History(t.Context(), shown.ID); err != nil || len(h) != 5 || h[3].Duration != 12345*time.Millisecond {
		t.Errorf("history %+v, %v", h, err)
	}
}

// memory is what the server's data take, in bytes.
func dataset(t *testing.T, rdb *redis.Client) int64 {
	t.Helper()
	info, err := rdb.InfoMap(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	if _, err := fmt.Sscan(info["Memory"]["used_memory_dataset"], &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// load writes n complete deliveries of 200 teams straight into Redis, as the
// scripts leave them: a thousand connectors, two workflows each.
func load(t testing.TB, rdb *redis.Client, n int) {
	t.Helper()
	began := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	const piece = 2000
	for from := 0; from < n; from += piece {
		_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for i := from; i < min(n, from+piece); i++ {
				team := fmt.Sprintf("team-%03d", i%200)
				connector := fmt.Sprintf("lake-%04d", i%1000)
				workflow := fmt.Sprintf("wf-%04d", i%2000)
				key := waybill.RunKey{TeamID: team, WorkflowID: workflow, JobID: fmt.Sprintf("job-%07d", i)}
				id := waybill.DeliveryID(key, connector)
				slot := fmt.Sprintf("wb:{s%02d}:", waybill.Slot(team))
				created, state := began+int64(i), waybill.StateComplete
				if i%100 == 7 {
					state = waybill.StateFailed
				}
				p.HSet(t.Context(), slot+"d:"+id, "team", team, "workflow", workflow, "job", key.JobID, "connector", connector, "kind", "storage", "gen", 1,
					"version", 1, "state", string(state), "stage", "verify", "created", created, "updated", created+900, "finished", created-5000,
					"fence", created, "attempts", 1, "rows", 3, "bytes", 99, "n", 2, "e1", "0|planned", "e2", "900|complete|1")
				for _, ix := range []string{"s:" + string(state), "c:" + connector, "w:" + workflow} {
					p.ZAdd(t.Context(), slot+"ix:"+ix, redis.Z{Score: float64(created), Member: id})
				}
				p.SAdd(t.Context(), slot+"teams", team)
				p.SAdd(t.Context(), slot+"cs:"+team, connector)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// filters are pages that people ask for.
var filters = map[string]ledger.Filter{
	"newest of all":         {},
	"of a team":             {Team: "team-007"},
	"of a connector":        {Connector: "lake-0007"},
	"of a workflow":         {Workflow: "wf-0007"},
	"failed":                {State: waybill.StateFailed},
	"complete":              {State: waybill.StateComplete},
	"of a team, failed":     {Team: "team-107", State: waybill.StateFailed},
	"of a connector, since": {Connector: "lake-0007", Since: time.Date(2025, 1, 1, 0, 0, 2, 0, time.UTC)},
}

// The next page costs as little as the first, and a history ten times as long
// costs no more: in entries read of Redis, which is what its time goes into.
func TestAPageReadsWhatItShowsAndNotTheHistory(t *testing.T) {
	cost := func(n int) map[string]int64 {
		rdb := testservers.Redis(t).Client(t)
		load(t, rdb, n)
		var read atomic.Int64
		rdb.AddHook(countReplies{&read})
		l := ledger.New(rdb, nil, nil, ledger.Options{})
		costs := map[string]int64{}
		for name, f := range filters {
			read.Store(0)
			page, err := l.List(t.Context(), f)
			if err != nil || len(page.Deliveries) == 0 {
				t.Fatalf("%s: %d deliveries, %v", name, len(page.Deliveries), err)
			}
			costs[name] = read.Load()
			if page.Cursor == "" {
				continue
			}
			read.Store(0)
			f.Cursor = page.Cursor
			if _, err := l.List(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			costs[name] = max(costs[name], read.Load())
		}
		return costs
	}
	small, large := cost(5_000), cost(50_000)
	for name, n := range large {
		t.Logf("%-22s %6d entries of 5,000 deliveries, %6d of 50,000", name, small[name], n)
		if n > 6000 { // 100 deliveries of 23 fields, and the indexes' heads
			t.Errorf("%s: %d entries were read for a page of 100", name, n)
		}
	}
}

// countReplies counts the elements of all replies.
type countReplies struct{ n *atomic.Int64 }

func (countReplies) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h countReplies) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, c redis.Cmder) error {
		err := next(ctx, c)
		h.count(c)
		return err
	}
}

func (h countReplies) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, c := range cmds {
			h.count(c)
		}
		return err
	}
}

func (h countReplies) count(c redis.Cmder) {
	switch c := c.(type) {
	case *redis.ZSliceCmd:
		h.n.Add(int64(len(c.Val())))
	case *redis.SliceCmd:
		h.n.Add(int64(len(c.Val())))
	case *redis.StringSliceCmd:
		h.n.Add(int64(len(c.Val())))
	}
	h.n.Add(1)
}

// A page of the history of a million deliveries:
// go test ./internal/ledger -run '^$' -bench Page -benchtime 200x.
func BenchmarkPageOfAMillionDeliveries(b *testing.B) {
	rdb := testservers.Redis(b).Client(b)
	load(b, rdb, 1_000_000)
	l := ledger.New(rdb, nil, nil, ledger.Options{})
	for name, f := range filters {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			for b.Loop() {
				if page, err := l.List(b.Context(), f); err != nil || len(page.Deliveries) == 0 {
					b.Fatalf("%d deliveries, %v", len(page.Deliveries), err)
				}
			}
		})
	}
}
