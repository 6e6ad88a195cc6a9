package ledger

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/waybillhq/waybill"
)

// Admission decides what goes from the backlog into the task queue.
//
// A slot knows its teams: which deliveries wait, which connectors have room,
// which lanes are free. A queue's window knows how many deliveries are in
// flight, and whose turn is next: it gives a ticket for each. The two live
// under different hash tags, so that no script can change both; whoever ends
// or plans a delivery runs the change in the slot, a turn at the window, and
// the admission in the slot of the team whose turn it is. A process that dies
// in between leaves a ticket that nobody has, or a team that is not waited
// for: [Ledger.Mend] finds both.
var (
	admitScript    = script("admit")
	describeScript = script("describe")
	turnScript     = load("window", "turn")
)

// Backfill is the queue of historical deliveries, whatever their task.
const Backfill = "backfill"

const (
	mostTickets = 16               // of one turn
	mostBeside  = 64               // admissions under way beside their callers
	admitLimit  = 10 * time.Second // for the scripts of one admission
)

// Connector is what admission knows of a connector.
type Connector struct {
	ID          string
	Team        string
	Kind        waybill.Kind
	Live        string // queue of its live deliveries
	MaxInFlight int    // live ones; historical ones use what of it is free
	Destination string // what can be paused as one, e.g. "s3/eu-central-1" and with it "s3"
	Ordered     bool   // one delivery of a workflow at a time
	Notify      string // who is told what becomes of its deliveries, in words
}

func (c Connector) args() []any {
	ordered := "0"
	if c.Ordered {
		ordered = "1"
	}
	return []any{c.ID, c.Team, c.Live, c.MaxInFlight, c.Destination, ordered, c.Notify}
}

// Describe keeps what is known of a connector, and admits what it has room for.
func (l *Ledger) Describe(ctx context.Context, c Connector) error {
	r, err := l.run(ctx, describeScript, prefix(waybill.Slot(c.Team)), c.args()...)
	if err == nil {
		l.admit(ctx, r.turns(0))
	}
	return err
}

// turn tells a queue's window what changed for a team.
type turn struct {
	queue, team string
	ticket      string // that is free now; empty: none
	ready       string // how many deliveries the team could send on; empty: not known
}

func (r reply) turns(i int) []turn {
	var list []turn
	for _, v := range r.list(i) {
		e, _ := v.([]any)
		t := reply(e)
		list = append(list, turn{queue: t.text(0), team: t.text(1), ticket: t.text(2), ready: t.text(3)})
	}
	return list
}

// ticket is the right to have one delivery in flight.
type ticket struct {
	team, id string
	left     string // what the window believes the team could send on beyond
}

func tickets(r reply) []ticket {
	list := make([]ticket, len(r))
	for i := range r {
		t := r.list(i)
		list[i] = ticket{team: t.text(0), id: t.text(1), left: t.text(2)}
	}
	return list
}

func windowPrefix(queue string) string { return "wb:{adm:" + queue + "}:" }

// admit takes turns until nobody has one. A failure is not the caller's, whose
// own change took effect: the sweep repairs what is left.
func (l *Ledger) admit(ctx context.Context, turns []turn) {
	if l.queue == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), admitLimit)
	defer cancel()
	for len(turns) > 0 {
		t := turns[0]
		r, err := l.run(ctx, turnScript, windowPrefix(t.queue), t.team, t.ticket, t.ready, mostTickets)
		if err == nil {
			var more []turn
			more, err = l.use(ctx, t.queue, tickets(r))
			turns = append(turns[1:], more...)
		}
		if err != nil {
			l.opts.Log.WarnContext(ctx, "could not admit; the sweep will", "queue", t.queue, "error", err)
			return
		}
	}
}

// admitBeside does so while the caller goes on: the worker's place is free at
// once, the planner has the next run. [Ledger.Wait] waits for it. Where many
// are under way already the caller does it itself.
func (l *Ledger) admitBeside(ctx context.Context, turns []turn) {
	if len(turns) == 0 {
		return
	}
	if !l.beside.begin() {
		l.admit(ctx, turns)
		return
	}
	go func() {
		defer l.beside.end()
		l.admit(ctx, turns)
	}()
}

// beside counts the admissions under way beside their callers. A WaitGroup
// would not do: some begin while others are waited for.
type beside struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n is 0 again
}

func (b *beside) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n == mostBeside {
		return false
	}
	if b.n++; b.n == 1 {
		b.idle = make(chan struct{})
	}
	return true
}

func (b *beside) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n--; b.n == 0 {
		close(b.idle)
	}
}

func (b *beside) wait() {
	b.mu.Lock()
	n, idle := b.n, b.idle
	b.mu.Unlock()
	if n > 0 {
		<-idle
	}
}

// Wait returns when no admission is under way beside its caller. A process
// that does not wait leaves it to the sweep.
func (l *Ledger) Wait() { l.beside.wait() }

// use admits a delivery for each ticket. It returns what to tell the window:
// tickets that found none, and teams that have more than it believes.
func (l *Ledger) use(ctx context.Context, queue string, given []ticket) (turns []turn, err error) {
	for len(given) > 0 {
		team := given[0].team
		n := slices.IndexFunc(given, func(t ticket) bool { return t.team != team })
		if n < 0 {
			n = len(given)
		}
		own := given[:n]
		given = given[n:]
		args := []any{team, queue, millis(l.opts.Grace)}
		for _, t := range own {
			args = append(args, t.id)
		}
		r, err := l.run(ctx, admitScript, prefix(waybill.Slot(team)), args...)
		if err != nil {
			return turns, err
		}
		ready, left := r.ready(1), r.text(0)
		l.dispatch(ctx, ready)
		for _, t := range own[len(ready):] {
			turns = append(turns, turn{queue: queue, team: team, ticket: t.id, ready: left})
		}
		if len(ready) == n && left != own[n-1].left {
			turns = append(turns, turn{queue: queue, team: team, ready: left})
		}
	}
	return turns, nil
}
