package snowflake

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// story is an order in which all the statements that the adapter sends succeed;
// a name in brackets is a statement of this test.
var story = strings.Fields(`account role_grants database_show database_create schema_create [schemas] share_create share_show grants_show grant_database grant_schema
	share_add stage_create.external table_create.activity table_create.fence table_create.latest_moves table_create.loads table_create.runs
	table_create.schema_fields table_create.schema_versions table_create.workflows table_create.version runs_current latest_current hidden_current
	fence_make version_known version_record version_columns version_view view_activity view_fields view_runs view_versions
	grant_view run_show stg_create stg_copy stg_count load stg_drop stg_show publish latest_state latest_state.without versions latest_moves latest_point latest_show
	shown_workflows views_of_workflow activity_merge activity_delete loads_superseded narrow readmit narrow revoke_view unpublish loads_superseded sweep purge
	revoke_database [regrant] share_add.unrestricted share_remove [unshare] listing_create listing_describe listing_unpublish listing_drop
	share_drop database_drop [again] stage_create.internal stage_put`)

var ownSteps = map[string][]string{
	"[schemas]": {`CREATE SCHEMA IF NOT EXISTS "KADOA_ACME_SNOWFLAKE"."DATA"`, `CREATE SCHEMA IF NOT EXISTS "KADOA_ACME_SNOWFLAKE"."STAGING"`, `CREATE SCHEMA IF NOT EXISTS "KADOA_ACME_SNOWFLAKE"."SHARED"`},
	"[regrant]": {`GRANT USAGE ON DATABASE "KADOA_ACME_SNOWFLAKE" TO SHARE "KADOA_ACME_SNOWFLAKE"`},
	"[unshare]": {`ALTER SHARE "KADOA_ACME_SNOWFLAKE" REMOVE ACCOUNTS = ACMEORG.PROD_ANALYTICS`},
	"[again]":   {`CREATE DATABASE "KADOA_ACME_SNOWFLAKE"`, `CREATE SCHEMA "KADOA_ACME_SNOWFLAKE"."STAGING"`},
}

func TestEveryStatementThatTheAdapterSendsIsUnderstood(t *testing.T) {
	w := newWorld(t, Options{Locations: map[string]Objects{}})
	w.opts.Locations["s3://waybill-ingest/"] = Folder(w.files)
	w.provider.AddIntegration("WAYBILL_S3", "s3://waybill-ingest/")
	w.addCustomer("ACMEORG", "PROD_ANALYTICS", "AWS_US_EAST_1")
	w.parquet(t, "KADOA_ACME_SNOWFLAKE/d17a1b2c3d4e5f60718293/g2/f1737000000123/data.parquet",
		`SELECT 'Dune' AS "TITLE", 1.5 :: DOUBLE AS "VOTES", 9.99 :: DECIMAL(38,9) AS "PRICE", 'USD' AS "PRICE_CURRENCY", TRUE AS "IN_STOCK",
		DATE '2021-10-22' AS "RELEASED", TIMESTAMPTZ '2025-01-15 10:00:00+00' AS "SEEN_AT", '["a"]' AS "TAGS" FROM range(3201)`)
	db := w.loader(t)
	folder := filepath.Join("..", "..", "..", "warehouses", "snowflake", "testdata", "sql")
	told := map[string]bool{}
	for _, name := range story {
		if own := ownSteps[name]; own != nil {
			run(t, db, own...)
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, name+".sql"))
		if err != nil {
			t.Fatal(err)
		}
		statement := strings.Replace(string(text), "/tmp/a b/", t.TempDir()+"/", 1)
		if name == "stage_put" {
			file, _, _ := strings.Cut(strings.TrimPrefix(statement, "PUT 'file://"), "'")
			if err := os.WriteFile(file, []byte("rows"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		binds := make([]any, strings.Count(statement, "?"))
		for i := range binds {
			binds[i] = "2025-01-15 10:00:00"
		}
		if _, err := rowsOf(db, statement, binds...); err != nil {
			t.Fatalf("%s: %s\n%v", name, statement, err)
		}
		told[name+".sql"] = true
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !told[entry.Name()] {
			t.Errorf("%s is not part of the story: a statement that the adapter sends is tried here", entry.Name())
		}
	}
}

// parquet writes a query's rows as a file of the ingestion bucket.
func (w *world) parquet(t *testing.T, key, query string) {
	t.Helper()
	file := filepath.Join(w.files, key)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := w.duck.Exec("COPY (" + query + ") TO " + quoteText(file) + " (FORMAT parquet)"); err != nil {
		t.Fatal(err)
	}
}

func TestStatementsAreListedWithTheirInnerOnes(t *testing.T) {
	w := newWorld(t, Options{})
	db := w.loader(t)
	run(t, db, "CREATE DATABASE D", "CREATE TABLE T (A INT)")
	w.Forget()
	run(t, db, "BEGIN INSERT INTO D.PUBLIC.T VALUES (1); END", "SELECT 1")
	all := w.Statements()
	if len(all) != 2 || all[0].Kind() != "BEGIN" || !slices.Equal(all[0].Inner, []string{"INSERT INTO D.PUBLIC.T VALUES (1)"}) || all[1].Kind() != "SELECT" {
		t.Errorf("the statements are %+v", all)
	}
}
