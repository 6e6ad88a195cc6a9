package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

var (
	restoreScript    = script("restore")
	restoreRunScript = script("restore_run")
	horizonScript    = script("horizon")
)

// traces are what our bucket has of one run.
type traces struct {
	run        waybill.RunKey
	generation int                    // the newest that was mirrored; 0 for none
	receipts   map[string]receiptName // the newest of each delivery
	withdrawn  map[string]receiptName // likewise, of those that were unpublished
	newest     time.Time              // when the last of the objects was written
}

// add takes in one object of the run, below receipts/ or runs/.
func (t *traces) add(o storage.Object) {
	name := o.Key[strings.LastIndex(o.Key, "/")+1:]
	if strings.HasPrefix(o.Key, runsPrefix) {
		if n, err := strconv.Atoi(strings.TrimSuffix(name, ".json")); err == nil {
			t.generation = max(t.generation, n)
		}
	} else if n, ok := parseReceiptName(name); ok {
		note(&t.receipts, n)
	} else if n, ok := parseUnpublishedName(name); ok {
		note(&t.withdrawn, n)
	}
	if o.Modified.After(t.newest) {
		t.newest = o.Modified
	}
}

// note keeps the newest name of each delivery.
func note(names *map[string]receiptName, n receiptName) {
	if *names == nil {
		*names = map[string]receiptName{}
	}
	if n.newer((*names)[n.delivery]) {
		(*names)[n.delivery] = n
	}
}

// trace looks for what our bucket has of a run.
func (l *Ledger) trace(ctx context.Context, run waybill.RunKey, prefixes ...string) (traces, error) {
	t := traces{run: run}
	for _, prefix := range prefixes {
		for o, err := range l.bucket.List(ctx, prefix+run.String()+"/") {
			if err != nil {
				return t, fmt.Errorf("our own bucket: %w", err)
			}
			t.add(o)
		}
	}
	return t, nil
}

// restoreRun brings a run back that Redis does not know, or no longer, as far
// as our bucket does. Where that knows nothing of it either, the error matches
// [waybill.ErrNotFound].
func (l *Ledger) restoreRun(ctx context.Context, run waybill.RunKey) error {
	t, err := l.trace(ctx, run, runsPrefix, receiptsPrefix)
	if err != nil {
		return err
	}
	_, err = l.restore(ctx, t)
	return err
}

// restoreDeliveries brings back what was delivered of a run, up to a generation.
func (l *Ledger) restoreDeliveries(ctx context.Context, run waybill.RunKey, generation int) error {
	t, err := l.trace(ctx, run, receiptsPrefix)
	if err != nil {
		return err
	}
	maps.DeleteFunc(t.receipts, func(_ string, n receiptName) bool { return n.generation > generation })
	_, _, err = l.restoreReceipts(ctx, t)
	return err
}

// restored counts what was brought back.
type restored struct {
	runs, deliveries, unfinished int
}

// restore brings back a run: its complete deliveries first, then the run
// itself, which is planned again if it is not delivered everywhere. Each
// change is idempotent; one that is cut short is made whole by the next.
func (l *Ledger) restore(ctx context.Context, t traces) (done restored, err error) {
	receipts, n, err := l.restoreReceipts(ctx, t)
	done.deliveries = n
	if err != nil {
		return done, err
	}
	m, err := l.lastMirror(ctx, t, receipts)
	if err != nil {
		return done, err
	}
	unfinished := slices.ContainsFunc(m.Connectors, func(connector string) bool {
		return t.receipts[waybill.DeliveryID(t.run, connector)].generation < m.Generation
	})
	text, err := json.Marshal(m.Run)
	if err != nil {
		return done, fmt.Errorf("encode run: %w", err)
	}
	plan := "0"
	if unfinished {
		plan = "1"
	}
	r, err := l.run(ctx, restoreRunScript, prefix(waybill.Slot(t.run.TeamID)), t.run.String(), m.Revision, m.Generation, m.SchemaVersion, text, plan,
		m.Historical, m.Alias)
	if err != nil || r.int(0) == 0 {
		return done, err
	}
	done.runs = 1
	if unfinished {
		done.unfinished = 1
	}
	return done, nil
}

// lastMirror reads the newest mirror of a run. One that is gone, or older than
// what was delivered, is made up from the receipts.
func (l *Ledger) lastMirror(ctx context.Context, t traces, receipts []waybill.Receipt) (m runMirror, err error) {
	if t.generation > 0 {
		if _, err := l.getJSON(ctx, runMirrorKey(t.run, t.generation), &m); err != nil && !errors.Is(err, waybill.ErrNotFound) {
			return m, err
		}
	}
	for _, r := range receipts {
		if r.Generation > m.Generation {
			m = runMirror{Revision: r.Revision, Generation: r.Generation, SchemaVersion: r.SchemaVersion,
				Run: waybill.Run{RunKey: t.run, State: waybill.RunFinished, FinishedAt: r.RunFinishedAt}}
		}
	}
	if m.Generation == 0 {
		return m, fmt.Errorf("run %s: %w in our own bucket", t.run, waybill.ErrNotFound)
	}
	return m, nil
}

// restoreReceipts makes the deliveries complete again that have a receipt, or
// unpublished where that came after it.
func (l *Ledger) restoreReceipts(ctx context.Context, t traces) (receipts []waybill.Receipt, n int, err error) {
	for _, id := range slices.Sorted(maps.Keys(t.receipts)) {
		var r waybill.Receipt
		_, err := l.getJSON(ctx, t.receipts[id].key(t.run), &r)
		if errors.Is(err, waybill.ErrNotFound) { // its time was over just now
			continue
		}
		if err != nil {
			return receipts, n, err
		}
		receipts = append(receipts, r)
		state, again, err := l.wasUnpublished(ctx, t, id)
		if err != nil {
			return receipts, n, err
		}
		done, err := l.run(ctx, restoreScript, prefix(waybill.Slot(r.TeamID)), id, r.Generation, r.TeamID, r.WorkflowID, r.JobID, r.Connector, string(r.Kind),
			r.SchemaVersion, r.RunFinishedAt.UnixMilli(), r.StartedAt.UnixMilli(), r.CompletedAt.UnixMilli(), r.Fence, r.Rows, r.Bytes,
			string(state), again.Task, again.Queue)
		if err != nil {
			return receipts, n, err
		}
		n += int(done.int(0))
	}
	return receipts, n, nil
}

// wasUnpublished tells which state a delivery with a receipt is in.
func (l *Ledger) wasUnpublished(ctx context.Context, t traces, id string) (waybill.State, unpublished, error) {
	n, ok := t.withdrawn[id]
	if !ok || !n.newer(t.receipts[id]) {
		return waybill.StateComplete, unpublished{}, nil
	}
	var u unpublished
	_, err := l.getJSON(ctx, n.unpublishedKey(t.run), &u)
	return waybill.StateUnpublished, u, err
}
