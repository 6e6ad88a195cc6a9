package databricks_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	fake "github.com/waybillhq/waybill/internal/fakes/databricks"
	"github.com/waybillhq/waybill/warehouses/databricks"
)

func TestWhatTheWorkspaceAnswersBecomesAFailure(t *testing.T) {
	for title, c := range map[string]struct {
		fault   fake.Fault
		verdict waybill.Verdict
		code    string
		after   time.Duration
	}{
		"too many requests":             {fake.Fault{Status: 429, RetryAfter: "17"}, waybill.Throttled, "databricks.throttled", 17 * time.Second},
		"too many, without a time":      {fake.Fault{Status: 429}, waybill.Throttled, "databricks.throttled", 5 * time.Second},
		"too many, for a year":          {fake.Fault{Status: 429, RetryAfter: "31536000"}, waybill.Throttled, "databricks.throttled", time.Hour},
		"quota of requests, by code":    {fake.Fault{Status: 400, Code: "REQUEST_LIMIT_EXCEEDED"}, waybill.Throttled, "databricks.throttled", 5 * time.Second},
		"unavailable":                   {fake.Fault{Status: 503, Code: "TEMPORARILY_UNAVAILABLE"}, waybill.Throttled, "databricks.throttled", 5 * time.Second},
		"internal error":                {fake.Fault{Status: 500, Code: "INTERNAL_ERROR"}, waybill.Transient, "databricks.unavailable", 0},
		"gateway timeout":               {fake.Fault{Status: 504}, waybill.Transient, "databricks.unavailable", 0},
		"conflict":                      {fake.Fault{Method: "PATCH", Times: 2, Status: 409, Code: "ABORTED"}, waybill.Transient, "databricks.conflict", 0},
		"not allowed":                   {fake.Fault{Status: 403, Code: "PERMISSION_DENIED"}, waybill.Blocked, "databricks.permission_denied", 0},
		"not allowed, without a code":   {fake.Fault{Status: 403}, waybill.Blocked, "databricks.permission_denied", 0},
		"not logged in":                 {fake.Fault{Status: 401}, waybill.Blocked, "databricks.bad_credentials", 0},
		"no sharing there":              {fake.Fault{Status: 404, Method: "POST", Code: "FEATURE_DISABLED"}, waybill.Blocked, "databricks.not_enabled", 0},
		"a request that it refuses":     {fake.Fault{Status: 400, Code: "INVALID_PARAMETER_VALUE"}, waybill.Permanent, "databricks.refused", 0},
		"a connection that breaks":      {fake.Fault{Method: "POST", Cut: true}, waybill.Transient, "databricks.unreachable", 0},
		"a connection that breaks late": {fake.Fault{Method: "POST", Cut: true, After: true}, waybill.Transient, "databricks.unreachable", 0},
	} {
		t.Run(title, func(t *testing.T) {
			b := setup(t)
			movies := b.write(acme, "WF_MOVIES__V1", moviesV1)
			b.server.Inject(c.fault)
			err := publish(t.Context(), b.w, acme, movies)
			if f := failed(t, err, c.verdict, c.code); f.After != c.after {
				t.Errorf("after %v, want %v", f.After, c.after)
			}
			b.server.Heal()
			b.must(publish(t.Context(), b.w, acme, movies))
			if got := b.sees(acme); got != "acme_databricks.WF_MOVIES__V1" {
				t.Errorf("customer sees %s", got)
			}
		})
	}
}

func TestAThrottledCallIsNotRepeatedBehindTheQueuesBack(t *testing.T) {
	b := setup(t)
	b.server.Inject(fake.Fault{Status: http.StatusTooManyRequests, RetryAfter: "1"})
	_, err := b.w.Provision(t.Context(), acme)
	failed(t, err, waybill.Throttled, "databricks.throttled")
	if calls := b.server.Log(); len(calls) != 1 {
		t.Errorf("%d calls", len(calls))
	}
}

func TestEachMissingPermissionIsNamed(t *testing.T) {
	location := "location-1"
	for title, c := range map[string]struct {
		damage func(*fake.Server)
		code   string
		words  []string
	}{
		"create recipient": {func(s *fake.Server) { s.Revoke(fake.Principal, "metastore", fake.MetastoreID, "CREATE_RECIPIENT") }, "databricks.permission_denied", []string{"CREATE RECIPIENT"}},
		"create share":     {func(s *fake.Server) { s.Revoke(fake.Principal, "metastore", fake.MetastoreID, "CREATE_SHARE") }, "databricks.permission_denied", []string{"CREATE SHARE"}},
		"create schema":    {func(s *fake.Server) { s.Revoke(fake.Principal, "catalog", fake.Catalog, "CREATE_SCHEMA") }, "databricks.permission_denied", []string{"CREATE SCHEMA"}},
		"create table":     {func(s *fake.Server) { s.Revoke(fake.Principal, "external_location", location, "CREATE_EXTERNAL_TABLE") }, "databricks.permission_denied", []string{"CREATE EXTERNAL TABLE"}},
		"managed storage": {func(s *fake.Server) {
			s.Revoke(fake.Principal, "external_location", location, "CREATE_MANAGED_STORAGE")
		}, "databricks.permission_denied", []string{"CREATE MANAGED STORAGE"}},
		"use the warehouse":    {func(s *fake.Server) { s.Revoke(fake.Principal, "warehouse", fake.WarehouseID, "CAN_USE") }, "databricks.permission_denied", nil},
		"no warehouse":         {func(s *fake.Server) { s.Remove("warehouse") }, "databricks.no_warehouse", []string{"SQL warehouse"}},
		"no catalog":           {func(s *fake.Server) { s.Remove("catalog") }, "databricks.no_catalog", []string{"catalog"}},
		"no location":          {func(s *fake.Server) { s.Remove("locations") }, "databricks.no_external_location", []string{"external location"}},
		"no credential":        {func(s *fake.Server) { s.Remove("credential") }, "databricks.no_storage_credential", []string{"storage credential"}},
		"no room for shares":   {func(s *fake.Server) { s.SetLimit("shares", 0) }, "databricks.limit_reached", []string{"limit"}},
		"no room in the share": {func(s *fake.Server) { s.SetLimit("tables", 0) }, "databricks.limit_reached", []string{"limit"}},
	} {
		t.Run(title, func(t *testing.T) {
			b := setup(t)
			c.damage(b.server)
			failed(t, publish(t.Context(), b.w, acme, b.write(acme, "WF_MOVIES__V1", moviesV1)), waybill.Blocked, c.code, c.words...)
		})
	}
}

func TestATableWithoutALogIsNotRegistered(t *testing.T) {
	b := setup(t)
	_, err := b.w.Provision(t.Context(), acme)
	b.must(err)
	none := databricks.Table{Name: "WF_MOVIES__V1", Location: b.w.StoragePath(acme) + "WF_MOVIES__V1", Schema: moviesV1}
	failed(t, b.w.Register(t.Context(), acme, none), waybill.Permanent, "databricks.no_delta_table")
	none.Location += "/inside"
	b.write(acme, "WF_MOVIES__V1", moviesV1)
	b.table("WF_MOVIES__V1")
	b.write(acme, "WF_OTHER__V1", moviesV1)
	failed(t, b.w.Register(t.Context(), acme, databricks.Table{Name: "WF_OTHER__V1", Location: none.Location, Schema: moviesV1}), waybill.Blocked, "databricks.location_overlap")
}

func TestAStatementIsAwaitedAndAnAnswerWithoutStatusIsNoPanic(t *testing.T) {
	b := setup(t, func(_ *databricks.Options, o *fake.Options) { o.Slow = 2 })
	movies := b.write(acme, "WF_MOVIES__V1", moviesV1)
	_, err := b.w.Provision(t.Context(), acme)
	b.must(err)
	noStatus := func(answer map[string]any) { delete(answer, "status") }
	b.server.Inject(fake.Fault{Method: http.MethodPost, Path: "/sql/statements", Edit: noStatus})
	failed(t, b.w.Register(t.Context(), acme, movies), waybill.Transient, "databricks.unavailable")
	b.server.Inject(fake.Fault{Method: http.MethodGet, Path: "/sql/statements/", Edit: noStatus})
	failed(t, b.w.Register(t.Context(), acme, movies), waybill.Transient, "databricks.unavailable")
	b.must(b.w.Register(t.Context(), acme, movies))
	failing := func(code string) func(map[string]any) {
		return func(answer map[string]any) {
			answer["status"] = map[string]any{"state": "FAILED", "error": map[string]any{"error_code": code, "message": "injected"}}
		}
	}
	for code, want := range map[string]struct {
		verdict waybill.Verdict
		code    string
	}{
		"TEMPORARILY_UNAVAILABLE": {waybill.Throttled, "databricks.throttled"},
		"INTERNAL_ERROR":          {waybill.Transient, "databricks.unavailable"},
		"BAD_REQUEST":             {waybill.Permanent, "databricks.refused"},
	} {
		b.server.Inject(fake.Fault{Method: http.MethodPost, Path: "/sql/statements", Edit: failing(code)})
		failed(t, b.w.Register(t.Context(), acme, b.write(acme, "WF_"+code+"__V1", moviesV1)), want.verdict, want.code)
	}
}

// memory keeps statements like the ledger would.
type memory map[string]string

func (m memory) Statement(_ context.Context, key string) (string, error) { return m[key], nil }
func (m memory) KeepStatement(_ context.Context, key, id string) error {
	m[key] = id
	return nil
}

func TestARestartAwaitsTheStatementThatRuns(t *testing.T) {
	kept := memory{}
	b := setup(t, func(o *databricks.Options, f *fake.Options) { o.Statements, f.Slow = kept, 3 })
	movies := b.write(acme, "WF_MOVIES__V1", moviesV1)
	_, err := b.w.Provision(t.Context(), acme)
	b.must(err)
	b.server.ResetLog()
	b.server.Inject(fake.Fault{Method: http.MethodGet, Path: "/sql/statements/", Crash: true})
	failed(t, b.w.Register(t.Context(), acme, movies), waybill.Transient, "databricks.unreachable")
	b.server.Heal()
	b.must(b.open().Register(t.Context(), acme, movies))
	handedIn := 0
	for _, r := range b.server.Log() {
		if r.Method == http.MethodPost {
			handedIn++
		}
	}
	if handedIn != 1 {
		t.Errorf("handed in %d times", handedIn)
	}
	for key, id := range kept {
		if id != "" {
			t.Errorf("%s is still kept under %s", id, key)
		}
	}
	kept["create waybill.kadoa_acme_databricks.WF_SERIES__V1"] = "statement-that-is-forgotten"
	b.must(b.w.Register(t.Context(), acme, b.write(acme, "WF_SERIES__V1", moviesV1)))
}

// forgetful is a memory that is away.
type forgetful struct{ memory }

func (forgetful) KeepStatement(context.Context, string, string) error { return errors.New("away") }

func TestAStatementThatCannotBeKeptIsNotTheWorkspacesFault(t *testing.T) {
	b := setup(t, func(o *databricks.Options, f *fake.Options) { o.Statements, f.Slow = forgetful{memory{}}, 1 })
	_, err := b.w.Provision(t.Context(), acme)
	b.must(err)
	failed(t, b.w.Register(t.Context(), acme, b.write(acme, "WF_MOVIES__V1", moviesV1)), waybill.Transient, "databricks.statement_not_kept")
}

func TestACancelledStepIsTransient(t *testing.T) {
	b := setup(t, func(_ *databricks.Options, o *fake.Options) { o.Slow = 1 << 20 })
	_, err := b.w.Provision(t.Context(), acme)
	b.must(err)
	ctx, cancel := context.WithCancelCause(t.Context())
	b.server.Inject(fake.Fault{Method: http.MethodGet, Path: "/sql/statements/", Edit: func(map[string]any) { cancel(errors.New("shutdown")) }})
	err = b.w.Register(ctx, acme, b.write(acme, "WF_MOVIES__V1", moviesV1))
	failed(t, err, waybill.Transient, "databricks.cancelled")
	if !strings.Contains(err.Error(), "shutdown") {
		t.Errorf("%v does not say why", err)
	}
}
