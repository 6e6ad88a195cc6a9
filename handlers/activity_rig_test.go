package handlers_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/netguard"
	"github.com/waybillhq/waybill/internal/source"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

// activityRig is a connector with an activity log, and the platform that it
// comes from. Time is what the test says it is.
type activityRig struct {
	*rig
	platform *platform.Server
	redis    *miniredis.Miniredis
	death    *death
	tables   *storage.Folder // Delta tables

	mu  sync.Mutex
	now time.Time
}

var activityBegins = time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)

func setupActivity(t *testing.T) *activityRig {
	t.Helper()
	r := &activityRig{rig: setup(t, ""), redis: miniredis.RunT(t), death: &death{}, tables: folder(t), now: activityBegins}
	r.redis.SetTime(r.now)
	rdb := redis.NewClient(&redis.Options{Addr: r.redis.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	rdb.AddHook(r.death)
	r.Ledger = ledger.New(rdb, mortalPlace{folder(t), r.death}, r.queue, ledger.Options{})
	r.platform = platform.New(platform.Options{Now: r.clock})
	t.Cleanup(r.platform.Close)
	guard, err := netguard.New(netguard.Options{Allow: []string{r.platform.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Close() })
	r.Activity = source.ActivityLog{Web: guard, Platform: source.Platform{URL: r.platform.URL,
		Key: func(context.Context) (string, error) { return platform.Key, nil }}}
	r.connector = connectors.Connector{ID: "lake", Team: team, Kind: waybill.KindDeltaSharing, CreatedAt: r.now}
	r.Handlers.Tables = func(context.Context, connectors.Connector) (storage.Store, error) {
		return mortalPlace{r.tables, r.death}, nil
	}
	r.handIn(t, team, "wf_movies")
	return r
}

func (r *activityRig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *activityRig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
	r.redis.SetTime(r.now)
	r.redis.FastForward(d)
}

// handIn makes a workflow one of a team's.
func (r *activityRig) handIn(t *testing.T, team, workflow string) {
	t.Helper()
	run := movies(3)
	run.TeamID, run.WorkflowID = team, workflow
	if _, err := r.Ledger.Accept(t.Context(), run); err != nil {
		t.Fatal(err)
	}
}

// event is one that happened so long ago.
func (r *activityRig) event(ago time.Duration, title string) platform.Event {
	return platform.Event{Title: title, DateTime: r.clock().Add(-ago),
		Source:   platform.EventSource{RequestSource: "API", UserID: "u1", UserEmail: "ann@acme.example"},
		Resource: platform.EventResource{Type: "workflow", WorkflowID: "wf_movies", ResourceID: "wf_movies", Name: "Movies"},
		Details:  map[string]any{"records": 3201, "_cost": 12}}
}

func (r *activityRig) sync(t *testing.T) error {
	t.Helper()
	return r.ActivitySync(t.Context(), tasks.ConnectorRef{Connector: r.connector.ID})
}

// tick is a sync a minute later, which succeeds.
func (r *activityRig) tick(t *testing.T) {
	t.Helper()
	r.advance(time.Minute)
	if err := r.sync(t); err != nil {
		t.Fatal(err)
	}
}

// log are the events of the table, as a fresh reader finds them: lines without
// their ids, sorted. No id may be there twice.
func (r *activityRig) log(t *testing.T) []string {
	t.Helper()
	rows := freshRows(t, r.tables, waybill.TableActivity)
	ids := map[any]bool{}
	plain := make([]map[string]any, len(rows))
	for i, row := range rows {
		if ids[row["EVENT_ID"]] || row["EVENT_ID"] == nil {
			t.Errorf("the id %v is there twice", row["EVENT_ID"])
		}
		ids[row["EVENT_ID"]], plain[i] = true, row
	}
	return platform.Lines(plain)
}

// wantLog holds the table against the platform's log.
func (r *activityRig) wantLog(t *testing.T, when string, since time.Time, workflows ...string) {
	t.Helper()
	got, want := r.log(t), r.platform.Lines(since, workflows...)
	if more, less := platform.Without(got, want), platform.Without(want, got); len(more)+len(less) > 0 {
		t.Errorf("%s: ACTIVITY_LOG has %d events, the platform %d; too much is\n%s\nmissing is\n%s", when, len(got), len(want), strings.Join(more, "\n"), strings.Join(less, "\n"))
	}
}

// death ends a process at the nth call that it makes to a store or to Redis:
// before the call takes effect, or after. Every later call fails as well.
type death struct {
	mu    sync.Mutex
	calls int
	at    int // 0: never
	after bool
	dead  bool
}

var errDied = errors.New("the process died")

// call makes a call, unless the process is dead.
func (d *death) call(do func() error) error {
	d.mu.Lock()
	d.calls++
	now := d.at > 0 && d.calls == d.at
	before := d.dead || now && !d.after
	d.dead = d.dead || now
	d.mu.Unlock()
	if before {
		return errDied
	}
	err := do()
	if now {
		return errDied
	}
	return err
}

// plan has the process die at the nth call from now on.
func (d *death) plan(at int, after bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls, d.at, d.after, d.dead = 0, at, after, false
}

func (d *death) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *death) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := d.call(func() error { return next(ctx, cmd) })
		if errors.Is(err, errDied) {
			cmd.SetErr(err)
		}
		return err
	}
}

func (d *death) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return d.call(func() error { return next(ctx, cmds) })
	}
}

// mortalPlace is a store that a process calls.
type mortalPlace struct {
	storage.Store
	death *death
}

func (m mortalPlace) Put(ctx context.Context, key string, r io.Reader, opts storage.PutOptions) (o storage.Object, err error) {
	err = m.death.call(func() (err error) { o, err = m.Store.Put(ctx, key, r, opts); return err })
	return o, err
}

func (m mortalPlace) Get(ctx context.Context, key string, opts storage.GetOptions) (body io.ReadCloser, o storage.Object, err error) {
	err = m.death.call(func() (err error) { body, o, err = m.Store.Get(ctx, key, opts); return err })
	if errors.Is(err, errDied) && body != nil {
		_ = body.Close()
	}
	return body, o, err
}

func (m mortalPlace) Delete(ctx context.Context, key string) error {
	return m.death.call(func() error { return m.Store.Delete(ctx, key) })
}
