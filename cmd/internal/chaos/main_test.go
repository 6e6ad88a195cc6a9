// Package chaos breaks a fleet of real processes on a real Redis, and counts
// from what arrived at the destination: what was lost, what was done twice,
// and whether LATEST ever moved backwards.
//
// The test binary starts itself again as worker, scheduler and producer
// processes, which are wired as the program's are; what breaks them stands
// between them and Redis (see faults), or is a signal, or the network. Each
// scenario also runs with the mechanism switched off that it is about, and
// then has to report a loss: a test that cannot fail proves nothing.
//
// The tests run a short form, with shorter times and smaller counts. The whole is
//
//	make chaos [SEED=7] [SCALE=0.1]
package chaos

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/waybillhq/waybill/internal/config"
)

var (
	full  = flag.Bool("full", false, "the fleet's own times, and the counts of the table; one scenario after the other")
	scale = flag.Float64("scale", 1, "of the counts, with -full")
	seed  = flag.Uint64("seed", 0, "of what is chosen at random: which process, when, which tenth; 0: a new one")
)

func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(roleVariable); ok {
		if err := play(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano()) % 1e6
	}
	fmt.Printf("seed %d\n", *seed)
	if !*full {
		_ = flag.Set("test.parallel", "6") // scenarios mostly wait: for leases to end, for sweeps
	}
	code := m.Run()
	lines.print()
	os.Exit(code)
}

// A scenario is one of the faults.
type scenario struct {
	number int
	fault  string
	count  int  // deliveries of the whole
	short  int  // and of the short form
	off    bool // what it is about is switched off
	chance int  // which run of it, from 0
	run    func(w *world) report
	redis  func(t *testing.T, s scenario) backend // where it is not one durable server
}

// times are the fleet's own, or shorter ones.
func (s scenario) times() (lease, sweep time.Duration) {
	if *full && !s.off {
		times := config.Default().Times
		return times.Lease, times.Sweep
	}
	return 5 * time.Second, time.Second
}

func (s scenario) deliveries() int {
	if *full && !s.off {
		return max(int(float64(s.count)**scale), s.short)
	}
	return s.short
}

// holds runs a scenario, which must lose, double and reverse nothing.
func (s scenario) holds(t *testing.T) {
	t.Helper()
	if !*full {
		t.Parallel()
	}
	r := s.start(t)
	lines.add(s, r)
	t.Log(r)
	if !r.clean() {
		t.Errorf("%s: %s", s.fault, r)
	}
}

// breaks runs a scenario without what it is about: the auditor must see it.
func (s scenario) breaks(t *testing.T) {
	t.Helper()
	if !*full {
		t.Parallel()
	}
	s.off = true
	for s.chance = range chances {
		r := s.start(t)
		t.Log(r)
		if !r.clean() {
			return
		}
	}
	t.Errorf("%s: nothing was lost in %d runs although what prevents it was switched off; the scenario proves nothing", s.fault, chances)
}

// chances are given to a fault to hit something on its way: of a kill at a
// random moment that is luck.
const chances = 5

func (s scenario) start(t *testing.T) report {
	t.Helper()
	if s.redis == nil {
		s.redis = durableRedis
	}
	return s.run(newWorld(t, s))
}

// random is the scenario's own source: its faults do not depend on what runs beside it.
func (s scenario) random() *rand.Rand {
	return rand.New(rand.NewPCG(*seed+uint64(s.chance), uint64(s.number)))
}
