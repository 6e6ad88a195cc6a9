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

	Backfilled []string `json:"backfilled,omitempty"` // those of them that a backfill brought it to
	Open       bool     `json:"open,omitempty"`       // only backfills planned it so far
	Historical string   `json:"historical,omitempty"` // the run's facts, while no producer handed it in
	Alias      string   `json:"alias,omitempty"`      // another revision that means the same
}

func (a Accepted) mirror() runMirror {
	return runMirror{Run: a.Run, Revision: a.Revision, Generation: a.Generation, SchemaVersion: a.SchemaVersion, Historical: a.facts, Alias: a.alias}
}

func runMirrorKey(run waybill.RunKey, generation int) string {
	return fmt.Sprintf("%s%s/%d.json", runsPrefix, run, generation)
}

// Wanted is where a run goes.
type Wanted struct {
	Connectors []string
	Backfilled []string // those of them that a backfill brought it to
}

// MirrorRun writes an accepted run to our bucket, with the connectors that it
// is to be delivered to. It is called before the run is planned, and returns
// the connectors that it is to be planned for: the first call decides, so that
// a run whose planning was cut short, or that comes back after Redis was lost,
// goes where it went before and nowhere else. What a backfill brought before a
// producer did goes where it is wanted beside where it went. What was delivered
// of it is complete in the ledger again when MirrorRun returns.
func (l *Ledger) MirrorRun(ctx context.Context, a Accepted, connectors []string) (Wanted, error) {
	m := a.mirror()
	m.Connectors = connectors
	if a.facts != "" { // Redis was lost; only a backfill brings this run anywhere
		m.Connectors, m.Open = nil, true
	}
	there, err := l.changeRunMirror(ctx, a, m, func(there *runMirror) bool {
		if !there.Open || a.facts != "" {
			return false
		}
		there.Open, there.Historical, there.Alias = false, "", a.alias
		for _, c := range connectors {
			if !slices.Contains(there.Connectors, c) {
				there.Connectors = append(there.Connectors, c)
			}
		}
		return true
	})
	return Wanted{there.Connectors, there.Backfilled}, err
}

// mirrorBackfilled notes in our bucket that a backfill brings a run to a connector.
func (l *Ledger) mirrorBackfilled(ctx context.Context, a Accepted, connector string) error {
	m := a.mirror()
	m.Connectors, m.Backfilled, m.Open = []string{connector}, []string{connector}, true
	_, err := l.changeRunMirror(ctx, a, m, func(there *runMirror) bool {
		if slices.Contains(there.Connectors, connector) {
			return false
		}
		there.Connectors, there.Backfilled = append(there.Connectors, connector), append(there.Backfilled, connector)
		return true
	})
	return err
}

// changeRunMirror puts the mirror of a run's generation, or changes the one
// that is there. It returns what is there then.
func (l *Ledger) changeRunMirror(ctx context.Context, a Accepted, fresh runMirror, change func(*runMirror) bool) (runMirror, error) {
	if a.Generation == 1 && len(fresh.Connectors) == 0 && a.facts == "" && a.alias == "" {
		return fresh, nil // handed in again, it is as new
	}
	key := runMirrorKey(a.Run.RunKey, a.Generation)
	for {
		err := l.putJSON(ctx, key, fresh, storage.PutOptions{IfAbsent: true})
		if !errors.Is(err, storage.ErrPrecondition) {
			return fresh, err
		}
		var there runMirror
		etag, err := l.getJSON(ctx, key, &there)
		if err != nil {
			return there, err
		}
		restore := true
		switch {
		case there.Revision != a.Revision: // of a generation that was lost before it was planned
			there, restore = fresh, false
		case !change(&there):
			return there, l.restoreDeliveries(ctx, a.Run.RunKey, a.Generation)
		}
		err = l.putJSON(ctx, key, there, storage.PutOptions{IfMatch: etag})
		switch {
		case errors.Is(err, storage.ErrPrecondition): // somebody changed it at the same moment
		case err != nil || !restore:
			return there, err
		default:
			return there, l.restoreDeliveries(ctx, a.Run.RunKey, a.Generation)
		}
	}
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
		m.Backfilled = slices.DeleteFunc(m.Backfilled, func(c string) bool { return c == d.Connector })
		err = l.putJSON(ctx, key, m, storage.PutOptions{IfMatch: etag})
		if !errors.Is(err, storage.ErrPrecondition) {
			return err
		}
	}
}
