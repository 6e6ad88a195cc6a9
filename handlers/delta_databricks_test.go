package handlers_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
)

func TestACustomerOnDatabricksSeesThePublicTablesAlone(t *testing.T) {
	r := setupDelta(t)
	w, server, root := startWorkspace(t, nil)
	r.Workspace = w
	r.connector = connectors.Connector{ID: "lake", Team: team, Kind: waybill.KindDatabricks, Databricks: &connectors.Databricks{
		Recipient: connectors.RecipientDatabricks, SharingIdentifier: "aws:us-east-1:11111111-2222-4333-8444-555555555555"}}
	r.tables = folderAt(t, root+"/lake")
	r.place = r.tables

	sees := func(want ...string) {
		t.Helper()
		var names []string
		for _, s := range server.Sees("kadoa_lake") {
			names = append(names, s.Name)
		}
		slices.Sort(names)
		for i := range want {
			want[i] = "lake." + want[i]
		}
		if !slices.EqualFunc(names, want, strings.EqualFold) {
			t.Errorf("the customer sees %v, want %v", names, want)
		}
	}
	sees()
	r.publish(t, r.run(1, schemaA, `{"Title":"a1"}`))
	sees(latest, v1, runRows, waybill.TableFields, waybill.TableVersions)
	r.publish(t, r.run(2, schemaB, `{"Title":"b2"}`))
	sees(latest, v1, v2, runRows, waybill.TableFields, waybill.TableVersions)
	r.publish(t, r.run(3, schemaA, `{"Title":"a3"}`))
	sees(latest, v1, v2, runRows, waybill.TableFields, waybill.TableVersions)
	r.wantTitles(t, "A, B, A", map[string]string{v1: "a1 a3", v2: "b2", latest: "a1 a3"})
	if calls := server.Unexpected(); len(calls) > 0 {
		t.Errorf("the test server was asked for what it does not play: %q", calls)
	}

	// Without a workspace nothing is written, and it is said why.
	r.Workspace = nil
	ref := r.plan(t, r.run(4, schemaA, `{"Title":"a4"}`))
	attempt, ok := errors.AsType[*ledger.Attempt](r.DeltaPublish(t.Context(), ref))
	if !ok {
		t.Fatal("published without a workspace")
	}
	wantFailure(t, waybill.At("", attempt), waybill.StageStage, waybill.Permanent, "databricks.not_configured")
	r.wantTitles(t, "without a workspace", map[string]string{v1: "a1 a3"})
}
