package handlers_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/internal/ledger"
)

// chance is a platform, a network and a process that do as they please.
type chance struct {
	*activityRig
	*rand.Rand
	known []string // workflows that runs were handed in of
}

// happen makes something happen on the platform, up to two days late.
func (c *chance) happen(n int) {
	for range n {
		ago := time.Duration(c.IntN(60)) * time.Second
		switch c.IntN(12) {
		case 0:
			ago = time.Duration(c.IntN(15*60)) * time.Second
		case 1:
			ago = time.Duration(c.IntN(46*60)) * time.Minute
		case 2: // by a clock that is ahead
			ago = -time.Duration(c.IntN(120)) * time.Second
		}
		e := in(c.event(ago, fmt.Sprint("event ", c.IntN(5))), fmt.Sprint("wf_", c.IntN(4)))
		if c.IntN(2) == 0 {
			e.DateTime = e.DateTime.Truncate(time.Second) // several share a moment
		}
		for range 1 + c.IntN(2) { // some are twins
			c.platform.AddEvents(e)
		}
	}
}

// harm breaks some of the platform's answers, or changes its log while it is read.
func (c *chance) harm() {
	faults := []platform.Fault{
		{Status: http.StatusInternalServerError}, {Status: http.StatusTooManyRequests, RetryAfter: "3"}, {Garbage: "<html>"},
		{Garbage: `{"data":{"events":[],"pagination":{}}}`}, {Cut: true, CutAfter: c.IntN(300)},
		{Times: 1 + c.IntN(9), Do: func() { c.happen(1) }},
	}
	for range c.IntN(4) {
		f := faults[c.IntN(len(faults))]
		f.Skip = c.IntN(12)
		c.platform.Inject(f)
	}
}

// live is a day or two of the fleet's life, in some dozens of ticks.
func (c *chance) live(t *testing.T, ticks int) {
	for range ticks {
		c.advance(time.Duration(20+c.IntN(100)) * time.Second)
		if c.IntN(15) == 0 {
			c.advance(time.Duration(c.IntN(10)) * time.Hour) // nobody was there
		}
		if len(c.known) < 4 && c.IntN(4) == 0 {
			id := fmt.Sprint("wf_", len(c.known))
			c.handIn(t, team, id)
			c.known = append(c.known, id)
		}
		if c.IntN(8) == 0 { // the connector selects some, or all
			c.connector.Workflows = [][]string{nil, {"wf_0", "wf_1"}, {"wf_2"}}[c.IntN(3)]
		}
		c.platform.ClampPages([]int{0, 10, 50}[c.IntN(3)])
		c.happen(c.IntN(8))
		c.harm()
		if c.IntN(3) == 0 {
			c.death.plan(1+c.IntN(60), c.IntN(2) == 0)
		}
		_ = c.sync(t) // whatever it comes to
		c.death.plan(0, false)
		if c.IntN(20) == 0 {
			if err := c.Ledger.RequestActivity(t.Context(), c.connector.ID, activityBegins.Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// selected are the workflows whose events the customer is to see.
func (c *chance) selected() []string {
	return slices.DeleteFunc(slices.Clone(c.known), func(id string) bool { return !c.connector.Subscribes(id) })
}

// settle ends all harm, and lets the daily look for what came late happen.
func (c *chance) settle(t *testing.T) {
	c.platform.Heal()
	c.platform.ClampPages(0)
	for _, later := range []time.Duration{time.Minute, 25 * time.Hour, time.Minute} {
		c.advance(later)
		if err := c.sync(t); err != nil && !errors.Is(err, ledger.ErrGone) {
			t.Fatal(err)
		}
	}
}

// The guarantee: pages that drift, events that come late, twins, several of one
// moment, refusals, garbage, cut connections, a process that dies anywhere,
// and a connector that selects now these workflows and now those, in whatever
// order, leave the customer with the platform's log and nothing else.
func TestTheActivityLogIsThePlatformsAfterWhateverHappened(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c := &chance{activityRig: setupActivity(t), Rand: rand.New(rand.NewPCG(seed, 7))}
			c.live(t, 40)
			c.log(t) // no id twice, at any time
			c.settle(t)
			since := activityBegins
			if request, err := c.Ledger.ActivityRequest(t.Context(), c.connector.ID); err != nil {
				t.Fatal(err)
			} else if !request.From.IsZero() {
				since = request.From
			}
			c.wantLog(t, "in the end", since, c.selected()...)
			c.connector.Workflows = nil
			c.settle(t)
			c.wantLog(t, "with all selected", since, c.known...)
			if len(c.known) == 0 || len(c.log(t)) < 20 {
				t.Errorf("only %d events of %v", len(c.log(t)), c.known)
			}
		})
	}
}

// The same of Snowflake, where the customer reads a view that our account shares.
func TestTheActivityLogOfSnowflakeIsThePlatforms(t *testing.T) {
	account := setupSnowflake(t)
	c := &chance{activityRig: setupActivity(t), Rand: rand.New(rand.NewPCG(1, 7))}
	on, off := true, false
	c.Handlers.Snowflake, c.Ingest = account.Snowflake, account.Ingest
	c.connector = account.connector
	c.connector.ActivityLog, c.connector.CreatedAt = &on, c.now
	c.tick(t)
	customer := account.customer(t)
	c.live(t, 12)
	c.settle(t)
	since := activityBegins
	if request, err := c.Ledger.ActivityRequest(t.Context(), c.connector.ID); err != nil {
		t.Fatal(err)
	} else if !request.From.IsZero() {
		since = request.From
	}
	const events = `SELECT OCCURRED_AT, TITLE, WORKFLOW_ID FROM KADOA.SHARED.ACTIVITY_LOG ORDER BY OCCURRED_AT, TITLE, WORKFLOW_ID`
	for _, workflows := range [][]string{nil, {"wf_0"}, nil} {
		c.connector.Workflows = workflows
		c.settle(t)
		var want []string
		for _, id := range c.selected() {
			for _, e := range c.platform.Events(id) {
				if !e.DateTime.Before(since) {
					want = append(want, e.DateTime.UTC().Format(time.RFC3339)+"|"+e.Title+"|"+id)
				}
			}
		}
		slices.Sort(want)
		if got := query(t, customer, events); got != strings.Join(want, " ") || len(want) < 3 {
			t.Errorf("of %v the customer reads\n%s\nwant\n%s", workflows, got, strings.Join(want, " "))
		}
	}
	c.connector.ActivityLog = &off
	c.tick(t)
	if _, err := customer.ExecContext(t.Context(), events); err == nil {
		t.Error("the customer still reads the activity log that was switched off")
	}
}
