package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/secrets"
)

// Connector is a connector, and how it is with it.
type Connector struct {
	Connector   connectors.Connector `json:"connector"`
	Destination string               `json:"destination"`     // what can be paused as one, e.g. s3/eu-central-1
	Pause       *Pause               `json:"pause,omitempty"` // why it is paused
	Halt        *Pause               `json:"halt,omitempty"`  // why the whole destination is
}

// Pause is why a connector, or a destination, is paused.
type Pause struct {
	At        time.Time `json:"at"`
	Reason    string    `json:"reason"`
	Automatic bool      `json:"automatic"` // after failures in a row
}

// Connectors is one page of them, by id.
type Connectors struct {
	Connectors []Connector `json:"connectors"`
	Next       string      `json:"next,omitempty"` // cursor of the next page; none: this was the last
}

// Put is the answer to a connector that was put.
type Put struct {
	Connector
	Applied
}

func listConnectors(r *request) (int, any, error) {
	team, err := r.team()
	if err != nil {
		return 0, nil, err
	}
	var p waybill.Problems
	limit, after := r.limit(&p), r.URL.Query().Get("cursor")
	if err := p.Err(); err != nil {
		return 0, nil, err
	}
	all, err := r.api.o.Connectors.List(r.Context(), team)
	if err != nil {
		return 0, nil, err
	}
	all = slices.DeleteFunc(all, func(c connectors.Connector) bool { return c.ID <= after })
	page := all[:min(limit, len(all))]
	ids := make([]ledger.ConnectorKey, len(page))
	for i, c := range page {
		ids[i] = ledger.ConnectorKey{Team: c.Team, ID: c.ID}
	}
	pauses, err1 := r.api.o.Ledger.ConnectorPauses(r.Context(), ids)
	halts, err2 := r.api.o.Ledger.DestinationPauses(r.Context())
	if err := errors.Join(err1, err2); err != nil {
		return 0, nil, err
	}
	answer := Connectors{Connectors: []Connector{}}
	for i, c := range page {
		answer.Connectors = append(answer.Connectors, r.standing(c, pauses[i], halts))
	}
	if len(page) < len(all) {
		answer.Next = page[len(page)-1].ID
	}
	return http.StatusOK, answer, nil
}

func (r *request) standing(c connectors.Connector, pause *ledger.Pause, halts ledger.Halts) Connector {
	destination := r.api.o.Destination(c)
	return Connector{Connector: c, Destination: destination, Pause: shown(pause), Halt: shown(halts.At(destination))}
}

func shown(p *ledger.Pause) *Pause {
	if p == nil {
		return nil
	}
	return &Pause{At: p.At, Reason: p.Reason, Automatic: p.Automatic}
}

// connector is the one that the path names.
func (r *request) connector() (connectors.Connector, error) {
	c, err := r.api.o.Connectors.Get(r.Context(), r.PathValue("id"))
	return c, r.needs(c.Team, err)
}

func showConnector(r *request) (int, any, error) {
	c, err := r.connector()
	if err != nil {
		return 0, nil, err
	}
	answer, err := r.read(c)
	return http.StatusOK, answer, err
}

func (r *request) read(c connectors.Connector) (Connector, error) {
	pause, err1 := r.api.o.Ledger.ConnectorPause(r.Context(), c.Team, c.ID)
	halts, err2 := r.api.o.Ledger.DestinationPauses(r.Context())
	return r.standing(c, pause, halts), errors.Join(err1, err2)
}

func putConnector(r *request) (int, any, error) {
	c, err := r.parseConnector()
	if err != nil {
		return 0, nil, err
	}
	if !r.grant.Serves(c.Team) {
		return 0, nil, problem(http.StatusForbidden, "The token is not for team %s.", c.Team)
	}
	was, err := r.api.o.Connectors.Get(r.Context(), c.ID)
	if err != nil && !errors.Is(err, waybill.ErrNotFound) {
		return 0, nil, err
	}
	if err == nil && was.Team != c.Team { // as of one that was deleted: whose it is, or was, is not told
		return 0, nil, waybill.ErrIDUsed
	}
	if err := r.mayRefer(was, c); err != nil {
		return 0, nil, err
	}
	applied, err := r.api.o.Apply(r.Context(), r.who(), c)
	if err != nil {
		return 0, nil, err
	}
	r.api.o.Log.InfoContext(r.Context(), "connector applied", "component", "api", "connector", c.ID, "team", c.Team, "change", applied.Change, "by", r.who())
	if c, err = r.api.o.Connectors.Get(r.Context(), c.ID); err != nil {
		return 0, nil, err
	}
	now, err := r.read(c)
	status := http.StatusOK
	if applied.Change == connectors.Created {
		status = http.StatusCreated
	}
	return status, Put{now, applied}, err
}

// parseConnector reads a connector as a person writes it, of which JSON is one
// way. What the registry sets by itself may stand there: who changes a
// connector has read it before.
func (r *request) parseConnector() (c connectors.Connector, err error) {
	text, err := r.body()
	if err != nil {
		return c, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil || fields == nil {
		return c, problem(http.StatusBadRequest, "The body is not a JSON object.")
	}
	delete(fields, "createdAt")
	delete(fields, "externalId")
	if text, err = json.Marshal(fields); err != nil {
		return c, err
	}
	list, err := r.api.o.Rules.Parse("connector", text)
	if problems, ok := errors.AsType[waybill.Problems](err); ok {
		for i, p := range problems { // they name the line of a file; here is none
			if _, field, ok := strings.Cut(p.Field, ": "); ok {
				problems[i].Field = field
			}
		}
		return c, problems
	}
	if err != nil || len(list) != 1 {
		return c, errors.Join(err, problem(http.StatusBadRequest, "The body is not one connector."))
	}
	if list[0].ID != r.PathValue("id") {
		return c, waybill.Problems{{Field: "id", Message: "is not the one of the address; ids cannot change"}}
	}
	return list[0], nil
}

// mayRefer refuses what would let a team have the fleet's own: who may act for
// some teams only names no secrets but those that the connector has already, for
// they would be sent to an address of the team's choice, and no folders.
func (r *request) mayRefer(was, c connectors.Connector) error {
	if r.grant.EveryTeam() {
		return nil
	}
	known := references(reflect.ValueOf(was))
	for _, ref := range references(reflect.ValueOf(c)) {
		if !slices.Contains(known, ref) {
			return problem(http.StatusForbidden, "Secrets of the fleet, such as %s, are given to a connector by an operator of all teams.", ref)
		}
	}
	moved := was.Storage != nil && c.Storage != nil &&
		(was.Storage.URL != c.Storage.URL || was.Storage.Endpoint != c.Storage.Endpoint || was.Storage.Access != c.Storage.Access)
	if moved && len(known) > 0 {
		return problem(http.StatusForbidden, "A connector with secrets of the fleet is moved by an operator of all teams.")
	}
	if c.Storage != nil && strings.HasPrefix(c.Storage.URL, "file:") && (was.Storage == nil || was.Storage.URL != c.Storage.URL) {
		return problem(http.StatusForbidden, "Folders of the fleet are given to a connector by an operator of all teams.")
	}
	return nil
}

// references are those to secrets, wherever in a value they stand.
func references(v reflect.Value) (refs []secrets.Ref) {
	if ref, ok := reflect.TypeAssert[secrets.Ref](v); ok {
		if ref.IsZero() {
			return nil
		}
		return []secrets.Ref{ref}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			refs = references(v.Elem())
		}
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(v.Type()) {
			if f.IsExported() && len(f.Index) == 1 {
				refs = append(refs, references(v.FieldByIndex(f.Index))...)
			}
		}
	}
	return refs
}

func deleteConnector(r *request) (int, any, error) {
	c, err := r.connector()
	if err != nil {
		return 0, nil, err
	}
	if err := r.api.o.Delete(r.Context(), r.who(), c); err != nil {
		return 0, nil, err
	}
	r.api.o.Log.InfoContext(r.Context(), "connector deleted", "component", "api", "connector", c.ID, "team", c.Team, "by", r.who())
	return http.StatusNoContent, nil, nil
}

func checkConnector(r *request) (int, any, error) {
	c, err := r.connector()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, r.api.o.Check(r.Context(), c), nil
}

// Pausing is the body of a pause.
type Pausing struct {
	Reason string `json:"reason"` // shown wherever the pause is
}

func pauseConnector(r *request) (int, any, error) {
	c, err := r.connector()
	if err != nil {
		return 0, nil, err
	}
	reason, err := r.reason()
	if err != nil {
		return 0, nil, err
	}
	if _, err := r.api.o.Ledger.PauseConnector(r.Context(), c.Team, c.ID, reason); err != nil {
		return 0, nil, err
	}
	return r.paused(c, "connector paused")
}

// reason is the one that the body of a pause gives.
func (r *request) reason() (string, error) {
	text, err := r.body()
	if err != nil {
		return "", err
	}
	var why Pausing
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&why); err != nil || why.Reason == "" || len(why.Reason) > 300 {
		return "", waybill.Problems{{Field: "reason", Message: `is all that the body holds: {"reason": "…"}, of 1 to 300 bytes`}}
	}
	return why.Reason, nil
}

func resumeConnector(r *request) (int, any, error) {
	c, err := r.connector()
	if err != nil {
		return 0, nil, err
	}
	if _, err := r.api.o.Resume(r.Context(), c); err != nil {
		return 0, nil, err
	}
	return r.paused(c, "connector resumed")
}

func (r *request) paused(c connectors.Connector, what string) (int, any, error) {
	r.api.o.Log.InfoContext(r.Context(), what, "component", "api", "connector", c.ID, "team", c.Team, "by", r.who())
	answer, err := r.read(c)
	return http.StatusOK, answer, err
}
