package handlers_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// The two descriptors that the workflow has in turn.
var (
	schemaA = waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String, IsKey: true}, {Name: "US_Gross", DataType: waybill.Number}, {Name: "_sourceIndex", DataType: waybill.Number}}}
	schemaB = waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String, IsKey: true}, {Name: "Year", DataType: waybill.Number}}}
)

// began is before all that the tests publish.
var began = time.Now()

// deltaRig is a connector whose tables lie in a folder, on a real Redis.
type deltaRig struct {
	*rig
	tables *storage.Folder
	place  storage.Store // what the handler is given of it
	limit  int           // deliveries under way at once; 0: 4
}

func setupDelta(t *testing.T) *deltaRig {
	t.Helper()
	r := &deltaRig{rig: setup(t, ""), tables: folder(t)}
	r.Ledger = ledger.New(testservers.Redis(t).Client(t), folder(t), r.queue, ledger.Options{})
	r.place = r.tables
	r.connector = connectors.Connector{ID: "lake", Team: team, Kind: waybill.KindDeltaSharing, DeltaSharing: &connectors.DeltaSharing{}}
	r.Handlers.Tables = func(context.Context, connectors.Connector) (storage.Store, error) { return r.place, nil }
	return r
}

// run is a job of the workflow that finished on a day of January, with records.
func (r *deltaRig) run(day int, schema waybill.Schema, records ...string) waybill.Run {
	run := movies(int64(len(records)))
	run.JobID = fmt.Sprintf("job-%02d", day)
	run.FinishedAt = time.Date(2025, 1, day, 10, 30, 0, 0, time.UTC)
	run.Schema = schema
	r.source = func() io.Reader { return strings.NewReader(strings.Join(records, "\n")) }
	return run
}

// plan hands in a run and returns its task.
func (r *deltaRig) plan(t *testing.T, run waybill.Run) tasks.DeliveryRef {
	t.Helper()
	a, err := r.Ledger.Accept(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Ledger.Plan(t.Context(), a, []ledger.Planned{{Task: tasks.DeltaPublish.Name, Queue: tasks.DeltaPublish.Queue, Connector: ledger.Connector{
		ID: "lake", Team: a.Run.TeamID, Kind: r.connector.Kind, Live: tasks.DeltaPublish.Queue, MaxInFlight: cmp.Or(r.limit, 4), Ordered: tasks.DeltaPublish.Ordered}}})
	if err != nil {
		t.Fatal(err)
	}
	r.Ledger.Wait()
	return tasks.DeliveryRef{Delivery: r.queue.last.Delivery, Generation: r.queue.last.Generation, Enqueue: r.queue.last.Enqueue}
}

// publish delivers a run and returns its receipt.
func (r *deltaRig) publish(t *testing.T, run waybill.Run) waybill.Receipt {
	t.Helper()
	ref := r.plan(t, run)
	if err := r.DeltaPublish(t.Context(), ref); err != nil {
		t.Fatalf("%s: %v", run.JobID, err)
	}
	d, err := r.Ledger.Delivery(t.Context(), ref.Delivery)
	if err != nil || d.State != waybill.StateComplete {
		t.Fatalf("%s: %+v, %v", run.JobID, d, err)
	}
	receipt, err := r.Ledger.Receipt(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// freshRows are a table's, as a fresh reader finds them; none where it is not there.
func freshRows(t *testing.T, store storage.Store, name string) []delta.Row {
	t.Helper()
	table := delta.Open(store, name, delta.Options{})
	s, err := table.Snapshot(t.Context())
	if errors.Is(err, delta.ErrNoTable) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	rows, err := table.Rows(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// rows are a table's, as a fresh reader finds them: as lines of JSON without
// the columns that tell when something was written, sorted.
func (r *deltaRig) rows(t *testing.T, name string) []string {
	t.Helper()
	rows := freshRows(t, r.tables, name)
	var lines []string
	for _, row := range rows {
		for _, column := range []string{"PUBLISHED_AT", "FIRST_SEEN_AT"} {
			if at, ok := row[column].(time.Time); ok && at.Before(began) {
				t.Errorf("%s: %s is %s", name, column, at)
			}
			delete(row, column)
		}
		line, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	slices.Sort(lines)
	return lines
}

// titles are what a table of the workflow holds.
func (r *deltaRig) titles(t *testing.T, name string) string {
	t.Helper()
	return r.column(t, name, "TITLE")
}

func (r *deltaRig) column(t *testing.T, name, column string) string {
	t.Helper()
	var values []string
	for _, line := range r.rows(t, name) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		values = append(values, fmt.Sprint(row[column]))
	}
	slices.Sort(values)
	return strings.Join(values, " ")
}

// names are the tables in the connector's place.
func (r *deltaRig) names(t *testing.T) []string {
	t.Helper()
	names := map[string]bool{}
	for o, err := range r.tables.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(o.Key, "/")
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func (r *deltaRig) wantTitles(t *testing.T, when string, want map[string]string) {
	t.Helper()
	for name, titles := range want {
		if got := r.titles(t, name); got != titles {
			t.Errorf("%s: %s holds %q, want %q", when, name, got, titles)
		}
	}
}

// latest is the table that WORKFLOW_SCHEMA_VERSIONS calls the latest.
func (r *deltaRig) latest(t *testing.T) string {
	t.Helper()
	var latest []string
	for _, line := range r.rows(t, waybill.TableVersions) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if row["IS_LATEST"] == true {
			latest = append(latest, fmt.Sprint(row["TABLE_NAME"]))
		}
	}
	return strings.Join(latest, " ")
}

const (
	v1, v2  = "WF_MOVIES__V1", "WF_MOVIES__V2"
	latest  = "WF_MOVIES__LATEST"
	runRows = waybill.TableRuns
)

func TestARunIsPublishedInTables(t *testing.T) {
	r := setupDelta(t)
	run := r.run(1, schemaA, `{"Title":"a","US_Gross":1,"_sourceIndex":0}`, `{"Title":"b","US_Gross":"n/a","Extra":1}`, `{"Title":"c"}`)
	receipt := r.publish(t, run)

	if want := []string{latest, v1, runRows, waybill.TableFields, waybill.TableVersions}; !slices.Equal(r.names(t), want) {
		t.Fatalf("tables %v, want %v", r.names(t), want)
	}
	wantLines(t, v1, r.rows(t, v1),
		`{"KADOA_JOB_ID":"job-01","KADOA_RUN_FINISHED_AT":"2025-01-01T10:30:00Z","TITLE":"a","US_GROSS":1}`,
		`{"KADOA_JOB_ID":"job-01","KADOA_RUN_FINISHED_AT":"2025-01-01T10:30:00Z","TITLE":"b"}`,
		`{"KADOA_JOB_ID":"job-01","KADOA_RUN_FINISHED_AT":"2025-01-01T10:30:00Z","TITLE":"c"}`)
	wantLines(t, latest, r.rows(t, latest), r.rows(t, v1)...)
	wantLines(t, runRows, r.rows(t, runRows), fmt.Sprintf(
		`{"CAST_FAILURE_COUNT":1,"JOB_ID":"job-01","QUARANTINED_COUNT":0,"REVISION":%q,"ROW_COUNT":3,"RUN_FINISHED_AT":"2025-01-01T10:30:00Z","SCHEMA_VERSION":1,"STATUS":"PUBLISHED","WORKFLOW_ID":"wf_movies"}`, run.Revision()))
	wantLines(t, waybill.TableVersions, r.rows(t, waybill.TableVersions), fmt.Sprintf(
		`{"FIELD_COUNT":2,"FINGERPRINT":%q,"IS_LATEST":true,"SCHEMA_VERSION":1,"TABLE_NAME":"WF_MOVIES__V1","WORKFLOW_ID":"wf_movies"}`, schemaA.Fingerprint()))
	wantLines(t, waybill.TableFields, r.rows(t, waybill.TableFields),
		`{"CAST_POLICY":"exact","COLUMN_NAME":"TITLE","IS_KEY":true,"POSITION":1,"SCHEMA_VERSION":1,"SOURCE_NAME":"Title","SOURCE_TYPE":"STRING","TARGET_TYPE":"string","WORKFLOW_ID":"wf_movies"}`,
		`{"CAST_POLICY":"try_cast","COLUMN_NAME":"US_GROSS","IS_KEY":false,"POSITION":2,"SCHEMA_VERSION":1,"SOURCE_NAME":"US_Gross","SOURCE_TYPE":"NUMBER","TARGET_TYPE":"double","WORKFLOW_ID":"wf_movies"}`)

	if want := r.tables.URL() + v1; receipt.Location != want || receipt.Rows != 3 || receipt.Bytes == 0 || len(receipt.Files) != 1 ||
		receipt.Conversion.CastFailures() != 1 || !slices.Equal(receipt.Conversion.DroppedFields, []string{"_sourceIndex"}) {
		t.Errorf("receipt %+v", receipt)
	}
	for name, comment := range map[string]string{v1: waybill.VersionComment, latest: waybill.LatestComment} {
		s, err := delta.Open(r.tables, name, delta.Options{}).Snapshot(t.Context())
		if err != nil || s.Metadata.Description != comment || s.Metadata.Name != name {
			t.Errorf("%s is described as %q %q, %v", name, s.Metadata.Name, s.Metadata.Description, err)
		}
	}
}

func wantLines(t *testing.T, name string, got []string, want ...string) {
	t.Helper()
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("%s holds\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEveryTypeArrivesInTables(t *testing.T) {
	r := setupDelta(t)
	schema := waybill.Schema{Fields: []waybill.Field{{Name: "s", DataType: waybill.String}, {Name: "n", DataType: waybill.Number}, {Name: "m", DataType: waybill.Money},
		{Name: "b", DataType: waybill.Boolean}, {Name: "d", DataType: waybill.Date}, {Name: "t", DataType: waybill.DateTime}, {Name: "o", DataType: waybill.Object}, {Name: "a", DataType: waybill.Array}}}
	receipt := r.publish(t, r.run(1, schema,
		`{"s":"x","n":1.5,"m":{"amount":1234,"currencyCode":"EUR"},"b":true,"d":"2025-01-02","t":"2025-01-02T03:04:05Z","o":{"k":1},"a":[1]}`,
		`{"s":null,"n":"?","m":"?","b":"?","d":"?","t":"?"}`, `{"m":12.5}`))
	if receipt.Rows != 3 || receipt.Conversion.CastFailures() != 5 {
		t.Errorf("receipt %+v", receipt)
	}
}

func TestARunWithoutRecordsIsPublished(t *testing.T) {
	r := setupDelta(t)
	r.publish(t, r.run(1, schemaA))
	r.wantTitles(t, "an empty run", map[string]string{v1: "", latest: ""})
	if got := r.column(t, runRows, "ROW_COUNT"); got != "0" {
		t.Errorf("rows %s", got)
	}
}

func TestLatestFollowsTheNewestRunThroughSchemaChanges(t *testing.T) {
	r := setupDelta(t)
	step := func(when string, run waybill.Run, isLatest string, want map[string]string) {
		t.Helper()
		r.publish(t, run)
		r.wantTitles(t, when, want)
		if got := r.latest(t); got != isLatest {
			t.Errorf("%s: %s is called the latest, want %s", when, got, isLatest)
		}
	}
	step("A", r.run(2, schemaA, `{"Title":"a2"}`), v1, map[string]string{v1: "a2", latest: "a2"})
	step("A again", r.run(3, schemaA, `{"Title":"a3"}`), v1, map[string]string{v1: "a2 a3", latest: "a2 a3"})
	step("then B", r.run(5, schemaB, `{"Title":"b5","Year":2025}`), v2, map[string]string{v1: "a2 a3", v2: "b5", latest: "b5"})
	step("an older run of A", r.run(1, schemaA, `{"Title":"a1"}`), v2, map[string]string{v1: "a1 a2 a3", v2: "b5", latest: "b5"})
	step("an older run of B", r.run(4, schemaB, `{"Title":"b4"}`), v2, map[string]string{v2: "b4 b5", latest: "b4 b5"})
	step("back to A", r.run(7, schemaA, `{"Title":"a7"}`), v1, map[string]string{v1: "a1 a2 a3 a7", v2: "b4 b5", latest: "a1 a2 a3 a7"})
	if got := r.column(t, runRows, "JOB_ID"); got != "job-01 job-02 job-03 job-04 job-05 job-07" {
		t.Errorf("WORKFLOW_RUNS has %s", got)
	}
	if got := len(r.rows(t, waybill.TableFields)); got != 4 { // two fields each
		t.Errorf("WORKFLOW_SCHEMA_FIELDS has %d rows", got)
	}
}

func TestAReplacementTakesThePlaceOfWhatWasThere(t *testing.T) {
	r := setupDelta(t)
	replace := func(run waybill.Run) waybill.Run {
		run.Replace = true
		return run
	}
	r.publish(t, r.run(1, schemaA, `{"Title":"a1"}`))
	r.publish(t, r.run(2, schemaA, `{"Title":"a2"}`, `{"Title":"a2-2"}`))
	r.publish(t, replace(r.run(2, schemaA, `{"Title":"a2-new"}`)))
	r.wantTitles(t, "the same descriptor", map[string]string{v1: "a1 a2-new", latest: "a1 a2-new"})
	if got := r.column(t, runRows, "ROW_COUNT"); got != "1 1" {
		t.Errorf("WORKFLOW_RUNS counts %s", got)
	}
	r.publish(t, replace(r.run(2, schemaB, `{"Title":"b2"}`)))
	r.wantTitles(t, "another descriptor", map[string]string{v1: "a1", v2: "b2", latest: "b2"})
	if got := r.column(t, runRows, "SCHEMA_VERSION"); got != "1 2" {
		t.Errorf("WORKFLOW_RUNS names the versions %s", got)
	}
	// An older run comes in another descriptor: LATEST keeps what the newer one has.
	r.publish(t, replace(r.run(1, schemaB, `{"Title":"b1"}`)))
	r.wantTitles(t, "an older run too", map[string]string{v1: "", v2: "b1 b2", latest: "b1 b2"})
	if got := r.latest(t); got != v2 {
		t.Errorf("%s is called the latest", got)
	}
}

func TestNothingIsCommittedOfARunThatCannotBeRead(t *testing.T) {
	r := setupDelta(t)
	ref := r.plan(t, r.run(1, schemaA, `{"Title":`))
	attempt, ok := errors.AsType[*ledger.Attempt](r.DeltaPublish(t.Context(), ref))
	if !ok {
		t.Fatal("it was published")
	}
	wantFailure(t, waybill.At("", attempt), waybill.StageStage, waybill.Permanent, "records.malformed")
	for _, name := range []string{v1, latest, runRows} {
		if rows := r.rows(t, name); len(rows) > 0 {
			t.Errorf("%s has %v", name, rows)
		}
	}
}
