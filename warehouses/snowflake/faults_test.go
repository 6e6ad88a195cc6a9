package snowflake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	fakes "github.com/waybillhq/waybill/internal/fakes/snowflake"
)

// codeOf is the code of a failure, and "" of none.
func codeOf(err error) string {
	if f, ok := errors.AsType[*waybill.Failure](err); ok {
		return f.Code
	}
	return ""
}

// seen is all that the customer sees of a workflow, its name left out.
func (w *world) seen(customer *sql.DB, workflow string) string {
	w.t.Helper()
	part := waybill.WorkflowTable(workflow)
	var all []string
	for _, q := range []string{
		`SELECT ID, N, KADOA_JOB_ID FROM KADOA.SHARED.` + part + `__V1 ORDER BY ID, N`,
		`SELECT COUNT(*) FROM KADOA.SHARED.` + part + `__LATEST`,
		`SELECT JOB_ID, SCHEMA_VERSION, ROW_COUNT, STATUS FROM KADOA.SHARED.WORKFLOW_RUNS WHERE WORKFLOW_ID = '` + workflow + `' ORDER BY JOB_ID`,
		`SELECT SCHEMA_VERSION, IS_LATEST FROM KADOA.SHARED.WORKFLOW_SCHEMA_VERSIONS WHERE WORKFLOW_ID = '` + workflow + `' ORDER BY SCHEMA_VERSION`,
		`SELECT COUNT(*) FROM KADOA.SHARED.WORKFLOW_SCHEMA_FIELDS WHERE WORKFLOW_ID = '` + workflow + `'`,
	} {
		all = append(all, strings.Join(w.rows(customer, q), "\n"))
	}
	return strings.Join(all, "\n--\n")
}

// attempt delivers a run, until a step fails.
func (w *world) attempt(ctx context.Context, r Run, s Staged) error {
	if err := w.load(ctx, r, s); err != nil {
		return err
	}
	if _, err := w.publish(ctx, r); err != nil {
		return err
	}
	_, err := w.dest.Sweep(ctx, r.Lane)
	return err
}

func TestADeliveryCutOffAtAnyStatementComesToTheSameWhenRepeated(t *testing.T) {
	w := newWorld(t)
	w.setup()
	customer := w.analyst()
	d := simple("wf_whole", "job1", 1, 5, "2025-01-16T06:00:03Z")
	r, s := w.run(d, w.next())
	w.Forget()
	if err := w.attempt(t.Context(), r, s); err != nil {
		t.Fatal(err)
	}
	sent := w.Statements()
	want := w.seen(customer, d.workflow)
	if !strings.HasPrefix(want, "job1-0|0|job1\njob1-1|1|job1\n") || !strings.Contains(want, "job1|1|5|PUBLISHED") {
		t.Fatalf("an undisturbed delivery shows\n%s", want)
	}
	for i, statement := range sent {
		for _, after := range []bool{false, true} {
			d.workflow = fmt.Sprintf("wf_cut_%d_%t", i, after)
			r, s := w.run(d, w.next())
			ctx, kill := context.WithCancel(t.Context())
			fault := w.Inject(fakes.Fault{Skip: i, After: after, Do: fakes.Lose})
			go func() {
				<-fault.Reached()
				kill()
			}()
			if err := w.attempt(ctx, r, s); err == nil {
				t.Fatalf("statement %d was cut off and nobody noticed: %s", i, statement.Text)
			}
			w.deliver(d)
			if got := w.seen(customer, d.workflow); got != want {
				t.Errorf("cut off at statement %d (after it ran: %t) the customer sees\n%s\nwant\n%s\n%s", i, after, got, want, statement.Text)
			}
		}
	}
	if open := w.OpenTransactions(); open != 0 {
		t.Errorf("clients that died left %d transactions open", open)
	}
}
