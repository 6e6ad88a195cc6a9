package api

import (
	"cmp"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/tokens"
)

// body is the request's JSON.
func (r *request) body() ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, problem(http.StatusUnsupportedMediaType, "Send JSON, with Content-Type: application/json.")
	}
	return io.ReadAll(r.Body)
}

// knownQuery refuses parameters that the route does not know: one that is
// misspelt would select more than was meant.
func (r *request) knownQuery(route route) error {
	var p waybill.Problems
	names := make([]string, len(route.query))
	for i, q := range route.query {
		names[i] = q.name
	}
	query := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case len(names) == 0:
			p.Addf(waybill.Quote(name), "is not a parameter here; there are none")
		case !slices.Contains(names, name):
			p.Addf(waybill.Quote(name), "is not a parameter here; known are %s", strings.Join(names, ", "))
		case len(query[name]) > 1:
			p.Addf(name, "stands more than once")
		}
	}
	return p.Err()
}

// page is which part of a list is asked for.
const (
	pageDefault = 100
	pageMost    = 500
)

func (r *request) limit(p *waybill.Problems) int {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return pageDefault
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > pageMost {
		p.Addf("limit", "%s is not a page's size; use 1 to %d", waybill.Quote(text), pageMost)
	}
	return n
}

// filter is which deliveries are asked for: of the token's teams only.
func (r *request) filter() (ledger.Filter, error) {
	q := r.URL.Query()
	var p waybill.Problems
	f := ledger.Filter{Connector: q.Get("connector"), Workflow: q.Get("workflow"), Job: q.Get("job"),
		State: choice(&p, "state", waybill.State(q.Get("state")), waybill.States()),
		Stage: choice(&p, "stage", waybill.Stage(q.Get("stage")), waybill.Stages()),
		Since: moment(&p, "since", q.Get("since")), Until: moment(&p, "until", q.Get("until")),
		Limit: r.limit(&p), Cursor: q.Get("cursor")}
	if f.Cursor != "" && !ledger.ValidCursor(f.Cursor) {
		p.Addf("cursor", "is not one that a page ended with; take next of the page before, as it is")
	}
	for _, id := range []struct{ name, value string }{{"connector", f.Connector}, {"workflow", f.Workflow}, {"job", f.Job}} {
		if id.value != "" && !waybill.ValidID(id.value) {
			p.Addf(id.name, "%s is not an id", waybill.Quote(id.value))
		}
	}
	if err := p.Err(); err != nil {
		return f, err
	}
	var err error
	f.Team, err = r.team()
	return f, err
}

// team is the one that a list is of; empty for all of them, where the token is
// for all of them.
func (r *request) team() (string, error) {
	team := r.URL.Query().Get("team")
	switch {
	case team != "" && !waybill.ValidID(team):
		return "", waybill.Problems{{Field: "team", Message: waybill.Quote(team) + " is not a team's id"}}
	case team != "" && !r.grant.Serves(team):
		return "", problem(http.StatusForbidden, "The token is not for team %s.", team)
	case team != "" || r.grant.EveryTeam():
		return team, nil
	case len(r.grant.Teams) == 1:
		return r.grant.Teams[0], nil
	}
	return "", waybill.Problems{{Field: "team", Message: "is missing; the token is for " + strings.Join(r.grant.Teams, ", ") + ": name one of them"}}
}

func choice[T ~string](p *waybill.Problems, name string, value T, known []T) T {
	if value != "" && !slices.Contains(known, value) {
		names := make([]string, len(known))
		for i, k := range known {
			names[i] = string(k)
		}
		p.Addf(name, "%s is not known; use one of %s", waybill.Quote(string(value)), strings.Join(names, ", "))
	}
	return value
}

func moment(p *waybill.Problems, name, text string) (at time.Time) {
	if text == "" {
		return at
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		p.Addf(name, "%s is not a time; write e.g. 2025-01-15T10:30:00Z", waybill.Quote(text))
	}
	return at
}

// needs returns what a delivery or a connector of a team may be answered with:
// of another team's it says what it says of one that is not there.
func (r *request) needs(team string, err error) error {
	if err == nil && !r.grant.Serves(team) {
		return errNowhere
	}
	return err
}

// who is named in what an operator did.
func (r *request) who() string { return cmp.Or(r.grant.Name, string(tokens.Ops)) }
