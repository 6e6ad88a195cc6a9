package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// A random life of a fleet: whatever happens in whatever order, no lane has
// two in flight, no connector more than its limit, no window more than its
// size, and in the end everything has been delivered.
func TestAdmissionOverRandomLives(t *testing.T) {
	servers(t, ledger.Options{MaxFailures: 1000}, func(t *testing.T, b bundle) {
		for seed := range uint64(4) {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				if err := b.rdb.FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				newLife(b, seed).live(t)
			})
		}
	})
}

const lifeWindow = 6

type life struct {
	bundle
	rnd        *rand.Rand
	connectors []ledger.Connector
	flying     []ledger.Ready
	paused     map[string]bool
	of         map[string]ledger.Connector // of each delivery
	lane       map[string]string
	jobs       int
}

func newLife(b bundle, seed uint64) *life {
	l := &life{bundle: b, rnd: rand.New(rand.NewPCG(seed, 0)), paused: map[string]bool{}, of: map[string]ledger.Connector{}, lane: map[string]string{}}
	for i := range 6 {
		c := table(fmt.Sprint("team-", i%3), fmt.Sprint("c", i), 1+i%3)
		c.Ordered = i%2 == 0
		l.connectors = append(l.connectors, c)
	}
	return l
}

func (l *life) live(t *testing.T) {
	l.mend(t)
	for range 250 {
		switch n := l.rnd.IntN(10); {
		case n < 4:
			l.hand(t)
		case n < 8:
			l.end(t)
		case n == 8:
			l.toggle(t, l.connectors[l.rnd.IntN(len(l.connectors))])
		default:
			l.mend(t)
		}
		l.collect(t)
	}
	for _, c := range l.connectors {
		if l.paused[c.ID] {
			l.toggle(t, c)
		}
	}
	l.collect(t)
	for len(l.flying) > 0 {
		l.end(t)
		l.collect(t)
	}
	for id := range l.of {
		if d, err := l.Delivery(t.Context(), id); err != nil || d.State != waybill.StateComplete {
			t.Errorf("delivery %s to %s is %s, %v", id, d.Connector, d.State, err)
		}
	}
}

func (l *life) mend(t *testing.T) {
	if err := l.Mend(t.Context(), map[string]int{"export": lifeWindow, ledger.Backfill: lifeWindow}); err != nil {
		t.Fatal(err)
	}
}

func (l *life) hand(t *testing.T) {
	c := l.connectors[l.rnd.IntN(len(l.connectors))]
	queue := []string{"export", ledger.Backfill}[l.rnd.IntN(2)]
	workflow := fmt.Sprint("wf", l.rnd.IntN(2))
	l.jobs++
	id := l.send(t, c, queue, workflow, fmt.Sprint("j", l.jobs))
	l.of[id], l.lane[id] = c, c.ID+"/"+workflow
}

// end ends one of those in flight, one way or another.
func (l *life) end(t *testing.T) {
	if len(l.flying) == 0 {
		return
	}
	i := l.rnd.IntN(len(l.flying))
	ready := l.flying[i]
	l.flying = append(l.flying[:i], l.flying[i+1:]...)
	lease, err := l.Begin(t.Context(), ready.Delivery, ready.Generation, ready.Enqueue)
	if errors.Is(err, ledger.ErrGone) {
		return // a pause called it back
	}
	if err != nil {
		t.Fatal(err)
	}
	switch l.rnd.IntN(4) {
	case 0:
		attempt, _ := errors.AsType[*ledger.Attempt](lease.Close(errors.New("no luck")))
		if _, err := attempt.Settle(t.Context(), ledger.Decision{State: waybill.StateFailed, Failure: &waybill.Failure{}}); err != nil {
			t.Fatal(err)
		}
		if err := l.Retry(t.Context(), ready.Delivery); err != nil {
			t.Fatal(err)
		}
	case 1:
		if err := lease.HandOn(t.Context(), "table.publish"); err != nil {
			t.Fatal(err)
		}
		_ = lease.Close(nil)
	default:
		if err := lease.Complete(t.Context(), waybill.Receipt{}); err != nil {
			t.Fatal(err)
		}
		_ = lease.Close(nil)
	}
}

func (l *life) toggle(t *testing.T, c ledger.Connector) {
	change := func() (bool, error) { return l.PauseConnector(t.Context(), c.Team, c.ID, "test") }
	if l.paused[c.ID] {
		change = func() (bool, error) { return l.ResumeConnector(t.Context(), c.Team, c.ID) }
	}
	changed, err := change()
	if err != nil || !changed {
		t.Fatalf("pause of %s: %t, %v", c.ID, changed, err)
	}
	l.paused[c.ID] = !l.paused[c.ID]
}

// collect takes what was enqueued, and holds it against the limits.
func (l *life) collect(t *testing.T) {
	l.flying = append(l.flying, l.queue.take()...)
	lanes, connectors, queues, seen := map[string]string{}, map[string]int{}, map[string]int{}, map[string]bool{}
	for _, r := range l.flying {
		d, err := l.Delivery(t.Context(), r.Delivery)
		if err != nil {
			t.Fatal(err)
		}
		if d.State != waybill.StateQueued {
			continue // called back by a pause; a task of it may still be there
		}
		c := l.of[r.Delivery]
		if other, taken := lanes[l.lane[r.Delivery]]; c.Ordered && taken && other != r.Delivery {
			t.Fatalf("%s and %s are in flight in lane %s", other, r.Delivery, l.lane[r.Delivery])
		}
		if seen[r.Delivery] {
			continue // an older task of it, that a pause called back
		}
		seen[r.Delivery] = true
		lanes[l.lane[r.Delivery]] = r.Delivery
		connectors[r.Queue+" "+c.ID]++
		queues[r.Queue]++
		if connectors[r.Queue+" "+c.ID] > c.MaxInFlight || queues[r.Queue] > lifeWindow {
			t.Fatalf("%v in flight, %v in a window of %d", connectors, queues, lifeWindow)
		}
	}
}
