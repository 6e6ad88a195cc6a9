package handlers_test

import (
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	fakes "github.com/waybillhq/waybill/internal/fakes/snowflake"
	"github.com/waybillhq/waybill/internal/testsize"
)

// seen is all that the customer reads of a workflow.
func (r *snowRig) seen(t *testing.T, customer *sql.DB, workflow string) string {
	t.Helper()
	var b strings.Builder
	for _, table := range []string{waybill.VersionTable(workflow, 1), waybill.VersionTable(workflow, 2), waybill.LatestTable(workflow)} {
		fmt.Fprintf(&b, "%s: %s\n", strings.TrimPrefix(table, waybill.WorkflowTable(workflow)),
			query(t, customer, fmt.Sprintf(`SELECT TITLE, KADOA_JOB_ID FROM KADOA.SHARED.%s ORDER BY TITLE`, table)))
	}
	fmt.Fprintf(&b, "runs: %s\n", query(t, customer, fmt.Sprintf(
		`SELECT JOB_ID, SCHEMA_VERSION, ROW_COUNT, STATUS FROM KADOA.SHARED.WORKFLOW_RUNS WHERE WORKFLOW_ID = '%s' ORDER BY JOB_ID`, workflow)))
	fmt.Fprintf(&b, "latest: %s\n", strings.ReplaceAll(query(t, customer, fmt.Sprintf(
		`SELECT TABLE_NAME FROM KADOA.SHARED.WORKFLOW_SCHEMA_VERSIONS WHERE WORKFLOW_ID = '%s' AND IS_LATEST`, workflow)), waybill.WorkflowTable(workflow), ""))
	return b.String()
}

// The guarantee: whatever statement an attempt dies at, before it was executed
// or after, with its answer lost, the next attempts end in the same tables; and
// until then the customer sees the state before or the state after, never less.
func TestACrashAtAnyStatementEndsInTheSameTables(t *testing.T) {
	r := setupSnowflake(t)
	prepare := func(workflow string) waybill.Run {
		r.deliver(t, r.run(workflow, 1, schemaA, `{"Title":"a1"}`))
		r.deliver(t, r.run(workflow, 2, schemaA, `{"Title":"a2"}`))
		r.deliver(t, r.run(workflow, 3, schemaB, `{"Title":"b3"}`))
		// All at once: in place of a run, with another descriptor, and LATEST moves back.
		return replaced(r.run(workflow, 3, schemaA, `{"Title":"a3"}`, `{"Title":"a3-2"}`))
	}
	prepare("wf_reference")
	customer := r.customer(t)
	before := r.seen(t, customer, "wf_reference")
	r.plan(t, replaced(r.run("wf_reference", 3, schemaA, `{"Title":"a3"}`, `{"Title":"a3-2"}`)))
	r.complete(t)
	after := r.seen(t, customer, "wf_reference")
	if before == after {
		t.Fatalf("nothing changed:\n%s", after)
	}
	every := testsize.Of(3, 9)
	for _, executed := range []bool{false, true} {
		first := rand.IntN(every)
		t.Logf("faults at every %dth statement from the %dth, executed: %t", every, first, executed)
		for n := first; ; n += every {
			workflow := fmt.Sprintf("wf_%t_%d", executed, n)
			run := prepare(workflow)
			r.plan(t, run)
			fault := r.server.Inject(fakes.Fault{Skip: n, After: executed, Do: fakes.Fail, Number: 604, State: "57014", Message: "cancelled"})
			met := func() bool {
				select {
				case <-fault.Reached():
					return true
				default:
					return false
				}
			}
			err := r.task(t)
			if err == nil && !met() {
				err = r.task(t)
			}
			if !met() {
				if n < 12 {
					t.Errorf("only %d statements were met", n)
				}
				r.server.ClearFaults()
				break // the delivery sends no more
			}
			if err != nil {
				if got := r.seen(t, customer, workflow); got != before && !couldFollow(got, after) {
					t.Errorf("statement %d failed, executed: %t, and the customer sees\n%s", n, executed, got)
				}
				settled(t, err)
			}
			if d, err := r.Ledger.Delivery(t.Context(), r.queue.last.Delivery); err != nil || d.State != waybill.StateComplete { // the sweep may fail
				r.complete(t)
			}
			if got := r.seen(t, customer, workflow); got != after {
				t.Errorf("a fault at statement %d, executed: %t, ends in\n%s\nwant\n%s", n, executed, got, after)
			}
		}
	}
}

// couldFollow: the run is there, whole, and LATEST may be about to follow.
func couldFollow(got, after string) bool {
	rows := func(text string) string {
		v1, _, _ := strings.Cut(text, "__LATEST: ")
		_, runs, _ := strings.Cut(text, "runs: ")
		runs, _, _ = strings.Cut(runs, "latest: ")
		return v1 + runs
	}
	return rows(got) == rows(after)
}

func TestALateAttemptInSnowflakeChangesNothing(t *testing.T) {
	for name, statement := range map[string]string{
		"load":    `DELETE FROM "KADOA_ACME"."DATA"."WF_MOVIES__V1"`,
		"publish": `INSERT INTO "KADOA_ACME"."DATA"."RUNS"`,
	} {
		t.Run(name, func(t *testing.T) {
			r := setupSnowflake(t)
			r.deliver(t, r.run("wf_movies", 1, schemaA, `{"Title":"a1"}`))
			customer := r.customer(t)
			r.plan(t, r.run("wf_movies", 2, schemaA, `{"Title":"old"}`))
			if name == "publish" {
				if err := r.task(t); err != nil {
					t.Fatal(err)
				}
			}
			held := r.server.Inject(fakes.Fault{Match: statement, Hold: true})
			task := r.queue.last
			late := make(chan error, 1)
			go func() { late <- r.do(t, task) }()
			<-held.Reached()
			r.deliver(t, replaced(r.run("wf_movies", 2, schemaA, `{"Title":"new"}`, `{"Title":"new-2"}`)))
			held.Release()
			if err := <-late; err == nil {
				t.Error("the late attempt succeeded")
			}
			wantRows(t, customer, fmt.Sprintf(snowTitles, v1), "a1 new new-2")
			wantRows(t, customer, snowRuns, "job-01|1|1|PUBLISHED job-02|1|2|PUBLISHED")
		})
	}
}

func TestWhatIsStagedIsStagedAgainWhereItIsGone(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, string){
		"gone": func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
		"another's": func(t *testing.T, file string) {
			others, err := filepath.Glob(filepath.Join(filepath.Dir(file), "../../../*/g1/f*/data-00000.parquet"))
			if err != nil || len(others) != 2 {
				t.Fatal(others, err)
			}
			for _, other := range others {
				if other != file {
					text, err := os.ReadFile(other)
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, text, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := setupSnowflake(t)
			r.deliver(t, r.run("wf_movies", 1, schemaA, `{"Title":"a1","US_Gross":"?"}`))
			r.plan(t, r.run("wf_movies", 2, schemaA, `{"Title":"a2","US_Gross":2}`))
			r.server.Inject(fakes.Fault{Match: "COPY INTO", Do: fakes.Fail, Number: 604, State: "57014", Message: "cancelled"})
			wantFailure(t, r.failure(t), waybill.StageLoad, waybill.Transient, "snowflake.cancelled")
			files, err := filepath.Glob(filepath.Join(r.ingestion, "KADOA_ACME/WF_MOVIES", r.queue.last.Delivery, "g1/f*/data-00000.parquet"))
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			spoil(t, files[0])
			wantFailure(t, r.failure(t), waybill.StageLoad, waybill.Transient, map[string]string{"gone": "snowflake.staged_file", "another's": "snowflake.wrong_count"}[name])
			r.complete(t)
			wantRows(t, r.customer(t), fmt.Sprintf(snowTitles, v1), "a1 a2")
		})
	}
}

func TestSnowflakesRefusalsSayWhoseTurnItIs(t *testing.T) {
	type want struct {
		stage   waybill.Stage
		verdict waybill.Verdict
		code    string
		action  string
	}
	for name, c := range map[string]struct {
		prepare func(*snowRig)
		want    want
	}{
		"a role without a privilege": {func(r *snowRig) { r.provider.Revoke("WAYBILL", "CREATE SHARE") },
			want{waybill.StageShare, waybill.Blocked, "snowflake.privilege", `GRANT CREATE SHARE ON ACCOUNT TO ROLE "WAYBILL"`}},
		"an account that is not there": {func(r *snowRig) { r.connector.Snowflake.Account = "TYPO" },
			want{waybill.StageShare, waybill.Blocked, "snowflake.account_not_addable", "CURRENT_ORGANIZATION_NAME()"}},
		"settings that name no region": {func(r *snowRig) { r.connector.Snowflake.Region = "Virginia" },
			want{waybill.StageStage, waybill.Blocked, "connector.settings", "apply it again"}},
		"no account of ours": {func(r *snowRig) { r.Snowflake = nil },
			want{waybill.StageStage, waybill.Blocked, "snowflake.not_configured", "the section snowflake"}},
		"a table that too many wait for": {func(r *snowRig) {
			r.server.Inject(fakes.Fault{Match: "BEGIN TRANSACTION", Skip: 1, Do: fakes.Fail, Number: 625, State: "57014", Message: "lock waiters"})
		}, want{waybill.StageLoad, waybill.Throttled, "snowflake.lock_waiters", "by itself"}},
		"a warehouse that is suspended": {func(r *snowRig) {
			r.server.Inject(fakes.Fault{Match: "COPY INTO", Do: fakes.Fail, Number: 606, State: "57P03", Message: "no active warehouse"})
		}, want{waybill.StageLoad, waybill.Blocked, "snowflake.no_warehouse", `GRANT USAGE, OPERATE ON WAREHOUSE "DELIVERY"`}},
		"a session that ends": {func(r *snowRig) {
			r.server.Inject(fakes.Fault{Match: "DELETE FROM", Inner: true, Do: fakes.Fail, Number: 390114, State: "08001", Message: "token"})
		}, want{}},
		"an answer that is lost": {func(r *snowRig) { r.server.Inject(fakes.Fault{Match: "COMMIT", After: true, Do: fakes.Drop}) }, want{}},
	} {
		t.Run(name, func(t *testing.T) {
			r := setupSnowflake(t)
			account := *r.connector.Snowflake
			r.plan(t, r.run("wf_movies", 1, schemaA, `{"Title":"a1"}`))
			ours := r.Snowflake
			c.prepare(r)
			if c.want.code != "" {
				f := r.failure(t)
				wantFailure(t, f, c.want.stage, c.want.verdict, c.want.code)
				if !strings.Contains(f.Action, c.want.action) {
					t.Errorf("the action is %q, want %q in it", f.Action, c.want.action)
				}
				if (f.Verdict == waybill.Throttled) != (f.After > 0) {
					t.Errorf("after %s", f.After)
				}
			}
			// Mended, the delivery goes on.
			r.provider.Grant("WAYBILL", fakes.LoaderPrivileges()...)
			r.connector.Snowflake, r.Snowflake = &account, ours
			r.complete(t)
			wantRows(t, r.customer(t), fmt.Sprintf(snowTitles, v1), "a1")
		})
	}
}

func TestAShareThatSomebodyChangedIsPutRightOrSaysSo(t *testing.T) {
	r := setupSnowflake(t)
	r.deliver(t, r.run("wf_movies", 1, schemaA, `{"Title":"a1"}`))
	us := r.provider.Open("WAYBILL", "DELIVERY", snowKey())
	defer us.Close()
	query(t, us, `REVOKE SELECT ON VIEW KADOA_ACME.SHARED.WF_MOVIES__V1 FROM SHARE KADOA_ACME`)
	r.deliver(t, r.run("wf_movies", 2, schemaA, `{"Title":"a2"}`))
	customer := r.customer(t)
	wantRows(t, customer, fmt.Sprintf(snowTitles, v1), "a1 a2")

	other := r.server.AddAccount(fakes.Account{Org: "THEIRORG", Name: "THEIRS", Edition: fakes.Enterprise})
	query(t, us, `ALTER SHARE KADOA_ACME ADD ACCOUNTS = `+other.Identifier())
	r.plan(t, r.run("wf_movies", 3, schemaA, `{"Title":"a3"}`))
	if err := r.task(t); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, r.failure(t), waybill.StageVerify, waybill.Blocked, "snowflake.accounts_differ")
	wantRows(t, customer, fmt.Sprintf(snowTitles, v1), "a1 a2")
	query(t, us, `ALTER SHARE KADOA_ACME REMOVE ACCOUNTS = `+other.Identifier())
	r.complete(t)
	wantRows(t, customer, fmt.Sprintf(snowTitles, v1), "a1 a2 a3")
}

func TestNothingIsLoadedOfARunThatCannotBeRead(t *testing.T) {
	r := setupSnowflake(t)
	r.plan(t, r.run("wf_movies", 1, schemaA, `{"Title":`))
	wantFailure(t, r.failure(t), waybill.StageStage, waybill.Permanent, "records.malformed")
	r.source = func() io.Reader { return strings.NewReader(`{"Title":"a"}` + "\n" + `{"Title":"b"}`) }
	wantFailure(t, r.failure(t), waybill.StageStage, waybill.Permanent, "records.count")
	wantRows(t, r.customer(t), `SELECT COUNT(*) FROM KADOA.SHARED.WORKFLOW_SCHEMA_VERSIONS`, "0")
}
