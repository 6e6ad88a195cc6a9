package ledger

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

var (
	trimScript     = script("trim")
	trimIdleScript = script("trim_idle")
)

// trimBatch bounds how many deliveries are exported to one object, and trimmed
// by one script: a few milliseconds of Redis's time.
const trimBatch = 100

// settled are the states whose deliveries are trimmed. What failed or is
// blocked waits for somebody, however long.
var settled = []waybill.State{waybill.StateComplete, waybill.StateCancelled, waybill.StateUnpublished}

// batch is what is being exported and trimmed in a slot. It stands in Redis
// from before the export until after the trimming, so that whoever goes on
// after a crash, or does the same at the same time, writes the same object.
type batch struct {
	Key        string    `json:"key"` // of the object in our bucket
	Deliveries []trimmed `json:"deliveries"`
}

// trimmed is one delivery of a batch, as it was when the batch was made.
type trimmed struct {
	ID      string `json:"id"`
	Updated int64  `json:"updated"` // ms
}

// Trim moves the deliveries that were settled before the retention out of the
// ledger: as JSON lines into our bucket, below history/, then out of Redis with
// their runs. Any number of schedulers may do it at once, and each may be cut
// short anywhere. It returns how many it moved.
func (l *Ledger) Trim(ctx context.Context, retention time.Duration) (int, error) {
	now, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	before := now.Add(-retention)
	var errs []error
	total := 0
	for slot := range waybill.Slots {
		n, err := l.trimSlot(ctx, slot, before)
		total += n
		errs = append(errs, err)
	}
	return total, errors.Join(errs...)
}

func (l *Ledger) trimSlot(ctx context.Context, slot int, before time.Time) (total int, err error) {
	for {
		r, err := l.run(ctx, trimIdleScript, prefix(slot), before.UnixMilli(), trimBatch)
		if err != nil {
			return total, err
		}
		b, text, err := l.openBatch(ctx, slot, before)
		if err != nil || text == "" && r.int(0) < trimBatch {
			return total, err
		}
		if text == "" {
			continue
		}
		if err := l.export(ctx, b); err != nil {
			return total, err
		}
		args := []any{text}
		for _, d := range b.Deliveries {
			args = append(args, d.ID, d.Updated)
		}
		if r, err = l.run(ctx, trimScript, prefix(slot), args...); err != nil {
			return total, err
		}
		total += int(r.int(0))
	}
}

// openBatch returns the batch that is under way in a slot, or makes one; the
// text is empty where there is nothing to trim.
func (l *Ledger) openBatch(ctx context.Context, slot int, before time.Time) (b batch, text string, err error) {
	key := prefix(slot) + "trim"
	text, err = l.rdb.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		if b, err = l.nextBatch(ctx, slot, before); err != nil || len(b.Deliveries) == 0 {
			return b, "", err
		}
		made, err := json.Marshal(b)
		if err != nil {
			return b, "", fmt.Errorf("encode batch: %w", err)
		}
		if err := l.rdb.SetNX(ctx, key, made, 0).Err(); err != nil {
			return b, "", fmt.Errorf("ledger: %w", err)
		}
		if text, err = l.rdb.Get(ctx, key).Result(); errors.Is(err, redis.Nil) {
			return b, "", nil // another scheduler was faster with all of it
		}
	}
	if err != nil {
		return b, "", fmt.Errorf("ledger: %w", err)
	}
	b = batch{}
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		return b, "", fmt.Errorf("decode batch: %w", err)
	}
	return b, text, nil
}

// nextBatch finds deliveries that were settled before then, all on one day.
func (l *Ledger) nextBatch(ctx context.Context, slot int, before time.Time) (b batch, err error) {
	var day string
	for _, state := range settled {
		for offset := int64(0); len(b.Deliveries) < trimBatch; offset += trimBatch {
			// What was settled before then was created before then.
			ids, err := l.rdb.ZRangeByScore(ctx, prefix(slot)+"ix:s:"+string(state), &redis.ZRangeBy{
				Min: "-inf", Max: strconv.FormatInt(before.UnixMilli(), 10), Offset: offset, Count: trimBatch}).Result()
			if err != nil {
				return b, fmt.Errorf("ledger: %w", err)
			}
			had := len(b.Deliveries)
			if err := l.gather(ctx, &b, &day, ids, before); err != nil {
				return b, err
			}
			if len(ids) == 0 || had > 0 && had == len(b.Deliveries) { // the next day has begun
				break
			}
		}
	}
	sum := sha256.New()
	for _, d := range b.Deliveries {
		fmt.Fprintln(sum, d.ID, d.Updated)
	}
	b.Key = fmt.Sprintf("%s%s/s%02d-%x.jsonl", historyPrefix, day, slot, sum.Sum(nil)[:10])
	return b, nil
}

// gather adds those deliveries to a batch that were settled before then, on
// the batch's day; the first of all decides which that is.
func (l *Ledger) gather(ctx context.Context, b *batch, day *string, ids []string, before time.Time) error {
	values, err := l.fields(ctx, ids, func(int) []string { return deliveryFields })
	if err != nil {
		return err
	}
	for i, v := range values {
		d := decodeDelivery(ids[i], v)
		if d.ID == "" || !d.UpdatedAt.Before(before) || len(b.Deliveries) == trimBatch {
			continue
		}
		*day = cmp.Or(*day, historyDay(d))
		if *day == historyDay(d) {
			b.Deliveries = append(b.Deliveries, trimmed{d.ID, d.UpdatedAt.UnixMilli()})
		}
	}
	return nil
}

// historyDay is the folder of a settled delivery: the day it ended.
func historyDay(d waybill.Delivery) string {
	ended := d.CompletedAt
	if ended.IsZero() {
		ended = d.UpdatedAt
	}
	return ended.Format("2006/01/02")
}

// export writes a batch's deliveries to our bucket. The first writer's object
// stays: of a delivery that is on its way again meanwhile it has what came before.
func (l *Ledger) export(ctx context.Context, b batch) error {
	ids := make([]string, len(b.Deliveries))
	at := make([]position, len(ids))
	for i, d := range b.Deliveries {
		ids[i], at[i] = d.ID, position{id: d.ID}
	}
	list, err := l.deliveries(ctx, at)
	if err != nil {
		return err
	}
	histories, err := l.histories(ctx, ids)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	for i, d := range list {
		if d.ID == "" || d.UpdatedAt.UnixMilli() != b.Deliveries[i].Updated {
			continue
		}
		if d.State == waybill.StateCancelled {
			if err := l.Withdraw(ctx, d); err != nil {
				return err
			}
		}
		if err := lines.Encode(Record{Type: RecordDelivery, Delivery: &d, History: histories[i]}); err != nil {
			return fmt.Errorf("encode delivery %s: %w", d.ID, err)
		}
	}
	if text.Len() == 0 {
		return nil
	}
	_, err = l.bucket.Put(ctx, b.Key, strings.NewReader(text.String()), storage.PutOptions{ContentType: "application/jsonl", IfAbsent: true})
	if err != nil && !errors.Is(err, storage.ErrPrecondition) {
		return fmt.Errorf("our own bucket: write %s: %w", b.Key, err)
	}
	return nil
}
