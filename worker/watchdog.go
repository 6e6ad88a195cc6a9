package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/waybillhq/waybill/tasks"
)

// ErrStalled is the cause by which a handler's context ends when its step
// moved nothing for too long.
var ErrStalled = errors.New("the step made no progress")

// watch cancels the task when its steps report no progress for the stall time.
// asynq's own timeout is fixed when a task is taken; it cannot tell a slow
// upload from a dead one.
func (w *Worker) watch(ctx context.Context, cancel context.CancelCauseFunc) context.Context {
	var last atomic.Int64
	last.Store(time.Now().UnixNano())
	ctx = tasks.WithProgress(ctx, func() { last.Store(time.Now().UnixNano()) })
	tick := time.NewTicker(w.cfg.Stall / 10)
	go func() {
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if time.Since(time.Unix(0, last.Load())) > w.cfg.Stall {
					cancel(ErrStalled)
					return
				}
			}
		}
	}()
	return ctx
}
