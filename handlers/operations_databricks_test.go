package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	fake "github.com/waybillhq/waybill/internal/fakes/databricks"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testsize"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/warehouses/databricks"
)

// startWorkspace is our Databricks workspace, played by a test server, with its
// tables below root. The statements that are under way are kept, or not: nil.
func startWorkspace(t *testing.T, statements databricks.Statements) (w *databricks.Workspace, server *fake.Server, root string) {
	t.Helper()
	root = t.TempDir()
	server = fake.New(fake.Options{Locations: []string{"file://" + root}})
	t.Cleanup(server.Close)
	w, err := databricks.New(databricks.Options{Host: server.URL, Auth: databricks.AuthPAT, Catalog: fake.Catalog, WarehouseID: fake.WarehouseID,
		Storage: "file://" + root, Brand: "kadoa", Statements: statements,
		Login: func(context.Context) (databricks.Login, error) { return databricks.Login{Token: fake.Token}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return w, server, root
}

// setupWorkspace is a connector that our Databricks workspace shares.
func setupWorkspace(t *testing.T, c connectors.Databricks) (*operated, *fake.Server) {
	t.Helper()
	o := setupOperated(t)
	w, server, root := startWorkspace(t, o.deltaRig.Ledger)
	o.deltaRig.Workspace = w
	o.connector = connectors.Connector{ID: "lake", Team: team, Kind: waybill.KindDatabricks, Databricks: &c}
	o.apply(t)
	o.deltaRig.tables = folderAt(t, root+"/lake")
	o.place = o.deltaRig.tables
	o.deltaRig.Handlers.Tables = func(context.Context, connectors.Connector) (storage.Store, error) { return o.place, nil }
	return o, server
}

var inWorkspace = connectors.Databricks{Recipient: connectors.RecipientDatabricks, SharingIdentifier: "aws:us-east-1:11111111-2222-4333-8444-555555555555"}

// sees are the tables that the customer reads.
func sees(server *fake.Server) string {
	var names []string
	for _, s := range server.Sees("kadoa_lake") {
		names = append(names, strings.ToUpper(strings.TrimPrefix(strings.ToLower(s.Name), "lake.")))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

const (
	seesMovies = "WF_MOVIES__LATEST WF_MOVIES__V1 WF_OTHER__LATEST WF_OTHER__V1 WORKFLOW_RUNS WORKFLOW_SCHEMA_FIELDS WORKFLOW_SCHEMA_VERSIONS"
	seesOther  = "WF_OTHER__LATEST WF_OTHER__V1 WORKFLOW_RUNS WORKFLOW_SCHEMA_FIELDS WORKFLOW_SCHEMA_VERSIONS"
)

// The guarantee: whatever call to the workspace an operation dies at, before or
// after it took effect, the repetition ends as if nothing had happened.
func TestAFaultAtAnyCallToTheWorkspaceEndsTheSame(t *testing.T) {
	align := func(t *testing.T, o *operated, workflows ...string) error {
		o.connector.Workflows = workflows
		o.apply(t)
		_, err := o.Align(t.Context(), who, o.connector)
		return err
	}
	for _, operation := range []struct {
		name string
		do   func(t *testing.T, o *operated) error
		want string
	}{
		{"narrow", func(t *testing.T, o *operated) error { return align(t, o, "wf_other") }, seesOther},
		{"narrow and readmit", func(t *testing.T, o *operated) error { return errors.Join(align(t, o, "wf_other"), align(t, o)) }, seesMovies},
		{"delete", func(t *testing.T, o *operated) error { _, err := o.Delete(t.Context(), who, "lake", false); return err }, ""},
		{"purge", func(t *testing.T, o *operated) error { _, err := o.Delete(t.Context(), who, "lake", true); return err }, ""},
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after its effect: %t", operation.name, after), func(t *testing.T) {
				for skip := 0; ; skip += 1 + rand.IntN(testsize.Of(5, 11)) { // the first, then others each time
					o, server := setupWorkspace(t, inWorkspace)
					o.publish(t, o.run(1, schemaA, `{"Title":"a1"}`))
					o.publish(t, o.other(2, `{"Title":"o2"}`))
					if got := sees(server); got != seesMovies {
						t.Fatalf("the customer sees %s", got)
					}
					server.ResetLog()
					server.Inject(fake.Fault{Skip: skip, After: after, Crash: true})
					err := operation.do(t, o)
					if err == nil && skip == 0 {
						t.Fatal("the fault befell nothing")
					}
					server.Heal()
					if err == nil {
						break
					}
					if err := operation.do(t, o); err != nil && !errors.Is(err, waybill.ErrNotFound) {
						t.Fatalf("repeated after a crash at call %d: %v", skip, err)
					}
					if got := sees(server); got != operation.want {
						t.Errorf("after a crash at call %d the customer sees %q, want %q", skip, got, operation.want)
					}
					o.receipts(t)
					if calls := server.Unexpected(); len(calls) > 0 {
						t.Errorf("the test server was asked for what it does not play: %q", calls)
					}
				}
			})
		}
	}
}

// remove deletes the connector's recipient, or share, as somebody could by hand.
func remove(t *testing.T, server *fake.Server, what string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, server.URL+"/api/2.1/unity-catalog/"+what+"/kadoa_lake", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+fake.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("removing %s: %s", what, resp.Status)
	}
}

func TestARecipientThatTheCustomerRemovedBlocksUntilResumed(t *testing.T) {
	o, server := setupWorkspace(t, inWorkspace)
	o.publish(t, o.run(1, schemaA, `{"Title":"a1"}`))
	o.publish(t, o.other(2, `{"Title":"o2"}`))
	for _, what := range []string{"recipients", "shares"} {
		remove(t, server, what)
		run := o.run(3, schemaA, `{"Title":"`+what+`"}`)
		run.JobID += what
		ref := o.plan(t, run)
		attempt, ok := errors.AsType[*ledger.Attempt](o.DeltaPublish(t.Context(), ref))
		if !ok && what == "recipients" {
			t.Fatal("it was published although nobody reads it")
		}
		if ok {
			f := waybill.At("", attempt)
			wantFailure(t, f, waybill.StageStage, waybill.Blocked, "databricks.recipient_gone")
			if !strings.Contains(f.Action, "resume the connector") {
				t.Errorf("the sentence is %q", f.Action)
			}
			if _, err := attempt.Settle(t.Context(), ledger.Decision{State: waybill.StateBlocked, Failure: f}); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.Reinstate(t.Context(), o.connector); err != nil {
			t.Fatal(err)
		}
		if got := sees(server); got != seesMovies {
			t.Errorf("%s made again, the customer sees %q", what, got)
		}
		if ok {
			o.retry(t, run)
		}
	}
	o.wantTitles(t, "resumed", map[string]string{v1: "a1 recipients shares", latest: "a1 recipients shares"})
}

func TestAnActivationLinkIsHandedOutOnRecordAndKeptNowhere(t *testing.T) {
	o, server := setupWorkspace(t, connectors.Databricks{Recipient: connectors.RecipientToken, SecureContact: "security@acme.example"})
	var log bytes.Buffer
	o.deltaRig.Log = slog.New(slog.NewJSONHandler(&log, nil))
	link, token, err := o.Activation(t.Context(), who, o.connector)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(link.Reveal(), "http") || token.ExpiresAt.Before(time.Now().Add(80*24*time.Hour)) {
		t.Errorf("link %s, token %+v", link, token)
	}
	again, _, err := o.Activation(t.Context(), who, o.connector)
	if err != nil || again.Reveal() != link.Reveal() {
		t.Errorf("asked for once more: %v", err)
	}
	receipts := o.receipts(t)
	if len(receipts) == 0 || receipts[0].Operation != waybill.OperationActivate || receipts[0].By != who.By || receipts[0].Token != token.ID {
		t.Errorf("receipts %+v", receipts)
	}
	text, err := json.Marshal(receipts)
	if err != nil {
		t.Fatal(err)
	}
	for place, kept := range map[string]string{"receipt": string(text), "log": log.String(), "its own words": fmt.Sprintf("%v %+v %#v", link, link, link)} {
		if strings.Contains(kept, link.Reveal()) {
			t.Errorf("the link stands in the %s: %s", place, kept)
		}
	}
	e, has, err := o.TokenExpiry(t.Context(), o.connector)
	if err != nil || !has || e.Tokens != 1 || !e.ExpiresAt.Equal(token.ExpiresAt) || e.Soon(time.Now()) || !e.Soon(token.ExpiresAt.Add(-time.Hour)) {
		t.Errorf("forecast %+v, %t, %v", e, has, err)
	}

	// A rotation whose answer is lost is made good by its repetition, once.
	server.Inject(fake.Fault{Method: "POST", Path: "rotate-token", After: true, Cut: true})
	if _, err := o.Rotate(t.Context(), who, o.connector, time.Hour); err == nil {
		t.Fatal("the answer was not lost")
	}
	fresh, err := o.Rotate(t.Context(), who, o.connector, time.Hour)
	if err != nil || fresh.ID == token.ID {
		t.Fatalf("rotated: %+v, %v", fresh, err)
	}
	if e, _, err = o.TokenExpiry(t.Context(), o.connector); err != nil || e.Tokens != 2 || !e.ExpiresAt.Equal(fresh.ExpiresAt) {
		t.Errorf("with overlap: %+v, %v", e, err)
	}
	if next, _, err := o.Activation(t.Context(), who, o.connector); err != nil || next.Reveal() == link.Reveal() {
		t.Errorf("the new token's link: %v", err)
	}
}

func TestTokensOfOurOwnServerAreForecast(t *testing.T) {
	o := setupOperated(t)
	if e, has, err := o.TokenExpiry(t.Context(), o.connector); err != nil || !has || e.Tokens != 0 {
		t.Errorf("without a token: %+v, %t, %v", e, has, err)
	}
	_, token, err := o.tokens().Issue(t.Context(), "lake", 10*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if e, _, err := o.TokenExpiry(t.Context(), o.connector); err != nil || e.Tokens != 1 || !e.ExpiresAt.Equal(token.ExpiresAt) || !e.Soon(time.Now()) {
		t.Errorf("forecast %+v, %v", e, err)
	}
	o.connector.Kind = waybill.KindStorage
	if _, has, _ := o.TokenExpiry(t.Context(), o.connector); has {
		t.Error("a bucket has no tokens")
	}
}

// Twenty workflows of one connector finish at once: all are published, and
// nothing said of one is lost to another.
func TestTwentyWorkflowsFinishAtOnce(t *testing.T) {
	const workflows = 20
	o := setupOperated(t)
	o.limit = workflows
	refs := make([]tasks.DeliveryRef, workflows)
	if err := o.deltaRig.Ledger.Mend(t.Context(), map[string]int{tasks.DeltaPublish.Queue: 3 * workflows}); err != nil {
		t.Fatal(err)
	}
	publish := func(day int) {
		for i := range refs {
			run := o.run(day, schemaA, `{"Title":"x"}`)
			run.WorkflowID = fmt.Sprintf("wf_w%02d", i)
			refs[i] = o.plan(t, run)
		}
		errs := make(chan error, workflows)
		for _, ref := range refs {
			go func() { errs <- o.DeltaPublish(t.Context(), ref) }()
		}
		for range refs {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	}
	publish(1)
	publish(2)
	runs, versions := o.rows(t, runRows), o.rows(t, waybill.TableVersions)
	if len(runs) != 2*workflows || len(versions) != workflows {
		t.Errorf("%d runs, %d schema versions", len(runs), len(versions))
	}
	for i := range workflows {
		if got := o.titles(t, fmt.Sprintf("WF_W%02d__LATEST", i)); got != "x x" {
			t.Errorf("wf_w%02d holds %q", i, got)
		}
	}
}
