package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

var pauseScript = script("pause")

// Pause is why a connector, or a whole destination, is paused.
type Pause struct {
	At        time.Time
	Reason    string
	Automatic bool // after failures in a row
}

// pauseText is a pause as the scripts write it.
type pauseText struct {
	At        int64  `json:"at"` // milliseconds
	Reason    string `json:"reason"`
	Automatic bool   `json:"automatic,omitempty"`
}

// PauseConnector lets nothing more be sent to a connector: what is being tried
// goes on, all else waits. It says whether the connector was not paused before.
// After an error it is to be repeated; the pause may be in effect.
func (l *Ledger) PauseConnector(ctx context.Context, team, id, reason string) (bool, error) {
	return l.pause(ctx, subjectConnector(team, id), pauseChange{paused: true, reason: reason})
}

// ResumeConnector lets a connector go on. It says whether it was paused. After
// an error it is to be repeated.
func (l *Ledger) ResumeConnector(ctx context.Context, team, id string) (bool, error) {
	return l.pause(ctx, subjectConnector(team, id), pauseChange{})
}

// PauseDestination lets nothing more be sent to a destination, such as "s3" or
// "s3/eu-central-1", of whatever connector. After an error it is to be repeated.
func (l *Ledger) PauseDestination(ctx context.Context, name, reason string) (bool, error) {
	return l.pause(ctx, subjectDestination(name), pauseChange{paused: true, reason: reason})
}

// ResumeDestination lets a destination go on. After an error it is to be repeated.
func (l *Ledger) ResumeDestination(ctx context.Context, name string) (bool, error) {
	return l.pause(ctx, subjectDestination(name), pauseChange{})
}

// subject is what is paused.
type subject struct {
	what string // connector or destination
	name string
	slot int // where it is changed first: a connector's only one; from there a destination's change goes to the others
}

func subjectConnector(team, id string) subject {
	return subject{"connector", id, waybill.Slot(team)}
}

func subjectDestination(name string) subject { return subject{"destination", name, 0} }

func (s subject) String() string { return s.what + "/" + s.name }

// pauseChange is what becomes of a subject.
type pauseChange struct {
	paused    bool
	reason    string
	automatic bool
	at        int64 // milliseconds; 0: now
	quiet     bool  // nobody is told of it
}

// pause changes a subject, and has our bucket know it: see [Ledger.mirrorPause].
func (l *Ledger) pause(ctx context.Context, s subject, c pauseChange) (bool, error) {
	changed, err := l.pauseIn(ctx, s.slot, s, c)
	return changed, errors.Join(err, l.mirrorPause(ctx, s))
}

// pauseIn changes a subject in one slot.
func (l *Ledger) pauseIn(ctx context.Context, slot int, s subject, c pauseChange) (bool, error) {
	r, err := l.runConfirmed(ctx, pauseScript, prefix(slot), s.what, s.name, flag(c.paused), c.reason, flag(c.automatic), c.at,
		l.opts.Notify, flag(c.quiet))
	l.admit(r.turns(1))
	if r != nil && err != nil {
		err = unavailable("redis.not_replicated", "Send the same again: it is in effect, but not yet in as many replicas as redis.waitReplicas wants.", err)
	}
	return r.int(0) == 1, err
}

// ConnectorPause says why a connector is paused; nil if it is not. A pause of
// its destination is another matter: see [Ledger.DestinationPauses].
func (l *Ledger) ConnectorPause(ctx context.Context, team, id string) (*Pause, error) {
	text, err := l.rdb.HGet(ctx, prefix(waybill.Slot(team))+"cn:"+id, "paused").Result()
	if err != nil {
		return nil, ignoreNil(err)
	}
	return decodePause(text)
}

// Wider are a destination and what it is a part of, as "s3/eu-central-1" is of
// "s3": a pause of any of them holds what is there.
func Wider(destination string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := destination; name != "" && yield(name); {
			name = name[:max(0, strings.LastIndex(name, "/"))]
		}
	}
}

// Halts are the destinations that are paused, and why.
type Halts map[string]*Pause

// At is the pause that holds what is at a destination: its own, or that of
// something wider. None: nil.
func (h Halts) At(destination string) *Pause {
	for name := range Wider(destination) {
		if p := h[name]; p != nil {
			return p
		}
	}
	return nil
}

// DestinationPauses returns the destinations that are paused.
func (l *Ledger) DestinationPauses(ctx context.Context) (Halts, error) {
	texts := map[string]string{}
	cmds := make([]*redis.MapStringStringCmd, waybill.Slots)
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for slot := range cmds {
			cmds[slot] = p.HGetAll(ctx, prefix(slot)+"pz")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	for _, c := range cmds { // one that was written only half is shown too
		maps.Copy(texts, c.Val())
	}
	pauses := make(Halts, len(texts))
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if pauses[name], err = decodePause(texts[name]); err != nil {
			return nil, err
		}
	}
	return pauses, nil
}

func decodePause(text string) (*Pause, error) {
	var p pauseText
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, fmt.Errorf("decode pause: %w", err)
	}
	return &Pause{At: time.UnixMilli(p.At).UTC(), Reason: p.Reason, Automatic: p.Automatic}, nil
}
