package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// faults stands between a process and Redis. It loses what is on the way, kills
// the process at an exact point, shifts the clock that asynq believes in, or
// takes a mechanism away, all without a switch in the product.
type faults struct {
	role
	rng   *rand.Rand
	names map[string]string // of the ledger's scripts, by their SHA-1
	mu    sync.Mutex
	lost  map[string]bool // tasks whose completion was lost once
}

var _ redis.Hook = (*faults)(nil)

func newFaults(r role) *faults {
	return &faults{role: r, rng: rand.New(rand.NewPCG(r.Seed, uint64(os.Getpid()))), names: ledger.Scripts(), lost: map[string]bool{}}
}

func (*faults) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook kills the process before or after a pipeline that holds
// the script of a point.
func (f *faults) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			f.crash("before:" + f.name(cmd))
		}
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if cmd.Err() == nil {
				f.crash("after:" + f.name(cmd))
			}
		}
		return err
	}
}

// ProcessHook breaks single commands: every script of the ledger and of asynq is one.
func (f *faults) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		name := f.name(cmd)
		point := name
		if name == "enter" || name == "record" {
			point += "-" + fmt.Sprint(cmd.Args()[6]) // the step, third of the script's arguments
		}
		f.crash("before:" + point)
		f.shift(name, cmd)
		if name == "settle" && f.SwallowSettle {
			setReply(cmd, []any{int64(1), string(waybill.StateFailed), "0", nil, "0"})
			return nil
		}
		before, after := f.loses(name, cmd)
		if before {
			return drop(cmd)
		}
		err := next(ctx, cmd)
		if after {
			return drop(cmd)
		}
		if f.NoFence && err == nil {
			unfence(name, cmd)
		}
		if err == nil {
			f.crash("after:" + point)
		}
		return err
	}
}

// name is that of a ledger's script, or what asynq's script does; "" for all else.
func (f *faults) name(cmd redis.Cmder) string {
	args := cmd.Args()
	if n := cmd.Name(); n != "evalsha" && n != "eval" || len(args) < 4 {
		return ""
	}
	sha := fmt.Sprint(args[1])
	if cmd.Name() == "eval" {
		sha = redis.NewScript(sha).Hash()
	}
	if name, ok := f.names[sha]; ok {
		return name
	}
	first, keys := fmt.Sprint(args[3]), fmt.Sprint(args[2])
	switch {
	case !strings.HasPrefix(first, "asynq:"):
		return ""
	case strings.Contains(first, ":t:") && keys == "2":
		return "enqueue"
	case strings.HasSuffix(first, ":pending"):
		return "dequeue"
	case strings.HasSuffix(first, ":active") && keys == "6":
		return "done"
	case strings.HasSuffix(first, ":lease"):
		return "expired"
	case strings.HasSuffix(first, ":retry") || strings.HasSuffix(first, ":scheduled"):
		return "forward"
	}
	return ""
}

// crash kills this process at a point, once in the fleet's life for each kind of process.
func (f *faults) crash(point string) {
	for _, p := range f.CrashAt {
		if p != point {
			continue
		}
		claim, err := os.OpenFile(filepath.Join(f.Dir, "crashed", f.Kind+"-"+point), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil {
			_ = claim.Close()
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it arrives
		}
	}
}

// loses decides whether a command is lost on the way, or its answer on the way back.
func (f *faults) loses(name string, cmd redis.Cmder) (before, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case name == "enqueue" && f.DropEnqueues > 0 && f.rng.IntN(100) < f.DropEnqueues:
		before = f.rng.IntN(2) == 0
		if before {
			task := fmt.Sprint(cmd.Args()[3])
			_, task, _ = strings.Cut(task, ":t:")
			delivery, _, _ := strings.Cut(task, ":")
			appendLine(filepath.Join(f.Dir, "dropped.log"), entry{What: "dropped", Delivery: delivery, PID: os.Getpid(), At: time.Now()})
		}
		return before, !before
	case name == "done" && f.LoseCompletions:
		task := fmt.Sprint(cmd.Args()[9]) // the first argument behind six keys
		if f.lost[task] {
			return false, false
		}
		f.lost[task] = true
		before = f.rng.IntN(2) == 0
		appendLine(filepath.Join(f.Dir, "dropped.log"), entry{What: "done", Delivery: task, PID: os.Getpid(), At: time.Now()})
		return before, !before
	}
	return false, false
}

func drop(cmd redis.Cmder) error {
	cmd.SetErr(&net.OpError{Op: "read", Err: errors.New("connection reset by peer")})
	return cmd.Err()
}

// shift makes asynq's leases, and what it takes for over, those of a machine
// whose clock is wrong. asynq reads its clock in Go, where no preloaded library
// reaches, and hands the time to Redis in these four arguments.
func (f *faults) shift(name string, cmd redis.Cmder) {
	if f.Skew == 0 {
		return
	}
	args, seconds := cmd.Args(), int64(f.Skew/time.Second)
	position := map[string]int{"dequeue": 7, "expired": 4, "forward": 5}[name]
	if cmd.Name() == "zadd" && strings.HasSuffix(fmt.Sprint(args[1]), ":lease") {
		position = 3 // zadd key xx score
	}
	switch at := args[position].(type) {
	case int64:
		args[position] = at + seconds
	case float64:
		args[position] = at + float64(seconds)
	}
}

// unfence lets an attempt go on that no longer holds its delivery.
func unfence(name string, cmd redis.Cmder) {
	c, ok := cmd.(*redis.Cmd)
	if !ok {
		return
	}
	list, _ := c.Val().([]any)
	refused := c.Val() == any(int64(0)) || len(list) > 0 && list[0] == any(int64(0))
	switch {
	case name == "begin" && list[0] == any("BUSY"):
		setReply(cmd, []any{"OK", fmt.Sprint(time.Now().UnixMilli()), "1", "0"})
	case !refused:
	case name == "enter", name == "complete":
		setReply(cmd, []any{int64(1), nil})
	case name == "renew", name == "record", name == "forget":
		setReply(cmd, int64(1))
	case name == "settle":
		setReply(cmd, []any{int64(1), string(waybill.StateQueued), "0", nil, "0"})
	}
}

func setReply(cmd redis.Cmder, v any) {
	if c, ok := cmd.(*redis.Cmd); ok {
		c.SetErr(nil)
		c.SetVal(v)
	}
}

// hookless is a client to which a worker cannot add its hook.
type hookless struct{ redis.UniversalClient }

func (hookless) AddHook(redis.Hook) {}
