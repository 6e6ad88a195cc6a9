package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/connectors"
	fake "github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/netguard"
	"github.com/waybillhq/waybill/internal/source"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/scheduler"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

// past is a platform with a history, a Redis, our bucket, a customer's folder,
// and the processes that have to do with them, which may die.
type past struct {
	*testing.T
	platform  *fake.Server
	redis     *testservers.RedisServer
	rdb       *redis.Client // the test's own, which does not die
	bucket    storage.Store
	customer  *storage.Folder
	connector connectors.Connector
	queue     *fifo
	guard     *netguard.Guard
	runs      []waybill.Run // of the history
	records   map[string]string
}

var wideKinds = map[waybill.Kind]connectors.Connector{
	waybill.KindStorage:      {ID: "lake", Team: team, Kind: waybill.KindStorage, Storage: &connectors.Storage{Formats: []string{"jsonl"}}},
	waybill.KindDeltaSharing: {ID: "lake", Team: team, Kind: waybill.KindDeltaSharing, DeltaSharing: &connectors.DeltaSharing{}},
}

func newPast(t *testing.T, kind waybill.Kind) *past {
	t.Helper()
	p := &past{T: t, platform: fake.New(fake.Options{}), redis: testservers.Redis(t), records: map[string]string{}, connector: wideKinds[kind]}
	t.Cleanup(p.platform.Close)
	p.rdb = p.redis.Client(t)
	var err error
	if p.guard, err = netguard.New(netguard.Options{Allow: []string{p.platform.URL}}); err != nil {
		t.Fatal(err)
	}
	p.fresh()
	return p
}

// fresh begins anew, with the same history.
func (p *past) fresh() {
	p.Helper()
	if err := p.rdb.FlushAll(p.Context()).Err(); err != nil {
		p.Fatal(err)
	}
	p.queue, p.bucket, p.customer = &fifo{}, folder(p.T), folder(p.T)
}

var dawn = time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)

// happened adds a finished run to the history of a workflow, and to the runs
// that its producer would have handed in.
func (p *past) happened(workflow, job string, at time.Time, schema waybill.Schema, records ...string) {
	p.Helper()
	p.platform.AddWorkflow(workflow, team, schema)
	text := strings.Join(records, "\n") + "\n"
	p.platform.AddRuns(workflow, fake.Run{ID: job, State: waybill.RunFinished, StartedAt: at.Add(-time.Minute), FinishedAt: at, Records: []byte(text)})
	p.records[workflow+"/"+job] = text
	p.runs = append(p.runs, waybill.Run{RunKey: waybill.RunKey{TeamID: team, WorkflowID: workflow, JobID: job}, State: waybill.RunFinished, FinishedAt: at,
		RowCount: int64(len(records)), Source: waybill.Source{URI: "s3://runs/" + workflow + "/" + job, Format: "jsonl"}, Schema: schema})
}

// titles are n finished runs of one workflow.
func (p *past) titles(n int) {
	p.Helper()
	for i := range n {
		p.happened("wf_movies", fmt.Sprintf("job-%03d", i), dawn.Add(time.Duration(i)*time.Hour), schemaA, fmt.Sprintf(`{"Title":"t%d"}`, i), `{"Title":"x"}`)
	}
}

// process is one process of the fleet: planner and worker at once.
type process struct {
	*handlers.Handlers
	*past
	scheduler *scheduler.Scheduler
}

var errDead = errors.New("the process is dead")

// life ends after so many operations on Redis and our bucket, before one or
// behind it, where the answer is lost.
type life struct{ left atomic.Int64 }

func (l *life) spend(do func() error) error {
	if l.left.Add(-1) < 0 {
		return errDead
	}
	err := do()
	if l.left.Add(-1) < 0 {
		return errDead
	}
	return err
}

const long = 1 << 60

// process starts one that lives for so many operations.
func (p *past) process(operations int64) *process {
	p.Helper()
	l := &life{}
	l.left.Store(operations)
	rdb := redis.NewClient(&redis.Options{Addr: p.redis.Addr, MaxRetries: -1})
	p.Cleanup(func() { _ = rdb.Close() })
	rdb.AddHook(mortal{l})
	bucket := mortalStore{p.bucket, l}
	log := slog.New(slog.NewTextHandler(p.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	led := ledger.New(rdb, bucket, p.queue, ledger.Options{Lease: 100 * time.Millisecond, Grace: time.Millisecond, Log: log})
	platform := source.Platform{URL: p.platform.URL, Key: func(context.Context) (string, error) { return fake.Key, nil }}
	opener := source.Opener{Allow: []string{p.platform.URL + "/"}, Web: p.guard, Platform: platform}
	h := &handlers.Handlers{
		Ledger: led, Bucket: bucket, History: source.History{Web: p.guard, Platform: platform}, ChunkRuns: 3, Brand: "kadoa", Log: log,
		Connector: func(context.Context, string) (connectors.Connector, error) { return p.connector, nil },
		Describe:  p.describe,
		Store:     func(context.Context, connectors.Connector) (storage.Store, error) { return p.customer, nil },
		Tables:    func(context.Context, connectors.Connector) (storage.Store, error) { return p.customer, nil },
		Source: func(ctx context.Context, team string, s waybill.Source, pin string) (handlers.Records, error) {
			if name, ok := strings.CutPrefix(s.URI, "s3://runs/"); ok { // where producers put them
				return records{io.Reader(strings.NewReader(p.records[name])), "v1"}, nil
			}
			return opener.Open(ctx, team, s, pin)
		},
	}
	s := scheduler.New(scheduler.Config{Ledger: led, Redis: rdb, Inspector: forgetful{}, Log: log,
		Subscribers: func(context.Context, string) ([]scheduler.Subscriber, error) {
			return []scheduler.Subscriber{{ID: p.connector.ID, Team: team, Kind: p.connector.Kind, MaxInFlight: 4, Wants: p.connector.Subscribes,
				Backfill: p.connector.Backfill == connectors.BackfillInitial}}, nil
		}})
	return &process{Handlers: h, past: p, scheduler: s}
}

func (p *past) describe(c connectors.Connector) ledger.Connector {
	first, _ := tasks.Starting(c.Kind)
	return ledger.Connector{ID: c.ID, Team: c.Team, Kind: c.Kind, Live: first.Queue, MaxInFlight: 4, Ordered: first.Ordered}
}

// forgetful is an asynq that has lost every task.
type forgetful struct{}

func (forgetful) GetTaskInfo(string, string) (*asynq.TaskInfo, error) {
	return nil, asynq.ErrTaskNotFound
}

func (forgetful) Servers() ([]*asynq.ServerInfo, error) { return nil, nil }

// live hands a run in, as its producer does.
func (p *process) live(runs ...waybill.Run) {
	p.Helper()
	for _, run := range runs {
		if _, err := p.Ledger.Accept(p.Context(), run); err != nil {
			p.Fatal(err)
		}
	}
	if err := p.scheduler.PlanAll(p.Context()); err != nil {
		p.Fatal(err)
	}
}

func (p *process) start(b ledger.BackfillPlan) {
	p.Helper()
	b.Connector, b.Team = p.connector.ID, team
	if _, err := p.Ledger.StartBackfill(p.Context(), b, false); err != nil {
		p.Fatal(err)
	}
}

// tick looks after the backfill once. Errors are those of a process that dies.
func (p *process) tick() error {
	b, err := p.Ledger.Backfill(p.Context(), p.connector.ID)
	if err == nil {
		err = p.BackfillChunk(p.Context(), tasks.BackfillRef{Connector: p.connector.ID, Number: b.Number})
	}
	p.Ledger.Wait()
	return err
}

// work does at most n of the tasks that are queued, and returns how many it did.
func (p *process) work(n int) (done int) {
	for ; done < n; done++ {
		r, ok := p.queue.take()
		if !ok {
			break
		}
		ref := tasks.DeliveryRef{Delivery: r.Delivery, Generation: r.Generation, Enqueue: r.Enqueue}
		do := p.ExportPush
		if r.Task == tasks.DeltaPublish.Name {
			do = p.DeltaPublish
		}
		err := do(p.Context(), ref)
		if attempt, ok := errors.AsType[*ledger.Attempt](err); ok && !errors.Is(err, errDead) {
			if f := waybill.At("", attempt.Err); f.Verdict != waybill.Transient {
				_, err = attempt.Settle(p.Context(), ledger.Decision{State: waybill.StateFailed, Failure: f})
			} else {
				_, err = attempt.Settle(p.Context(), ledger.Decision{State: waybill.StateQueued})
			}
			p.Ledger.Wait()
		}
		if err != nil && !errors.Is(err, ledger.ErrGone) {
			return done
		}
		p.Ledger.Wait()
	}
	return done
}

// finish goes on until the backfill is in one of the states, and all is delivered.
func (p *process) finish(states ...ledger.BackfillState) ledger.BackfillPlan {
	p.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if err := errors.Join(p.tick(), p.scheduler.PlanAll(p.Context()), p.scheduler.Sweep(p.Context())); err != nil {
			p.Fatal(err)
		}
		worked := p.work(1000)
		b, err := p.Ledger.Backfill(p.Context(), p.connector.ID)
		if err != nil {
			p.Fatal(err)
		}
		if slices.Contains(states, b.State) && worked == 0 && p.unended() == 0 {
			return b
		}
	}
	b, err := p.Ledger.Backfill(p.Context(), p.connector.ID)
	p.Fatalf("the backfill did not come to %v: %+v, %v; %d deliveries unended", states, b, err, p.unended())
	return b
}

// unended counts the deliveries that are on their way.
func (p *process) unended() (n int) {
	for _, d := range p.deliveries() {
		switch d.State {
		case waybill.StateComplete, waybill.StateFailed, waybill.StateCancelled, waybill.StateBlocked:
		default:
			n++
		}
	}
	return n
}

func (p *process) deliveries() []waybill.Delivery {
	p.Helper()
	page, err := p.Ledger.List(p.Context(), ledger.Filter{Connector: p.connector.ID, Limit: 10000})
	if err != nil {
		p.Fatal(err)
	}
	return page.Deliveries
}

// wantOnce holds the ledger and the customer's folder against the history:
// every run was delivered, and completed once.
func (p *process) wantOnce(what string) {
	p.Helper()
	byJob := map[string]waybill.Delivery{}
	for _, d := range p.deliveries() {
		byJob[d.WorkflowID+"/"+d.JobID] = d
	}
	if len(byJob) != len(p.runs) {
		p.Errorf("%s: %d deliveries of %d runs", what, len(byJob), len(p.runs))
	}
	for _, run := range p.runs {
		d := byJob[run.WorkflowID+"/"+run.JobID]
		events, err := p.Ledger.History(p.Context(), d.ID)
		if err != nil {
			p.Fatal(err)
		}
		completed := 0
		for _, e := range events {
			if e.What == "complete" {
				completed++
			}
		}
		if d.State != waybill.StateComplete || completed != 1 || d.Rows != run.RowCount || d.Generation != 1 {
			p.Errorf("%s: run %s is %s, generation %d, with %d of %d rows; completed %d times: %+v", what, run.JobID, d.State, d.Generation, d.Rows, run.RowCount, completed, events)
		}
	}
}

// fifo is the task queue.
type fifo struct {
	mu   sync.Mutex
	list []ledger.Ready
}

func (q *fifo) Enqueue(_ context.Context, ready []ledger.Ready) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, ready...)
	return nil
}

func (q *fifo) take() (ledger.Ready, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return ledger.Ready{}, false
	}
	r := q.list[0]
	q.list = q.list[1:]
	return r, true
}

// mortal is a client's hook that ends with its process.
type mortal struct{ *life }

func (m mortal) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (m mortal) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := m.spend(func() error { return next(ctx, cmd) })
		if errors.Is(err, errDead) {
			cmd.SetErr(err)
		}
		return err
	}
}

func (m mortal) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := m.spend(func() error { return next(ctx, cmds) })
		if errors.Is(err, errDead) {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

type mortalStore struct {
	storage.Store
	*life
}

func (s mortalStore) Put(ctx context.Context, key string, r io.Reader, opts storage.PutOptions) (o storage.Object, err error) {
	err = s.spend(func() (err error) { o, err = s.Store.Put(ctx, key, r, opts); return err })
	return o, err
}

func (s mortalStore) Get(ctx context.Context, key string, opts storage.GetOptions) (body io.ReadCloser, o storage.Object, err error) {
	err = s.spend(func() (err error) { body, o, err = s.Store.Get(ctx, key, opts); return err })
	if errors.Is(err, errDead) && body != nil {
		_ = body.Close()
	}
	return body, o, err
}

// happenedAgain gives a run of the history other records, and leaves what is
// said of it.
func (p *past) happenedAgain(run waybill.Run, records ...string) {
	p.platform.AddRuns(run.WorkflowID, fake.Run{ID: run.JobID, State: waybill.RunFinished, StartedAt: run.FinishedAt.Add(-time.Minute),
		FinishedAt: run.FinishedAt, Records: []byte(strings.Join(records, "\n") + "\n"), Count: int(run.RowCount)})
}
