package ledger

import (
	"context"
	"errors"
	"sync"
	"time"
)

// holding renews what is held for a while, until it is stopped or lost.
type holding struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   sync.WaitGroup
	lost   func()
}

// hold begins to renew what was taken at a time. Renew says whether it is
// still held; lost is told when it is not.
func hold(ctx context.Context, taken time.Time, lease time.Duration, renew func(context.Context) (bool, error), lost func()) *holding {
	h := &holding{lost: lost}
	h.ctx, h.cancel = context.WithCancelCause(ctx)
	h.done.Go(func() { h.renew(taken, lease, renew) })
	return h
}

// Context ends when what is held is lost, with [ErrLost] as the cause, or given back.
func (h *holding) Context() context.Context { return h.ctx }

// renew keeps it until it is given back or lost. While Redis does not answer
// the holder goes on until shortly before the lease ends by our own clock,
// however long an answer is waited for: after that somebody else may hold it.
func (h *holding) renew(taken time.Time, lease time.Duration, renew func(context.Context) (bool, error)) {
	every := lease / 3
	until := func(renewed time.Time) time.Duration { return time.Until(renewed.Add(lease - every/2)) }
	over := time.AfterFunc(until(taken), h.lose)
	defer over.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		asked := time.Now()
		ctx, cancel := context.WithTimeout(h.ctx, every)
		held, err := renew(ctx)
		cancel()
		switch {
		case err == nil && held:
			over.Reset(until(asked))
		case err == nil:
			h.lose()
			return
		}
	}
}

func (h *holding) lose() {
	if h.ctx.Err() == nil {
		h.lost()
	}
	h.cancel(ErrLost)
}

// stop ends the renewing, and returns [ErrLost] if it was lost before.
func (h *holding) stop() error {
	cause := context.Cause(h.ctx)
	h.cancel(nil)
	h.done.Wait()
	if errors.Is(cause, ErrLost) {
		return ErrLost
	}
	return nil
}
