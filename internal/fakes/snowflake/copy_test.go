package snowflake

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const copyRows = "COPY INTO T FROM @INGEST/run/ FILES = ('data.parquet') FILE_FORMAT = (TYPE = PARQUET USE_VECTORIZED_SCANNER = TRUE) MATCH_BY_COLUMN_NAME = CASE_SENSITIVE ON_ERROR = ABORT_STATEMENT"

func (w *world) staged(t *testing.T, columns, rows string) {
	t.Helper()
	w.parquet(t, "run/data.parquet", rows)
	run(t, w.loader(t), "CREATE DATABASE D", "CREATE STAGE D.PUBLIC.INGEST URL = 's3://ingest/' STORAGE_INTEGRATION = INGEST", "CREATE TABLE D.PUBLIC.T ("+columns+")")
}

func (w *world) inDatabase(t *testing.T) interface{ queryer } {
	t.Helper()
	conn, err := w.loader(t).Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	run(t, conn, "USE DATABASE D")
	return conn
}

func TestCopyReportsWhatItLoaded(t *testing.T) {
	w := newWorld(t, Options{})
	w.staged(t, "A INT, B VARCHAR, SRC VARCHAR, MISSING DATE", `SELECT 1 AS "A", 'x' AS "B", 2 AS "EXTRA" FROM range(3)`)
	db := w.inDatabase(t)
	wants(t, db, copyRows+" INCLUDE_METADATA = (SRC = METADATA$FILENAME)", "s3://ingest/run/data.parquet|LOADED|3|3|1|0|<nil>|<nil>|<nil>|<nil>")
	wants(t, db, "SELECT DISTINCT A, B, SRC, MISSING FROM T", "1|x|run/data.parquet|<nil>")
}

func TestAFileIsLoadedOnceUntilTheTableIsTruncated(t *testing.T) {
	w := newWorld(t, Options{})
	w.staged(t, "A INT", `SELECT 1 AS "A"`)
	db := w.inDatabase(t)
	const nothing = "Copy executed with 0 files processed."
	run(t, db, copyRows, "DELETE FROM T")
	wants(t, db, copyRows, nothing) // DELETE keeps the load history
	wants(t, db, "SELECT COUNT(*) FROM T", "0")
	run(t, db, copyRows+" FORCE = TRUE")
	wants(t, db, "SELECT COUNT(*) FROM T", "1")
	run(t, db, "TRUNCATE TABLE T", copyRows)
	wants(t, db, "SELECT COUNT(*) FROM T", "1")
	run(t, db, "BEGIN", "DELETE FROM T", copyRows+" FORCE = TRUE", "ROLLBACK")
	wants(t, db, "SELECT COUNT(*) FROM T", "1")
	run(t, db, "TRUNCATE T", "BEGIN", copyRows, "ROLLBACK")
	if rows, err := rowsOf(db, copyRows); err != nil || rows[0] == nothing {
		t.Errorf("after a rollback COPY gives %v (%v); the file was not loaded yet", rows, err)
	}
	run(t, db, "CREATE OR REPLACE TABLE T (A INT)", copyRows)
	wants(t, db, "SELECT COUNT(*) FROM T", "1")
}

func TestCopyMakesNullOfWhatIsNotOfTheColumnsType(t *testing.T) {
	w := newWorld(t, Options{})
	w.staged(t, "A INT, D DATE, N NUMBER(38,9), V VARCHAR, B VARCHAR", `SELECT 'abc' AS "A", 'never' AS "D", 1.5 :: DECIMAL(38,9) AS "N", 7 AS "V", 'x' :: BLOB AS "B"`)
	db := w.inDatabase(t)
	wants(t, db, copyRows, "s3://ingest/run/data.parquet|LOADED|1|1|1|0|<nil>|<nil>|<nil>|<nil>")
	wants(t, db, "SELECT A, D, N, V, B FROM T", "<nil>|<nil>|1.500000000|7|<nil>")
}

func TestCopyMatchesColumnsInTheirCase(t *testing.T) {
	w := newWorld(t, Options{})
	w.staged(t, `A INT, "b" INT`, `SELECT 1 AS "a", 2 AS "b"`)
	db := w.inDatabase(t)
	run(t, db, copyRows)
	wants(t, db, `SELECT A, "b" FROM T`, "<nil>|2")
	run(t, db, "TRUNCATE TABLE T", strings.Replace(copyRows, "CASE_SENSITIVE", "CASE_INSENSITIVE", 1))
	wants(t, db, `SELECT A, "b" FROM T`, "1|2")
}

func TestCopyRefusesWhatIsMissingOrNotModelled(t *testing.T) {
	w := newWorld(t, Options{})
	w.staged(t, "A INT NOT NULL", `SELECT NULL :: INT AS "A"`)
	db := w.inDatabase(t)
	refuses(t, db, strings.Replace(copyRows, "data.parquet", "gone.parquet", 1), 91016, "Remote file 's3://ingest/run/gone.parquet' was not found")
	refuses(t, db, copyRows, 100072, "NULL result in a non-nullable column")
	refuses(t, db, strings.Replace(copyRows, "USE_VECTORIZED_SCANNER = TRUE", "", 1), 1003, "does not model COPY INTO without USE_VECTORIZED_SCANNER")
	refuses(t, db, strings.Replace(copyRows, "ABORT_STATEMENT", "CONTINUE", 1), 1003, "unexpected 'CONTINUE'")
	refuses(t, db, strings.Replace(copyRows, "@INGEST", "@NOWHERE", 1), 2003, "Stage 'NOWHERE' does not exist")
	refuses(t, db, copyRows+" VALIDATION_MODE = RETURN_ERRORS", 1003, "VALIDATION_MODE")
	refuses(t, db, "CREATE STAGE FAR URL = 's3://elsewhere/' STORAGE_INTEGRATION = INGEST", 3537, "is not allowed by integration")
	if err := os.WriteFile(filepath.Join(w.files, "run", "data.parquet"), []byte("no Parquet"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, db, copyRows, 100181, "Error reading the Parquet file")
}

func TestTheDriverUploadsToAnInternalStage(t *testing.T) {
	w := newWorld(t, Options{})
	w.parquet(t, "data.parquet", `SELECT 1 AS "A"`)
	run(t, w.loader(t), "CREATE DATABASE D", "CREATE STAGE D.PUBLIC.INGEST", "CREATE TABLE D.PUBLIC.T (A INT)")
	db := w.inDatabase(t)
	run(t, db, "PUT 'file://"+filepath.Join(w.files, "data.parquet")+"' @INGEST/run/ AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE OVERWRITE = TRUE")
	wants(t, db, copyRows, "ingest/run/data.parquet|LOADED|1|1|1|0|<nil>|<nil>|<nil>|<nil>")
	wants(t, db, "REMOVE @INGEST/run/", "ingest/run/data.parquet|removed")
	wants(t, db, "LIST @INGEST")
	refuses(t, db, copyRows+" FORCE = TRUE", 91016, "was not found")
}
