package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

// What others are told is written by the very scripts that change it, into an
// outbox: a change and its note are one. A note stays until somebody was told,
// or it was given up; who takes one has it for a while, so that a process that
// dies in between loses nothing and tells it again at worst.
var takeNotesScript = script("takenotes")

// What notes are about.
const (
	NoteComplete    = "complete"
	NoteFailed      = "failed"
	NoteBlocked     = "blocked"
	NoteCancelled   = "cancelled"
	NoteUnpublished = "unpublished"
	NotePaused      = "paused"    // a connector
	NoteRecovered   = "recovered" // a connector goes on

	NoteDestinationPaused    = "destination.paused"
	NoteDestinationRecovered = "destination.recovered"
)

// Note is one change that one receiver is to be told.
type Note struct {
	ID          string // the same for every receiver and try
	To          string // whom the connector's Notify names, or the fleet's
	What        string
	Connector   string // of a destination that the fleet is told of: none
	Destination string // that was paused or goes on
	At          time.Time
	Delivery    waybill.Delivery // of a pause or recovery: zero
	Event       waybill.Event    // of the delivery's history
	Reason      string           // of a pause
	Tries       int              // this one included

	prefix, member string
	taken          int64 // milliseconds
}

// TakeNotes returns notes that are due, at most limit of each slot. For the
// time of lease nobody else is given them.
func (l *Ledger) TakeNotes(ctx context.Context, limit int, lease time.Duration) (notes []Note, err error) {
	now, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	waiting, err := l.perSlot(ctx, func(p redis.Pipeliner, prefix string) *redis.StringSliceCmd {
		return p.ZRangeByScore(ctx, prefix+"notes", &redis.ZRangeBy{Min: "-inf", Max: strconv.FormatInt(now.UnixMilli(), 10), Count: 1})
	})
	if err != nil {
		return nil, err
	}
	for slot, some := range waiting {
		if len(some) == 0 {
			continue
		}
		r, err := l.run(ctx, takeNotesScript, prefix(slot), limit, millis(lease))
		if err != nil {
			return notes, err
		}
		for i := 1; i < len(r); i++ {
			n, err := l.note(ctx, slot, r.int(0), r.list(i))
			if err != nil {
				return notes, err
			}
			notes = append(notes, n)
		}
	}
	return notes, nil
}

// note decodes what notes.lua wrote, and loads what it is about.
func (l *Ledger) note(ctx context.Context, slot int, taken int64, r reply) (Note, error) {
	member := r.text(0)
	part := strings.SplitN(member, "|", 6)
	if len(part) != 6 {
		return Note{}, fmt.Errorf("ledger: note %q is not one", member)
	}
	_, change, _ := strings.Cut(member, "|")
	sum := sha256.Sum256([]byte(change))
	n := Note{ID: "note_" + hex.EncodeToString(sum[:12]), To: part[0], What: part[1], Connector: part[2], Reason: part[5], Tries: int(r.int(1)),
		prefix: prefix(slot), member: member, taken: taken}
	if part[3] == "" {
		n.At = fromMillis(part[4])
		if strings.HasPrefix(n.What, "destination.") {
			n.Destination, n.Reason, _ = strings.Cut(n.Reason, "|")
		}
		return n, nil
	}
	var err error
	if n.Delivery, err = l.Delivery(ctx, part[3]); errors.Is(err, waybill.ErrNotFound) {
		n.Delivery.ID = part[3] // it has left the ledger since: it is told what there is
		return n, nil
	}
	if err != nil {
		return n, err
	}
	values, err := l.fields(ctx, []string{part[3]}, func(int) []string { return []string{"e" + part[4]} })
	if err != nil {
		return n, err
	}
	n.Event = decodeEvent(n.Delivery.CreatedAt, reply(values[0]).text(0))
	n.At = n.Event.At
	return n, nil
}

// NoteTold ends a note.
func (l *Ledger) NoteTold(ctx context.Context, n Note) error {
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRem(ctx, n.prefix+"notes", n.member)
		p.HDel(ctx, n.prefix+"notes:tries", n.member)
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// NoteLater makes a note due again after a while.
func (l *Ledger) NoteLater(ctx context.Context, n Note, after time.Duration) error {
	err := l.rdb.ZAdd(ctx, n.prefix+"notes", redis.Z{Score: float64(n.taken + millis(after)), Member: n.member}).Err()
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}
