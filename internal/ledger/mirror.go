package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// What our own bucket holds, so that Redis can be lost:
//
//	documents/<kind>/<id>.json                                       connectors and other small documents, the deleted ones too
//	schemas/<team>/<workflow>/<n>.json                               schema versions
//	runs/<team>/<workflow>/<job>/<generation>.json                   accepted runs, and the connectors they are for
//	receipts/<team>/<workflow>/<job>/<delivery>-<generation>-<fence>.json
//	history/<yyyy>/<mm>/<dd>/<slot>-<digest>.jsonl                   deliveries that left the ledger, by the day they ended
const (
	documentsPrefix = "documents/"
	schemasPrefix   = "schemas/"
	runsPrefix      = "runs/"
	receiptsPrefix  = "receipts/"
	historyPrefix   = "history/"
)

// A conditional write is repeated while the store has not decided whose write
// it takes, which is what this code of a failure means.
const (
	contended      = "storage.contended"
	contendedTries = 6
)

// putJSON writes v to key in our bucket. It returns an error that matches
// [storage.ErrPrecondition] where the options' condition does not hold.
func (l *Ledger) putJSON(ctx context.Context, key string, v any, opts storage.PutOptions) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	opts.ContentType = "application/json"
	for try := range contendedTries {
		_, err = l.bucket.Put(ctx, key, bytes.NewReader(text), opts)
		f, ok := errors.AsType[*waybill.Failure](err)
		if err == nil || !ok || f.Code != contended {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond << try):
		}
	}
	if err != nil {
		return fmt.Errorf("our own bucket: write %s: %w", key, err)
	}
	return nil
}

// getJSON reads what [Ledger.putJSON] wrote, and its ETag. Where there is
// nothing, the error matches [waybill.ErrNotFound].
func (l *Ledger) getJSON(ctx context.Context, key string, v any) (etag string, err error) {
	body, object, err := l.bucket.Get(ctx, key, storage.GetOptions{})
	if errors.Is(err, storage.ErrNotExist) {
		return "", fmt.Errorf("our own bucket: %w: %w", waybill.ErrNotFound, err)
	}
	if err != nil {
		return "", fmt.Errorf("our own bucket: read %s: %w", key, err)
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return "", fmt.Errorf("our own bucket: decode %s: %w", key, err)
	}
	return object.ETag, nil
}
