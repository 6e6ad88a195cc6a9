package handlers_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	fakes "github.com/waybillhq/waybill/internal/fakes/snowflake"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/warehouses/snowflake"
)

var snowKey = sync.OnceValue(func() *rsa.PrivateKey {
	made, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return made
})

func snowSecret(context.Context) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(snowKey())
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), err
}

// snowRig is a connector to a customer's account on the Snowflake test server,
// on a real Redis.
type snowRig struct {
	*rig
	server    *fakes.Server
	provider  *fakes.Account
	acme      *fakes.Account
	ingestion string // the folder that stands for our ingestion bucket
}

func setupSnowflake(t *testing.T) *snowRig {
	t.Helper()
	r := &snowRig{rig: setup(t, ""), ingestion: t.TempDir()}
	r.Ledger = ledger.New(testservers.Redis(t).Client(t), folder(t), r.queue, ledger.Options{})
	r.server = fakes.Start(t, fakes.Options{Locations: map[string]fakes.Objects{"s3://ingest/": fakes.Folder(r.ingestion)}})
	r.provider = r.server.AddAccount(fakes.Account{Org: "OURORG", Name: "PROVIDER", Edition: fakes.Enterprise})
	r.provider.AddUser("WAYBILL", "WAYBILL", &snowKey().PublicKey)
	r.provider.Grant("WAYBILL", fakes.LoaderPrivileges()...)
	r.provider.AddWarehouse("DELIVERY")
	r.provider.AddIntegration("WAYBILL_S3", "s3://ingest/")
	for _, a := range []fakes.Account{{Org: "ACMEORG", Name: "PROD_ANALYTICS", Region: "AWS_US_EAST_1"}, {Org: "EUORG", Name: "EU", Region: "AWS_EU_CENTRAL_1"}} {
		a.Edition = fakes.Enterprise
		customer := r.server.AddAccount(a)
		customer.AddUser("ANALYST", "ACCOUNTADMIN", &snowKey().PublicKey)
		customer.AddWarehouse("WH")
		if a.Org == "ACMEORG" {
			r.acme = customer
		}
	}
	r.open(t, snowflake.Stage{Integration: "WAYBILL_S3", URL: "s3://ingest/"})
	r.connector = connectors.Connector{ID: "acme", Team: team, Kind: waybill.KindSnowflake,
		Snowflake: &connectors.Snowflake{Organization: "ACMEORG", Account: "PROD_ANALYTICS", Region: "US East 1", Cloud: "AWS"}}
	r.Ingest = func(_ context.Context, d *snowflake.Destination) (storage.Store, error) {
		return folderAt(t, filepath.Join(r.ingestion, d.Database)), nil
	}
	return r
}

// open opens our account anew, with files staged there.
func (r *snowRig) open(t *testing.T, stage snowflake.Stage) {
	t.Helper()
	account, err := snowflake.Open(snowflake.Config{Account: "OURORG-PROVIDER", User: "WAYBILL", Role: "WAYBILL", Warehouse: "DELIVERY",
		PrivateKey: snowSecret, Stage: stage, Endpoint: fmt.Sprintf("%s:%d", r.server.Host, r.server.Port)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = account.Close() })
	r.Snowflake = account
}

// run is a job of a workflow that finished on a day of January, with records.
func (r *snowRig) run(workflow string, day int, schema waybill.Schema, records ...string) waybill.Run {
	run := movies(int64(len(records)))
	run.WorkflowID, run.JobID = workflow, fmt.Sprintf("job-%02d", day)
	run.FinishedAt = time.Date(2025, 1, day, 10, 30, 0, 0, time.UTC)
	run.Schema = schema
	r.source = func() io.Reader { return strings.NewReader(strings.Join(records, "\n")) }
	return run
}

func replaced(run waybill.Run) waybill.Run {
	run.Replace = true
	return run
}

// plan hands in a run, whose first task is then the queue's last.
func (r *snowRig) plan(t *testing.T, run waybill.Run) {
	t.Helper()
	a, err := r.Ledger.Accept(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Ledger.Plan(t.Context(), a, []ledger.Planned{{Task: tasks.SnowflakeLoad.Name, Queue: tasks.QueueSnowflake, Connector: ledger.Connector{
		ID: r.connector.ID, Team: a.Run.TeamID, Kind: r.connector.Kind, Live: tasks.QueueSnowflake, MaxInFlight: 4, Ordered: tasks.SnowflakeLoad.Ordered}}})
	if err != nil {
		t.Fatal(err)
	}
	r.Ledger.Wait()
}

// task does the task that was enqueued last.
func (r *snowRig) task(t *testing.T) error {
	t.Helper()
	return r.do(t, r.queue.last)
}

func (r *snowRig) do(t *testing.T, ready ledger.Ready) error {
	t.Helper()
	do := map[string]func(context.Context, tasks.DeliveryRef) error{
		tasks.SnowflakeLoad.Name: r.SnowflakeLoad, tasks.SnowflakePublish.Name: r.SnowflakePublish}[ready.Task]
	return do(t.Context(), tasks.DeliveryRef{Delivery: ready.Delivery, Generation: ready.Generation, Enqueue: ready.Enqueue})
}

// failure does the task and returns its failure, settled so that it can run again.
func (r *snowRig) failure(t *testing.T) *waybill.Failure {
	t.Helper()
	err := r.task(t)
	if err == nil {
		t.Fatalf("%s succeeded", r.queue.last.Task)
	}
	return settled(t, err)
}

func settled(t *testing.T, err error) *waybill.Failure {
	t.Helper()
	attempt, ok := errors.AsType[*ledger.Attempt](err)
	if !ok {
		t.Fatalf("got %v, want a failed attempt", err)
	}
	if _, err := attempt.Settle(t.Context(), ledger.Decision{State: waybill.StateQueued}); err != nil {
		t.Fatal(err)
	}
	return waybill.At("", attempt)
}

// complete does what is left of the delivery, and returns its receipt.
func (r *snowRig) complete(t *testing.T) waybill.Receipt {
	t.Helper()
	for r.queue.last.Task == tasks.SnowflakeLoad.Name {
		if err := r.task(t); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.task(t); err != nil {
		t.Fatal(err)
	}
	d, err := r.Ledger.Delivery(t.Context(), r.queue.last.Delivery)
	if err != nil || d.State != waybill.StateComplete {
		t.Fatalf("%+v, %v", d, err)
	}
	receipt, err := r.Ledger.Receipt(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// deliver delivers a run whole.
func (r *snowRig) deliver(t *testing.T, run waybill.Run) {
	t.Helper()
	r.plan(t, run)
	r.complete(t)
}

// customer is a session of the customer, who imported the share as KADOA.
func (r *snowRig) customer(t *testing.T) *sql.DB {
	t.Helper()
	db := r.acme.Open("ANALYST", "WH", snowKey())
	t.Cleanup(func() { _ = db.Close() })
	query(t, db, `CREATE DATABASE KADOA FROM SHARE OURORG.PROVIDER.KADOA_ACME`)
	return db
}

// query runs a statement and gives its rows as text.
func query(t *testing.T, db *sql.DB, text string) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), text)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		cells, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var values []string
		for _, c := range cells {
			values = append(values, c.String)
		}
		lines = append(lines, strings.Join(values, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, " ")
}

func wantRows(t *testing.T, db *sql.DB, text, want string) {
	t.Helper()
	if got := query(t, db, text); got != want {
		t.Errorf("%s\ngives %s\nwant  %s", text, got, want)
	}
}

const (
	snowTitles = `SELECT TITLE FROM KADOA.SHARED.%s ORDER BY TITLE`
	snowRuns   = `SELECT JOB_ID, SCHEMA_VERSION, ROW_COUNT, STATUS FROM KADOA.SHARED.WORKFLOW_RUNS ORDER BY JOB_ID`
	snowLatest = `SELECT TABLE_NAME FROM KADOA.SHARED.WORKFLOW_SCHEMA_VERSIONS WHERE IS_LATEST`
)

func TestASnowflakeCustomerSeesARunWhenItIsPublishedAndNotBefore(t *testing.T) {
	r := setupSnowflake(t)
	run := r.run("wf_movies", 1, schemaA, `{"Title":"a","US_Gross":1,"_sourceIndex":0}`, `{"Title":"b","US_Gross":"n/a","Extra":1}`, `{"Title":"c"}`)
	r.plan(t, run)
	if err := r.task(t); err != nil {
		t.Fatal(err)
	}
	customer := r.customer(t)
	wantRows(t, customer, `SELECT COUNT(*) FROM KADOA.SHARED.WORKFLOW_RUNS`, "0")
	receipt := r.complete(t)
	wantRows(t, customer, `SELECT TITLE, US_GROSS, KADOA_JOB_ID FROM KADOA.SHARED.WF_MOVIES__V1 ORDER BY TITLE`, "a|1|job-01 b||job-01 c||job-01")
	wantRows(t, customer, fmt.Sprintf(snowTitles, latest), "a b c")
	wantRows(t, customer, `SELECT WORKFLOW_ID, JOB_ID, SCHEMA_VERSION, ROW_COUNT, QUARANTINED_COUNT, CAST_FAILURE_COUNT, STATUS, REVISION FROM KADOA.SHARED.WORKFLOW_RUNS`,
		"wf_movies|job-01|1|3|0|1|PUBLISHED|"+run.Revision())
	wantRows(t, customer, `SELECT SOURCE_NAME, COLUMN_NAME, TARGET_TYPE, CAST_POLICY FROM KADOA.SHARED.WORKFLOW_SCHEMA_FIELDS ORDER BY POSITION`,
		"Title|TITLE|VARCHAR|exact US_Gross|US_GROSS|FLOAT|try_cast")
	if receipt.Location != "snowflake://OURORG.PROVIDER/KADOA_ACME/SHARED/WF_MOVIES__V1" || receipt.Rows != 3 || receipt.Bytes == 0 ||
		len(receipt.Files) != 1 || receipt.Conversion.CastFailures() != 1 {
		t.Errorf("receipt %+v", receipt)
	}
	if files, err := filepath.Glob(filepath.Join(r.ingestion, "KADOA_ACME/WF_MOVIES/*/g1/f*/data-00000.parquet")); err != nil || len(files) != 1 {
		t.Errorf("the ingestion bucket has %v, %v", files, err)
	}
}

func TestLatestFollowsTheNewestRunInSnowflakeToo(t *testing.T) {
	r := setupSnowflake(t)
	r.deliver(t, r.run("wf_movies", 2, schemaA, `{"Title":"a2"}`))
	customer := r.customer(t)
	for _, step := range []struct {
		when              string
		run               waybill.Run
		shows, inV1, inV2 string
	}{
		{"then B", r.run("wf_movies", 5, schemaB, `{"Title":"b5"}`), v2, "a2", "b5"},
		{"an older run of A", r.run("wf_movies", 1, schemaA, `{"Title":"a1"}`), v2, "a1 a2", "b5"},
		{"an older run of B", r.run("wf_movies", 4, schemaB, `{"Title":"b4"}`), v2, "a1 a2", "b4 b5"},
		{"back to A", r.run("wf_movies", 7, schemaA, `{"Title":"a7"}`), v1, "a1 a2 a7", "b4 b5"},
	} {
		title, _, _ := strings.Cut(strings.TrimPrefix(step.run.JobID, "job-0"), " ")
		letter := map[bool]string{true: "a", false: "b"}[step.run.Schema.Fingerprint() == schemaA.Fingerprint()]
		r.source = func() io.Reader { return strings.NewReader(fmt.Sprintf(`{"Title":%q}`, letter+title)) }
		r.deliver(t, step.run)
		wantRows(t, customer, snowLatest, step.shows)
		wantRows(t, customer, fmt.Sprintf(snowTitles, v1), step.inV1)
		wantRows(t, customer, fmt.Sprintf(snowTitles, v2), step.inV2)
		wantRows(t, customer, fmt.Sprintf(snowTitles, latest), map[string]string{v1: step.inV1, v2: step.inV2}[step.shows])
	}
}

func TestAReplacementIsSeenWholeOrNotAtAll(t *testing.T) {
	r := setupSnowflake(t)
	r.deliver(t, r.run("wf_movies", 1, schemaA, `{"Title":"a1"}`))
	r.deliver(t, r.run("wf_movies", 2, schemaA, `{"Title":"a2"}`, `{"Title":"a2-2"}`))
	customer := r.customer(t)
	r.plan(t, replaced(r.run("wf_movies", 2, schemaB, `{"Title":"b2"}`)))
	if err := r.task(t); err != nil {
		t.Fatal(err)
	}
	wantRows(t, customer, fmt.Sprintf(snowTitles, v1), "a1 a2 a2-2")
	wantRows(t, customer, snowRuns, "job-01|1|1|PUBLISHED job-02|1|2|PUBLISHED")
	r.complete(t)
	wantRows(t, customer, fmt.Sprintf(snowTitles, v1), "a1")
	wantRows(t, customer, fmt.Sprintf(snowTitles, v2), "b2")
	wantRows(t, customer, fmt.Sprintf(snowTitles, latest), "b2")
	wantRows(t, customer, snowRuns, "job-01|1|1|PUBLISHED job-02|2|1|PUBLISHED")
}

func TestEmptyRunsAndAwkwardNamesArriveInSnowflake(t *testing.T) {
	r := setupSnowflake(t)
	schema := waybill.Schema{Fields: []waybill.Field{{Name: "select", DataType: waybill.String}, {Name: "Select", DataType: waybill.String},
		{Name: strings.Repeat("long", 63), DataType: waybill.String}, {Name: "KADOA_JOB_ID", DataType: waybill.String}}}
	r.deliver(t, r.run("Order-1.table", 1, schema, fmt.Sprintf(`{"select":"$$'\\\"","Select":"--;",%q:"ok","KADOA_JOB_ID":"theirs"}`, strings.Repeat("long", 63))))
	customer := r.customer(t)
	table := waybill.VersionTable("Order-1.table", 1)
	columns := schema.Columns("kadoa")
	wantRows(t, customer, fmt.Sprintf(`SELECT %s, %s, %s, %s, KADOA_JOB_ID FROM KADOA.SHARED.%s`, columns[0].Name, columns[1].Name, columns[2].Name, columns[3].Name, table),
		`$$'\"|--;|ok|theirs|job-01`)
	r.deliver(t, r.run("wf_empty", 1, schemaA))
	wantRows(t, customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_EMPTY__LATEST`, "0")
	wantRows(t, customer, `SELECT ROW_COUNT FROM KADOA.SHARED.WORKFLOW_RUNS WHERE WORKFLOW_ID = 'wf_empty'`, "0")
}

func TestFilesAreStagedInSnowflakeItselfWhereThereIsNoBucket(t *testing.T) {
	r := setupSnowflake(t)
	r.open(t, snowflake.Stage{})
	r.deliver(t, r.run("wf_movies", 1, schemaA, `{"Title":"a1"}`, `{"Title":"a2"}`))
	wantRows(t, r.customer(t), fmt.Sprintf(snowTitles, v1), "a1 a2")
	if entries, err := os.ReadDir(r.ingestion); err != nil || len(entries) > 0 {
		t.Errorf("the bucket has %v, %v", entries, err)
	}
}

// An unchanged schema costs few statements, and none of them is DDL but for
// the attempt's own staging table: on both routes, with the sweep.
func TestADeliveryOfAnUnchangedSchemaSendsFewStatements(t *testing.T) {
	for route, account := range map[string]connectors.Snowflake{
		"direct":  {Organization: "ACMEORG", Account: "PROD_ANALYTICS", Region: "us-east-1"},
		"listing": {Organization: "EUORG", Account: "EU", Region: "eu-central-1"},
	} {
		r := setupSnowflake(t)
		r.connector.Snowflake = &account
		r.deliver(t, r.run("wf_movies", 1, schemaA, `{"Title":"a1"}`))
		r.server.Forget()
		r.deliver(t, r.run("wf_movies", 2, schemaA, `{"Title":"a2"}`))
		sent := r.server.Statements()
		if len(sent) > 14 {
			t.Errorf("%s: %d statements, want at most 14", route, len(sent))
		}
		for _, st := range sent {
			if st.Tag != r.queue.last.Delivery {
				t.Errorf("%s: the tag of %s is %q", route, st.Text, st.Tag)
			}
			for _, text := range append(st.Inner, st.Text) {
				word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
				if slices.Contains([]string{"CREATE", "DROP", "ALTER", "GRANT", "REVOKE"}, word) && !strings.Contains(text, `"STAGING"."STG_`) {
					t.Errorf("%s: an unchanged schema sends %s", route, text)
				}
			}
		}
	}
}
