package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// receiptKey is deterministic and holds the fence: a late attempt cannot
// overwrite the receipt of the one that completed the delivery.
func receiptKey(r waybill.Receipt) string {
	return fmt.Sprintf("receipts/%s/%s/%s/%s-%d-%d.json", r.TeamID, r.WorkflowID, r.JobID, r.DeliveryID, r.Generation, r.Fence)
}

func (l *Ledger) putReceipt(ctx context.Context, r waybill.Receipt) (string, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode receipt: %w", err)
	}
	key := receiptKey(r)
	if _, err := l.bucket.Put(ctx, key, bytes.NewReader(text), storage.PutOptions{ContentType: "application/json"}); err != nil {
		return "", waybill.Failf(waybill.Transient, "internal.bucket",
			"Our own bucket takes no receipts; mend it, or its settings. Deliveries go on by themselves.", "write receipt: %w", err)
	}
	return key, nil
}

// Receipt reads the receipt of a complete delivery from our bucket.
func (l *Ledger) Receipt(ctx context.Context, d waybill.Delivery) (waybill.Receipt, error) {
	receipt, err := l.readReceipt(ctx, d.Receipt)
	if err != nil {
		return receipt, fmt.Errorf("receipt of delivery %s: %w", d.ID, err)
	}
	return receipt, nil
}

func (l *Ledger) readReceipt(ctx context.Context, key string) (waybill.Receipt, error) {
	var receipt waybill.Receipt
	if key == "" {
		return receipt, waybill.ErrNotFound
	}
	body, _, err := l.bucket.Get(ctx, key, storage.GetOptions{})
	if errors.Is(err, storage.ErrNotExist) {
		return receipt, fmt.Errorf("our own bucket: %w: %w", waybill.ErrNotFound, err)
	}
	if err != nil {
		return receipt, fmt.Errorf("our own bucket: read receipt: %w", err)
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&receipt); err != nil {
		return receipt, fmt.Errorf("decode receipt %s: %w", key, err)
	}
	return receipt, nil
}
