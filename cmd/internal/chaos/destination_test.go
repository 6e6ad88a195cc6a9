package chaos

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/tasks"
)

// destination is a warehouse as far as a delivery can harm one: a table of
// rows, to which loading twice adds twice, and a pointer LATEST to the newest
// run. A lane, which is a connector's workflow, is one file of it, changed in
// one transaction. Beside it stands the log of what every attempt did.
type destination struct {
	dir     string
	guarded bool // transactions look at the fence, at what is there and at LATEST
}

// laneFile is the content of a lane.
type laneFile struct {
	Fences map[string]int64 `json:"fences"` // delivery → highest that was seen
	Rows   []loaded         `json:"rows"`
	Latest pointer          `json:"latest"`
	Moves  []pointer        `json:"moves"` // that LATEST made
}

// loaded is one run's rows.
type loaded struct {
	Delivery   string `json:"delivery"`
	Job        string `json:"job"`
	Generation int    `json:"generation"`
	Sum        string `json:"sum"` // of the content
}

type pointer struct {
	FinishedAt int64  `json:"finishedAt"`
	Job        string `json:"job"`
}

func (p pointer) before(q pointer) bool {
	return cmp.Or(cmp.Compare(p.FinishedAt, q.FinishedAt), cmp.Compare(p.Job, q.Job)) < 0
}

var errStale = errors.New("the destination has seen a later attempt")

// change is one transaction on a lane. It begins with the fence, as a load into
// a warehouse begins with its fence row.
func (d *destination) change(lane, delivery string, fence int64, what func(*laneFile)) error {
	path := filepath.Join(d.dir, "lanes", strings.ReplaceAll(lane, "/", "~"))
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close() // which unlocks, as the process's end does
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	l, err := readLane(path + ".json")
	if err != nil {
		return err
	}
	if d.guarded && fence < l.Fences[delivery] {
		return errStale
	}
	l.Fences[delivery] = max(fence, l.Fences[delivery])
	what(&l)
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path+".json")
}

func readLane(path string) (laneFile, error) {
	l := laneFile{Fences: map[string]int64{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	return l, json.Unmarshal(text, &l)
}

// load adds a run's rows, in place of none: a generation that is there already stays.
func (d *destination) load(lane string, row loaded, fence int64) error {
	return d.change(lane, row.Delivery, fence, func(l *laneFile) {
		for _, r := range l.Rows {
			if d.guarded && r.Delivery == row.Delivery && r.Generation == row.Generation {
				return
			}
		}
		l.Rows = append(l.Rows, row)
	})
}

// point moves LATEST forwards.
func (d *destination) point(lane, delivery string, to pointer, fence int64) error {
	return d.change(lane, delivery, fence, func(l *laneFile) {
		if d.guarded && !l.Latest.before(to) {
			return
		}
		l.Latest = to
		l.Moves = append(l.Moves, to)
	})
}

// entry is a line of the log of what attempts did.
type entry struct {
	What     string    `json:"what"` // taken, began, step, stale, ended
	Delivery string    `json:"delivery"`
	Fence    int64     `json:"fence,omitempty"`
	Task     string    `json:"task,omitempty"` // its id in asynq
	Lane     string    `json:"lane,omitempty"`
	PID      int       `json:"pid"`
	At       time.Time `json:"at"`
	OK       bool      `json:"ok,omitempty"` // ended: it completed its delivery
}

func (d *destination) log(e entry) {
	e.PID, e.At = os.Getpid(), time.Now()
	appendLine(filepath.Join(d.dir, "attempts.log"), e)
}

// appendLine adds a line in one write, which the kernel does not mix with another's.
func appendLine(path string, v any) {
	text, err := json.Marshal(v)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err == nil {
			_, err = f.Write(append(text, '\n'))
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		panic(fmt.Sprintf("evidence: %v", err))
	}
}

func readLines[T any](path string) (list []T, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			return list, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, v)
	}
	return list, nil
}

// courier is the handler of the test's destination: one step loads, the other
// moves LATEST.
type courier struct {
	*destination
	ledger *ledger.Ledger
	work   time.Duration // of each step
	gate   string        // before LATEST is moved, it is waited while this file is there
	deaf   bool          // goes on when it has lost its delivery
	broken string        // while this file is there, every delivery fails for good
}

func (c *courier) route() tasks.Route {
	return tasks.Handle(tasks.ExportPush, func(ctx context.Context, ref tasks.DeliveryRef) error {
		e := entry{What: "taken", Delivery: ref.Delivery, Task: tasks.TaskID(ledger.Ready{Delivery: ref.Delivery, Task: tasks.ExportPush.Name, Generation: ref.Generation, Enqueue: ref.Enqueue})}
		c.log(e)
		lease, err := c.ledger.Begin(ctx, ref.Delivery, ref.Generation, ref.Enqueue)
		if err != nil {
			return err
		}
		e.What, e.Fence, e.Lane = "began", lease.Fence, laneOf(lease.Delivery)
		c.log(e)
		ctx = lease.Context()
		if c.deaf {
			ctx = context.WithoutCancel(ctx)
		}
		err = lease.Poison()
		if err == nil {
			err = c.deliver(ctx, lease)
		}
		if errors.Is(err, errStale) {
			e.What = "stale"
			c.log(e)
		}
		e.What, e.OK = "ended", err == nil
		c.log(e)
		return lease.Close(err)
	})
}

func laneOf(d waybill.Delivery) string { return d.Connector + "/" + d.WorkflowID }

func (c *courier) deliver(ctx context.Context, lease *ledger.Lease) error {
	d := lease.Delivery
	lane := laneOf(d)
	if exists(c.broken) {
		return waybill.At(waybill.StageStage, waybill.Failf(waybill.Permanent, "chaos.broken", "Mend the destination.", "%s is there", c.broken))
	}
	err := c.once(ctx, lease, waybill.StageStage, func() error {
		return c.load(lane, loaded{Delivery: d.ID, Job: d.JobID, Generation: d.Generation, Sum: lease.Revision}, lease.Fence)
	})
	if err != nil {
		return err
	}
	err = c.once(ctx, lease, waybill.StageVerify, func() error {
		if exists(c.gate) {
			c.log(entry{What: "gated", Delivery: d.ID, Fence: lease.Fence})
			for exists(c.gate) { // a write that is on its way hears of no context
				time.Sleep(5 * time.Millisecond)
			}
		}
		return c.point(lane, d.ID, pointer{d.RunFinishedAt.UnixMilli(), d.JobID}, lease.Fence)
	})
	if err != nil {
		return err
	}
	c.log(entry{What: "worked", Delivery: d.ID, Fence: lease.Fence}) // what comes next gives the delivery, and its lane, away
	return lease.Complete(ctx, waybill.Receipt{Rows: 1})
}

// once does a step as the handlers do: the go-ahead, the work, the record.
func (c *courier) once(ctx context.Context, lease *ledger.Lease, stage waybill.Stage, effect func() error) error {
	recorded, err := lease.Enter(ctx, stage)
	if err != nil || recorded != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return waybill.At(stage, context.Cause(ctx))
	case <-time.After(c.work):
	}
	if err := effect(); err != nil {
		return waybill.At(stage, err)
	}
	c.log(entry{What: "step", Delivery: lease.Delivery.ID, Fence: lease.Fence})
	return lease.Record(ctx, stage, true, c.work)
}

func exists(path string) bool {
	if path == "" {
		return false
	}
	_, err := os.Stat(path)
	return err == nil
}
