package fleet_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/internal/tokens"
)

// world is a fleet whose worker is the test, and its scheduler's HTTP server.
type world struct {
	*fleet.Fleet
	t     testing.TB
	redis *testservers.RedisServer
	dir   string
	url   string

	ops, producer, opsB string // tokens: of all teams, of team-a, of team-b
}

func start(t testing.TB, settings ...func(*config.Config)) *world {
	t.Helper()
	w := &world{t: t, redis: testservers.Redis(t), dir: t.TempDir()}
	cfg := config.Default()
	cfg.Redis.URL = "redis://" + w.redis.Addr + "/0"
	cfg.Bucket.URL = w.folder(t.TempDir())
	cfg.Limits.MaxFailures = 100
	for _, set := range settings {
		set(&cfg)
	}
	var err error
	if w.Fleet, err = fleet.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), 20); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Fleet.Close() })
	mux, err := w.SchedulerMux()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.ops = w.token("root", tokens.Ops, tokens.AllTeams)
	w.producer = w.token("platform", tokens.Producer, "team-a")
	w.opsB = w.token("ops-b", tokens.Ops, "team-b")
	return w
}

func (w *world) folder(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

func (w *world) token(name string, scope tokens.Scope, teams ...string) string {
	w.t.Helper()
	bearer, _, err := w.APITokens().Create(w.t.Context(), tokens.Grant{Name: name, Scope: scope, Teams: teams}, time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return bearer
}

// connector is a connector to a folder that is there.
func (w *world) connector(id, team string) connectors.Connector {
	return connectors.Connector{ID: id, Team: team, Kind: waybill.KindStorage,
		Storage: &connectors.Storage{URL: w.folder(filepath.Clean(w.dir)), Formats: []string{"parquet", "csv"}}}
}

func (w *world) apply(c connectors.Connector) {
	w.t.Helper()
	if _, err := w.ApplyConnector(w.t.Context(), handlers.Request{By: "test"}, c); err != nil {
		w.t.Fatal(err)
	}
}

func runOf(workflow, job string) waybill.Run {
	return waybill.Run{RunKey: waybill.RunKey{TeamID: "team-a", WorkflowID: workflow, JobID: job}, State: waybill.RunFinished,
		FinishedAt: time.Now().UTC().Add(-20 * time.Second).Truncate(time.Second), RowCount: 3201,
		Source: waybill.Source{URI: "s3://runs/team-a/" + job + ".jsonl"},
		Schema: waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String, FieldType: waybill.FieldSchema}}}}
}

// deliver hands in a run, and plans it; the id is that of its delivery to the connector.
func (w *world) deliver(run waybill.Run, connector string) string {
	w.t.Helper()
	if _, err := w.Producer().Submit(w.t.Context(), run); err != nil {
		w.t.Fatal(err)
	}
	w.plan()
	return waybill.DeliveryID(run.RunKey, connector)
}

func (w *world) plan() {
	w.t.Helper()
	if err := w.Ledger.Mend(w.t.Context(), map[string]int{"export": 100}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Scheduler().PlanAll(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.Ledger.Wait()
}

// planned makes a delivery an older one, for charts and lists.
func (w *world) planned(ago time.Duration, id string) {
	w.t.Helper()
	d, err := w.Ledger.Delivery(w.t.Context(), id)
	must(w.t, err)
	prefix := fmt.Sprintf("wb:{s%02d}:", waybill.Slot(d.TeamID))
	at := func(t time.Time) int64 { return t.Add(-ago).UnixMilli() }
	must(w.t, w.Redis.HSet(w.t.Context(), prefix+"d:"+id, "created", at(d.CreatedAt), "updated", at(d.UpdatedAt), "finished", at(d.RunFinishedAt)).Err())
	for _, index := range []string{"s:" + string(d.State), "c:" + d.Connector, "w:" + d.WorkflowID} {
		must(w.t, w.Redis.ZAdd(w.t.Context(), prefix+"ix:"+index, redis.Z{Score: float64(at(d.CreatedAt)), Member: id}).Err())
	}
}

// begin starts the first attempt at a delivery, as a worker would.
func (w *world) begin(id string) *ledger.Lease {
	w.t.Helper()
	lease, err := w.Ledger.Begin(w.t.Context(), id, 1, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := lease.Enter(w.t.Context(), waybill.StageStage); err != nil {
		w.t.Fatal(err)
	}
	return lease
}

// complete does a delivery's one attempt.
func (w *world) complete(id string) {
	w.t.Helper()
	lease := w.begin(id)
	ctx := w.t.Context()
	must(w.t, lease.Record(ctx, waybill.StageStage, "done", 1234*time.Millisecond))
	if _, err := lease.Enter(ctx, waybill.StageVerify); err != nil {
		w.t.Fatal(err)
	}
	must(w.t, lease.Record(ctx, waybill.StageVerify, "done", 210*time.Millisecond))
	must(w.t, lease.Complete(ctx, waybill.Receipt{Rows: 3201, Bytes: 512_345, Location: "s3://acme-bucket/kadoa/team-a/wf_movies/2025-01-15T10-30-00Z-job_1/",
		Files: []waybill.File{{Name: "data.parquet", Format: "parquet", Rows: 3201, Bytes: 112_345, SHA256: strings.Repeat("ab", 32)},
			{Name: "data.csv", Format: "csv", Rows: 3201, Bytes: 400_000, SHA256: strings.Repeat("cd", 32)}},
		Conversion: waybill.Conversion{Rows: 3201, Fields: []waybill.FieldStats{{Name: "Title", NonNull: 3201}, {Name: "Release_Date", NonNull: 3198, CastFailures: 3}},
			FailedCasts: []waybill.FailedCast{{Line: 17, Field: "Release_Date", Reason: "is not a date"}}}}))
	must(w.t, lease.Close(nil))
}

// fail ends a delivery's attempt with a failure.
func (w *world) fail(id string, state waybill.State, f waybill.Failure) {
	w.t.Helper()
	attempt, ok := w.begin(id).Close(&f).(*ledger.Attempt)
	if !ok {
		w.t.Fatal("the attempt was lost")
	}
	f.Stage = waybill.StageStage
	if _, err := attempt.Settle(w.t.Context(), ledger.Decision{State: state, Costs: true, Counts: true, Failure: &f}); err != nil {
		w.t.Fatal(err)
	}
}

func denied(action string) waybill.Failure {
	return waybill.Failure{Verdict: waybill.Blocked, Code: "storage.access_denied", Action: action}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what the server said.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request; headers are names and values in turns.
func (w *world) ask(method, path, token, body string, headers ...string) answer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, strings.NewReader(body))
	must(w.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	must(w.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(w.t, err)
	return answer{resp.StatusCode, resp.Header, string(text)}
}
