package handlers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/monitoring"
)

func TestTheActivityLogArrivesAsThePlatformTellsIt(t *testing.T) {
	r := setupActivity(t)
	r.tick(t)
	if got := r.log(t); len(got) != 0 {
		t.Errorf("before anything happened there is %v", got)
	}
	r.platform.AddEvents(r.event(30*time.Second, "one"), r.event(30*time.Second, "of the same moment"), r.event(20*time.Second, "twin"), r.event(20*time.Second, "twin"))
	r.tick(t)
	r.wantLog(t, "events", activityBegins, "wf_movies")
	r.platform.AddEvents(r.event(100*time.Second, "twin of a late one"), r.event(100*time.Second, "twin of a late one"), r.event(10*time.Minute, "before the connector was made"))
	r.tick(t)
	r.wantLog(t, "late events", activityBegins, "wf_movies")
	if got := r.log(t); len(got) != 6 {
		t.Errorf("there are %d events", len(got))
	}
	r.platform.AddEvents(r.event(0, "just now"))
	r.advance(9 * time.Second)
	if err := r.sync(t); err != nil {
		t.Fatal(err)
	}
	if got := r.log(t); len(got) != 6 {
		t.Errorf("an event that has not settled was read: %v", got)
	}
	r.tick(t)
	r.wantLog(t, "once it has settled", activityBegins, "wf_movies")
	if u := r.platform.Unexpected(); len(u) > 0 {
		t.Errorf("the platform was asked for %v", u)
	}
}

func TestWhatComesLateIsFoundForTwoDaysAndCountedAfterwards(t *testing.T) {
	r := setupActivity(t)
	registry := monitoring.NewRegistry()
	r.Metrics = monitoring.NewMetrics(registry, monitoring.Labels{Kinds: []waybill.Kind{waybill.KindDeltaSharing}})
	r.tick(t)
	for range 3 { // days
		r.advance(24 * time.Hour)
		r.platform.AddEvents(r.event(20*time.Minute, "in time"), r.event(47*time.Hour, "very late"))
		if err := r.sync(t); err != nil {
			t.Fatal(err)
		}
	}
	r.advance(25 * time.Hour)
	if err := r.sync(t); err != nil {
		t.Fatal(err)
	}
	r.wantLog(t, "two days", activityBegins, "wf_movies")

	r.platform.AddEvents(r.event(75*time.Hour, "too late"), r.event(76*time.Hour, "too late"))
	for range 3 {
		r.advance(25 * time.Hour)
		if err := r.sync(t); err != nil {
			t.Fatal(err)
		}
	}
	c, err := r.Ledger.ActivityCursor(t.Context(), "lake")
	if err != nil || c.Workflows["wf_movies"].Lost != 2 {
		t.Errorf("told as lost: %+v, %v", c.Workflows["wf_movies"], err)
	}
	const told = "# HELP waybill_activity_late_events_total Activity events that the platform told late: added, or lost because it was later than two days.\n" +
		"# TYPE waybill_activity_late_events_total counter\n" +
		"waybill_activity_late_events_total{kind=\"deltasharing\",outcome=\"added\"} 2\nwaybill_activity_late_events_total{kind=\"deltasharing\",outcome=\"lost\"} 2\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(told), "waybill_activity_late_events_total"); err != nil {
		t.Error(err)
	}
	if got := slices.DeleteFunc(r.log(t), func(line string) bool { return !strings.Contains(line, "too late") }); len(got) != 0 {
		t.Errorf("they were found: %v", got)
	}
	if err := r.Ledger.RequestActivity(t.Context(), "lake", activityBegins); err != nil {
		t.Fatal(err)
	}
	r.tick(t)
	r.wantLog(t, "brought on demand", activityBegins, "wf_movies")
}

func TestHistoryIsBroughtOnDemandAndTwiceIsOnce(t *testing.T) {
	r := setupActivity(t)
	for i := range 300 {
		r.platform.AddEvents(r.event(time.Duration(i)*time.Hour, fmt.Sprint("history ", i)))
	}
	r.platform.ClampPages(20)
	r.tick(t)
	r.wantLog(t, "not asked for", activityBegins, "wf_movies")
	from := activityBegins.Add(-200 * time.Hour)
	for range 2 {
		if err := r.Ledger.RequestActivity(t.Context(), "lake", from); err != nil {
			t.Fatal(err)
		}
		r.platform.AddEvents(r.event(time.Second, "meanwhile"))
		r.tick(t)
		r.wantLog(t, "asked for", from, "wf_movies")
	}
	// A workflow that is seen for the first time has a history as well.
	r.platform.AddEvents(in(r.event(100*time.Hour, "earlier"), "wf_new"), in(r.event(time.Hour, "later"), "wf_new"))
	r.handIn(t, team, "wf_new")
	r.tick(t)
	r.wantLog(t, "a new workflow", from, "wf_movies", "wf_new")
}

func in(e platform.Event, workflow string) platform.Event {
	e.Resource.WorkflowID = workflow
	return e
}

func TestOnlyTheTeamsAndTheSelectedWorkflowsAreShown(t *testing.T) {
	r := setupActivity(t)
	r.connector.Workflows = []string{"wf_movies", "wf_of_others"}
	r.handIn(t, team, "wf_unselected")
	r.handIn(t, "team-b", "wf_of_others")
	r.tick(t)
	for _, id := range []string{"wf_movies", "wf_unselected", "wf_of_others", ""} {
		r.platform.AddEvents(in(r.event(time.Second, "event"), id))
	}
	r.tick(t)
	r.wantLog(t, "selected", activityBegins, "wf_movies")
}

func TestAnActivityLogThatIsSwitchedOffIsNotReadAndComesBackWhole(t *testing.T) {
	r := setupActivity(t)
	r.platform.AddEvents(r.event(0, "one"))
	r.tick(t)
	off := false
	r.connector.ActivityLog = &off
	r.platform.AddEvents(r.event(0, "meanwhile"))
	asked := len(r.platform.Log())
	r.tick(t)
	r.tick(t)
	if n := len(r.platform.Log()); n != asked {
		t.Errorf("the platform was asked %d times", n-asked)
	}
	if c, err := r.Ledger.ActivityCursor(t.Context(), "lake"); err != nil || !c.SharedAt.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	r.connector.ActivityLog = nil
	r.tick(t)
	r.wantLog(t, "switched on again", activityBegins, "wf_movies")
}
