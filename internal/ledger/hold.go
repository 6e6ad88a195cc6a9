package ledger

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waybillhq/waybill"
)

var rightScript, rightBackScript = named("right", lua("right")), named("rightback", lua("rightback"))

// Hold is the right to do something that is done one at a time over the whole
// fleet, such as the activity log of one connector. It is no fence: what is
// done under it must bear being done twice.
type Hold struct {
	ledger *Ledger
	key    string
	nonce  string
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   sync.WaitGroup
}

// Hold takes the right to what has the name. It returns a [*BusyError] while
// somebody else has it. The right is renewed by itself until it is let go.
func (l *Ledger) Hold(ctx context.Context, name string) (*Hold, error) {
	h := &Hold{ledger: l, key: "wb:{held}:" + name, nonce: rand.Text()}
	left, err := h.take(ctx)
	if err != nil {
		return nil, err
	}
	if left > 0 {
		return nil, &BusyError{After: left}
	}
	h.ctx, h.cancel = context.WithCancelCause(ctx)
	h.done.Go(h.renew)
	return h, nil
}

// Context ends when the right is lost, with [ErrLost] as the cause, or let go.
func (h *Hold) Context() context.Context { return h.ctx }

// take takes or renews the right; left is when to ask again if somebody else has it.
func (h *Hold) take(ctx context.Context) (left time.Duration, err error) {
	ms, err := rightScript.Run(ctx, h.ledger.rdb, []string{h.key}, h.nonce, millis(h.ledger.opts.Lease)).Int64()
	if err != nil {
		return 0, classify(err)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func (h *Hold) renew() {
	every := h.ledger.opts.Lease / 3
	tick := time.NewTicker(every)
	defer tick.Stop()
	for renewed := time.Now(); ; {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		asked := time.Now()
		ctx, cancel := context.WithTimeout(h.ctx, every)
		left, err := h.take(ctx)
		cancel()
		switch {
		case err == nil && left == 0:
			renewed = asked
		case err == nil || time.Since(renewed) > h.ledger.opts.Lease:
			h.cancel(ErrLost)
			return
		}
	}
}

// LetGo gives the right back, after a while if there is a reason to wait. If
// that fails, it ends by itself.
func (h *Hold) LetGo(ctx context.Context, after time.Duration) {
	h.cancel(nil)
	h.done.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.ledger.opts.Lease)
	defer cancel()
	_ = rightBackScript.Run(ctx, h.ledger.rdb, []string{h.key}, h.nonce, millis(after)).Err()
}

// Now is Redis's time: the one that all processes share.
func (l *Ledger) Now(ctx context.Context) (time.Time, error) {
	now, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return now, fmt.Errorf("ledger: %w", err)
	}
	return now.UTC(), nil
}

// Workflows returns those of a team's workflows that a run was ever handed in of.
func (l *Ledger) Workflows(ctx context.Context, team string) (ids []string, err error) {
	members, err := l.rdb.SMembers(ctx, prefix(waybill.Slot(team))+"workflows").Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	for _, m := range members {
		if id, ok := strings.CutPrefix(m, team+"/"); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}
