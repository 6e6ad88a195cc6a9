package api

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
)

// HandedIn is the answer to a run that was handed in.
type HandedIn struct {
	waybill.RunKey
	Submission
	Deliveries []Planned `json:"deliveries"`
}

// Planned is a delivery that a run becomes.
type Planned struct {
	ID        string `json:"id"`
	Connector string `json:"connector"`
}

// NewHandedIn is the answer to a run: ids of deliveries follow from it and the
// connectors of its team.
func NewHandedIn(run waybill.Run, done Submission, all []connectors.Connector) HandedIn {
	answer := HandedIn{RunKey: run.RunKey, Submission: done, Deliveries: []Planned{}}
	for _, c := range all {
		if c.Subscribes(run.WorkflowID) {
			answer.Deliveries = append(answer.Deliveries, Planned{waybill.DeliveryID(run.RunKey, c.ID), c.ID})
		}
	}
	return answer
}

func submit(r *request) (int, any, error) {
	text, err := r.body()
	if err != nil {
		return 0, nil, err
	}
	run, err := waybill.DecodeRun(bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	if !r.grant.Serves(run.TeamID) {
		return 0, nil, problem(http.StatusForbidden, "The token is not for team %s.", run.TeamID)
	}
	if strings.HasPrefix(strings.ToLower(run.Source.URI), "file:") || !strings.Contains(run.Source.URI, "://") {
		return 0, nil, waybill.Problems{{Field: "source.uri", Message: "names a file, which nobody may over HTTP; use s3://, gs://, azblob:// or https://"}}
	}
	done, err := r.api.o.Submit(r.Context(), run)
	if err != nil {
		return 0, nil, err
	}
	all, err := r.api.o.Connectors.List(r.Context(), run.TeamID)
	if err != nil {
		return 0, nil, err
	}
	status := http.StatusAccepted
	if done.Outcome == string(ledger.OutcomeSame) {
		status = http.StatusOK
	}
	return status, NewHandedIn(run, done, all), nil
}

// Deliveries is one page of them, newest first.
type Deliveries struct {
	Deliveries []waybill.Delivery `json:"deliveries"`
	Next       string             `json:"next,omitempty"` // cursor of the next page; none: this was the last
}

func listDeliveries(r *request) (int, any, error) {
	f, err := r.filter()
	if err != nil {
		return 0, nil, err
	}
	page, err := r.api.o.Ledger.List(r.Context(), f)
	if err != nil {
		return 0, nil, err
	}
	answer := Deliveries{Deliveries: []waybill.Delivery{}, Next: page.Cursor}
	answer.Deliveries = append(answer.Deliveries, page.Deliveries...)
	return http.StatusOK, answer, nil
}

func showDelivery(r *request) (int, any, error) {
	d, err := r.delivery()
	if err != nil {
		return 0, nil, err
	}
	story, err := r.api.o.Ledger.Story(r.Context(), d.ID)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, story, nil
}

// delivery is the one that the path names.
func (r *request) delivery() (waybill.Delivery, error) {
	d, err := r.api.o.Ledger.Delivery(r.Context(), r.PathValue("id"))
	return d, r.needs(d.TeamID, err)
}

func retryDelivery(r *request) (int, any, error) {
	return r.change("delivery retried", func(id string) error { return r.api.o.Ledger.Retry(r.Context(), id) })
}

func cancelDelivery(r *request) (int, any, error) {
	return r.change("delivery cancelled", func(id string) error { return r.api.o.Ledger.Cancel(r.Context(), id, "by an operator") })
}

// change does something to a delivery, and answers with what it is then.
func (r *request) change(what string, do func(id string) error) (int, any, error) {
	d, err := r.delivery()
	if err != nil {
		return 0, nil, err
	}
	if err := do(d.ID); err != nil {
		return 0, nil, err
	}
	r.api.o.Log.InfoContext(r.Context(), what, "component", "api", "delivery", d.ID, "connector", d.Connector, "team", d.TeamID, "by", r.who())
	d, err = r.api.o.Ledger.Delivery(r.Context(), d.ID)
	return http.StatusOK, d, err
}
