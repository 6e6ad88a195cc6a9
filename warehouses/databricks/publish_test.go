package databricks_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
	fake "github.com/waybillhq/waybill/internal/fakes/databricks"
	"github.com/waybillhq/waybill/warehouses/databricks"
)

func TestACustomerSeesItsTablesAndNothingElse(t *testing.T) {
	b := setup(t)
	v1, latest := b.write(acme, "WF_MOVIES__V1", moviesV1), b.write(acme, "WF_MOVIES__LATEST", moviesV1)
	runs := b.write(acme, "WORKFLOW_RUNS", moviesV1)
	setup, err := b.w.Provision(t.Context(), acme)
	if err != nil || setup.Recipient != "kadoa_acme_databricks" || setup.Share != setup.Recipient || setup.Schema != "waybill.kadoa_acme_databricks" || setup.Tables != 0 {
		t.Fatalf("%+v, %v", setup, err)
	}
	b.publish(acme, v1, latest, runs)
	if got, want := b.sees(acme), "acme_databricks.WF_MOVIES__V1 acme_databricks.WF_MOVIES__LATEST acme_databricks.WORKFLOW_RUNS"; got != want {
		t.Errorf("customer sees %s, want %s", got, want)
	}
	for _, s := range b.server.Sees("kadoa_acme_databricks") {
		if !s.History {
			t.Errorf("%s is shared without its history", s.Name)
		}
	}
	other := acme
	other.ID, other.SharingIdentifier = "other", "gcp:europe-west3:11111111-2222-4333-8444-666666666666"
	b.publish(other, b.write(other, "WF_MOVIES__V1", moviesV1))
	if got := b.sees(other); got != "other.WF_MOVIES__V1" {
		t.Errorf("another customer sees %s", got)
	}
}

func TestNothingIsSharedBeforeAShareOfNothingWasVerified(t *testing.T) {
	b := setup(t)
	b.publish(acme, b.write(acme, "WF_MOVIES__V1", moviesV1))
	calls := b.server.Log()
	at := func(method, path string) int {
		return slices.IndexFunc(calls, func(r fake.Request) bool { return r.Method == method && strings.HasSuffix(r.Path, path) })
	}
	granted := at(http.MethodPatch, "/shares/kadoa_acme_databricks/permissions")
	readBack := granted + 1 + slices.IndexFunc(calls[granted+1:], func(r fake.Request) bool {
		return r.Method == http.MethodGet && strings.HasSuffix(r.Path, "/shares/kadoa_acme_databricks/permissions")
	})
	registered, shared := at(http.MethodPost, "/sql/statements"), at(http.MethodPatch, "/shares/kadoa_acme_databricks")
	if granted < 0 || granted >= readBack || readBack >= registered || registered >= shared {
		t.Errorf("granted at call %d, read back at %d, registered at %d, shared at %d", granted, readBack, registered, shared)
	}
}

func TestPublishingAgainChangesNothing(t *testing.T) {
	b := setup(t)
	tables := []databricks.Table{b.write(acme, "WF_MOVIES__V1", moviesV1), b.write(acme, "WORKFLOW_RUNS", moviesV1)}
	b.publish(acme, tables...)
	before := b.server.Content()
	b.server.ResetLog()
	b.w = b.open()
	b.publish(acme, tables...)
	for _, r := range b.server.Log() {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s %s", r.Method, r.Path, r.Body)
		}
	}
	if after := b.server.Content(); !slices.Equal(before, after) {
		t.Errorf("was\n%s\nis\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

// A life of each kind of connector, cut off at each of its calls, before and
// after the call took effect, and then lived again.
func TestACrashAtAnyCallLeavesWhatARepeatCompletes(t *testing.T) {
	lives := map[string]struct {
		c    databricks.Connector
		live func(*bench, *databricks.Workspace) error
	}{
		"publish, databricks": {acme, publishTwo},
		"publish, token":      {acmeOpen, publishTwo},
		"delete":              {acme, func(b *bench, w *databricks.Workspace) error { return w.Purge(b.t.Context(), acme) }},
		"narrow": {acme, func(b *bench, w *databricks.Workspace) error {
			_, err := w.Narrow(b.t.Context(), acme, func(table string) bool { return strings.HasPrefix(table, "WF_SERIES__") || table == "WORKFLOW_RUNS" })
			if err == nil {
				err = w.Unregister(b.t.Context(), acme, []string{"WF_MOVIES__V1"})
			}
			return err
		}},
	}
	for name, life := range lives {
		t.Run(name, func(t *testing.T) {
			begin := func(t *testing.T) *bench {
				b := setup(t, func(o *databricks.Options, _ *fake.Options) { o.Owner = fake.Group })
				if !strings.HasPrefix(name, "publish") {
					b.must(publishTwo(b, b.w))
				}
				b.server.ResetLog()
				return b
			}
			b := begin(t)
			b.must(life.live(b, b.w))
			want, calls := describe(b), len(b.server.Log())
			if calls < 4 {
				t.Fatalf("%d calls", calls)
			}
			for call := range calls {
				for _, after := range []bool{false, true} {
					t.Run(fmt.Sprintf("call %d, after %t", call, after), func(t *testing.T) {
						b := begin(t)
						b.server.Inject(fake.Fault{Path: "/api/", Skip: call, Crash: true, After: after})
						failed(t, life.live(b, b.w), waybill.Transient, "databricks.unreachable")
						b.server.Heal()
						b.must(life.live(b, b.open()))
						if got := describe(b); got != want {
							t.Errorf("got\n%s\nwant\n%s", got, want)
						}
					})
				}
			}
		})
	}
}

// publishTwo publishes two tables of the connector that the test is of.
func publishTwo(b *bench, w *databricks.Workspace) error {
	c := acme
	if strings.Contains(b.t.Name(), "token") {
		c = acmeOpen
	}
	if b.tables == nil {
		b.tables = []databricks.Table{b.write(c, "WF_MOVIES__V1", moviesV1), b.write(c, "WF_SERIES__V1", moviesV2)}
	}
	return publish(b.t.Context(), w, c, b.tables...)
}

// describe is the workspace's content, with the bench's folder left out.
func describe(b *bench) string {
	root := strings.TrimSuffix(b.opts.Storage, "/tables")
	return strings.ReplaceAll(strings.Join(b.server.Content(), "\n"), root, "ROOT")
}

func TestANewSchemaReachesUnityCatalog(t *testing.T) {
	b := setup(t)
	b.publish(acme, b.write(acme, "WF_MOVIES__LATEST", moviesV1))
	b.publish(acme, b.write(acme, "WF_MOVIES__LATEST", moviesV2))
	if !strings.Contains(describe(b), "wf_movies__latest at ROOT/tables/acme-databricks/WF_MOVIES__LATEST: TITLE string, VOTES bigint") {
		t.Errorf("workspace has\n%s", describe(b))
	}
	var statements []string
	for _, r := range b.server.Log() {
		if strings.HasSuffix(r.Path, "/sql/statements") {
			statements = append(statements, r.Body)
		}
	}
	if len(statements) != 2 || !strings.Contains(statements[1], "MSCK REPAIR TABLE `waybill`.`kadoa_acme_databricks`.`WF_MOVIES__LATEST` SYNC METADATA") {
		t.Errorf("statements %q", statements)
	}
}

func TestMoreThanAHundredTablesAreSharedInSeveralCalls(t *testing.T) {
	b := setup(t, func(_ *databricks.Options, o *fake.Options) {
		o.Describe = func(string) (fake.Table, error) { return fake.Table{Schema: moviesV1}, nil }
	})
	_, err := b.w.Provision(t.Context(), acme)
	b.must(err)
	var names []string
	for i := range 120 {
		names = append(names, fmt.Sprintf("WF_%d__V1", i))
		b.must(b.w.Register(t.Context(), acme, databricks.Table{Name: names[i], Location: b.w.StoragePath(acme) + names[i], Schema: moviesV1}))
	}
	b.must(b.w.Share(t.Context(), acme, names))
	seen, err := b.w.Verify(t.Context(), acme, names)
	if err != nil || len(seen) != 120 {
		t.Fatalf("%d tables, %v", len(seen), err)
	}
	limits, err := b.w.ShareLimits(t.Context(), acme)
	if err != nil || limits[0].Used != 120 || limits[0].Max != 1000 || limits[0].Near() || limits[1].Used != 1 {
		t.Errorf("%+v, %v", limits, err)
	}
}

func TestAnotherWorkersUpdateOfTheSameShareIsNoFailure(t *testing.T) {
	b := setup(t)
	movies, series := b.write(acme, "WF_MOVIES__V1", moviesV1), b.write(acme, "WF_SERIES__V1", moviesV1)
	b.publish(acme, movies)
	b.must(b.w.Register(t.Context(), acme, series))
	// The answer is lost after the table was added, and the repeat finds it there.
	b.server.Inject(fake.Fault{Method: http.MethodPatch, Path: "/shares/", After: true, Status: http.StatusConflict, Code: "ABORTED"})
	b.must(b.w.Share(t.Context(), acme, []string{"WF_SERIES__V1"}))
	if got := b.sees(acme); got != "acme_databricks.WF_MOVIES__V1 acme_databricks.WF_SERIES__V1" {
		t.Errorf("customer sees %s", got)
	}
}

func TestTwentyWorkflowsOfOneConnectorFinishAtOnce(t *testing.T) {
	b := setup(t)
	var tables []databricks.Table
	for i := range 20 {
		tables = append(tables, b.write(acme, fmt.Sprintf("WF_%02d__V1", i), moviesV1))
	}
	var group errgroup.Group
	for _, table := range tables {
		w := b.open() // a worker of its own
		group.Go(func() error { return publish(t.Context(), w, acme, table) })
	}
	b.must(group.Wait())
	names := make([]string, len(tables))
	for i, table := range tables {
		names[i] = table.Name
	}
	seen, err := b.w.Verify(t.Context(), acme, names)
	if err != nil || len(seen) != len(tables) {
		t.Errorf("%d tables are shared, %v", len(seen), err)
	}
}

func TestAContainerOfAzureIsNamedAsDatabricksNamesIt(t *testing.T) {
	const place = "abfss://delta@wbdelta.dfs.core.windows.net/tables/"
	b := setup(t, func(o *databricks.Options, f *fake.Options) {
		o.Storage, o.Account = "azblob://delta/tables", "wbdelta"
		f.Locations = []string{"abfss://delta@wbdelta.dfs.core.windows.net"}
		f.Describe = func(string) (fake.Table, error) { return fake.Table{Schema: moviesV1}, nil }
	})
	if lines := strings.Join(b.check(), "; "); !strings.Contains(lines, "ok external location of "+place) {
		t.Errorf("check says %s", lines)
	}
	movies := databricks.Table{Name: "WF_MOVIES__V1", Location: "azblob://delta/tables/acme-databricks/WF_MOVIES__V1", Schema: moviesV1}
	b.publish(acme, movies)
	b.publish(acme, movies)
	if got := b.server.Sees("kadoa_acme_databricks"); len(got) != 1 || got[0].Location != place+"acme-databricks/WF_MOVIES__V1" {
		t.Errorf("customer sees %+v", got)
	}
}
