package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
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
	"github.com/waybillhq/waybill/warehouses/delta"
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
	table := delta.Open(r.tables, waybill.TableActivity, delta.Options{})
	s, err := table.Snapshot(t.Context())
	if errors.Is(err, delta.ErrNoTable) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	rows, err := table.Rows(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[any]bool{}
	var lines []string
	for _, row := range rows {
		if ids[row["EVENT_ID"]] || row["EVENT_ID"] == nil {
			t.Errorf("the id %v is there twice", row["EVENT_ID"])
		}
		ids[row["EVENT_ID"]] = true
		delete(row, "EVENT_ID")
		line, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	slices.Sort(lines)
	return lines
}

// told are the platform's events of workflows since a time, as the customer is to see them.
func (r *activityRig) told(t *testing.T, since time.Time, workflows ...string) []string {
	t.Helper()
	var lines []string
	for _, id := range workflows {
		for _, e := range r.platform.Events(id) {
			if e.DateTime.Before(since) {
				continue
			}
			line, err := json.Marshal(map[string]any{"OCCURRED_AT": e.DateTime.UTC().Truncate(time.Microsecond), "TITLE": e.Title, "REQUEST_SOURCE": e.Source.RequestSource,
				"USER_ID": e.Source.UserID, "USER_EMAIL": e.Source.UserEmail, "RESOURCE_TYPE": e.Resource.Type, "WORKFLOW_ID": e.Resource.WorkflowID,
				"RESOURCE_ID": e.Resource.ResourceID, "RESOURCE_NAME": e.Resource.Name, "DETAILS": `{"records":3201}`})
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(line))
		}
	}
	slices.Sort(lines)
	return lines
}

// wantLog holds the table against the platform's log.
func (r *activityRig) wantLog(t *testing.T, when string, since time.Time, workflows ...string) {
	t.Helper()
	got, want := r.log(t), r.told(t, since, workflows...)
	if more, less := without(got, want), without(want, got); len(more)+len(less) > 0 {
		t.Errorf("%s: ACTIVITY_LOG has %d events, the platform %d; too much is\n%s\nmissing is\n%s", when, len(got), len(want), strings.Join(more, "\n"), strings.Join(less, "\n"))
	}
}

// without are the lines of a that b has not, each as often as it has not.
func without(a, b []string) (more []string) {
	count := map[string]int{}
	for _, line := range b {
		count[line]++
	}
	for _, line := range a {
		if count[line]--; count[line] < 0 {
			more = append(more, line)
		}
	}
	return more
}

func TestTheActivityLogArrivesAsThePlatformTellsIt(t *testing.T) {
	r := setupActivity(t)
	r.tick(t)
	if got := r.log(t); len(got) != 0 {
		t.Errorf("before anything happened there is %v", got)
	}
	r.platform.AddEvents(r.event(30*time.Second, "one"), r.event(30*time.Second, "of the same moment"), r.event(20*time.Second, "twin"), r.event(20*time.Second, "twin"))
	r.tick(t)
	r.wantLog(t, "events", activityBegins, "wf_movies")
	r.platform.AddEvents(r.event(100*time.Second, "twin of a late one"), r.event(100*time.Second, "twin of a late one"), r.event(10*time.Minute, "before the connector was made"))
	r.tick(t)
	r.wantLog(t, "late events", activityBegins, "wf_movies")
	if got := r.log(t); len(got) != 6 {
		t.Errorf("there are %d events", len(got))
	}
	r.platform.AddEvents(r.event(0, "just now"))
	r.advance(9 * time.Second)
	if err := r.sync(t); err != nil {
		t.Fatal(err)
	}
	if got := r.log(t); len(got) != 6 {
		t.Errorf("an event that has not settled was read: %v", got)
	}
	r.tick(t)
	r.wantLog(t, "once it has settled", activityBegins, "wf_movies")
	if u := r.platform.Unexpected(); len(u) > 0 {
		t.Errorf("the platform was asked for %v", u)
	}
}

func TestWhatComesLateIsFoundForTwoDaysAndCountedAfterwards(t *testing.T) {
	r := setupActivity(t)
	r.tick(t)
	for range 3 { // days
		r.advance(24 * time.Hour)
		r.platform.AddEvents(r.event(20*time.Minute, "in time"), r.event(47*time.Hour, "very late"))
		if err := r.sync(t); err != nil {
			t.Fatal(err)
		}
	}
	r.advance(25 * time.Hour)
	if err := r.sync(t); err != nil {
		t.Fatal(err)
	}
	r.wantLog(t, "two days", activityBegins, "wf_movies")

	r.platform.AddEvents(r.event(75*time.Hour, "too late"), r.event(76*time.Hour, "too late"))
	for range 3 {
		r.advance(25 * time.Hour)
		if err := r.sync(t); err != nil {
			t.Fatal(err)
		}
	}
	c, err := r.Ledger.ActivityCursor(t.Context(), "lake")
	if err != nil || c.Workflows["wf_movies"].Lost != 2 {
		t.Errorf("told as lost: %+v, %v", c.Workflows["wf_movies"], err)
	}
	if got := slices.DeleteFunc(r.log(t), func(line string) bool { return !strings.Contains(line, "too late") }); len(got) != 0 {
		t.Errorf("they were found: %v", got)
	}
	if err := r.Ledger.RequestActivity(t.Context(), "lake", activityBegins); err != nil {
		t.Fatal(err)
	}
	r.tick(t)
	r.wantLog(t, "brought on demand", activityBegins, "wf_movies")
}

func TestHistoryIsBroughtOnDemandAndTwiceIsOnce(t *testing.T) {
	r := setupActivity(t)
	for i := range 300 {
		r.platform.AddEvents(r.event(time.Duration(i)*time.Hour, fmt.Sprint("history ", i)))
	}
	r.platform.ClampPages(20)
	r.tick(t)
	r.wantLog(t, "not asked for", activityBegins, "wf_movies")
	from := activityBegins.Add(-200 * time.Hour)
	for range 2 {
		if err := r.Ledger.RequestActivity(t.Context(), "lake", from); err != nil {
			t.Fatal(err)
		}
		r.platform.AddEvents(r.event(time.Second, "meanwhile"))
		r.tick(t)
		r.wantLog(t, "asked for", from, "wf_movies")
	}
	// A workflow that is seen for the first time has a history as well.
	r.platform.AddEvents(in(r.event(100*time.Hour, "earlier"), "wf_new"), in(r.event(time.Hour, "later"), "wf_new"))
	r.handIn(t, team, "wf_new")
	r.tick(t)
	r.wantLog(t, "a new workflow", from, "wf_movies", "wf_new")
}

func in(e platform.Event, workflow string) platform.Event {
	e.Resource.WorkflowID = workflow
	return e
}

func TestOnlyTheTeamsAndTheSelectedWorkflowsAreShown(t *testing.T) {
	r := setupActivity(t)
	r.connector.Workflows = []string{"wf_movies", "wf_of_others"}
	r.handIn(t, team, "wf_unselected")
	r.handIn(t, "team-b", "wf_of_others")
	r.tick(t)
	for _, id := range []string{"wf_movies", "wf_unselected", "wf_of_others", ""} {
		r.platform.AddEvents(in(r.event(time.Second, "event"), id))
	}
	r.tick(t)
	r.wantLog(t, "selected", activityBegins, "wf_movies")
}

func TestAnActivityLogThatIsSwitchedOffIsNotReadAndComesBackWhole(t *testing.T) {
	r := setupActivity(t)
	r.platform.AddEvents(r.event(0, "one"))
	r.tick(t)
	off := false
	r.connector.ActivityLog = &off
	r.platform.AddEvents(r.event(0, "meanwhile"))
	asked := len(r.platform.Log())
	r.tick(t)
	r.tick(t)
	if n := len(r.platform.Log()); n != asked {
		t.Errorf("the platform was asked %d times", n-asked)
	}
	if c, err := r.Ledger.ActivityCursor(t.Context(), "lake"); err != nil || !c.SharedAt.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	r.connector.ActivityLog = nil
	r.tick(t)
	r.wantLog(t, "switched on again", activityBegins, "wf_movies")
}

func TestWhatStopsAnActivityLogIsSaidBesideItsCursorUntilItIsMended(t *testing.T) {
	r := setupActivity(t)
	r.tick(t)
	r.platform.AddEvents(r.event(0, "one"))
	r.platform.Inject(platform.Fault{Status: http.StatusUnauthorized, Times: -1})
	r.advance(time.Minute)
	err := r.sync(t)
	wantFailure(t, waybill.At("", err), waybill.StageStage, waybill.Blocked, "platform.access_denied")
	c, err := r.Ledger.ActivityCursor(t.Context(), "lake")
	if err != nil || c.Failure == nil || c.Failure.Code != "platform.access_denied" || !c.Until.Before(r.clock().Add(-time.Minute)) {
		t.Errorf("%+v, %v", c, err)
	}
	r.platform.Heal()
	r.tick(t)
	if c, err = r.Ledger.ActivityCursor(t.Context(), "lake"); err != nil || c.Failure != nil {
		t.Errorf("mended: %+v, %v", c.Failure, err)
	}
	r.wantLog(t, "mended", activityBegins, "wf_movies")
}

func TestOneWorkflowThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	r := setupActivity(t)
	r.handIn(t, team, "wf_broken")
	r.tick(t)
	r.platform.AddEvents(r.event(0, "one"), in(r.event(0, "two"), "wf_broken"))
	r.platform.Inject(platform.Fault{Query: "wf_broken", Garbage: "<html>", Times: -1})
	r.advance(time.Minute)
	wantFailure(t, waybill.At("", r.sync(t)), waybill.StageStage, waybill.Transient, "platform.unreadable")
	r.wantLog(t, "the other", activityBegins, "wf_movies")
	r.platform.Heal()
	r.tick(t)
	r.wantLog(t, "both", activityBegins, "wf_movies", "wf_broken")
}

func TestAPlatformThatAsksForPatienceIsNotAskedUntilThen(t *testing.T) {
	r := setupActivity(t)
	r.tick(t)
	r.platform.AddEvents(r.event(0, "one"))
	r.platform.Inject(platform.Fault{Status: http.StatusTooManyRequests, RetryAfter: "100"})
	r.advance(time.Minute)
	wantFailure(t, waybill.At("", r.sync(t)), waybill.StageStage, waybill.Throttled, "platform.throttled")
	asked := len(r.platform.Log())
	r.advance(time.Minute)
	if err := r.sync(t); !errors.Is(err, ledger.ErrGone) || len(r.platform.Log()) != asked {
		t.Errorf("after a minute: %v, asked %d times", err, len(r.platform.Log())-asked)
	}
	r.tick(t)
	r.wantLog(t, "two minutes later", activityBegins, "wf_movies")
}

func TestNothingIsReadForAConnectorThatIsPausedOrDeleted(t *testing.T) {
	r := setupActivity(t)
	if _, err := r.Ledger.PauseConnector(t.Context(), team, "lake", "test"); err != nil {
		t.Fatal(err)
	}
	r.tick(t)
	r.Handlers.Connector = func(context.Context, string) (connectors.Connector, error) {
		return connectors.Connector{}, fmt.Errorf("connector: %w", waybill.ErrNotFound)
	}
	if err := r.sync(t); !errors.Is(err, ledger.ErrGone) {
		t.Errorf("a deleted one: %v", err)
	}
	if n := len(r.platform.Log()); n > 0 {
		t.Errorf("the platform was asked %d times", n)
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

// The guarantee: at whatever call to a store or to the ledger the process
// dies, before or after it took effect, the table is the platform's log once
// later ticks have run; and no event is there twice at any time.
func TestADeathAtAnyCallLeavesTheActivityLogExact(t *testing.T) {
	for _, after := range []bool{false, true} {
		died := true
		for n := 1; died; n++ {
			r := setupActivity(t)
			r.tick(t)
			r.platform.AddEvents(r.event(0, "one"), r.event(0, "twin"), r.event(0, "twin"))
			r.tick(t)
			r.platform.AddEvents(r.event(80*time.Second, "late"), r.event(80*time.Second, "late"), r.event(0, "two"))
			r.handIn(t, team, "wf_new")
			r.platform.AddEvents(in(r.event(70*time.Second, "history"), "wf_new"))
			r.advance(time.Minute)
			r.death.plan(n, after)
			err := r.sync(t)
			died = r.death.dead
			if !died && err != nil {
				t.Fatal(err)
			}
			r.death.plan(0, false)
			r.log(t) // no id twice
			r.tick(t)
			r.wantLog(t, fmt.Sprintf("death at call %d, after its effect: %t", n, after), activityBegins, "wf_movies", "wf_new")
			if t.Failed() {
				return
			}
			if !died && n < 15 {
				t.Errorf("only %d calls were met", n-1)
			}
		}
	}
}
