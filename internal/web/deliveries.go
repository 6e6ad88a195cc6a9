package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/tokens"
)

const pageSize = 50

// sinces are the times that a list can go back.
var sinces = []struct {
	Name, Label string
	Back        time.Duration
}{{"", "any time", 0}, {"1h", "the last hour", time.Hour}, {"24h", "the last 24 hours", 24 * time.Hour}, {"168h", "the last 7 days", 7 * 24 * time.Hour}}

// choice is one of a list that can be chosen from.
type choice struct {
	Value, Label string
	Chosen       bool
}

// deliveriesPage is a list of deliveries, newest first.
type deliveriesPage struct {
	Filter                 ledger.Filter
	States, Stages, Sinces []choice
	Teams                  []choice // of a token that is for several
	Chart                  chart
	Deliveries             []waybill.Delivery
	Older                  string // link to the next page
	Filtered, Paged        bool
}

func (v *visit) deliveries() error {
	q := v.r.URL.Query()
	p := deliveriesPage{Filter: ledger.Filter{Team: v.team(), Connector: id(q.Get("connector")), Workflow: id(q.Get("workflow")), Job: id(q.Get("job")),
		Limit: pageSize}}
	p.States, p.Filter.State = choices("any state", q.Get("state"), waybill.States())
	p.Stages, p.Filter.Stage = choices("any stage", q.Get("stage"), waybill.Stages())
	for _, s := range sinces {
		if p.Sinces = append(p.Sinces, choice{s.Name, s.Label, s.Name == q.Get("since")}); s.Name == q.Get("since") && s.Back > 0 {
			p.Filter.Since = v.o.Now().Add(-s.Back)
		}
	}
	if len(v.grant.Teams) > 1 {
		for _, team := range v.grant.Teams {
			p.Teams = append(p.Teams, choice{team, team, team == p.Filter.Team})
		}
	}
	if cursor := q.Get("cursor"); ledger.ValidCursor(cursor) {
		p.Filter.Cursor, p.Paged = cursor, true
	}
	for _, name := range []string{"team", "connector", "workflow", "job", "state", "stage", "since"} {
		p.Filtered = p.Filtered || q.Get(name) != ""
	}
	page, err := v.o.Ledger.List(v.r.Context(), p.Filter)
	if err != nil {
		return err
	}
	if p.Deliveries = page.Deliveries; page.Cursor != "" {
		q.Set("cursor", page.Cursor)
		p.Older = "/?" + q.Encode()
	}
	if p.Chart, err = v.chart(p.Filter.Team); err != nil {
		return err
	}
	v.show(v.w, v, http.StatusOK, "deliveries", "Deliveries", p)
	return nil
}

// team is the one that is looked at: of those of the visitor's token.
func (v *visit) team() string {
	asked := id(v.r.URL.Query().Get("team"))
	if v.grant.EveryTeam() || slices.Contains(v.grant.Teams, asked) {
		return asked
	}
	return v.grant.Teams[0]
}

// id is what was asked for; what can be none selects nothing.
func id(text string) string {
	if text != "" && !waybill.ValidID(text) {
		return "-"
	}
	return text
}

// choices are the values of a filter; one that is not among them is none.
func choices[T ~string](all, asked string, values []T) (list []choice, chosen T) {
	list = []choice{{"", all, false}}
	for _, value := range values {
		if string(value) == asked {
			chosen = value
		}
		list = append(list, choice{string(value), string(value), string(value) == asked})
	}
	return list, chosen
}

// deliveryPage is one delivery's life.
type deliveryPage struct {
	ledger.Story
	Steps        []step
	Turn         turn
	Retryable    bool
	CSRF         string
	JustRetried  bool
	NoReceipt    bool                 // it is complete, and its receipt cannot be read
	CastFailures []waybill.FieldStats // of fields that have any
	FailedCasts  []waybill.FailedCast // the first of them
	Quarantine   []waybill.Quarantining
}

// most lines of a receipt's examples that a page shows.
const mostExamples = 20

func (v *visit) delivery() error {
	d, err := v.find()
	if err != nil {
		return err
	}
	p := deliveryPage{CSRF: v.csrf, JustRetried: v.r.URL.Query().Has("retried")}
	p.Story, err = v.o.Ledger.Story(v.r.Context(), d.ID)
	if err != nil && p.Delivery.ID == "" {
		return err
	}
	if err != nil {
		v.o.Log.WarnContext(v.r.Context(), "receipt could not be read", "component", "web", "delivery", d.ID, "error", err)
		p.NoReceipt = true
	}
	d = p.Delivery
	p.Steps, p.Turn = steps(p.Story), turnOf(d)
	p.Retryable = v.grant.May(tokens.Ops) && (d.State == waybill.StateFailed || d.State == waybill.StateBlocked)
	if r := p.Receipt; r != nil {
		for _, f := range r.Conversion.Fields {
			if f.CastFailures+f.Inexact+f.AssumedUTC > 0 {
				p.CastFailures = append(p.CastFailures, f)
			}
		}
		p.FailedCasts = r.Conversion.FailedCasts[:min(mostExamples, len(r.Conversion.FailedCasts))]
		p.Quarantine = r.Conversion.Quarantine[:min(mostExamples, len(r.Conversion.Quarantine))]
	}
	v.show(v.w, v, http.StatusOK, "delivery", d.WorkflowID+" to "+d.Connector, p)
	return nil
}

// find is the delivery that the path names; of another team there is none.
func (v *visit) find() (waybill.Delivery, error) {
	d, err := v.o.Ledger.Delivery(v.r.Context(), v.r.PathValue("id"))
	if err == nil && !v.grant.Serves(d.TeamID) {
		err = waybill.ErrNotFound
	}
	return d, err
}

func (v *visit) retry() error {
	if err := v.ours(); err != nil {
		return err
	}
	if !v.grant.May(tokens.Ops) {
		return errScope
	}
	d, err := v.find()
	if err != nil {
		return err
	}
	if err := v.o.Ledger.Retry(v.r.Context(), d.ID); err != nil {
		return err
	}
	v.o.Log.InfoContext(v.r.Context(), "delivery retried", "component", "web", "delivery", d.ID, "connector", d.Connector, "team", d.TeamID, "by", v.grant.Name)
	http.Redirect(v.w, v.r, "/deliveries/"+url.PathEscape(d.ID)+"?retried", http.StatusSeeOther)
	return nil
}

// connectorRow is a connector, and how it is with it.
type connectorRow struct {
	connectors.Connector
	Destination string
	Pause       *ledger.Pause
	Halt        *ledger.Pause    // of the whole destination
	Last        waybill.Delivery // the newest; zero: none yet
	Arrived     waybill.Delivery // the newest of the last twenty that is complete
	Stopped     int              // of the last twenty, those that wait for somebody
}

type connectorsPage struct {
	Rows  []connectorRow
	Older string
}

func (v *visit) connectors() error {
	all, err := v.o.Connectors.List(v.r.Context(), v.team())
	if err != nil {
		return err
	}
	after := v.r.URL.Query().Get("after")
	all = slices.DeleteFunc(all, func(c connectors.Connector) bool { return c.ID <= after })
	var p connectorsPage
	if len(all) > pageSize {
		all = all[:pageSize]
		p.Older = "/connectors?" + url.Values{"after": {all[pageSize-1].ID}, "team": {v.team()}}.Encode()
	}
	keys := make([]ledger.ConnectorKey, len(all))
	for i, c := range all {
		keys[i] = ledger.ConnectorKey{Team: c.Team, ID: c.ID}
	}
	pauses, err1 := v.o.Ledger.ConnectorPauses(v.r.Context(), keys)
	halts, err2 := v.o.Ledger.DestinationPauses(v.r.Context())
	recent, err3 := v.o.Ledger.Recent(v.r.Context(), keys)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	for i, c := range all {
		row := connectorRow{Connector: c, Destination: v.o.Destination(c), Pause: pauses[i]}
		row.Halt = halts.At(row.Destination)
		for _, d := range slices.Backward(recent[i]) {
			row.Last = d
			switch d.State {
			case waybill.StateComplete:
				row.Arrived = d
			case waybill.StateFailed, waybill.StateBlocked:
				row.Stopped++
			}
		}
		p.Rows = append(p.Rows, row)
	}
	v.show(v.w, v, http.StatusOK, "connectors", "Connectors", p)
	return nil
}
