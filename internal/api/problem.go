package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/tokens"
)

// Problem is a problem document. It is also the error of who makes one.
type Problem struct {
	Type   string           `json:"type"`             // stable, for machines
	Title  string           `json:"title"`            // the same for every problem of the type
	Status int              `json:"status"`           //
	Detail string           `json:"detail,omitempty"` // what is wrong, and how to mend it
	Errors waybill.Problems `json:"errors,omitempty"` // every field at fault
	Fields []string         `json:"fields,omitempty"` // of a run that was handed in with other content: what differs
	State  waybill.State    `json:"state,omitempty"`  // of a delivery that cannot be changed so

	retryAfter time.Duration
}

func (p *Problem) Error() string { return strings.TrimSpace(p.Title + ". " + p.Detail) }

// kinds are the problems' types and titles, by status.
var kinds = map[int]struct{ name, title string }{
	http.StatusBadRequest:            {"invalid", "Something is wrong with the request"},
	http.StatusUnauthorized:          {"no-token", "A valid token is needed"},
	http.StatusForbidden:             {"not-allowed", "The token does not allow it"},
	http.StatusNotFound:              {"not-found", "There is no such thing"},
	http.StatusMethodNotAllowed:      {"method", "The method is not taken here"},
	http.StatusConflict:              {"conflict", "It contradicts what is there"},
	http.StatusRequestEntityTooLarge: {"too-large", "The body is too large"},
	http.StatusUnsupportedMediaType:  {"media-type", "The body is not JSON"},
	http.StatusTooManyRequests:       {"too-many-requests", "There were too many requests"},
	http.StatusInternalServerError:   {"internal", "Something went wrong here"},
	http.StatusServiceUnavailable:    {"unavailable", "It cannot be done just now; the same again, later, is safe"},
}

func problem(status int, format string, args ...any) *Problem {
	k := kinds[status]
	return &Problem{Type: "urn:waybill:problem:" + k.name, Title: k.title, Status: status, Detail: fmt.Sprintf(format, args...)}
}

var errNowhere = waybill.ErrNotFound // another's, or nobody's: the same answer

// problemOf is the problem that an error is to who asked. What they cannot
// mend is in the log alone.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if fields, ok := errors.AsType[waybill.Problems](err); ok {
		p := problem(http.StatusBadRequest, "")
		p.Errors = fields
		return p
	}
	if c, ok := errors.AsType[*ledger.ConflictError](err); ok {
		p := problem(http.StatusConflict, "%s.", c)
		p.Fields = c.Fields
		return p
	}
	if s, ok := errors.AsType[*ledger.StateError](err); ok {
		p := problem(http.StatusConflict, "%s.", s)
		p.State = s.State
		return p
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem(http.StatusRequestEntityTooLarge, "At most %d bytes are taken.", large.Limit)
	}
	switch {
	case errors.Is(err, tokens.ErrNoToken):
		return problem(http.StatusUnauthorized, "Send a token that is valid: Authorization: Bearer TOKEN.")
	case errors.Is(err, waybill.ErrNotFound):
		return problem(http.StatusNotFound, "")
	case errors.Is(err, waybill.ErrIDUsed), errors.Is(err, waybill.ErrChanged):
		return problem(http.StatusConflict, "%s.", sentence(err))
	}
	return faultOf(err)
}

// sentence is of an error that matches one of ours that one's words.
func sentence(err error) string {
	if errors.Is(err, waybill.ErrIDUsed) {
		return waybill.ErrIDUsed.Error()
	}
	return waybill.ErrChanged.Error()
}

// faultOf is the problem of an error that is not the asker's.
func faultOf(err error) *Problem {
	var reach net.Error
	switch {
	case errors.Is(err, waybill.ErrUnavailable), errors.As(err, &reach), errors.Is(err, io.EOF), errors.Is(err, context.DeadlineExceeded):
		p := problem(http.StatusServiceUnavailable, "")
		if f, ok := errors.AsType[*waybill.Failure](err); ok {
			p.Detail = f.Action
		}
		p.retryAfter = 5 * time.Second
		return p
	}
	return problem(http.StatusInternalServerError, "The log of the scheduler says more.")
}

func (a *API) fail(w http.ResponseWriter, r *request, err error) {
	p := problemOf(err)
	level := slog.LevelDebug
	if p.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	a.o.Log.Log(r.Context(), level, "request refused", "component", "api", "method", r.Method, "path", r.URL.Path, "status", p.Status,
		"token", r.grant.Name, "error", err)
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.retryAfter.Seconds())))
	}
	a.write(w, r, p.Status, "application/problem+json", p)
}

// write encodes before it says how it went: half an answer is none.
func (a *API) write(w http.ResponseWriter, r *request, status int, kind string, v any) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if v == nil {
		w.WriteHeader(status)
		return
	}
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(v); err != nil {
		a.o.Log.ErrorContext(r.Context(), "answer could not be encoded", "component", "api", "path", r.URL.Path, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = text.WriteTo(w) // who asked may have left
}
