package handlers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/connectors"
	fakes "github.com/waybillhq/waybill/internal/fakes/snowflake"
)

// setupSnowflakeOperated is a connector to Snowflake that the ledger knows.
func setupSnowflakeOperated(t *testing.T) (*snowRig, *handlers.Operations) {
	t.Helper()
	r := setupSnowflake(t)
	r.Connector = func(ctx context.Context, id string) (connectors.Connector, error) {
		doc, err := r.Ledger.Connector(ctx, id)
		if err != nil {
			return connectors.Connector{}, err
		}
		return connectors.Decode(doc)
	}
	doc, err := r.connector.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Ledger.PutConnector(t.Context(), r.connector.ID, team, nil, doc); err != nil {
		t.Fatal(err)
	}
	return r, &handlers.Operations{Handlers: r.Handlers, Keep: time.Hour}
}

// told is a receipt's changes in a line.
func told(r waybill.OperationReceipt) string {
	var list []string
	for _, c := range r.Changes {
		text := c.Table + " " + string(c.Effect)
		if c.Effect == waybill.EffectMoved {
			text += fmt.Sprintf(" %d-%d", c.From, c.To)
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func TestLatestIsMovedAndPinnedInSnowflake(t *testing.T) {
	r, o := setupSnowflakeOperated(t)
	r.deliver(t, r.run("wf_movies", 1, schemaA, `{"Title":"a1"}`))
	r.deliver(t, r.run("wf_movies", 2, schemaB, `{"Title":"b2"}`))
	customer := r.customer(t)
	receipt, err := o.PointLatest(t.Context(), who, r.connector, "wf_movies", 1)
	if err != nil || told(receipt) != "WF_MOVIES__LATEST moved 2-1" {
		t.Fatalf("%s, %v", told(receipt), err)
	}
	wantRows(t, customer, fmt.Sprintf(snowTitles, latest), "a1")
	r.deliver(t, r.run("wf_movies", 3, schemaB, `{"Title":"b3"}`))
	wantRows(t, customer, fmt.Sprintf(snowTitles, latest), "a1") // pinned
	now, err := o.Latest(t.Context(), r.connector, "wf_movies")
	if err != nil || now.Version != 1 || !now.Pinned || now.Newest != 2 || now.NewestJob != "job-03" || !slices.Equal(now.Versions, []int{1, 2}) || len(now.Moves) != 3 || now.NewestAt.Day() != 3 {
		t.Errorf("%+v, %v", now, err)
	}
	if _, err := o.PointLatest(t.Context(), who, r.connector, "wf_movies", 7); err == nil {
		t.Error("LATEST was moved to a version that is not there")
	}
	if receipt, err = o.PointLatest(t.Context(), who, r.connector, "wf_movies", 0); err != nil || told(receipt) != "WF_MOVIES__LATEST moved 1-2" {
		t.Errorf("%s, %v", told(receipt), err)
	}
	wantRows(t, customer, fmt.Sprintf(snowTitles, latest), "b2 b3")
}

func TestARunIsTakenBackFromSnowflakeAndPublishedAnew(t *testing.T) {
	r, o := setupSnowflakeOperated(t)
	r.deliver(t, r.run("wf_movies", 1, schemaA, `{"Title":"a1"}`))
	bad := r.run("wf_movies", 2, schemaB, `{"Title":"b2"}`)
	r.deliver(t, bad)
	customer := r.customer(t)
	receipt, err := o.Unpublish(t.Context(), who, r.queue.last.Delivery)
	if err != nil || told(receipt) != "WF_MOVIES__LATEST moved 2-1, WF_MOVIES__V2 removed, WORKFLOW_RUNS marked" || receipt.By != who.By {
		t.Fatalf("%s, %v", told(receipt), err)
	}
	wantRows(t, customer, fmt.Sprintf(snowTitles, latest), "a1")
	wantRows(t, customer, fmt.Sprintf(snowTitles, v2), "")
	wantRows(t, customer, snowRuns, "job-01|1|1|PUBLISHED job-02|2|1|UNPUBLISHED")
	if err := r.Ledger.Retry(t.Context(), r.queue.last.Delivery); err != nil {
		t.Fatal(err)
	}
	r.Ledger.Wait()
	r.complete(t)
	wantRows(t, customer, fmt.Sprintf(snowTitles, latest), "b2")
	wantRows(t, customer, snowRuns, "job-01|1|1|PUBLISHED job-02|2|1|PUBLISHED")
}

func TestAWorkflowIsTakenFromSnowflakesCustomerShownAgainAndErased(t *testing.T) {
	r, o := setupSnowflakeOperated(t)
	r.deliver(t, r.run("wf_movies", 1, schemaA, `{"Title":"a1"}`))
	r.deliver(t, r.run("wf_shop", 1, schemaA, `{"Title":"s1"}`))
	customer := r.customer(t)
	views := func() string {
		return query(t, customer, `SELECT DISTINCT WORKFLOW_ID FROM KADOA.SHARED.WORKFLOW_SCHEMA_VERSIONS ORDER BY WORKFLOW_ID`) + " / " + r.shared(t)
	}
	const all = "WF_MOVIES__LATEST WF_MOVIES__V1 WF_SHOP__LATEST WF_SHOP__V1"
	align := func(purpose string, workflows ...string) {
		t.Helper()
		r.connector.Workflows = workflows
		was, err := r.Ledger.Connector(t.Context(), r.connector.ID)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := r.connector.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Ledger.PutConnector(t.Context(), r.connector.ID, team, was, doc); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Align(t.Context(), who, r.connector); err != nil {
			t.Fatalf("%s: %v", purpose, err)
		}
	}
	align("narrowed", "wf_movies")
	if got := views(); got != "wf_movies / WF_MOVIES__LATEST WF_MOVIES__V1" {
		t.Errorf("narrowed, the customer sees %s", got)
	}
	align("widened")
	if got := views(); got != "wf_movies wf_shop / "+all {
		t.Errorf("widened, the customer sees %s", got)
	}
	wantRows(t, customer, fmt.Sprintf(snowTitles, "WF_SHOP__V1"), "s1")
	if got := r.staged(t); got != "WF_MOVIES WF_SHOP" {
		t.Errorf("staged is %s", got)
	}
	o.Keep = time.Nanosecond // its time is over at once
	align("narrowed again", "wf_movies")
	if err := o.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	us := r.provider.Open("WAYBILL", "DELIVERY", snowKey())
	defer us.Close()
	if got := query(t, us, `SHOW VIEWS IN SCHEMA KADOA_ACME.SHARED`) + query(t, us, `SHOW TABLES IN SCHEMA KADOA_ACME.DATA`); strings.Contains(got, "WF_SHOP__") || !strings.Contains(got, "WF_MOVIES__V1") {
		t.Errorf("after its time there is %s", got)
	}
	if got := r.staged(t); got != "WF_MOVIES" {
		t.Errorf("after its time %s is staged", got)
	}

	receipts, err := o.Delete(t.Context(), who, "acme", true)
	if err != nil || len(receipts) != 2 || told(receipts[1]) != "KADOA_ACME erased" {
		t.Fatalf("%+v, %v", receipts, err)
	}
	if got := r.staged(t); got != "" {
		t.Errorf("after a purge %s is staged", got)
	}
	if got := query(t, us, `SHOW DATABASES`) + query(t, us, `SHOW SHARES`); strings.Contains(got, "KADOA_ACME") {
		t.Errorf("after a purge there is %s", got)
	}
}

func TestOperationsInSnowflakeAreRepeatableWhereverTheyDie(t *testing.T) {
	r, o := setupSnowflakeOperated(t)
	for name, operate := range map[string]func(workflow, delivery string) error{
		"point": func(workflow, _ string) error {
			_, err := o.PointLatest(t.Context(), who, r.connector, workflow, 1)
			return err
		},
		"unpublish": func(_, delivery string) error { _, err := o.Unpublish(t.Context(), who, delivery); return err },
	} {
		want := ""
		for n := 0; ; n++ {
			workflow := fmt.Sprintf("wf_%s_%d", name, n)
			r.deliver(t, r.run(workflow, 1, schemaA, `{"Title":"a1"}`))
			r.deliver(t, r.run(workflow, 2, schemaB, `{"Title":"b2"}`))
			delivery := r.queue.last.Delivery
			if n > 0 {
				fault := r.server.Inject(fakes.Fault{Skip: n - 1, After: n%2 == 0, Do: fakes.Fail, Number: 604, State: "57014", Message: "cancelled"})
				err := operate(workflow, delivery)
				select {
				case <-fault.Reached():
				default:
					r.server.ClearFaults()
					if n < 5 {
						t.Errorf("%s: only %d statements were met", name, n)
					}
					err = nil
				}
				if err == nil {
					break
				}
			}
			if err := operate(workflow, delivery); err != nil {
				t.Fatalf("%s after a fault at statement %d: %v", name, n, err)
			}
			got := r.shownOf(t, workflow)
			if n == 0 {
				want = got
			} else if got != want {
				t.Errorf("%s with a fault at statement %d ends in\n%s\nwant\n%s", name, n, got, want)
			}
		}
	}
}

// shownOf is what LATEST shows of a workflow, and what is said of its runs, as our own role sees it.
func (r *snowRig) shownOf(t *testing.T, workflow string) string {
	t.Helper()
	us := r.provider.Open("WAYBILL", "DELIVERY", snowKey())
	defer us.Close()
	return query(t, us, fmt.Sprintf(`SELECT TITLE FROM KADOA_ACME.SHARED.%s`, waybill.LatestTable(workflow))) + "\n" +
		query(t, us, fmt.Sprintf(`SELECT JOB_ID, STATUS FROM KADOA_ACME.SHARED.WORKFLOW_RUNS WHERE WORKFLOW_ID = '%s' ORDER BY JOB_ID`, workflow))
}

// shared are the workflows' views that the share shows.
func (r *snowRig) shared(t *testing.T) string {
	t.Helper()
	us := r.provider.Open("WAYBILL", "DELIVERY", snowKey())
	defer us.Close()
	var views []string
	for cell := range strings.SplitSeq(strings.ReplaceAll(query(t, us, `SHOW GRANTS TO SHARE KADOA_ACME`), " ", "|"), "|") {
		if name := cell[strings.LastIndex(cell, ".")+1:]; strings.HasPrefix(name, "WF_") {
			views = append(views, strings.Trim(name, `"`))
		}
	}
	slices.Sort(views)
	return strings.Join(views, " ")
}

// staged are the folders of the connector's staged files that hold any.
func (r *snowRig) staged(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.ingestion, "KADOA_ACME/*/*/g1/f*/*"))
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && !info.IsDir() {
			rel, _ := filepath.Rel(filepath.Join(r.ingestion, "KADOA_ACME"), f)
			folder, _, _ := strings.Cut(rel, "/")
			folders = append(folders, folder)
		}
	}
	slices.Sort(folders)
	return strings.Join(slices.Compact(folders), " ")
}
