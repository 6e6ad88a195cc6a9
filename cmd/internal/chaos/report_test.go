package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// report is what an audit found.
type report struct {
	count       int // deliveries that were acknowledged, or what else the scenario counts
	lost        int // that did not arrive
	doubled     int // effects that stand twice at the destination
	regressions int // moves of LATEST to an older run
	others      []tally
	recovery    []time.Duration // from each fault until the work went on
	bound       time.Duration   // of the recovery's p95; 0: none is promised
	notes       []string
}

// tally is a figure of one scenario alone, which must be 0, or must not.
type tally struct {
	name     string
	n        int
	required bool // above 0: without it the fault did not happen
}

func (r *report) zero(name string, n int)    { r.others = append(r.others, tally{name, n, false}) }
func (r *report) nonZero(name string, n int) { r.others = append(r.others, tally{name, n, true}) }

func (r *report) notef(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// clean reports whether every count is what it must be. Times are not counted:
// a loaded machine is no fault of the fleet.
func (r *report) clean() bool {
	return r.lost+r.doubled+r.regressions == 0 &&
		!slices.ContainsFunc(r.others, func(o tally) bool { return o.required != (o.n > 0) })
}

func (r report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "count %d, lost %d, doubled %d, regressions %d", r.count, r.lost, r.doubled, r.regressions)
	for _, o := range r.others {
		fmt.Fprintf(&b, ", %s %d", o.name, o.n)
	}
	if len(r.recovery) > 0 {
		fmt.Fprintf(&b, ", recovery p50 %.1f s p95 %.1f s of %d", r.percentile(50).Seconds(), r.percentile(95).Seconds(), len(r.recovery))
	}
	if r.bound > 0 && *full && len(r.recovery) > 0 {
		verdict := "PASS"
		if r.percentile(95) > r.bound {
			verdict = "OVER"
		}
		fmt.Fprintf(&b, " (%s: at most %s)", verdict, r.bound)
	}
	for _, n := range r.notes {
		fmt.Fprintf(&b, "; %s", n)
	}
	return b.String()
}

func (r *report) percentile(p int) time.Duration {
	if len(r.recovery) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(r.recovery))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

// lines are what the end of a run prints, one of each scenario.
var lines table

type table struct {
	mu   sync.Mutex
	rows []row
}

type row struct {
	scenario
	report
}

func (t *table) add(s scenario, r report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, row{s, r})
}

func (t *table) print() {
	slices.SortStableFunc(t.rows, func(a, b row) int { return cmp.Compare(a.number, b.number) })
	for _, r := range t.rows {
		verdict := "ok  "
		if !r.clean() {
			verdict = "FAIL"
		}
		fmt.Printf("%s %2d %-34s %s\n", verdict, r.number, r.fault, r.report)
	}
}
