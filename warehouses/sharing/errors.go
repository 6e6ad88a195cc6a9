package sharing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// problem is an answer that is not what was asked for.
type problem struct {
	Code    string `json:"errorCode"`
	Message string `json:"message"`
	status  int
}

func (p *problem) Error() string { return p.Code + ": " + p.Message }

// The answers, in the words of the protocol's reference server.
var (
	errNoToken   = &problem{"UNAUTHENTICATED", "The bearer token is missing, wrong, expired or revoked; ask your provider for a new profile.", http.StatusUnauthorized}
	errForbidden = &problem{"PERMISSION_DENIED", "Requests from this address are not allowed; ask your provider to allow it.", http.StatusForbidden}
	errInternal  = &problem{"INTERNAL_ERROR", "", http.StatusInternalServerError} // what is ours stays ours
)

func notFound(format string, args ...any) error {
	return &problem{"RESOURCE_DOES_NOT_EXIST", fmt.Sprintf(format, args...), http.StatusNotFound}
}

func invalid(format string, args ...any) error {
	return &problem{"INVALID_PARAMETER_VALUE", fmt.Sprintf(format, args...), http.StatusBadRequest}
}

func malformed(format string, args ...any) error {
	return &problem{"MALFORMED_REQUEST", fmt.Sprintf(format, args...), http.StatusBadRequest}
}

func unsupported(message string) error {
	return &problem{"UNSUPPORTED_OPERATION", message, http.StatusBadRequest}
}

// outcome says what an error is to the customer. Errors of ours go to the log alone.
func outcome(err error) *problem {
	p, ok := errors.AsType[*problem](err)
	switch {
	case ok:
		return p
	case errors.Is(err, delta.ErrNoTable):
		return &problem{"RESOURCE_DOES_NOT_EXIST", "The table does not exist.", http.StatusNotFound}
	case errors.Is(err, delta.ErrNoVersion):
		return &problem{"INVALID_PARAMETER_VALUE", "The table has no such version, or none any more, or none of that time.", http.StatusBadRequest}
	}
	return errInternal
}

// fail answers with an error, if nothing was answered yet.
func (r *request) fail(err error) {
	p := outcome(err)
	if p == errInternal && !errors.Is(err, context.Canceled) {
		r.s.o.Log.Error("a request of the Delta Sharing server failed", "path", r.URL.Path, "connector", r.connector, "error", err)
	}
	if r.w.status != 0 {
		return
	}
	if p.status == http.StatusUnauthorized {
		r.w.Header().Set("WWW-Authenticate", "Bearer")
	}
	_ = r.json(p.status, p) // who asked has gone
}

func (r *request) json(status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	r.w.WriteHeader(status)
	_, err = r.w.Write(text)
	return err
}

// gone reports whether a file is no longer where it was.
func gone(err error) bool { return errors.Is(err, storage.ErrNotExist) }
