package chaos

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// process is a worker, a scheduler or a producer. A kept one is started anew
// whenever it ends, as an orchestrator does.
type process struct {
	w    *world
	role role
	file string

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{} // of the present life
	stopped bool          // and is not to be started anew
	kept    bool
	lives   sync.WaitGroup
}

// start runs a process until the test's end.
func (w *world) start(r role) *process { return w.launch(r, false) }

// keep runs a process, and starts it anew whenever it ends.
func (w *world) keep(r role) *process { return w.launch(r, true) }

func (w *world) launch(r role, kept bool) *process {
	w.Helper()
	w.mu.Lock()
	w.names[r.Kind]++
	r.Name = fmt.Sprintf("%s-%d", r.Kind, w.names[r.Kind])
	w.mu.Unlock()
	r.Dir, r.Seed = w.dir, *seed
	if r.Config == "" {
		r.Config = w.config
	}
	p := &process{w: w, role: r, kept: kept, file: w.path(r.Name + ".json")}
	w.must(encodeFile(p.file, r))
	w.must(p.begin())
	w.Cleanup(func() {
		p.end(syscall.SIGKILL)
		if text, err := os.ReadFile(w.path("logs/" + r.Name)); err == nil && w.Failed() {
			w.Logf("log of %s:\n%s", r.Name, text[max(0, len(text)-3000):])
		}
	})
	return p
}

// begin starts the process and returns when it is at work.
func (p *process) begin() error {
	log, err := os.OpenFile(p.w.path("logs/"+p.role.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+p.file)
	cmd.Stderr = log
	if _, err := cmd.StdinPipe(); err != nil { // it ends when this end of it does
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	if err := p.live(cmd, ended); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	ready := lines.Scan() && lines.Text() == "ready"
	p.lives.Go(func() {
		for lines.Scan() { // nothing more is said; the pipe is read to its end before Wait closes it
		}
		_ = cmd.Wait()
		close(ended)
		if p.kept {
			time.Sleep(100 * time.Millisecond)
			_ = p.begin() // where Redis is away, it ends again
		}
	})
	if !ready && !p.kept {
		return fmt.Errorf("%s did not start", p.role.Name)
	}
	return nil
}

// live starts the present life, unless the process was ended for good.
func (p *process) live(cmd *exec.Cmd, ended chan struct{}) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return fmt.Errorf("%s was ended", p.role.Name)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.ended = cmd, ended
	return nil
}

func (p *process) present() (*exec.Cmd, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.ended
}

func (p *process) pid() int {
	cmd, _ := p.present()
	return cmd.Process.Pid
}

// signal sends a signal to the present life of the process.
func (p *process) signal(s syscall.Signal) {
	cmd, _ := p.present()
	_ = cmd.Process.Signal(s)
}

// fall is a process that was killed.
type fall struct {
	pid int
	at  time.Time
}

// kill ends the present life of the process with SIGKILL.
func (p *process) kill() fall {
	cmd, ended := p.present()
	f := fall{cmd.Process.Pid, time.Now()}
	_ = cmd.Process.Kill()
	<-ended
	return f
}

// end ends the process for good.
func (p *process) end(s syscall.Signal) {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.signal(s)
	p.lives.Wait()
}
