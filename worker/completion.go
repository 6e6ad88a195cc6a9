package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// completionHook makes asynq's "this task is done" survive a Redis that is away
// for a moment. asynq's own retry of such a write reuses a context that it has
// cancelled, so that one failed write means that a finished task runs again a
// minute later. The writes are recognised by what only they have: a script on
// asynq's keys whose context ends with the task's lease.
type completionHook struct{ log *slog.Logger }

var _ redis.Hook = completionHook{}

const completionPause = 100 * time.Millisecond

func (completionHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (completionHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook repeats a completing write until it is answered or the lease ends.
func (h completionHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if _, leased := ctx.Deadline(); !leased || err == nil || !onAsynqKeys(cmd) {
			return err
		}
		unanswered := false
		for unavailable(err) && pause(ctx) {
			unanswered = true
			h.log.WarnContext(ctx, "completion was not answered; it is repeated", "component", "asynq", "error", err)
			cmd.SetErr(nil)
			err = next(ctx, cmd)
		}
		if unanswered && err != nil && strings.Contains(err.Error(), "NOT FOUND") {
			// An earlier write took effect, and only its answer was lost.
			cmd.SetErr(nil)
			return nil
		}
		return err
	}
}

func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(completionPause):
		return true
	}
}

// onAsynqKeys reports whether the command is a script whose first key is asynq's.
func onAsynqKeys(cmd redis.Cmder) bool {
	if name := cmd.Name(); name != "evalsha" && name != "eval" {
		return false
	}
	const firstKey = 3 // script, number of keys, keys…
	args := cmd.Args()
	return len(args) > firstKey && strings.HasPrefix(fmt.Sprint(args[firstKey]), "asynq:")
}

// unavailable reports whether Redis did not answer, or answered that it cannot
// serve now. Everything else is an answer.
func unavailable(err error) bool {
	if err == nil || errors.Is(err, redis.Nil) {
		return false
	}
	reply, answered := errors.AsType[redis.Error](err)
	if !answered {
		return true
	}
	for _, prefix := range []string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"} {
		if strings.HasPrefix(reply.Error(), prefix) {
			return true
		}
	}
	return false
}
