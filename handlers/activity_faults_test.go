package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/internal/ledger"
)

func TestWhatStopsAnActivityLogIsSaidBesideItsCursorUntilItIsMended(t *testing.T) {
	r := setupActivity(t)
	r.tick(t)
	r.platform.AddEvents(r.event(0, "one"))
	r.platform.Inject(platform.Fault{Status: http.StatusUnauthorized, Times: -1})
	r.advance(time.Minute)
	err := r.sync(t)
	wantFailure(t, waybill.At("", err), waybill.StageStage, waybill.Blocked, "platform.access_denied")
	c, err := r.Ledger.ActivityCursor(t.Context(), "lake")
	if err != nil || c.Failure == nil || c.Failure.Code != "platform.access_denied" || !c.Until.Before(r.clock().Add(-time.Minute)) {
		t.Errorf("%+v, %v", c, err)
	}
	r.platform.Heal()
	r.tick(t)
	if c, err = r.Ledger.ActivityCursor(t.Context(), "lake"); err != nil || c.Failure != nil {
		t.Errorf("mended: %+v, %v", c.Failure, err)
	}
	r.wantLog(t, "mended", activityBegins, "wf_movies")
}

func TestOneWorkflowThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	r := setupActivity(t)
	r.handIn(t, team, "wf_broken")
	r.tick(t)
	r.platform.AddEvents(r.event(0, "one"), in(r.event(0, "two"), "wf_broken"))
	r.platform.Inject(platform.Fault{Query: "wf_broken", Garbage: "<html>", Times: -1})
	r.advance(time.Minute)
	wantFailure(t, waybill.At("", r.sync(t)), waybill.StageStage, waybill.Transient, "platform.unreadable")
	r.wantLog(t, "the other", activityBegins, "wf_movies")
	r.platform.Heal()
	r.tick(t)
	r.wantLog(t, "both", activityBegins, "wf_movies", "wf_broken")
}

func TestAPlatformWhoseClockDiffersLosesNoEvent(t *testing.T) {
	for _, skew := range []time.Duration{-10 * time.Minute, -70 * time.Second, 70 * time.Second, 10 * time.Minute} {
		r := setupActivity(t)
		r.advance(20 * time.Minute)
		for i := range 15 {
			r.platform.AddEvents(r.event(-skew, fmt.Sprint("event ", i)), r.event(-skew, fmt.Sprint("event ", i)))
			r.tick(t)
		}
		r.advance(11 * time.Minute)
		r.tick(t)
		r.wantLog(t, fmt.Sprintf("a clock that is off by %s", skew), activityBegins, "wf_movies")
		if got := len(r.log(t)); got != 30 {
			t.Errorf("off by %s, there are %d events", skew, got)
		}
	}
}

func TestAPlatformThatAsksForPatienceIsNotAskedUntilThen(t *testing.T) {
	r := setupActivity(t)
	r.tick(t)
	r.platform.AddEvents(r.event(0, "one"))
	r.platform.Inject(platform.Fault{Status: http.StatusTooManyRequests, RetryAfter: "100"})
	r.advance(time.Minute)
	wantFailure(t, waybill.At("", r.sync(t)), waybill.StageStage, waybill.Throttled, "platform.throttled")
	asked := len(r.platform.Log())
	r.advance(time.Minute)
	if err := r.sync(t); !errors.Is(err, ledger.ErrGone) || len(r.platform.Log()) != asked {
		t.Errorf("after a minute: %v, asked %d times", err, len(r.platform.Log())-asked)
	}
	r.tick(t)
	r.wantLog(t, "two minutes later", activityBegins, "wf_movies")
}

func TestNothingIsReadForAConnectorThatIsPausedOrDeleted(t *testing.T) {
	r := setupActivity(t)
	if _, err := r.Ledger.PauseConnector(t.Context(), team, "lake", "test"); err != nil {
		t.Fatal(err)
	}
	r.tick(t)
	r.Handlers.Connector = func(context.Context, string) (connectors.Connector, error) {
		return connectors.Connector{}, fmt.Errorf("connector: %w", waybill.ErrNotFound)
	}
	if err := r.sync(t); !errors.Is(err, ledger.ErrGone) {
		t.Errorf("a deleted one: %v", err)
	}
	if n := len(r.platform.Log()); n > 0 {
		t.Errorf("the platform was asked %d times", n)
	}
}

// The guarantee: at whatever call to a store or to the ledger the process
// dies, before or after it took effect, the table is the platform's log once
// later ticks have run; and no event is there twice at any time.
func TestADeathAtAnyCallLeavesTheActivityLogExact(t *testing.T) {
	for _, after := range []bool{false, true} {
		died := true
		for n := 1; died; n++ {
			r := setupActivity(t)
			r.tick(t)
			r.platform.AddEvents(r.event(0, "one"), r.event(0, "twin"), r.event(0, "twin"))
			r.tick(t)
			r.platform.AddEvents(r.event(80*time.Second, "late"), r.event(80*time.Second, "late"), r.event(0, "two"))
			r.handIn(t, team, "wf_new")
			r.platform.AddEvents(in(r.event(70*time.Second, "history"), "wf_new"))
			r.advance(time.Minute)
			r.death.plan(n, after)
			err := r.sync(t)
			died = r.death.dead
			if !died && err != nil {
				t.Fatal(err)
			}
			r.death.plan(0, false)
			r.log(t) // no id twice
			r.tick(t)
			r.wantLog(t, fmt.Sprintf("death at call %d, after its effect: %t", n, after), activityBegins, "wf_movies", "wf_new")
			if t.Failed() {
				return
			}
			if !died && n < 15 {
				t.Errorf("only %d calls were met", n-1)
			}
		}
	}
}
