package chaos

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/waybillhq/waybill/internal/testservers"
)

// count of a kind of entry in the log of attempts.
func count(log []entry, what string, pid int) (n int) {
	for _, e := range log {
		if e.What == what && (pid == 0 || e.PID == pid) {
			n++
		}
	}
	return n
}

// partition cuts one worker off from Redis, while it is at work, and lets it
// hear nothing at all: no refusal, no closed connection.
var partition = scenario{number: 6, fault: "partition of a worker", count: 8, short: 8, run: func(w *world) report {
	cut := 4 * w.lease
	if *full && !w.off {
		cut = 120 * time.Second
	}
	proxy := testservers.Proxy(w, w.redis.Addr)
	w.schedulers(role{})
	work := 2 * w.lease
	alone := w.start(role{Kind: "worker", Slots: 8, Work: work, Deaf: w.off, Config: w.configure(fmt.Sprintf("{url: \"redis://%s/0\"}", proxy.Addr))})
	w.submit(w.runs(w.deliveries()))
	w.await(time.Minute, func() bool { return count(w.attempts(), "began", alone.pid()) == w.deliveries() })
	w.keep(role{Kind: "worker", Slots: 8, Work: work})
	at := time.Now()
	proxy.Silence(w)
	w.await(cut, func() bool { return time.Since(at) > cut })
	proxy.Restore(w)
	w.awaitProgress(w.deliveries())
	w.await(time.Minute, func() bool { log := w.attempts(); return count(log, "began", 0) == count(log, "ended", 0) })
	r := w.audit()
	log := w.attempts()
	r.zero("overlap", overlap(log, nil, ofDelivery))
	r.nonZero("attempts cut off", count(log, "began", alone.pid()))
	for _, e := range log {
		if e.What == "began" && e.PID != alone.pid() {
			r.recovery = append(r.recovery, e.At.Sub(at))
		}
	}
	return r
}}

func TestAWorkerThatIsCutOffStopsBeforeAnotherBegins(t *testing.T) { partition.holds(t) }

func TestAHandlerThatDoesNotStopOverlapsTheNext(t *testing.T) { partition.breaks(t) }

// zombie stops a worker at the worst moment: it has been told to go ahead, and
// its write to LATEST is on the way. While it sleeps, its deliveries restart
// elsewhere and newer runs pass; then it wakes up.
var zombie = scenario{number: 7, fault: "zombie: SIGSTOP past the lease", count: 8, short: 8, run: func(w *world) report {
	gate := w.path("gate")
	w.must(os.WriteFile(gate, nil, 0o600))
	w.schedulers(role{})
	sleeper := w.start(role{Kind: "worker", Slots: 8, Gate: gate, NoFence: w.off})
	runs := w.runs(2 * w.deliveries()) // of each lane at least two
	w.submit(runs[:w.deliveries()])
	w.await(time.Minute, func() bool { return count(w.attempts(), "gated", sleeper.pid()) == w.deliveries() })
	sleeper.signal(syscall.SIGSTOP)
	at := time.Now()
	w.keep(role{Kind: "worker", Slots: 8, NoFence: w.off})
	w.submit(runs[w.deliveries():])
	w.awaitProgress(2 * w.deliveries())
	others := func() int { log := w.attempts(); return count(log, "began", 0) - count(log, "began", sleeper.pid()) }
	w.await(time.Minute, func() bool { return others() >= 2*w.deliveries() })
	w.must(os.Remove(gate))
	time.Sleep(time.Second)
	sleeper.signal(syscall.SIGCONT)
	w.await(time.Minute, func() bool { return count(w.attempts(), "ended", sleeper.pid()) == w.deliveries() })
	time.Sleep(2 * w.sweep)
	r := w.audit()
	log := w.attempts()
	if !w.off {
		r.nonZero("stale writes refused", count(log, "stale", sleeper.pid()))
	}
	for _, e := range log {
		if e.What == "began" && e.PID != sleeper.pid() {
			r.recovery = append(r.recovery, e.At.Sub(at))
		}
	}
	return r
}}

func TestAZombieCannotMoveLatestBackwards(t *testing.T) { zombie.holds(t) }

func TestWithoutTheFenceAZombieMovesLatestBackwards(t *testing.T) { zombie.breaks(t) }
