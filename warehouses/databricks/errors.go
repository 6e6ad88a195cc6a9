package databricks

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/databricks/databricks-sdk-go/apierr"
	"github.com/databricks/databricks-sdk-go/service/sql"

	"github.com/waybillhq/waybill"
)

// need is what a call needs, for the sentence to who can give it.
type need struct {
	do    string // "create recipient kadoa_acme"
	grant string // "CREATE RECIPIENT on the metastore"
	thing string // what is missing where it is not found
	code  string // of that; codeNotFound if empty
}

// fault is one kind of failure and what it is recognised by: the error code
// of the API, or the error class of a statement, then the SQLSTATE, then the
// HTTP status.
//
// https://docs.databricks.com/api/workspace/introduction
// https://docs.databricks.com/error-messages/error-classes.html
type fault struct {
	codes     []string
	sqlStates []string
	statuses  []int

	verdict waybill.Verdict
	code    string
	action  string // with {do}, {grant} and {thing} filled in
}

const (
	codeUnavailable = "databricks.unavailable"
	codeNotFound    = "databricks.not_found"
)

// badLogin is an error code of ours: the login was refused, for whatever reason.
const badLogin = "bad login"

// faults is the one table of what can go wrong with the workspace.
var faults = []fault{
	{
		codes: []string{"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", badLogin}, statuses: []int{http.StatusUnauthorized},
		verdict: waybill.Blocked, code: "databricks.bad_credentials",
		action: "The workspace does not accept Waybill's credentials; correct clientId and clientSecret, or token, of databricks in the fleet's configuration.",
	}, {
		codes:   []string{"NO_PARENT_EXTERNAL_LOCATION_FOR_PATH", "EXTERNAL_LOCATION_DOES_NOT_EXIST"},
		verdict: waybill.Blocked, code: "databricks.no_external_location",
		action: "No external location covers the path of databricks.storage; create one in Unity Catalog, and grant Waybill's principal CREATE EXTERNAL TABLE and CREATE MANAGED STORAGE on it.",
	}, {
		codes:   []string{"STORAGE_CREDENTIAL_DOES_NOT_EXIST"},
		verdict: waybill.Blocked, code: "databricks.no_storage_credential",
		action: "The storage credential of the external location does not exist; create it in Unity Catalog, or name another in the external location.",
	}, {
		codes:   []string{"LOCATION_OVERLAP"},
		verdict: waybill.Blocked, code: "databricks.location_overlap",
		action: "Something else in Unity Catalog lies where the table is to be registered; remove that, or give databricks.storage a path of its own.",
	}, {
		codes:   []string{"CATALOG_DOES_NOT_EXIST", "NO_SUCH_CATALOG_EXCEPTION", "CATALOG_NOT_FOUND"},
		verdict: waybill.Blocked, code: "databricks.no_catalog",
		action: "The catalog that databricks.catalog names does not exist; create it, or correct the fleet's configuration.",
	}, {
		codes:   []string{"QUOTA_EXCEEDED", "RESOURCE_LIMIT_EXCEEDED"},
		verdict: waybill.Blocked, code: "databricks.limit_reached",
		action: "The metastore's limit is reached, so that Waybill cannot {do}; delete what is not needed, or have Databricks raise the limit.",
	}, {
		codes:   []string{"FEATURE_DISABLED", "ENDPOINT_NOT_FOUND"},
		verdict: waybill.Blocked, code: "databricks.not_enabled",
		action: "The workspace cannot {do}; enable Unity Catalog and Delta Sharing, to the outside too, for its metastore.",
	}, {
		codes: []string{"PERMISSION_DENIED", "UNAUTHORIZED_ACCESS", "INSUFFICIENT_PERMISSIONS"}, sqlStates: []string{"42501"}, statuses: []int{http.StatusForbidden},
		verdict: waybill.Blocked, code: "databricks.permission_denied",
		action: "Waybill's principal may not {do}; grant it {grant}.",
	}, {
		codes: []string{"DELTA_PATH_DOES_NOT_EXIST", "DELTA_TABLE_NOT_FOUND"}, sqlStates: []string{"42K03"},
		verdict: waybill.Permanent, code: "databricks.no_delta_table",
		action: "There is no Delta table at the path that is to be registered; look at the delivery's load step, then retry the delivery.",
	}, {
		codes:   []string{"RESOURCE_EXHAUSTED", "REQUEST_LIMIT_EXCEEDED", "TEMPORARILY_UNAVAILABLE", "WORKSPACE_TEMPORARILY_UNAVAILABLE", "SERVICE_UNDER_MAINTENANCE"},
		verdict: waybill.Throttled, code: "databricks.throttled", statuses: []int{http.StatusTooManyRequests, http.StatusServiceUnavailable},
		action: "The workspace asks for fewer requests; Waybill waits and tries again by itself.",
	}, {
		codes: []string{"ABORTED", "RESOURCE_CONFLICT"}, statuses: []int{http.StatusConflict},
		verdict: waybill.Transient, code: "databricks.conflict",
		action: "Something else was changed in the workspace at the same moment; the step looks again and is repeated by itself.",
	}, {
		codes:    []string{"INTERNAL_ERROR", "IO_ERROR", "DEADLINE_EXCEEDED", "CANCELLED"},
		statuses: []int{http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout},
		verdict:  waybill.Transient, code: codeUnavailable,
		action: "The workspace has a fault of its own; the step is repeated by itself.",
	}, {
		statuses: []int{http.StatusNotFound},
		verdict:  waybill.Blocked, code: codeNotFound,
		action: "{thing} does not exist in the workspace; create it, or correct the fleet's configuration.",
	},
}

// The faults that an answer without a row is taken for.
var (
	refused = fault{verdict: waybill.Permanent, code: "databricks.refused",
		action: "The workspace refuses to {do}; look at the worker's log for its reason."}
	unreachable = fault{verdict: waybill.Transient, code: "databricks.unreachable",
		action: "The workspace cannot be reached; the step is repeated by itself; if it lasts, check databricks.host and the network."}
	untrusted = fault{verdict: waybill.Blocked, code: "databricks.tls",
		action: "The certificate of the workspace is not trusted; correct databricks.host, or the machine's certificates."}
	cancelled = fault{verdict: waybill.Transient, code: "databricks.cancelled",
		action: "The step was cut off by its time limit or by a shutdown; it is repeated by itself."}
)

// retryAfter is the wait where a throttling workspace names none, and the longest taken from it.
const (
	retryAfter    = 5 * time.Second
	maxRetryAfter = time.Hour
)

// failure returns err as a Failure of the call that needs n.
func failure(ctx context.Context, n need, err error) error {
	if _, ok := errors.AsType[*waybill.Failure](err); ok || err == nil {
		return err
	}
	f, after := recognise(err), time.Duration(0)
	if ctx.Err() != nil {
		f, err = cancelled, fmt.Errorf("%w (%w): %w", ctx.Err(), context.Cause(ctx), err)
	}
	if f.verdict == waybill.Throttled {
		after = wait(err)
	}
	code := f.code
	if code == codeNotFound {
		code = cmp.Or(n.code, code)
	}
	action := strings.NewReplacer("{do}", n.do, "{grant}", cmp.Or(n.grant, "the privilege"), "{thing}", cmp.Or(n.thing, "What Waybill looks for")).Replace(f.action)
	return &waybill.Failure{Verdict: f.verdict, Code: code, Action: action, After: after, Err: fmt.Errorf("%s: %w", n.do, err)}
}

func recognise(err error) fault {
	codes, sqlState, status := said(err)
	for _, by := range []func(fault) bool{
		func(f fault) bool {
			return slices.ContainsFunc(codes, func(c string) bool { return slices.Contains(f.codes, c) })
		},
		func(f fault) bool { return slices.Contains(f.sqlStates, sqlState) },
		func(f fault) bool { return slices.Contains(f.statuses, status) },
	} {
		if i := slices.IndexFunc(faults, by); i >= 0 {
			return faults[i]
		}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return untrusted
	}
	if status == 0 && sqlState == "" {
		return unreachable
	}
	return refused
}

// said is what the workspace said: error codes and classes, the SQLSTATE, the
// HTTP status.
func said(err error) (codes []string, sqlState string, status int) {
	if e, ok := errors.AsType[*statementError](err); ok {
		return append(classes(e.message), e.code), cmp.Or(e.sqlState, "XXKD0"), 0
	}
	if e, ok := errors.AsType[*apierr.APIError](err); ok {
		return append(classes(e.Message), e.ErrorCode), "", e.StatusCode
	}
	// Of a refused login the SDK tells the status alone, as a sentinel.
	for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
		http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		if sentinel, _ := apierr.ByStatusCode(status); errors.Is(err, sentinel) {
			if status < http.StatusTooManyRequests {
				codes = []string{badLogin}
			}
			return codes, "", status
		}
	}
	return nil, "", 0
}

// errorClass stands in messages in two forms, "[CLASS] …" and
// "[RequestId=… ErrorClass=CLASS.SUBCLASS] …".
var errorClass = regexp.MustCompile(`^\[(?:RequestId=\S+ ErrorClass=)?([A-Z_]+)(?:\.([A-Z_]+))?\]`)

func classes(message string) []string {
	m := errorClass.FindStringSubmatch(message)
	if m == nil {
		return nil
	}
	return []string{m[2], m[1]}
}

// statementError is why a statement failed.
type statementError struct {
	code, sqlState, message string
}

func (e *statementError) Error() string { return "statement failed: " + e.code + ": " + e.message }

func errorOf(status *sql.StatementStatus) error {
	e := &statementError{code: string(status.State), sqlState: status.SqlState}
	if status.Error != nil {
		e.code, e.message = string(status.Error.ErrorCode), status.Error.Message
	}
	return e
}

// wait is how long the workspace asked us to wait.
func wait(err error) time.Duration {
	e, ok := errors.AsType[*apierr.APIError](err)
	if !ok || e.ResponseWrapper == nil {
		return retryAfter
	}
	seconds, err := strconv.Atoi(e.ResponseWrapper.Response.Header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		return retryAfter
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// missing reports whether the workspace says that there is no such thing: by
// the status, for its codes are many.
func missing(err error) bool { return errors.Is(err, apierr.ErrNotFound) }

// taken reports whether the workspace says that there is one already. The code
// RECIPIENT_ALREADY_EXISTS and its like match the status alone.
func taken(err error) bool { return errors.Is(err, apierr.ErrResourceConflict) }

// blocked is a failure that waits for a person.
func blocked(code, action, format string, args ...any) error {
	return waybill.Failf(waybill.Blocked, code, action, format, args...)
}
