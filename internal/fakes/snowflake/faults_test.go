package snowflake

import (
	"context"
	"testing"
	"time"

	sf "github.com/snowflakedb/gosnowflake"
)

func TestALostAnswerIsRepeatedAndTheStatementRunsOnce(t *testing.T) {
	w, a, _ := pair(t, Options{})
	w.Inject(Fault{Match: "INSERT", After: true, Do: Drop})
	run(t, a, "INSERT INTO T VALUES (2)") // the driver asks again with the same request id
	wants(t, a, "SELECT COUNT(*) FROM T", "2")
}

func TestAClientThatNeverLearnsTheOutcomeOfItsCommit(t *testing.T) {
	w, _, b := pair(t, Options{})
	cfg := w.config(w.provider, "LOADER")
	cfg.MaxRetryCount, cfg.RequestTimeout = 1, 3*time.Second //nolint:staticcheck // as the adapter sets it
	for _, c := range []struct {
		after bool
		rows  string
	}{{true, "2"}, {false, "2"}} {
		a := connection(t, open(t, cfg))
		run(t, a, "BEGIN", "INSERT INTO D.PUBLIC.T VALUES (2)")
		w.Inject(Fault{Match: "COMMIT", After: c.after, Do: Lose})
		if _, err := rowsOf(a, "COMMIT"); err == nil {
			t.Fatal("the answer was not lost")
		}
		wants(t, b, "SELECT COUNT(*) FROM T", c.rows)
	}
}

func TestAFaultInTheMiddleOfABlockRollsBack(t *testing.T) {
	w, a, b := pair(t, Options{})
	const block = "BEGIN START TRANSACTION; DELETE FROM T; INSERT INTO T VALUES (5); COMMIT; END"
	w.Inject(Fault{Match: "INSERT", Inner: true, Do: Fail, Number: 603, State: "XX000", Message: "internal error"})
	refuses(t, a, block, 603, "internal error")
	wants(t, b, "SELECT A FROM T", "1")
	held := w.Inject(Fault{Match: "INSERT", Inner: true, Hold: true, Do: End})
	done := make(chan error, 1)
	go func() {
		_, err := rowsOf(a, block)
		done <- err
	}()
	<-held.Reached()
	wants(t, b, "SELECT A FROM T", "1")
	held.Release()
	refused(t, "a block whose session ended", <-done, 390111, "Session no longer exists")
	wants(t, b, "SELECT A FROM T", "1")
}

func TestFaultsWaitForTheirStatement(t *testing.T) {
	w, a, _ := pair(t, Options{})
	w.Inject(Fault{Match: "SELECT", Skip: 1, Times: 2, Do: Fail, Number: 625, State: "57014", Message: "locked"})
	wants(t, a, "SELECT 1", "1")
	refuses(t, a, "SELECT 2", 625, "locked")
	refuses(t, a, "SELECT 3", 625, "locked")
	wants(t, a, "SELECT 4", "4")
	w.Inject(Fault{Match: "SELECT 5", Do: Expire})
	session, _ := rowsOf(a, "SELECT CURRENT_SESSION()")
	wants(t, a, "SELECT 5", "5") // the driver renewed its token
	wants(t, a, "SELECT CURRENT_SESSION()", session...)
	w.Inject(Fault{Match: "SELECT 6", Do: Fail, Number: 603})
	w.ClearFaults()
	wants(t, a, "SELECT 6", "6")
}

func TestALongStatementIsAskedForUntilItEnds(t *testing.T) {
	w, a, _ := pair(t, Options{Patience: time.Millisecond})
	held := w.Inject(Fault{Match: "SELECT 7", Hold: true})
	go func() {
		<-held.Reached()
		time.AfterFunc(20*time.Millisecond, held.Release)
	}()
	wants(t, a, "SELECT 7", "7")
}

func TestAnAsynchronousStatementIsFetchedByItsID(t *testing.T) {
	w, a, _ := pair(t, Options{})
	ids := make(chan string, 1)
	ctx := sf.WithQueryIDChan(sf.WithAsyncMode(context.Background()), ids)
	rows, err := a.QueryContext(ctx, "SELECT A FROM T")
	if err != nil {
		t.Fatal(err)
	}
	id := <-ids
	defer rows.Close()
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	again, err := a.QueryContext(sf.WithFetchResultByID(context.Background(), id), "")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !again.Next() {
		t.Errorf("the result cannot be fetched again: %v", again.Err())
	}
	if all := w.Statements(); all[len(all)-1].QueryID != id {
		t.Errorf("the last statement is %s, want %s", all[len(all)-1].QueryID, id)
	}
}

func TestQueryTagsAndErrorsAreListed(t *testing.T) {
	w, a, _ := pair(t, Options{})
	w.Forget()
	if _, err := a.ExecContext(sf.WithQueryTag(context.Background(), "job:1"), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	refuses(t, a, "SELECT NOPE FROM T", 904, "NOPE")
	all := w.Statements()
	if len(all) != 2 || all[0].Tag != "job:1" || all[0].Account != "WAYBILL.PROVIDER" || all[0].Role != "LOADER_ROLE" || all[1].Number != 904 {
		t.Errorf("the statements are %+v", all)
	}
}
