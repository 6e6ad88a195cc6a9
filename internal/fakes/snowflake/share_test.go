package snowflake

import (
	"context"
	"strings"
	"testing"

	"github.com/waybillhq/waybill/internal/testservers"
)

// shared makes a database with a table, a secure and a plain view, and a share
// with USAGE of the database and of the schema of views.
func (w *world) shared(t *testing.T) {
	t.Helper()
	run(t, w.loader(t),
		"CREATE DATABASE D", "CREATE SCHEMA D.DATA", "CREATE SCHEMA D.SHARED",
		"CREATE TABLE D.DATA.ROWS_ (A INT, B VARCHAR)", "INSERT INTO D.DATA.ROWS_ VALUES (1, 'one'), (2, 'two')",
		"CREATE SECURE VIEW D.SHARED.V AS SELECT A, B FROM D.DATA.ROWS_", "CREATE SECURE VIEW D.SHARED.HIDDEN AS SELECT A FROM D.DATA.ROWS_",
		"CREATE VIEW D.SHARED.OPEN AS SELECT A FROM D.DATA.ROWS_",
		"CREATE SHARE S", "GRANT USAGE ON DATABASE D TO SHARE S", "GRANT USAGE ON SCHEMA D.SHARED TO SHARE S")
}

func TestAConsumerSeesWhatTheShareGrantsAndNothingElse(t *testing.T) {
	w := newWorld(t, Options{})
	w.shared(t)
	db, consumer := w.loader(t), w.analyst(t)
	refuses(t, consumer, "CREATE DATABASE IN_ FROM SHARE WAYBILL.PROVIDER.S", 2003, "Share 'WAYBILL.PROVIDER.S' does not exist or not authorized")
	run(t, db, "ALTER SHARE S ADD ACCOUNTS = ACME.PROD", "GRANT SELECT ON VIEW D.SHARED.V TO SHARE S")
	run(t, consumer, "CREATE DATABASE IN_ FROM SHARE WAYBILL.PROVIDER.S")
	wants(t, consumer, "SELECT B, A FROM IN_.SHARED.V ORDER BY A", "one|1", "two|2")
	for _, hidden := range []string{"IN_.SHARED.HIDDEN", "IN_.SHARED.OPEN", "IN_.SHARED.NOTHING"} {
		refuses(t, consumer, "SELECT * FROM "+hidden, 2003, "Object '"+hidden+"' does not exist or not authorized")
	}
	refuses(t, consumer, "SELECT * FROM IN_.DATA.ROWS_", 2003, "Schema 'IN_.DATA' does not exist or not authorized")
	refuses(t, consumer, "SELECT * FROM D.SHARED.V", 2003, "Database 'D' does not exist")
	refuses(t, consumer, "CREATE TABLE IN_.SHARED.T (A INT)", 3540, "shared database")
	refuses(t, consumer, "INSERT INTO IN_.SHARED.V VALUES (3, 'x')", 3540, "shared database")
	names := func(text string, at int) string {
		rows, err := rowsOf(consumer, text)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, row := range rows {
			all = append(all, strings.Split(row, "|")[at])
		}
		return strings.Join(all, " ")
	}
	if got := names("SHOW VIEWS IN DATABASE IN_", 1); got != "V" {
		t.Errorf("the consumer is shown the views %s", got)
	}
	if got := names("SHOW SCHEMAS IN DATABASE IN_", 1); got != "SHARED" {
		t.Errorf("the consumer is shown the schemas %s", got)
	}
	if got := names("DESC SHARE WAYBILL.PROVIDER.S", 1); got != "<DB> <DB>.SHARED <DB>.SHARED.V" {
		t.Errorf("the share holds %s", got)
	}
	run(t, db, "INSERT INTO D.DATA.ROWS_ VALUES (3, 'three')")
	wants(t, consumer, "SELECT COUNT(*) FROM IN_.SHARED.V", "3")
	run(t, db, "REVOKE SELECT ON VIEW D.SHARED.V FROM SHARE S")
	refuses(t, consumer, "SELECT * FROM IN_.SHARED.V", 2003, "does not exist or not authorized")
}

func TestAShareTakesSecureViewsOfOneDatabase(t *testing.T) {
	w := newWorld(t, Options{})
	w.shared(t)
	db := w.loader(t)
	refuses(t, db, "GRANT SELECT ON VIEW D.SHARED.OPEN TO SHARE S", 3046, "Non-secure object")
	run(t, db, "CREATE DATABASE OTHER", "CREATE TABLE OTHER.PUBLIC.T (A INT)", "CREATE SECURE VIEW D.SHARED.FAR AS SELECT A FROM OTHER.PUBLIC.T")
	refuses(t, db, "GRANT USAGE ON DATABASE OTHER TO SHARE S", 3516, "does not belong to the database that is being shared")
	refuses(t, db, "GRANT USAGE ON SCHEMA OTHER.PUBLIC TO SHARE S", 3516, "does not belong")
	refuses(t, db, "GRANT SELECT ON VIEW D.SHARED.FAR TO SHARE S", 3050, "cannot reference objects from other databases")
	refuses(t, db, "GRANT INSERT ON TABLE D.DATA.ROWS_ TO SHARE S", 3008, "Invalid privilege")
	run(t, db, "CREATE SHARE EMPTY")
	refuses(t, db, "ALTER SHARE EMPTY ADD ACCOUNTS = ACME.PROD", 3512, "before a database is granted")
}

func TestAnAccountThatCannotBeAddedIsRefused(t *testing.T) {
	w := newWorld(t, Options{})
	w.shared(t)
	w.addCustomer("ACME", "EUROPE", "AWS_EU_CENTRAL_1")
	w.addCustomer("ACME", "AZURE", "AZURE_EASTUS2")
	db := w.loader(t)
	const sentence = "Following accounts cannot be added to this share: "
	for _, account := range []string{"ACME.EUROPE", "ACME.AZURE", "ACME.UNKNOWN", "XYZ12345"} {
		refuses(t, db, "ALTER SHARE S ADD ACCOUNTS = "+account, 2013, sentence+account+".")
	}
	many := strings.TrimSuffix(strings.Repeat("ACME.PROD, ", 11), ", ")
	refuses(t, db, "ALTER SHARE S ADD ACCOUNTS = "+many, 3517, "No more than 10 accounts")
	refuses(t, db, "ALTER SHARE S SET ACCOUNTS = ACME.PROD SHARE_RESTRICTIONS = FALSE", 1420, "invalid property 'SHARE_RESTRICTIONS'")
	run(t, db, "ALTER SHARE S ADD ACCOUNTS = "+w.customer.Locator)
	grants, err := rowsOf(db, "SHOW GRANTS OF SHARE S")
	if err != nil || len(grants) != 1 || !strings.Contains(grants[0], "S|ACCOUNT|ACME.PROD") {
		t.Errorf("the share's accounts are %v (%v)", grants, err)
	}
	w.provider.Revoke("LOADER_ROLE", "MANAGE SHARE TARGET")
	refuses(t, db, "ALTER SHARE S REMOVE ACCOUNTS = ACME.PROD", 3001, "Insufficient privileges")
}

func TestBusinessCriticalIsSharedToALowerEditionOnlyWithoutRestrictions(t *testing.T) {
	w := newWorld(t, Options{})
	w.provider.Edition = BusinessCritical
	w.shared(t)
	db := w.loader(t)
	refuses(t, db, "ALTER SHARE S ADD ACCOUNTS = ACME.PROD", 3543, "Sharing is not allowed from an account on BUSINESS CRITICAL edition")
	w.provider.Revoke("LOADER_ROLE", "OVERRIDE SHARE RESTRICTIONS")
	refuses(t, db, "ALTER SHARE S ADD ACCOUNTS = ACME.PROD SHARE_RESTRICTIONS = FALSE", 3001, "Insufficient privileges")
	w.provider.Grant("LOADER_ROLE", "OVERRIDE SHARE RESTRICTIONS")
	run(t, db, "ALTER SHARE S ADD ACCOUNTS = ACME.PROD SHARE_RESTRICTIONS = FALSE")
}

func TestAReplacedViewLeavesTheShareUnlessItCopiesGrants(t *testing.T) {
	w := newWorld(t, Options{})
	w.shared(t)
	db := w.loader(t)
	run(t, db, "GRANT SELECT ON VIEW D.SHARED.V TO SHARE S")
	has := func(want bool) {
		t.Helper()
		grants, err := rowsOf(db, "SHOW GRANTS TO SHARE S")
		if err != nil || strings.Contains(strings.Join(grants, "\n"), "SELECT|VIEW|D.SHARED.V|SHARE|WAYBILL.PROVIDER.S") != want {
			t.Errorf("the grants are %v (%v); SELECT is wanted: %v", grants, err, want)
		}
	}
	has(true)
	run(t, db, "CREATE OR REPLACE SECURE VIEW D.SHARED.V COPY GRANTS AS SELECT B FROM D.DATA.ROWS_")
	has(true)
	refuses(t, db, "CREATE OR REPLACE SECURE VIEW D.SHARED.V AS SELECT NOPE FROM D.DATA.ROWS_", 904, "invalid identifier 'NOPE'")
	has(true)
	run(t, db, "CREATE OR REPLACE SECURE VIEW D.SHARED.V AS SELECT B FROM D.DATA.ROWS_")
	has(false)
}

func TestAListingReachesAnAccountInAnotherRegion(t *testing.T) {
	w := newWorld(t, Options{})
	w.shared(t)
	europe := w.addCustomer("ACME", "EUROPE", "AWS_EU_CENTRAL_1")
	db, consumer := w.loader(t), open(t, w.config(europe, "ANALYST"))
	listing := func(account, fulfillment, tail string) string {
		return "CREATE EXTERNAL LISTING L SHARE S AS $$\ntitle: \"T\"\ndescription: \"D\"\nlisting_terms: {type: \"OFFLINE\"}\n" +
			"targets: {accounts: [\"" + account + "\"]}\n" + fulfillment + "\n$$ " + tail
	}
	const refresh = "auto_fulfillment: {refresh_type: SUB_DATABASE, refresh_schedule: '10 MINUTE'}"
	refuses(t, db, listing("ACME.EUROPE", "", "PUBLISH = TRUE REVIEW = TRUE"), 93807, "auto_fulfillment is required")
	refuses(t, db, listing("ACME.NOBODY", refresh, "PUBLISH = TRUE REVIEW = TRUE"), 93807, "ACME.NOBODY is not known")
	refuses(t, db, listing("ACME.EUROPE", refresh+"\nunknown: 1", "PUBLISH = TRUE REVIEW = TRUE"), 93807, "unknown")
	refuses(t, db, listing("ACME.EUROPE", refresh, "PUBLISH = TRUE REVIEW = FALSE"), 93807, "REVIEW")
	run(t, db, "GRANT SELECT ON VIEW D.SHARED.V TO SHARE S", listing("ACME.EUROPE", refresh, "PUBLISH = TRUE REVIEW = TRUE"))
	refuses(t, db, "ALTER SHARE S ADD ACCOUNTS = ACME.PROD", 3541, "attached to a listing")
	offers, err := rowsOf(consumer, "SHOW AVAILABLE LISTINGS")
	if err != nil || len(offers) != 1 {
		t.Fatalf("the listings are %v (%v)", offers, err)
	}
	global, _, _ := strings.Cut(offers[0], "|")
	run(t, consumer, "CREATE DATABASE IN_ FROM LISTING '"+global+"'")
	wants(t, consumer, "SELECT COUNT(*) FROM IN_.SHARED.V", "2")
	wants(t, w.analyst(t), "SHOW AVAILABLE LISTINGS")
	refuses(t, db, "DROP LISTING L", 93809, "must be unpublished")
	run(t, db, "ALTER LISTING L UNPUBLISH", "DROP LISTING L")
}

func TestARoleDoesOnlyWhatItMay(t *testing.T) {
	w := newWorld(t, Options{})
	w.shared(t)
	w.provider.AddUser("READER", "READER_ROLE", &testservers.Key().PublicKey)
	db, cfg := w.loader(t), w.config(w.provider, "READER")
	cfg.Warehouse = "LOAD_WH"
	reader := open(t, cfg)
	refuses(t, reader, "SELECT * FROM D.DATA.ROWS_", 2003, "Database 'D' does not exist or not authorized")
	run(t, db, "GRANT USAGE ON DATABASE D TO ROLE READER_ROLE", "GRANT USAGE ON SCHEMA D.DATA TO ROLE READER_ROLE")
	refuses(t, reader, "SELECT * FROM D.DATA.ROWS_", 2003, "Object 'D.DATA.ROWS_' does not exist or not authorized")
	run(t, db, "GRANT SELECT ON TABLE D.DATA.ROWS_ TO ROLE READER_ROLE")
	wants(t, reader, "SELECT COUNT(*) FROM D.DATA.ROWS_", "2")
	refuses(t, reader, "INSERT INTO D.DATA.ROWS_ VALUES (1, '')", 3001, "Insufficient privileges to operate on table 'ROWS_'")
	refuses(t, reader, "CREATE TABLE D.DATA.T (A INT)", 3001, "Insufficient privileges to operate on schema 'DATA'")
	refuses(t, reader, "CREATE DATABASE E", 3001, "Insufficient privileges to operate on account 'PROVIDER'")
	refuses(t, reader, "CREATE SHARE E", 3001, "Insufficient privileges to operate on account")
	refuses(t, reader, "DROP TABLE D.DATA.ROWS_", 3001, "Insufficient privileges")
	refuses(t, reader, "USE ROLE LOADER_ROLE", 3013, "not assigned")
	refuses(t, reader, "SHOW GRANTS TO SHARE S", 2003, "Share 'S' does not exist")
}

func TestASuspendedWarehouseRefusesWhatReadsData(t *testing.T) {
	w := newWorld(t, Options{})
	w.shared(t)
	w.provider.SuspendWarehouse("LOAD_WH", true)
	conn, err := w.loader(t).Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, conn, "SELECT * FROM D.DATA.ROWS_", 606, "No active warehouse")
	refuses(t, conn, "INSERT INTO D.DATA.ROWS_ VALUES (1, '')", 606, "No active warehouse")
	run(t, conn, "SELECT 1", "CREATE TABLE D.DATA.T (A INT)", "SHOW SHARES")
	w.provider.SuspendWarehouse("LOAD_WH", false)
	wants(t, conn, "SELECT COUNT(*) FROM D.DATA.ROWS_", "2")
}
