package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// Below these, our own bucket has what is to be done to published tables, and
// what was done:
//
//	operations-pending/<connector>/<operation>-<digest>.json
//	operations/<connector>/<yyyymmddThhmmss.mmm>-<operation>-<digest>.json
const (
	pendingPrefix    = "operations-pending/"
	operationsPrefix = "operations/"
)

// PendingOperation is an operation that is not over: under way, cut short, or
// due later. Each is in our bucket before its first effect, so that whoever
// repeats it, or a scheduler, brings it to its end.
type PendingOperation struct {
	waybill.OperationReceipt
	After time.Time `json:"after,omitzero"` // not due before
	// Document is the connector's, for what is done after it was deleted.
	Document json.RawMessage `json:"document,omitempty"`
}

// name is the same for the same operation on the same thing: there is one at a time.
func (p PendingOperation) name() string {
	sum := sha256.Sum256([]byte(p.WorkflowID + "\x00" + p.DeliveryID))
	return fmt.Sprintf("%s-%x.json", p.Operation, sum[:8])
}

func (p PendingOperation) pendingKey() string { return pendingPrefix + p.Connector + "/" + p.name() }

func (p PendingOperation) key() string {
	return operationsPrefix + p.Connector + "/" + p.StartedAt.UTC().Format("20060102T150405.000") + "-" + p.name()
}

// BeginOperation notes an operation before its first effect. One that is
// pending already stays, with what its first attempt said of it, and is
// returned.
func (l *Ledger) BeginOperation(ctx context.Context, p PendingOperation) (PendingOperation, error) {
	for {
		err := l.putJSON(ctx, p.pendingKey(), p, storage.PutOptions{IfAbsent: true})
		if !errors.Is(err, storage.ErrPrecondition) {
			return p, err
		}
		var there PendingOperation
		_, err = l.getJSON(ctx, p.pendingKey(), &there)
		if !errors.Is(err, waybill.ErrNotFound) { // it may have ended just now
			return there, err
		}
	}
}

// AmendOperation keeps a pending operation as it is now.
func (l *Ledger) AmendOperation(ctx context.Context, p PendingOperation) error {
	return l.putJSON(ctx, p.pendingKey(), p, storage.PutOptions{})
}

// EndOperation keeps the receipt of an operation that is done.
func (l *Ledger) EndOperation(ctx context.Context, p PendingOperation) (waybill.OperationReceipt, error) {
	p.CompletedAt = time.Now().UTC()
	if err := l.putJSON(ctx, p.key(), p.OperationReceipt, storage.PutOptions{}); err != nil {
		return waybill.OperationReceipt{}, err
	}
	return p.OperationReceipt, l.DropOperation(ctx, p)
}

// DropOperation forgets a pending operation that is not to be done any more.
func (l *Ledger) DropOperation(ctx context.Context, p PendingOperation) error {
	if err := l.bucket.Delete(ctx, p.pendingKey()); err != nil {
		return fmt.Errorf("our own bucket: delete %s: %w", p.pendingKey(), err)
	}
	return nil
}

// PendingOperations lists what is pending at a connector; everywhere if it is empty.
func (l *Ledger) PendingOperations(ctx context.Context, connector string) ([]PendingOperation, error) {
	return listJSON[PendingOperation](ctx, l, pendingPrefix, connector)
}

// Operations are the receipts of what was done to a connector, oldest first.
func (l *Ledger) Operations(ctx context.Context, connector string) ([]waybill.OperationReceipt, error) {
	return listJSON[waybill.OperationReceipt](ctx, l, operationsPrefix, connector)
}

// listJSON reads the objects of a connector below a prefix, by name.
func listJSON[T any](ctx context.Context, l *Ledger, prefix, connector string) (list []T, err error) {
	if connector != "" {
		prefix += connector + "/"
	}
	for o, err := range l.bucket.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("our own bucket: %w", err)
		}
		if !strings.HasSuffix(o.Key, ".json") {
			continue
		}
		var v T
		_, err := l.getJSON(ctx, o.Key, &v)
		if errors.Is(err, waybill.ErrNotFound) { // it ended just now
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}
