package ledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// receiptName is the name of one receipt among those of its run. It is
// deterministic and holds the fence: a late attempt cannot overwrite the
// receipt of the one that completed the delivery.
type receiptName struct {
	delivery   string
	generation int
	fence      int64
}

func (n receiptName) key(run waybill.RunKey) string {
	return fmt.Sprintf("%s%s/%s-%d-%d.json", receiptsPrefix, run, n.delivery, n.generation, n.fence)
}

// newer reports whether n tells of a later attempt than other.
func (n receiptName) newer(other receiptName) bool {
	return n.generation > other.generation || n.generation == other.generation && n.fence > other.fence
}

// parseReceiptName reads <delivery>-<generation>-<fence>.json.
func parseReceiptName(text string) (n receiptName, ok bool) {
	part := strings.Split(strings.TrimSuffix(text, ".json"), "-")
	if len(part) != 3 {
		return n, false
	}
	generation, err := strconv.Atoi(part[1])
	fence, err2 := strconv.ParseInt(part[2], 10, 64)
	return receiptName{part[0], generation, fence}, err == nil && err2 == nil
}

func (l *Ledger) putReceipt(ctx context.Context, r waybill.Receipt) error {
	return l.putJSON(ctx, receiptName{r.DeliveryID, r.Generation, r.Fence}.key(r.RunKey), r, storage.PutOptions{})
}

// Receipt reads the receipt of a complete delivery from our bucket. Where
// there is none the error matches [waybill.ErrNotFound].
func (l *Ledger) Receipt(ctx context.Context, d waybill.Delivery) (receipt waybill.Receipt, err error) {
	if err = waybill.ErrNotFound; d.Receipt != "" {
		_, err = l.getJSON(ctx, d.Receipt, &receipt)
	}
	if err != nil {
		return receipt, fmt.Errorf("receipt of delivery %s: %w", d.ID, err)
	}
	return receipt, nil
}

// Replaces is the receipt of the last generation before this one that was
// delivered. Where there was none, or its receipt is no longer kept, it is an
// error that matches [waybill.ErrNotFound].
func (ls *Lease) Replaces(ctx context.Context) (receipt waybill.Receipt, err error) {
	d := ls.Delivery
	if d.Generation == 1 {
		return receipt, waybill.ErrNotFound
	}
	text, err := ls.ledger.rdb.HGet(ctx, ls.prefix+"d:"+d.ID, "replaces").Result()
	if ignoreNil(err) != nil {
		return receipt, fmt.Errorf("ledger: %w", err)
	}
	name, ok := parseReceiptName(d.ID + "-" + text)
	if !ok { // the generation before was trimmed, or there was none
		if name, err = ls.ledger.lastReceipt(ctx, d.RunKey, d.ID, d.Generation); err != nil {
			return receipt, err
		}
	}
	_, err = ls.ledger.getJSON(ctx, name.key(d.RunKey), &receipt)
	return receipt, err
}

// lastReceipt finds a delivery's newest receipt of a generation before the given one.
func (l *Ledger) lastReceipt(ctx context.Context, run waybill.RunKey, delivery string, before int) (last receiptName, err error) {
	prefix := receiptsPrefix + run.String() + "/"
	for o, err := range l.bucket.List(ctx, prefix+delivery+"-") {
		if err != nil {
			return last, fmt.Errorf("our own bucket: %w", err)
		}
		if name, ok := parseReceiptName(strings.TrimPrefix(o.Key, prefix)); ok && name.generation < before && name.newer(last) {
			last = name
		}
	}
	if last == (receiptName{}) {
		return last, waybill.ErrNotFound
	}
	return last, nil
}

// unpublished stands beside the receipts of a run whose delivery was taken
// back: newer than they are, it is the last word on it.
type unpublished struct {
	Task  string `json:"task"` // that a retry begins with
	Queue string `json:"queue"`
}

const unpublishedSuffix = "-unpublished.json"

func (n receiptName) unpublishedKey(run waybill.RunKey) string {
	return strings.TrimSuffix(n.key(run), ".json") + unpublishedSuffix
}

// parseUnpublishedName reads <delivery>-<generation>-<fence>-unpublished.json.
func parseUnpublishedName(text string) (receiptName, bool) {
	name, ok := strings.CutSuffix(text, unpublishedSuffix)
	if !ok {
		return receiptName{}, false
	}
	return parseReceiptName(name + ".json")
}
