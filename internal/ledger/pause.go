package ledger

import (
	"context"
	"encoding/json"
	"fmt"
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
func (l *Ledger) PauseConnector(ctx context.Context, team, id, reason string) (bool, error) {
	return l.pause(ctx, waybill.Slot(team), "connector", id, reason)
}

// ResumeConnector lets a connector go on. It says whether it was paused.
func (l *Ledger) ResumeConnector(ctx context.Context, team, id string) (bool, error) {
	return l.pause(ctx, waybill.Slot(team), "connector", id, "")
}

// PauseDestination lets nothing more be sent to a destination, such as "s3" or
// "s3/eu-central-1", of whatever connector. After an error it is to be repeated.
func (l *Ledger) PauseDestination(ctx context.Context, name, reason string) (bool, error) {
	return l.pauseEverywhere(ctx, name, reason)
}

// ResumeDestination lets a destination go on. After an error it is to be repeated.
func (l *Ledger) ResumeDestination(ctx context.Context, name string) (bool, error) {
	return l.pauseEverywhere(ctx, name, "")
}

func (l *Ledger) pauseEverywhere(ctx context.Context, name, reason string) (bool, error) {
	changed := false
	for slot := range waybill.Slots {
		here, err := l.pause(ctx, slot, "destination", name, reason)
		if err != nil {
			return changed, err
		}
		changed = changed || here
	}
	return changed, nil
}

func (l *Ledger) pause(ctx context.Context, slot int, what, name, reason string) (bool, error) {
	why := ""
	if reason != "" {
		text, err := json.Marshal(pauseText{At: time.Now().UnixMilli(), Reason: reason})
		if err != nil {
			return false, fmt.Errorf("encode pause: %w", err)
		}
		why = string(text)
	}
	tells := "" // one slot does, so that the fleet is told once
	if slot == 0 {
		tells = "1"
	}
	r, err := l.run(ctx, pauseScript, prefix(slot), what, name, why, l.opts.Notify, tells)
	if err != nil {
		return false, err
	}
	l.admit(r.turns(1))
	return r.int(0) == 1, nil
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

// Halts are the destinations that are paused, and why.
type Halts map[string]*Pause

// At is the pause that holds what is at a destination: its own, or that of
// something wider, as "s3" is wider than "s3/eu-central-1". None: nil.
func (h Halts) At(destination string) *Pause {
	for name := destination; name != ""; {
		if p := h[name]; p != nil {
			return p
		}
		name = name[:max(0, strings.LastIndex(name, "/"))]
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
