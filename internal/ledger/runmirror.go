package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// runMirror is the object in our bucket that says what one generation of a run
// became.
type runMirror struct {
	Run           waybill.Run `json:"run"`
	Revision      string      `json:"revision"`
	Generation    int         `json:"generation"`
	SchemaVersion int         `json:"schemaVersion"`
	Connectors    []string    `json:"connectors"` // that it is delivered to
}

func runMirrorKey(run waybill.RunKey, generation int) string {
	return fmt.Sprintf("%s%s/%d.json", runsPrefix, run, generation)
}

// MirrorRun writes an accepted run to our bucket, with the connectors that it
// is to be delivered to. It is called before the run is planned, and returns
// the connectors that it is to be planned for: the first call decides, so that
// a run whose planning was cut short, or that comes back after Redis was lost,
// goes where it went before and nowhere else. What was delivered of it is
// complete in the ledger again when MirrorRun returns.
func (l *Ledger) MirrorRun(ctx context.Context, a Accepted, connectors []string) ([]string, error) {
	if a.Generation == 1 && len(connectors) == 0 {
		return nil, nil // handed in again, it is as new
	}
	key := runMirrorKey(a.Run.RunKey, a.Generation)
	m := runMirror{Run: a.Run, Revision: a.Revision, Generation: a.Generation, SchemaVersion: a.SchemaVersion, Connectors: connectors}
	err := l.putJSON(ctx, key, m, storage.PutOptions{IfAbsent: true})
	if !errors.Is(err, storage.ErrPrecondition) {
		return connectors, err
	}
	var there runMirror
	etag, err := l.getJSON(ctx, key, &there)
	if err != nil {
		return nil, err
	}
	if there.Revision != a.Revision { // of a generation that was lost before it was planned
		return connectors, l.putJSON(ctx, key, m, storage.PutOptions{IfMatch: etag})
	}
	return there.Connectors, l.restoreDeliveries(ctx, a.Run.RunKey, a.Generation)
}

// Withdraw takes a delivery that was cancelled out of what our bucket says its
// run becomes: it must not come back with the run.
func (l *Ledger) Withdraw(ctx context.Context, d waybill.Delivery) error {
	key := runMirrorKey(d.RunKey, d.Generation)
	for {
		var m runMirror
		etag, err := l.getJSON(ctx, key, &m)
		i := slices.Index(m.Connectors, d.Connector)
		switch {
		case errors.Is(err, waybill.ErrNotFound), err == nil && i < 0:
			return nil
		case err != nil:
			return err
		}
		m.Connectors = slices.Delete(m.Connectors, i, i+1)
		err = l.putJSON(ctx, key, m, storage.PutOptions{IfMatch: etag})
		if !errors.Is(err, storage.ErrPrecondition) {
			return err
		}
	}
}
