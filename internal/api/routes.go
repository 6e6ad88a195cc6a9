package api

import (
	"net/http"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/tokens"
)

// route is one operation: what answers it, and what is told of it.
type route struct {
	method, path string
	id, summary  string
	scope        tokens.Scope
	query        []parameter
	body         any         // of the body's type; nil: there is none
	answers      map[int]any // by status, of the answer's type; nil: nothing
	refusals     []int       // problems that it can be answered with, beside those of every route
	do           func(*request) (int, any, error)
}

// parameter is one of the query.
type parameter struct {
	name, what string
	of         any // of its type
}

// everywhere are the problems that every route can be answered with.
var everywhere = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable}

var paging = []parameter{
	{"limit", "how many at most, 1 to 500; default 100", 0},
	{"cursor", "next of the page before", ""},
}

var ofTeam = parameter{"team", "of this team; needed where the token is for several, but not for all", ""}

var filters = append([]parameter{
	ofTeam,
	{"connector", "to this connector", ""},
	{"workflow", "of this workflow", ""},
	{"job", "of this job", ""},
	{"state", "in this state", waybill.State("")},
	{"stage", "at this stage", waybill.Stage("")},
	{"since", "created then or later", timeOf{}},
	{"until", "created earlier than that", timeOf{}},
}, paging...)

const (
	forbidden = http.StatusForbidden
	missing   = http.StatusNotFound
	conflict  = http.StatusConflict
	large     = http.StatusRequestEntityTooLarge
	noJSON    = http.StatusUnsupportedMediaType
)

func routes() []route {
	return []route{
		{method: "POST", path: "/v1/runs", id: "submitRun", scope: tokens.Producer,
			summary: "Hand in a finished run. It is durable when this is answered; handing the same run in again is a success and nothing new.",
			body:    waybill.Run{}, answers: map[int]any{http.StatusAccepted: HandedIn{}, http.StatusOK: HandedIn{}},
			refusals: []int{forbidden, conflict, large, noJSON}, do: submit},
		{method: "GET", path: "/v1/deliveries", id: "listDeliveries", scope: tokens.Producer, summary: "List deliveries, newest first.",
			query: filters, answers: map[int]any{http.StatusOK: Deliveries{}}, refusals: []int{forbidden}, do: listDeliveries},
		{method: "GET", path: "/v1/deliveries/{id}", id: "showDelivery", scope: tokens.Producer, summary: "Show one delivery: where it stands, what happened, and its receipt.",
			answers: map[int]any{http.StatusOK: ledger.Story{}}, refusals: []int{missing}, do: showDelivery},
		{method: "POST", path: "/v1/deliveries/{id}/retry", id: "retryDelivery", scope: tokens.Ops, summary: "Send a failed or blocked delivery on its way again, with a fresh round of attempts.",
			answers: map[int]any{http.StatusOK: waybill.Delivery{}}, refusals: []int{forbidden, missing, conflict}, do: retryDelivery},
		{method: "POST", path: "/v1/deliveries/{id}/cancel", id: "cancelDelivery", scope: tokens.Ops, summary: "Cancel a delivery that is not complete; files that were uploaded by then stay, without a manifest.",
			answers: map[int]any{http.StatusOK: waybill.Delivery{}}, refusals: []int{forbidden, missing, conflict}, do: cancelDelivery},
		{method: "GET", path: "/v1/connectors", id: "listConnectors", scope: tokens.Producer, summary: "List connectors by id. They hold references to secrets, never secrets.",
			query: append([]parameter{ofTeam}, paging...), answers: map[int]any{http.StatusOK: Connectors{}}, refusals: []int{forbidden}, do: listConnectors},
		{method: "GET", path: "/v1/connectors/{id}", id: "showConnector", scope: tokens.Producer, summary: "Show a connector, and whether it is paused.",
			answers: map[int]any{http.StatusOK: Connector{}}, refusals: []int{missing}, do: showConnector},
		{method: "PUT", path: "/v1/connectors/{id}", id: "putConnector", scope: tokens.Ops, summary: "Create or change a connector. What was blocked by its settings goes on.",
			body: connectors.Connector{}, answers: map[int]any{http.StatusOK: Put{}, http.StatusCreated: Put{}},
			refusals: []int{forbidden, conflict, large, noJSON}, do: putConnector},
		{method: "DELETE", path: "/v1/connectors/{id}", id: "deleteConnector", scope: tokens.Ops, summary: "Forget a connector and cancel what is on its way to it. Its id is never used again.",
			answers: map[int]any{http.StatusNoContent: nil}, refusals: []int{forbidden, missing}, do: deleteConnector},
		{method: "POST", path: "/v1/connectors/{id}/check", id: "checkConnector", scope: tokens.Ops, summary: "Write, read back and delete a probe object, and say what is missing and how to allow it.",
			answers: map[int]any{http.StatusOK: Report{}}, refusals: []int{forbidden, missing}, do: checkConnector},
		{method: "POST", path: "/v1/connectors/{id}/pause", id: "pauseConnector", scope: tokens.Ops, summary: "Send nothing more to a connector; its deliveries wait. One that is paused stays as it is.",
			body: Pausing{}, answers: map[int]any{http.StatusOK: Connector{}}, refusals: []int{forbidden, missing, large, noJSON}, do: pauseConnector},
		{method: "POST", path: "/v1/connectors/{id}/resume", id: "resumeConnector", scope: tokens.Ops, summary: "Let a paused connector go on.",
			answers: map[int]any{http.StatusOK: Connector{}}, refusals: []int{forbidden, missing}, do: resumeConnector},
		{method: "GET", path: "/v1/destinations", id: "listDestinations", scope: tokens.Producer, summary: "List what can be paused as one, such as s3/eu-central-1, with the number of connectors there. Needs a token of all teams.",
			answers: map[int]any{http.StatusOK: Destinations{}}, refusals: []int{forbidden}, do: listDestinations},
		{method: "POST", path: "/v1/destinations/{id}/pause", id: "pauseDestination", scope: tokens.Ops, summary: "Send nothing more to a destination, whosever connectors are there; their deliveries wait. Its name is escaped, as s3%2Feu-central-1. One that is paused stays as it is. Needs a token of all teams.",
			body: Pausing{}, answers: map[int]any{http.StatusOK: Destination{}}, refusals: []int{forbidden, missing, large, noJSON}, do: pauseDestination},
		{method: "POST", path: "/v1/destinations/{id}/resume", id: "resumeDestination", scope: tokens.Ops, summary: "Let a paused destination go on. Needs a token of all teams.",
			answers: map[int]any{http.StatusOK: Destination{}}, refusals: []int{forbidden, missing}, do: resumeDestination},
	}
}
