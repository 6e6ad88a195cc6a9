package testservers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second      // for a server to answer; generous, because it is only waited out when something is broken
	pollInterval = 10 * time.Millisecond // between two questions whether it answers yet
	portAttempts = 5                     // another process may take a free port before the server does
	outputKept   = 16 << 10              // bytes of a server's output that a failure shows
)

// command says how to run a server and how to tell that it serves.
type command struct {
	path string
	args []string
	env  []string // beside the test's own environment
	dir  string
	// files are open in the process from descriptor 3 on.
	files []*os.File
	// ready returns nil once this very process answers. It must not take
	// another server on the same port for ours.
	ready func(ctx context.Context, pid int) error
}

// process is a running server.
type process struct {
	cmd    *exec.Cmd
	output *output
	done   chan struct{} // closed when the process has ended
}

// start runs a server and waits until it answers. The process is killed at the
// test's end.
func start(t testing.TB, c command) (*process, error) {
	p := &process{cmd: exec.Command(c.path, c.args...), output: &output{}, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr, p.cmd.ExtraFiles = c.dir, p.output, p.output, c.files
	p.cmd.Env = append(p.cmd.Environ(), c.env...)
	endWithParent(p.cmd)
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	t.Cleanup(p.kill)
	if err := p.await(c.ready); err != nil {
		p.kill()
		return nil, fmt.Errorf("%s: %w; its output:\n%s", c.path, err, p.output)
	}
	return p, nil
}

// run starts the process and waits for its end on one thread, because the
// kernel sends the parent-death signal when the starting thread ends.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // a killed process always has an error
		close(p.done)
	}
}

func (p *process) await(ready func(context.Context, int) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		err := ready(ctx, p.cmd.Process.Pid)
		if err == nil {
			return nil
		}
		if p.output.portTaken() {
			return errPortTaken
		}
		select {
		case <-p.done:
			return errors.New("the process ended before it answered")
		case <-ctx.Done():
			return fmt.Errorf("no answer within %s: %w", startTimeout, err)
		case <-poll.C:
		}
	}
}

// kill ends the process at once (SIGKILL) and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // the only error is that it has ended already
	<-p.done
}

func (p *process) signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// eventually asks until the answer is nil, for as long as a server may take to start.
func eventually(t testing.TB, what string, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s for %s: %v", startTimeout, what, err)
		case <-time.After(pollInterval):
		}
	}
}

var errPortTaken = errors.New("the port was taken by another process")

// onFreePort calls begin with free loopback ports until the server got one.
func onFreePort(begin func(port string) (*process, error)) (*process, string, error) {
	var err error
	for range portAttempts {
		var port string
		if port, err = freePort(); err != nil {
			return nil, "", err
		}
		var p *process
		if p, err = begin(port); !errors.Is(err, errPortTaken) {
			return p, port, err
		}
	}
	return nil, "", err
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// output keeps the last bytes that a server wrote.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if over := o.buf.Len() + len(b) - outputKept; over > 0 {
		o.buf.Next(over)
	}
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) portTaken() bool {
	return strings.Contains(strings.ToLower(o.String()), "address already in use")
}
