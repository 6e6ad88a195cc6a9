package databricks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/databricks/databricks-sdk-go/service/sql"

	"github.com/waybillhq/waybill"
)

// Statements remembers which statement was handed in for what, so that a
// restart waits for the one that runs.
type Statements interface {
	// Statement returns the id kept under key, or nothing.
	Statement(ctx context.Context, key string) (string, error)
	// KeepStatement keeps it; an empty id forgets.
	KeepStatement(ctx context.Context, key, id string) error
}

// The pace at which a statement is asked for: a cold warehouse takes minutes.
const (
	firstPoll = 200 * time.Millisecond
	lastPoll  = 5 * time.Second
)

// execute runs a statement that may be repeated and waits for its end. Key
// names what it is for.
//
// The SDK's own ExecuteAndWait is not used: it panics on an answer without a
// status, and forgets the statement when it is cut off.
func (w *Workspace) execute(ctx context.Context, api *apis, key, text string, n need) error {
	got, err := w.resume(ctx, api, key)
	if err == nil && got == nil {
		got, err = w.start(ctx, api, key, text)
	}
	for pause := firstPoll; err == nil && running(got); pause = min(pause*3/2, lastPoll) {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return failure(ctx, n, ctx.Err())
		case <-timer.C:
		}
		got, err = api.statements.GetStatement(ctx, sql.GetStatementRequest{StatementId: got.StatementId})
	}
	if err == nil {
		err = outcome(got)
	}
	if _, failed := errors.AsType[*statementError](err); failed || err == nil { // it has ended
		err = cmp.Or(err, w.keep(ctx, key, ""))
	}
	n.thing, n.code = "The SQL warehouse of databricks.warehouseId", "databricks.no_warehouse"
	return failure(ctx, n, err)
}

func (w *Workspace) start(ctx context.Context, api *apis, key, text string) (*sql.StatementResponse, error) {
	got, err := api.statements.ExecuteStatement(ctx, sql.ExecuteStatementRequest{Statement: text, WarehouseId: w.o.WarehouseID,
		WaitTimeout: "30s", OnWaitTimeout: sql.ExecuteStatementRequestOnWaitTimeoutContinue})
	if err == nil && running(got) {
		err = w.keep(ctx, key, got.StatementId)
	}
	return got, err
}

// resume returns the statement that an earlier attempt handed in, or nil.
func (w *Workspace) resume(ctx context.Context, api *apis, key string) (*sql.StatementResponse, error) {
	if w.o.Statements == nil {
		return nil, nil //nolint:nilnil // none is an answer
	}
	id, err := w.o.Statements.Statement(ctx, key)
	if err != nil || id == "" {
		return nil, notKept(err)
	}
	got, err := api.statements.GetStatement(ctx, sql.GetStatementRequest{StatementId: id})
	if missing(err) {
		got, err = nil, nil // it is forgotten there
	}
	if err == nil && got != nil && !running(got) && outcome(got) != nil {
		got = nil // it has failed since: once more
	}
	return got, err
}

func (w *Workspace) keep(ctx context.Context, key, id string) error {
	if w.o.Statements == nil {
		return nil
	}
	return notKept(w.o.Statements.KeepStatement(ctx, key, id))
}

// notKept is a failure of our own memory, not of the workspace.
func notKept(err error) error {
	if err == nil {
		return nil
	}
	return &waybill.Failure{Verdict: waybill.Transient, Code: "databricks.statement_not_kept", Err: err,
		Action: "Waybill cannot keep which statement it runs in the workspace; the step is repeated by itself; if it lasts, look at the worker's log."}
}

func running(s *sql.StatementResponse) bool {
	return s.Status != nil && (s.Status.State == sql.StatementStatePending || s.Status.State == sql.StatementStateRunning)
}

// outcome is nil for a statement that succeeded.
func outcome(s *sql.StatementResponse) error {
	if s.Status == nil {
		return &waybill.Failure{Verdict: waybill.Transient, Code: codeUnavailable, Err: fmt.Errorf("statement %s came back without a status", s.StatementId),
			Action: "The workspace did not say what became of a statement; the step is repeated by itself."}
	}
	if s.Status.State == sql.StatementStateSucceeded {
		return nil
	}
	return errorOf(s.Status)
}
