package snowflake

import (
	"bytes"
	"context"
	"crypto/rsa"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snowflakedb/gosnowflake"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	fakes "github.com/waybillhq/waybill/internal/fakes/snowflake"
	"github.com/waybillhq/waybill/internal/testservers"
)

func pemOf(key *rsa.PrivateKey) Secret {
	text := testservers.PEM(key)
	return func(context.Context) (string, error) { return text, nil }
}

// world is our account, a customer's in the same region and one elsewhere, and
// a connector for the first.
type world struct {
	*fakes.Server

	t        testing.TB
	provider *fakes.Account
	customer *fakes.Account
	ingest   string // the folder of our ingestion bucket
	account  *Account
	dest     *Destination
	fence    int64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, ingest: t.TempDir(), fence: 1_737_000_000_000}
	w.Server = fakes.Start(t, fakes.Options{Locations: map[string]fakes.Objects{"s3://ingest/": fakes.Folder(w.ingest)}})
	w.provider = w.AddAccount(fakes.Account{Org: "OURORG", Name: "PROVIDER", Edition: fakes.Enterprise})
	w.provider.AddUser("WAYBILL", "WAYBILL", &testservers.Key().PublicKey)
	w.provider.Grant("WAYBILL", fakes.LoaderPrivileges()...)
	w.provider.AddWarehouse("DELIVERY")
	w.provider.AddIntegration("WAYBILL_S3", "s3://ingest/")
	w.customer = w.addCustomer("ACMEORG", "PROD_ANALYTICS", "AWS_US_EAST_1")
	w.account = w.open(w.config())
	w.dest = w.connector("acme", target(t, "ACMEORG", "PROD_ANALYTICS", "US East 1"))
	return w
}

func (w *world) addCustomer(org, name, region string) *fakes.Account {
	a := w.AddAccount(fakes.Account{Org: org, Name: name, Region: region, Edition: fakes.Enterprise})
	a.AddUser("ANALYST", "ACCOUNTADMIN", &testservers.Key().PublicKey)
	a.AddWarehouse("WH")
	return a
}

func (w *world) config() Config {
	return Config{Account: "OURORG-PROVIDER", User: "WAYBILL", Role: "WAYBILL", Warehouse: "DELIVERY", PrivateKey: pemOf(testservers.Key()),
		Stage: Stage{Integration: "WAYBILL_S3", URL: "s3://ingest/"}, Endpoint: fmt.Sprintf("%s:%d", w.Host, w.Port)}
}

func (w *world) open(cfg Config) *Account {
	w.t.Helper()
	a, err := Open(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = a.Close() })
	return a
}

func target(t testing.TB, organization, account, region string) Target {
	t.Helper()
	made, err := ParseTarget(organization, account, region, "")
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (w *world) connector(id string, to Target) *Destination {
	w.t.Helper()
	d, err := w.account.Connector(Connector{ID: id, Team: "team1", Brand: "kadoa", Target: to})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) setup() Setup {
	w.t.Helper()
	made, err := w.dest.Setup(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// next is a newer fence, as a later attempt has.
func (w *world) next() int64 {
	w.fence += 1000
	return w.fence
}

// delivery is a run of the data of the shared tests: fields "id" and others of
// a schema version, and so many rows.
type delivery struct {
	workflow, job string
	version       int
	fields        []waybill.Field
	records       []string
	finished      time.Time
	generation    int
}

// simple is a delivery of n rows {"id":"<job>-<i>","n":i} and further fields.
func simple(workflow, job string, version, n int, finished string, more ...waybill.Field) delivery {
	at, err := time.Parse(time.RFC3339, finished)
	if err != nil {
		panic(err)
	}
	d := delivery{workflow: workflow, job: job, version: version, finished: at, generation: 1,
		fields: append([]waybill.Field{{Name: "id", DataType: waybill.String, IsKey: true}, {Name: "n", DataType: waybill.Number}}, more...)}
	for i := range n {
		d.records = append(d.records, fmt.Sprintf(`{"id":"%s-%d","n":%d}`, job, i, i))
	}
	return d
}

// run stages a delivery in the bucket and returns it ready to load.
func (w *world) run(d delivery, fence int64) (Run, Staged) {
	w.t.Helper()
	key := waybill.RunKey{TeamID: "team1", WorkflowID: d.workflow, JobID: d.job}
	r := Run{Lane: Lane{WorkflowID: d.workflow, Fence: fence}, DeliveryID: waybill.DeliveryID(key, "acme"), Generation: d.generation, JobID: d.job,
		SchemaVersion: d.version, Schema: waybill.Schema{Fields: d.fields}, FinishedAt: d.finished, Revision: strings.Repeat("0f", 32)}
	var file bytes.Buffer
	result, err := formats.Convert(w.t.Context(), strings.NewReader(strings.Join(d.records, "\n")), map[formats.Format]formats.Output{formats.Parquet: formats.To(&file)},
		formats.Options{Schema: r.Schema, Framing: "jsonl", Warehouse: &formats.WarehouseColumns{Brand: "kadoa", JobID: d.job, FinishedAt: d.finished}})
	if err != nil {
		w.t.Fatal(err)
	}
	r.Conversion = result.Conversion
	staged := Staged{Path: StagePath(r), Files: []string{"data.parquet"}}
	folder := filepath.Join(w.ingest, w.dest.Database, filepath.FromSlash(staged.Path))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "data.parquet"), file.Bytes(), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return r, staged
}

// load brings a run in, and leaves it unpublished.
func (w *world) load(ctx context.Context, r Run, s Staged) error {
	if err := w.dest.Evolve(ctx, r); err != nil {
		return err
	}
	return w.dest.Load(ctx, r, s)
}

func (w *world) publish(ctx context.Context, r Run) (Published, error) {
	if err := w.dest.Share(ctx, r); err != nil {
		return Published{}, err
	}
	return w.dest.Publish(ctx, r, RouteDirect)
}

// deliver delivers a run whole, with a new fence.
func (w *world) deliver(d delivery) Published {
	w.t.Helper()
	r, s := w.run(d, w.next())
	if err := w.load(w.t.Context(), r, s); err != nil {
		w.t.Fatal(err)
	}
	p, err := w.publish(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// analyst is the customer's session, with the share imported as KADOA.
func (w *world) analyst() *sql.DB {
	w.t.Helper()
	cfg := gosnowflake.Config{Account: "ACMEORG-PROD_ANALYTICS", User: "ANALYST", Warehouse: "WH", Authenticator: gosnowflake.AuthTypeJwt, PrivateKey: testservers.Key(),
		Protocol: "http", Host: w.Host, Port: w.Port, DisableOCSPChecks: true}
	db := sql.OpenDB(gosnowflake.NewConnector(gosnowflake.SnowflakeDriver{}, cfg))
	w.t.Cleanup(func() { _ = db.Close() })
	w.rows(db, `CREATE DATABASE "KADOA" FROM SHARE OURORG.PROVIDER."KADOA_ACME"`)
	return db
}

// rows runs a statement and gives its rows as text.
func (w *world) rows(db *sql.DB, text string) []string {
	w.t.Helper()
	out, err := (&Account{db: db}).query(w.t.Context(), text)
	if err != nil {
		w.t.Fatalf("%s\n%v", text, err)
	}
	var lines []string
	for _, row := range out.values {
		var cells []string
		for _, cell := range row {
			if !cell.Valid {
				cell.String = "NULL"
			}
			cells = append(cells, cell.String)
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	return lines
}

func (w *world) wants(db *sql.DB, text string, want ...string) {
	w.t.Helper()
	if got := w.rows(db, text); strings.Join(got, "\n") != strings.Join(want, "\n") {
		w.t.Errorf("%s\ngives\n%s\nwant\n%s", text, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestACustomerSeesARunWhenItIsPublishedAndNotBefore(t *testing.T) {
	w := newWorld(t)
	made := w.setup()
	if made.Route != RouteDirect || made.Account != "ACMEORG.PROD_ANALYTICS" || made.Provider != "OURORG.PROVIDER" || made.Share != "KADOA_ACME" {
		t.Errorf("the setup is %+v", made)
	}
	customer := w.analyst()
	w.wants(customer, `SELECT * FROM KADOA.SHARED.WORKFLOW_RUNS`)

	r, s := w.run(simple("wf_shop", "job1", 1, 20, "2025-01-16T06:00:03Z", waybill.Field{Name: "tags", DataType: waybill.Array}), w.next())
	if err := w.load(t.Context(), r, s); err != nil {
		t.Fatal(err)
	}
	if err := w.dest.Share(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__V1`, "0")
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WORKFLOW_SCHEMA_VERSIONS`, "0")

	p, err := w.dest.Publish(t.Context(), r, RouteDirect)
	if err != nil {
		t.Fatal(err)
	}
	if p.Rows != 20 || p.View != "WF_SHOP__V1" || !p.Moved || p.Latest.Shows != 1 {
		t.Errorf("the publication is %+v", p)
	}
	w.wants(customer, `SELECT COUNT(*), MIN(KADOA_JOB_ID) FROM KADOA.SHARED.WF_SHOP__V1`, "20|job1")
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__LATEST`, "20")
	w.wants(customer, `SELECT WORKFLOW_ID, JOB_ID, SCHEMA_VERSION, ROW_COUNT, STATUS FROM KADOA.SHARED.WORKFLOW_RUNS`, "wf_shop|job1|1|20|PUBLISHED")
	w.wants(customer, `SELECT SCHEMA_VERSION, TABLE_NAME, FIELD_COUNT, IS_LATEST FROM KADOA.SHARED.WORKFLOW_SCHEMA_VERSIONS`, "1|WF_SHOP__V1|3|1")
	w.wants(customer, `SELECT POSITION, SOURCE_NAME, COLUMN_NAME, TARGET_TYPE FROM KADOA.SHARED.WORKFLOW_SCHEMA_FIELDS ORDER BY POSITION`,
		"1|id|ID|VARCHAR", "2|n|N|FLOAT", "3|tags|TAGS|VARIANT")
}
