package handlers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// bothWorkflows is a connector whose log holds events of two workflows.
func bothWorkflows(t *testing.T) *activityRig {
	t.Helper()
	r := setupActivity(t)
	r.handIn(t, team, "wf_other")
	r.platform.AddEvents(r.event(0, "one"), in(r.event(0, "two"), "wf_other"), in(r.event(0, "two"), "wf_other"))
	r.tick(t)
	r.wantLog(t, "both", activityBegins, "wf_movies", "wf_other")
	return r
}

func TestEventsOfAWorkflowThatIsNoLongerSelectedAreTakenFromTheLogForGood(t *testing.T) {
	r := bothWorkflows(t)
	r.connector.Workflows = []string{"wf_movies"}
	r.platform.AddEvents(r.event(0, "three"), in(r.event(0, "four"), "wf_other"))
	r.tick(t)
	r.wantLog(t, "narrowed", activityBegins, "wf_movies")
	table := delta.Open(r.tables, waybill.TableActivity, delta.Options{})
	now, err := table.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for version := range now.Version { // who reads an older version reads no more than this one
		s, err := table.SnapshotAt(t.Context(), version)
		if err != nil {
			continue
		}
		rows, err := table.Rows(t.Context(), s)
		if err == nil && slices.ContainsFunc(rows, func(row delta.Row) bool { return row["WORKFLOW_ID"] == "wf_other" }) {
			t.Errorf("version %d can still be read, with %v", version, rows)
		}
	}
	r.connector.Workflows = nil
	r.tick(t)
	r.wantLog(t, "selected again", activityBegins, "wf_movies", "wf_other")
}

func TestADeathWhileAWorkflowLeavesTheLogLeavesNoneOfItsEvents(t *testing.T) {
	for _, after := range []bool{false, true} {
		died := true
		for n := 1; died; n++ {
			r := bothWorkflows(t)
			r.connector.Workflows = []string{"wf_movies"}
			r.platform.AddEvents(r.event(0, "three"))
			r.advance(time.Minute)
			r.death.plan(n, after)
			err := r.sync(t)
			died = r.death.dead
			if !died && err != nil {
				t.Fatal(err)
			}
			r.death.plan(0, false)
			r.tick(t)
			r.wantLog(t, fmt.Sprintf("death at call %d, after its effect: %t", n, after), activityBegins, "wf_movies")
			if t.Failed() {
				return
			}
		}
	}
}

// The same of a workflow whose first events were written by a tick that died:
// the connector was narrowed before the next.
func TestEventsOfAWorkflowThatWasSelectedForOneTickAloneAreTakenToo(t *testing.T) {
	died := true
	for n := 1; died; n++ {
		r := setupActivity(t)
		r.tick(t)
		r.handIn(t, team, "wf_other")
		r.platform.AddEvents(r.event(0, "one"), in(r.event(0, "two"), "wf_other"))
		r.advance(time.Minute)
		r.death.plan(n, true)
		_ = r.sync(t)
		died = r.death.dead
		r.death.plan(0, false)
		r.connector.Workflows = []string{"wf_movies"}
		r.tick(t)
		r.wantLog(t, fmt.Sprintf("death after call %d", n), activityBegins, "wf_movies")
		if t.Failed() {
			return
		}
	}
}

func TestAtDatabricksALogThatIsSwitchedOffLeavesTheShare(t *testing.T) {
	r := setupActivity(t)
	w, server, root := startWorkspace(t, nil)
	r.Workspace, r.tables = w, folderAt(t, root+"/lake")
	r.connector = connectors.Connector{ID: "lake", Team: team, Kind: waybill.KindDatabricks, CreatedAt: r.now, Databricks: &inWorkspace}
	off := false
	for _, step := range []struct {
		log  *bool // left out: it is on
		want string
	}{{nil, "ACTIVITY_LOG"}, {&off, ""}, {nil, "ACTIVITY_LOG"}} {
		r.connector.ActivityLog = step.log
		r.platform.AddEvents(r.event(0, "event"))
		r.tick(t)
		if got := sees(server); got != step.want {
			t.Errorf("the customer sees %q, want %q", got, step.want)
		}
	}
	r.wantLog(t, "switched on again", activityBegins, "wf_movies")
	r.connector.Workflows = []string{"wf_none"}
	r.tick(t)
	if got := r.log(t); len(got) > 0 || sees(server) != "ACTIVITY_LOG" {
		t.Errorf("narrowed, the customer sees %q with %s", sees(server), strings.Join(got, "\n"))
	}
	if calls := server.Unexpected(); len(calls) > 0 {
		t.Errorf("the test server was asked for what it does not play: %q", calls)
	}
}
