package snowflake

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"
)

func connection(t *testing.T, db *sql.DB) *sql.Conn {
	t.Helper()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// pair is two sessions on a table of one row.
func pair(t *testing.T, opts Options) (w *world, a, b *sql.Conn) {
	t.Helper()
	w = newWorld(t, opts)
	db := w.loader(t)
	a, b = connection(t, db), connection(t, db)
	run(t, a, "CREATE DATABASE D", "CREATE TABLE D.PUBLIC.T (A INT)", "INSERT INTO D.PUBLIC.T VALUES (1)")
	run(t, b, "USE DATABASE D")
	return w, a, b
}

func TestAStatementSeesWhatWasCommittedBeforeIt(t *testing.T) {
	_, a, b := pair(t, Options{})
	run(t, a, "BEGIN", "INSERT INTO T VALUES (2)")
	wants(t, a, "SELECT COUNT(*) FROM T", "2")
	wants(t, b, "SELECT COUNT(*) FROM T", "1")
	run(t, b, "INSERT INTO T VALUES (3)") // inserts of others do not wait
	wants(t, a, "SELECT A FROM T ORDER BY A", "1", "2", "3")
	run(t, b, "BEGIN")
	wants(t, b, "SELECT COUNT(*) FROM T", "2")
	run(t, a, "COMMIT")
	wants(t, b, "SELECT COUNT(*) FROM T", "3") // read committed: in an open transaction too
	run(t, b, "DELETE FROM T", "ROLLBACK")
	wants(t, b, "SELECT COUNT(*) FROM T", "3")
}

func TestAFailedStatementLeavesTheTransactionOpen(t *testing.T) {
	_, a, b := pair(t, Options{})
	run(t, a, "BEGIN", "INSERT INTO T VALUES (2)")
	refuses(t, a, "INSERT INTO T VALUES ('x')", 100038, "not recognized")
	refuses(t, a, "SELECT NOPE FROM T", 904, "invalid identifier 'NOPE'")
	run(t, a, "INSERT INTO T VALUES (3)", "COMMIT")
	wants(t, b, "SELECT A FROM T ORDER BY A", "1", "2", "3")
}

func TestDDLCommitsTheOpenTransaction(t *testing.T) {
	w, a, b := pair(t, Options{})
	for _, ddl := range []string{"CREATE TABLE U (A INT)", "DROP TABLE U", "CREATE OR REPLACE VIEW V AS SELECT A FROM T", "GRANT SELECT ON TABLE T TO ROLE PUBLIC", "CREATE SHARE S"} {
		run(t, a, "BEGIN", "INSERT INTO T VALUES (2)", ddl, "ROLLBACK")
		wants(t, b, "SELECT COUNT(*) FROM T WHERE A = 2", "1")
		run(t, a, "DELETE FROM T WHERE A = 2")
	}
	if open := w.OpenTransactions(); open != 0 {
		t.Errorf("%d transactions are open", open)
	}
}

func TestChangesOfATableWaitForEachOther(t *testing.T) {
	w, a, b := pair(t, Options{})
	run(t, a, "BEGIN", "UPDATE T SET A = 10")
	run(t, b, "ALTER SESSION SET LOCK_TIMEOUT = 0")
	refuses(t, b, "UPDATE T SET A = 20", 625, "has locked table 'T' in transaction")
	run(t, b, "ALTER SESSION SET LOCK_TIMEOUT = 60")
	waiting := w.Inject(Fault{Match: "SET A = A + 1"})
	done := make(chan error, 1)
	go func() {
		_, err := rowsOf(b, "UPDATE T SET A = A + 1")
		done <- err
	}()
	<-waiting.Reached()
	select {
	case err := <-done:
		t.Fatalf("the change did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	run(t, a, "COMMIT")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wants(t, b, "SELECT A FROM T", "11") // it read what was committed while it waited
}

func TestTheTwentyFirstWaiterForALockIsRefused(t *testing.T) {
	w, a, _ := pair(t, Options{})
	run(t, a, "BEGIN", "DELETE FROM T")
	db := w.loader(t)
	refusals := make(chan error, 21)
	for range 21 {
		go func() {
			_, err := db.ExecContext(context.Background(), "UPDATE D.PUBLIC.T SET A = 2")
			refusals <- err
		}()
	}
	refused(t, "the 21st waiter", <-refusals, 625, "exceeds the 20 statements limit")
	run(t, a, "ROLLBACK")
	for range 20 {
		if err := <-refusals; err != nil {
			t.Error(err)
		}
	}
}

func TestADeadClientsTransactionKeepsItsLocksUntilItIsAborted(t *testing.T) {
	w, a, b := pair(t, Options{})
	w.Inject(Fault{Match: "DELETE FROM T", After: true, Do: Cut})
	run(t, b, "ALTER SESSION SET LOCK_TIMEOUT = 0")
	run(t, a, "BEGIN")
	if _, err := rowsOf(a, "DELETE FROM T"); err == nil {
		t.Fatal("the cut client got an answer")
	}
	refuses(t, b, "UPDATE T SET A = 2", 625, "has locked table 'T'")
	if n := w.AbortTransactions("LOADER"); n != 1 {
		t.Fatalf("%d transactions were aborted", n)
	}
	run(t, b, "UPDATE T SET A = 2")
	wants(t, b, "SELECT A FROM T", "2")
}

func TestAnIdleTransactionIsAbortedForWhoWaits(t *testing.T) {
	_, a, b := pair(t, Options{AbortIdleAfter: time.Millisecond})
	run(t, a, "BEGIN", "UPDATE T SET A = 5")
	run(t, b, "UPDATE T SET A = A + 1")
	wants(t, b, "SELECT A FROM T", "2")
}

func TestEndingASessionRollsItsTransactionBack(t *testing.T) {
	w, a, b := pair(t, Options{})
	run(t, a, "BEGIN", "DELETE FROM T")
	w.Inject(Fault{Match: "SELECT 1", Do: End})
	refuses(t, a, "SELECT 1", 390111, "Session no longer exists")
	run(t, b, "UPDATE T SET A = 2")
	wants(t, b, "SELECT A FROM T", "2")
	ctx, cancel := context.WithCancel(context.Background())
	db := open(t, w.config(w.provider, "LOADER"))
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM D.PUBLIC.T"); err != nil {
		t.Fatal(err)
	}
	cancel()
	run(t, b, "UPDATE T SET A = 3") // the driver closed the session, or rolled back
	wants(t, b, "SELECT A FROM T", "3")
}

func TestACanceledStatementStopsWaiting(t *testing.T) {
	w, a, b := pair(t, Options{})
	run(t, a, "BEGIN", "DELETE FROM T")
	ctx, cancel := context.WithCancel(context.Background())
	reached := w.Inject(Fault{Match: "SET A = 9"})
	go func() {
		<-reached.Reached()
		cancel()
	}()
	if _, err := b.ExecContext(ctx, "UPDATE T SET A = 9"); err == nil {
		t.Fatal("the statement was not canceled")
	}
	// The driver does not wait for the server to hear of it.
	canceled := func(st Statement) bool { return strings.Contains(st.Text, "SET A = 9") && st.Number != 0 }
	for deadline := time.Now().Add(time.Minute); !slices.ContainsFunc(w.Statements(), canceled); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server goes on with the canceled statement")
		}
	}
	run(t, a, "ROLLBACK")
	wants(t, a, "SELECT A FROM T", "1")
}
