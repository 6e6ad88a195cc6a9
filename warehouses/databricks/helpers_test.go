package databricks_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	fake "github.com/waybillhq/waybill/internal/fakes/databricks"
	"github.com/waybillhq/waybill/warehouses/databricks"
)

// bench is a workspace of ours at a test server, and a folder for Delta tables.
type bench struct {
	t      *testing.T
	server *fake.Server
	w      *databricks.Workspace
	opts   databricks.Options
	now    time.Time
	tables []databricks.Table
}

func setup(t *testing.T, change ...func(*databricks.Options, *fake.Options)) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)}
	root := "file://" + t.TempDir()
	clock := func() time.Time { return b.now }
	workspace := fake.Options{Locations: []string{root}, Now: clock}
	b.opts = databricks.Options{Auth: databricks.AuthPAT, Login: login(databricks.Login{Token: fake.Token}),
		Catalog: fake.Catalog, WarehouseID: fake.WarehouseID, Storage: root + "/tables", Brand: "kadoa", Now: clock}
	for _, c := range change {
		c(&b.opts, &workspace)
	}
	b.server = fake.New(workspace)
	t.Cleanup(func() {
		b.server.Close()
		if calls := b.server.Unexpected(); len(calls) > 0 {
			t.Errorf("the test server was asked for what it does not play: %q", calls)
		}
	})
	b.opts.Host = b.server.URL
	b.w = b.open()
	return b
}

// open is a new process's view of the same workspace.
func (b *bench) open() *databricks.Workspace {
	b.t.Helper()
	w, err := databricks.New(b.opts)
	if err != nil {
		b.t.Fatal(err)
	}
	return w
}

func login(l databricks.Login) func(context.Context) (databricks.Login, error) {
	return func(context.Context) (databricks.Login, error) { return l, nil }
}

const identifier = "aws:us-east-1:11111111-2222-4333-8444-555555555555"

var (
	acme     = databricks.Connector{ID: "acme-databricks", Team: "acme", Mode: databricks.ModeDatabricks, SharingIdentifier: identifier}
	acmeOpen = databricks.Connector{ID: "acme-open", Team: "acme", Mode: databricks.ModeToken, TokenLifetime: 90 * 24 * time.Hour, AllowedIPs: []string{"203.0.113.0/24"}}
)

const (
	moviesV1 = `{"type":"struct","fields":[{"name":"TITLE","type":"string","nullable":true,"metadata":{}},{"name":"PRICE","type":"decimal(38,9)","nullable":true,"metadata":{}}]}`
	moviesV2 = `{"type":"struct","fields":[{"name":"TITLE","type":"string","nullable":true,"metadata":{}},{"name":"VOTES","type":"long","nullable":true,"metadata":{}}]}`
)

// write commits a Delta table's next version.
func (b *bench) write(c databricks.Connector, name, schema string) databricks.Table {
	b.t.Helper()
	location := b.w.StoragePath(c) + name
	log := filepath.Join(strings.TrimPrefix(location, "file://"), "_delta_log")
	if err := os.MkdirAll(log, 0o755); err != nil {
		b.t.Fatal(err)
	}
	commits, err := os.ReadDir(log)
	if err != nil {
		b.t.Fatal(err)
	}
	commit := fmt.Sprintf(`{"metaData":{"id":"1","format":{"provider":"parquet"},"schemaString":%q,"partitionColumns":[],"configuration":{"delta.enableDeletionVectors":"false"}}}`+"\n", schema)
	if err := os.WriteFile(filepath.Join(log, fmt.Sprintf("%020d.json", len(commits))), []byte(commit), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return databricks.Table{Name: name, Location: location, Schema: schema}
}

// publish is what a delivery does: setup, registration, share, verification.
func publish(ctx context.Context, w *databricks.Workspace, c databricks.Connector, tables ...databricks.Table) error {
	if _, err := w.Provision(ctx, c); err != nil {
		return err
	}
	names := make([]string, len(tables))
	for i, t := range tables {
		if err := w.Register(ctx, c, t); err != nil {
			return err
		}
		names[i] = t.Name
	}
	if err := w.Share(ctx, c, names); err != nil {
		return err
	}
	_, err := w.Verify(ctx, c, names)
	return err
}

func (b *bench) publish(c databricks.Connector, tables ...databricks.Table) {
	b.t.Helper()
	b.must(publish(b.t.Context(), b.w, c, tables...))
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// sees lists the tables that the connector's customer can read.
func (b *bench) sees(c databricks.Connector) string {
	var names []string
	for _, s := range b.server.Sees("kadoa_" + strings.ReplaceAll(c.ID, "-", "_")) {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// failed checks that err is a failure with the verdict and code, and that its
// sentence holds every word and nothing of the vendor's.
func failed(t *testing.T, err error, verdict waybill.Verdict, code string, words ...string) *waybill.Failure {
	t.Helper()
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok {
		t.Fatalf("%v is not a failure, want %s", err, code)
	}
	if f.Verdict != verdict || f.Code != code {
		t.Errorf("%s %s (%v), want %s %s", f.Verdict, f.Code, f.Err, verdict, code)
	}
	for _, word := range words {
		if !strings.Contains(f.Action, word) {
			t.Errorf("%q does not speak of %q", f.Action, word)
		}
	}
	if f.Action == "" || strings.ContainsAny(f.Action, "{}") || strings.Contains(f.Action, "injected") {
		t.Errorf("action is %q", f.Action)
	}
	return f
}
