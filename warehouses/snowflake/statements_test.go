package snowflake

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

var update = flag.Bool("update", false, "write the golden files anew")

func testPlace(t *testing.T) place {
	t.Helper()
	p, err := newPlace("kadoa", "acme-snowflake", "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var testFields = []waybill.Field{
	{Name: "Title", DataType: waybill.String, IsKey: true}, {Name: "votes", DataType: waybill.Number},
	{Name: "price", DataType: waybill.Money}, {Name: "in_stock", DataType: waybill.Boolean},
	{Name: "released", DataType: waybill.Date}, {Name: "seen_at", DataType: waybill.DateTime}, {Name: "tags", DataType: waybill.Array},
}

// goldenStatements is one rendering of each statement.
func goldenStatements(t *testing.T) map[string]string {
	t.Helper()
	p := testPlace(t)
	lane := Lane{WorkflowID: "wf_movies", Fence: 1737000000123}
	run := Run{Lane: lane, DeliveryID: "d17a1b2c3d4e5f60718293", Generation: 2, JobID: "job_20250115_01", SchemaVersion: 3,
		Schema: waybill.Schema{Fields: testFields}, FinishedAt: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC),
		Revision: strings.Repeat("ab", 32), Conversion: waybill.Conversion{Rows: 3201, Quarantined: 1, Fields: []waybill.FieldStats{{Name: "votes", CastFailures: 12}}}}
	a := run.args(p.Brand)
	comment := func(table string) args { return args{"Comment": metadataTable(table).Comment} }
	with := func(more args) args {
		b := maps.Clone(a)
		maps.Copy(b, more)
		return b
	}
	all := map[string]string{
		"database_create":        p.statement("database_create", nil),
		"schema_create":          p.statement("schema_create", args{"Schema": schemaShared}),
		"stage_create.external":  p.statement("stage_create", args{"Integration": "WAYBILL_S3", "URL": "s3://waybill-ingest/KADOA_ACME_SNOWFLAKE/"}),
		"stage_create.internal":  p.statement("stage_create", args{"Integration": "", "URL": ""}),
		"stage_put":              p.statement("stage_put", p.putArgs("/tmp/a b/data.parquet", "d17a1b2c3d4e5f60718293/g2/f1737000000123/")),
		"table_create.version":   p.createVersionTable(run),
		"table_create.fence":     p.createFenceTable(run.Lane),
		"table_create.activity":  p.createTable(metadataTable(waybill.TableActivity)),
		"view_runs":              p.statement("view_runs", comment(waybill.TableRuns)),
		"view_versions":          p.statement("view_versions", comment(waybill.TableVersions)),
		"view_fields":            p.statement("view_fields", comment(waybill.TableFields)),
		"view_activity":          p.statement("view_activity", comment(waybill.TableActivity)),
		"share_add":              p.statement("share_add", args{"Account": "ACMEORG.PROD_ANALYTICS", "Unrestricted": false}),
		"share_add.unrestricted": p.statement("share_add", args{"Account": "ACMEORG.PROD_ANALYTICS", "Unrestricted": true}),
		"share_remove":           p.statement("share_remove", args{"Account": "ACMEORG.OLD"}),
		"role_grants":            p.statement("role_grants", args{"Role": "WAYBILL"}),
		"grant_schema":           p.statement("grant_schema", args{"Schema": schemaShared}),
		"grant_view":             p.statement("grant_view", args{"View": "WF_MOVIES__V3"}),
		"revoke_view":            p.statement("revoke_view", args{"View": "WF_MOVIES__V3"}),
		"listing_create":         p.statement("listing_create", (&Destination{place: p, target: Target{Organization: "ACMEORG", Account: "PROD_ANALYTICS"}}).listingArgs()),
		"version_view":           p.createVersionView(run),
		"version_record":         p.recordVersion(run),
		"stg_copy":               p.statement("stg_copy", with(args{"Path": "d17a1b2c3d4e5f60718293/g2/f1737000000123/", "Files": []string{"data.parquet"}})),
		"stg_show":               p.statement("stg_show", args{"Schema": schemaStaging}),
		"latest_show":            p.statement("latest_show", with(args{"Schema": schemaShared})),
		"latest_point":           p.pointLatest(run.Lane, 3, false, []string{"TITLE", "KADOA_JOB_ID", "KADOA_RUN_FINISHED_AT"}),
		"latest_state":           p.statement("latest_state", with(args{"Except": ""})),
		"latest_state.without":   p.statement("latest_state", with(args{"Except": "job2"})),
		"readmit":                p.statement("readmit", with(args{"Views": []string{"WF_MOVIES__V3", "WF_MOVIES__LATEST"}})),
		"narrow":                 p.statement("narrow", with(args{"Views": []string{"WF_MOVIES__V3", "WF_MOVIES__LATEST"}})),
		"purge":                  p.statement("purge", with(args{"Tables": []string{"WF_MOVIES__V2", "WF_MOVIES__V3"}})),
		"loads_superseded":       p.statement("loads_superseded", with(args{"Before": run.Fence - 7*86400*1000})),
		"sweep":                  p.statement("sweep", a),
		"activity_merge":         p.statement("activity_merge", args{"Rows": []int{1, 2}}),
		"activity_delete":        p.statement("activity_delete", args{"Workflow": run.WorkflowID}),
	}
	for _, table := range providerTables() {
		all["table_create."+strings.ToLower(table.Name)] = p.createTable(table)
	}
	for _, plain := range []string{"account", "database_show", "database_drop", "runs_current", "shown_workflows", "latest_current", "hidden_current",
		"share_create", "share_show", "share_drop", "grants_show", "grant_database", "revoke_database",
		"listing_describe", "listing_unpublish", "listing_drop"} {
		all[plain] = p.statement(plain, nil)
	}
	for _, ofRun := range []string{"version_known", "version_columns", "fence_make", "stg_create", "stg_count", "stg_drop", "load", "publish", "unpublish",
		"run_show", "versions", "latest_moves", "views_of_workflow"} {
		all[ofRun] = p.statement(ofRun, a)
	}
	return all
}

func TestEachStatementIsOneFile(t *testing.T) {
	files, err := filepath.Glob("sql/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no statements: %v", err)
	}
	golden := goldenStatements(t)
	rendered := map[string]bool{}
	for name := range golden {
		statement, _, _ := strings.Cut(name, ".")
		rendered[statement] = true
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".sql"); !rendered[name] {
			t.Errorf("%s has no golden file", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(golden)) {
		file := filepath.Join("testdata", "sql", name+".sql")
		if *update {
			if err := os.WriteFile(file, []byte(golden[name]+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if golden[name]+"\n" != string(want) {
			t.Errorf("%s is\n%s\nwant\n%s", name, golden[name], want)
		}
	}
}
