package ledger

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

// A pause is changed in Redis first, and stands in our bucket before whoever
// asked for the change hears that it is done.
//
// Other documents are written the other way round. Here it would be wrong: a
// pause is to take effect while our bucket does not answer too, and the one
// after failures in a row is part of the script that counts them. What makes
// this order safe:
//
//   - The script that changes a pause notes in the same breath that our bucket
//     lacks it. Whoever dies in between leaves that note, and the sweep of any
//     scheduler follows it. Only a change that nobody was told of can be lost
//     with Redis; then what was before it holds, as if it had not been asked for.
//   - Each change has a time of its own, Redis's and always later than the one
//     before, and stands nowhere but over an older one. A writer who comes late,
//     and a rebuild into a Redis that went on, change nothing: a resume is not
//     undone by the pause before it, nor a pause by the resume before it.
//   - Therefore the object says since when a subject goes on, too, and is not removed.
const pauseKind = "pauses" // documents about pauses, by their subjects

var lastPauseScript = script("lastpause")

// pauseMirror is a subject's document.
type pauseMirror struct {
	What      string `json:"what"` // connector or destination
	Name      string `json:"name"`
	Slot      int    `json:"slot"`   // the connector's team's
	Paused    bool   `json:"paused"` // else it goes on
	Reason    string `json:"reason,omitempty"`
	Automatic bool   `json:"automatic,omitempty"`
	At        int64  `json:"at"` // milliseconds, of the last change
}

func (s subject) mirror(c pauseChange) pauseMirror {
	return pauseMirror{What: s.what, Name: s.name, Slot: s.slot, Paused: c.paused, Reason: c.reason, Automatic: c.automatic, At: c.at}
}

func (m pauseMirror) subject() subject { return subject{m.What, m.Name, m.Slot} }

// document is the id of a subject's document. A destination's name holds what
// is no segment of a key.
func (s subject) document() string {
	if s.what == "destination" {
		return "destination." + base64.RawURLEncoding.EncodeToString([]byte(s.name))
	}
	return s.what + "." + s.name
}

// MirrorPauses has our bucket know the pauses that somebody changed, and did
// not live to write there.
func (l *Ledger) MirrorPauses(ctx context.Context) error {
	slots, err := l.perSlot(ctx, func(p redis.Pipeliner, prefix string) *redis.StringSliceCmd {
		return p.SMembers(ctx, prefix+"unmirrored")
	})
	errs := []error{err}
	for slot, notes := range slots {
		for _, note := range notes {
			part := strings.SplitN(note, "/", 3)
			if len(part) != 3 {
				continue // not ours
			}
			errs = append(errs, l.mirrorPause(ctx, subject{part[1], part[2], slot}))
		}
	}
	return errors.Join(errs...)
}

// mirrorPause brings a destination's other slots, and our bucket, to what the
// subject's own slot says of it.
func (l *Ledger) mirrorPause(ctx context.Context, s subject) error {
	c, notes, err := l.lastPause(ctx, s)
	if err != nil || c.at == 0 { // it never was paused
		return err
	}
	if err := l.pauseAll(ctx, s, c); err != nil {
		return fmt.Errorf("%s is changed in part; the scheduler goes on with it, and so does the same again: %w", s, err)
	}
	if err := l.putPause(ctx, s.mirror(c)); err != nil {
		return fmt.Errorf("%s is changed, and our own bucket does not know it yet; the scheduler tries again, and so does the same again: %w", s, err)
	}
	if len(notes) == 0 {
		return nil
	}
	if err := l.rdb.SRem(ctx, prefix(s.slot)+"unmirrored", notes...).Err(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// pauseAll changes a subject wherever it is known, unless something newer is there.
func (l *Ledger) pauseAll(ctx context.Context, s subject, c pauseChange) error {
	if s.what == "connector" {
		_, err := l.pauseIn(ctx, s.slot, s, c)
		return err
	}
	for slot := range waybill.Slots {
		if _, err := l.pauseIn(ctx, slot, s, c); err != nil {
			return err
		}
	}
	return nil
}

// lastPause reads what a subject's slot says of it, and which of its changes
// our bucket may lack: those until then.
func (l *Ledger) lastPause(ctx context.Context, s subject) (c pauseChange, notes []any, err error) {
	r, err := l.run(ctx, lastPauseScript, prefix(s.slot), s.what, s.name)
	if err != nil {
		return c, nil, err
	}
	if why := r.text(0); why != "" {
		pause, err := decodePause(why)
		if err != nil {
			return c, nil, err
		}
		c = pauseChange{paused: true, reason: pause.Reason, automatic: pause.Automatic}
	}
	c.at = r.int(1)
	return c, r[2:], nil
}

// putPause writes a subject's document, unless a newer one is there.
func (l *Ledger) putPause(ctx context.Context, m pauseMirror) error {
	k, id := documents{l, pauseKind}, m.subject().document()
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode pause: %w", err)
	}
	for {
		there, etag, err := k.look(ctx, id)
		if err != nil {
			return err
		}
		was, err := there.pause()
		if err != nil {
			return err
		}
		if was.At >= m.At {
			return k.keep(ctx, id, there)
		}
		err = k.change(ctx, id, etag, there.Revision, document{Doc: text})
		if !errors.Is(err, waybill.ErrChanged) {
			return err
		}
	}
}

// pause is what a document says of a subject; the zero one if there is none.
func (d document) pause() (m pauseMirror, err error) {
	if len(d.Doc) == 0 {
		return m, nil
	}
	if err := json.Unmarshal(d.Doc, &m); err != nil {
		return m, fmt.Errorf("decode pause: %w", err)
	}
	return m, nil
}

// restorePause has Redis know a pause, or a resume, that our bucket does.
func (l *Ledger) restorePause(ctx context.Context, d document) error {
	m, err := d.pause()
	if err != nil {
		return err
	}
	return l.pauseAll(ctx, m.subject(), pauseChange{paused: m.Paused, reason: m.Reason, automatic: m.Automatic, at: m.At, quiet: true})
}
