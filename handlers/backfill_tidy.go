package handlers

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/storage"
)

// TidyBackfills deletes what our bucket holds of backfills that ended before
// the retention: their chunks and manifests. Which runs failed is kept until the
// connector's next backfill, as long as somebody may ask for it. Any number of
// processes may do it at once.
func (h *Handlers) TidyBackfills(ctx context.Context, retention time.Duration) error {
	now, err := h.Ledger.Now(ctx)
	if err != nil {
		return err
	}
	before := now.Add(-retention)
	var old []string
	for o, err := range h.Bucket.List(ctx, backfillsPrefix) {
		if err != nil {
			return ours(err)
		}
		if o.Modified.Before(before) {
			old = append(old, o.Key)
		}
	}
	plans, err := h.Ledger.Backfills(ctx)
	if err != nil {
		return err
	}
	var errs []error
	last := map[string]ledger.BackfillPlan{}
	for _, p := range plans {
		if p, err = h.countUp(ctx, p); err != nil {
			errs = append(errs, err)
		}
		last[p.Connector] = p
	}
	for _, key := range old {
		if !needed(last, key, before) {
			errs = append(errs, ours(h.Bucket.Delete(ctx, key)))
		}
	}
	return errors.Join(errs...)
}

// countUp counts what was still under way when a backfill was cancelled, before
// its chunks are deleted.
func (h *Handlers) countUp(ctx context.Context, p ledger.BackfillPlan) (ledger.BackfillPlan, error) {
	b := &backfill{BackfillPlan: p, h: h}
	if p.State != ledger.BackfillCancelled || p.Past == p.Next {
		return p, nil
	}
	_, err := b.count(ctx)
	if errors.Is(err, ledger.ErrBackfillEnded) || errors.Is(err, storage.ErrNotExist) { // the next one has begun; or it is tidied already
		err = nil
	}
	return b.BackfillPlan, err
}

// needed reports whether an object below backfills/ is of any use: last are the
// last backfills by connector, whose chunks are kept until some time after their end.
func needed(last map[string]ledger.BackfillPlan, key string, before time.Time) bool {
	connector, rest, _ := strings.Cut(strings.TrimPrefix(key, backfillsPrefix), "/")
	p, ok := last[connector]
	over := p.Ended() && p.EndedAt.Before(before)
	switch number, what, _ := strings.Cut(rest, "/"); {
	case !ok:
		return false
	case number == "manifests":
		return key == p.Manifest && !over
	case number != strconv.Itoa(p.Number):
		return false
	default:
		return strings.HasPrefix(what, "failed/") || !over
	}
}
