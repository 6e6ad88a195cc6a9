package worker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// lossy loses the first completions of a worker: on the way to Redis, or the
// answer on the way back.
type lossy struct {
	left     atomic.Int32
	answered bool // it took effect; the answer is lost
}

func (*lossy) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*lossy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l *lossy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		_, leased := ctx.Deadline()
		if !leased || !onAsynqKeys(cmd) || l.left.Add(-1) < 0 {
			return next(ctx, cmd)
		}
		if l.answered {
			_ = next(ctx, cmd) // whatever it says is lost
		}
		cmd.SetErr(&net.OpError{Op: "read", Err: errors.New("connection reset by peer")})
		return cmd.Err()
	}
}

func TestACompletionThatIsLostIsRepeated(t *testing.T) {
	for _, answered := range []bool{false, true} {
		var runs atomic.Int32
		loss := &lossy{answered: answered}
		loss.left.Store(3)
		r := start(t, Config{}, func(ctx context.Context, lease *ledger.Lease) error {
			runs.Add(1)
			return lease.Complete(ctx, waybill.Receipt{})
		}, loss)
		r.await(t, waybill.StateComplete)
		r.awaitTasks(t, "completed")
		if n := runs.Load(); n != 1 {
			t.Errorf("answer lost: %t; the handler ran %d times", answered, n)
		}
		if loss.left.Load() >= 0 {
			t.Errorf("answer lost: %t; no completion was lost at all", answered)
		}
	}
}

// The test above can fail: without the hook, one lost completion leaves the
// task active, to run again when asynq's own lease has ended.
func TestWithoutTheHookALostCompletionIsNotRepeated(t *testing.T) {
	loss := &lossy{}
	loss.left.Store(1)
	r := start(t, Config{noCompletionHook: true}, func(ctx context.Context, lease *ledger.Lease) error {
		return lease.Complete(ctx, waybill.Receipt{})
	}, loss)
	r.await(t, waybill.StateComplete)
	for deadline := time.Now().Add(time.Minute); loss.left.Load() >= 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no completion was lost")
		}
	}
	time.Sleep(time.Second)
	if got := strings.Join(r.tasks(t), " "); got != "active" {
		t.Errorf("asynq has %q; is the hook still needed?", got)
	}
}

func TestOnlyCompletionsAreRepeated(t *testing.T) {
	hook := completionHook{slog.New(slog.DiscardHandler)}
	leased, cancel := context.WithTimeout(t.Context(), 350*time.Millisecond)
	defer cancel()
	reset := &net.OpError{Op: "read", Err: errors.New("reset")}
	for _, c := range []struct {
		name string
		ctx  context.Context
		cmd  redis.Cmder
		err  error
		many bool
	}{
		{"a completion without an answer", leased, redis.NewCmd(t.Context(), "evalsha", "sha", 1, "asynq:{export}:active"), reset, true},
		{"a script of ours", leased, redis.NewCmd(t.Context(), "evalsha", "sha", 1, "wb:{s00}:"), reset, false},
		{"a dequeue", t.Context(), redis.NewCmd(t.Context(), "evalsha", "sha", 1, "asynq:{export}:pending"), reset, false},
		{"another command", leased, redis.NewCmd(t.Context(), "get", "asynq:{export}:x"), reset, false},
		{"no answer wanted", leased, redis.NewCmd(t.Context(), "evalsha", "sha", 1, "asynq:{export}:active"), redis.Nil, false},
	} {
		calls := 0
		_ = hook.ProcessHook(func(context.Context, redis.Cmder) error { calls++; return c.err })(c.ctx, c.cmd)
		if c.many != (calls > 1) {
			t.Errorf("%s: %d calls", c.name, calls)
		}
	}
}
