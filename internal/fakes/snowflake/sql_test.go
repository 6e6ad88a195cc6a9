package snowflake

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestWhatIsNotModelledIsRefused(t *testing.T) {
	_, a, _ := pair(t, Options{})
	for _, c := range []struct {
		text     string
		number   int
		sentence string
	}{
		{"SELEC 1", 1003, "unexpected 'SELEC'"},
		{"", 900, "Empty SQL statement"},
		{"SELECT 1; SELECT 2", 1003, "unexpected"},
		{"SELECT FROBNICATE(1)", 2140, "Unknown function FROBNICATE"},
		{"SELECT UPPER('a', 'b')", 939, "wrong number of arguments"},
		{"SELECT NOPE FROM T", 904, "invalid identifier 'NOPE'"},
		{"SELECT X.A FROM T", 904, "invalid identifier"},
		{"SELECT * FROM NOWHERE", 2003, "Object 'NOWHERE' does not exist or not authorized"},
		{"SELECT * FROM D.NOWHERE.T", 2003, "Schema 'D.NOWHERE' does not exist"},
		{"SELECT * FROM NOWHERE.PUBLIC.T", 2003, "Database 'NOWHERE' does not exist"},
		{`SELECT * FROM "t"`, 2003, `Object '"t"' does not exist`},
		{`SELECT "a" FROM T`, 904, "invalid identifier 'a'"},
		{"SELECT A FROM T USING SAMPLE 5", 1003, ""},
		{"SELECT A FROM T PIVOT (A FOR B IN (1))", 1003, ""},
		{"SELECT A::STRUCT FROM T", 2040, "Unsupported data type 'STRUCT'"},
		{"FROM T", 1003, "unexpected 'FROM'"},
		{"SELECT * FROM read_parquet('x')", 2003, "does not exist"},
		{"SELECT * FROM 'file.parquet'", 1003, "unexpected"},
		{"COPY T TO 'x'", 1003, "unexpected 'T'"},
		{"ATTACH 'x'", 1003, "unexpected 'ATTACH'"},
		{"PRAGMA version", 1003, "unexpected 'PRAGMA'"},
		{"SET X = 1", 1003, "unexpected 'SET'"},
		{"ALTER TABLE T ADD COLUMN B INT", 1003, "unexpected 'TABLE'"},
		{"CREATE TABLE U (A INT) CLUSTER BY (A)", 1003, "unexpected 'CLUSTER'"},
		{"CREATE TABLE U (A INT, A INT)", 2025, "duplicate column name 'A'"},
		{"CREATE TABLE T (A INT)", 2002, "Object 'T' already exists"},
		{"CREATE OR REPLACE SHARE S", 1003, "unexpected 'SHARE'"},
		{"CREATE VIEW V AS SELECT COUNT(*) FROM T", 2026, "Missing column specification"},
		{"CREATE VIEW V AS SELECT CURRENT_ROLE() AS R", 1003, "does not model"},
		{"INSERT INTO T VALUES (1, 2)", 2020, "Insert value list does not match column list"},
		{"INSERT INTO T (NOPE) VALUES (1)", 904, "invalid identifier 'NOPE'"},
		{"INSERT INTO T VALUES (PARSE_JSON('1'))", 2014, "Invalid expression [PARSE_JSON] in VALUES clause"},
		{"ALTER SESSION SET NOPE = 1", 1420, "invalid property 'NOPE'"},
		{"SHOW PIPES", 1003, "unexpected 'PIPES'"},
		{"DROP VIEW T", 2003, "View 'T' does not exist"},
		{"SELECT 'abc", 1003, "unexpected '<EOF>'"},
	} {
		refuses(t, a, c.text, c.number, c.sentence)
	}
	wants(t, a, "SELECT A FROM T", "1")
}

func TestValuesComeBackAsTheDriverKnowsThem(t *testing.T) {
	_, a, _ := pair(t, Options{})
	wants(t, a, `SELECT 1, -0.5::NUMBER(38,9), 1.5::FLOAT, TRUE, 'a\'b\\c''d\n', '1969-12-31'::DATE, '1955-01-01 00:00:00.5'::TIMESTAMP_NTZ, NULL, $$x'y$$`,
		"1|-0.500000000|1.5|1|a'b\\c'd\n|1969-12-31T00:00:00|1955-01-01T00:00:00.5|<nil>|x'y")
	wants(t, a, `SELECT PARSE_JSON('{"b":12345678901234567890,"a":[1]}')`, "{\n  \"a\": [\n    1\n  ],\n  \"b\": 12345678901234567890\n}")
	wants(t, a, `SELECT TRY_PARSE_JSON('{'), SHA2('a'), IFF(1 > 2, 'x', 'y'), NVL(NULL, 3)`, "<nil>|ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb|y|3")
	for name, text := range map[string]string{"COUNT(*)": "SELECT count(*) FROM T", "X": "SELECT A x FROM T", "y": `SELECT A AS "y" FROM T`, "A + 1": "SELECT A + 1 FROM T", "A": "SELECT t.a FROM T t"} {
		if names := columnsOf(t, a, text); names[0] != name {
			t.Errorf("%s has the column %s, want %s", text, names[0], name)
		}
	}
}

func TestBindsAreValues(t *testing.T) {
	_, a, _ := pair(t, Options{})
	at := time.Date(2025, 1, 15, 10, 30, 0, 123456000, time.UTC)
	got, err := rowsOf(a, "SELECT ?, ?, ?, ?, ?, ?", "it's \\ $$", int64(-7), 0.25, true, at, nil)
	if want := "it's \\ $$|-7|0.25|1|2025-01-15T10:30:00.123456|<nil>"; err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("the binds come back as %v (%v), want %s", got, err, want)
	}
	_, err = rowsOf(a, "SELECT ?, ?", 1)
	refused(t, "too few binds", err, 2049, "Bind variable ? not set")
}

func TestCountsOfChangesReachTheDriver(t *testing.T) {
	_, a, _ := pair(t, Options{})
	run(t, a, "CREATE TABLE U (A INT, B VARCHAR)")
	for _, c := range []struct {
		text string
		rows int64
	}{
		{"INSERT INTO U VALUES (1, 'x'), (2, 'y')", 2},
		{"UPDATE U SET B = 'z' WHERE A = 1", 1},
		{"MERGE INTO U u USING (SELECT column1 AS A FROM VALUES (2), (3)) n ON u.A = n.A WHEN MATCHED THEN UPDATE SET B = 'm' WHEN NOT MATCHED THEN INSERT (A, B) VALUES (n.A, 'new')", 2},
		{"DELETE FROM U", 3},
	} {
		done, err := a.ExecContext(context.Background(), c.text)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := done.RowsAffected(); err != nil || n != c.rows {
			t.Errorf("%s changes %d rows (%v), want %d", c.text, n, err, c.rows)
		}
	}
	// ALTER, COPY and the like have no count for the driver.
	if done, err := a.ExecContext(context.Background(), "CREATE TABLE W (A INT)"); err != nil {
		t.Fatal(err)
	} else if n, err := done.RowsAffected(); err == nil {
		t.Errorf("CREATE TABLE changes %d rows", n)
	}
}

func TestIdentifiersFoldAndKeepTheirCaseInQuotes(t *testing.T) {
	_, a, _ := pair(t, Options{})
	run(t, a, `CREATE TABLE "Mixed ""case""" (a INT, "a" INT, "select" INT, "~" INT)`, `INSERT INTO "Mixed ""case""" (A, "a", "select", "~") VALUES (1, 2, 3, 4)`)
	wants(t, a, `SELECT a, "A", "a", "select", "~" FROM "Mixed ""case"""`, "1|1|2|3|4")
	refuses(t, a, `SELECT * FROM "MIXED ""CASE"""`, 2003, "does not exist")
	long := fmt.Sprintf("%0256d", 0)
	refuses(t, a, `CREATE TABLE "`+long+`" (A INT)`, 1003, "1 to 255 characters")
	run(t, a, `CREATE TABLE "`+long[1:]+`" (A INT)`)
}

func TestNullsSortAsTheServiceSortsThem(t *testing.T) {
	_, a, _ := pair(t, Options{})
	run(t, a, "INSERT INTO T VALUES (NULL)")
	wants(t, a, "SELECT A FROM T ORDER BY A", "1", "<nil>")
	wants(t, a, "SELECT A FROM T ORDER BY A DESC", "<nil>", "1")
	wants(t, a, "SELECT A FROM T QUALIFY ROW_NUMBER() OVER (PARTITION BY 1 ORDER BY A DESC NULLS LAST) = 1", "1")
}

func TestResultScanReadsTheLastResult(t *testing.T) {
	_, a, _ := pair(t, Options{})
	run(t, a, "SHOW TABLES")
	wants(t, a, `SELECT "name", "rows" FROM TABLE(RESULT_SCAN(LAST_QUERY_ID())) WHERE "kind" = 'TABLE'`, "T|1")
}

func columnsOf(t *testing.T, db queryer, text string) []string {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil || rows.Err() != nil {
		t.Fatal(err, rows.Err())
	}
	return names
}
