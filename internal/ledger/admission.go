package ledger

import (
	"context"
	"errors"
	"slices"
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
	turnScript     = named("turn", lua("window")+lua("turn"))
)

// Backfill is the queue of historical deliveries, whatever their task.
const Backfill = "backfill"

const (
	mostTickets = 64               // of one turn
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
		l.admit(r.turns(0))
	}
	return err
}

// turn is what changed for a team, which its queue's window is to be told.
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

// admit tells the windows, and admits what they give tickets for, while the
// caller goes on: the worker's place is free at once, the planner has the next
// run. [Ledger.Wait] waits for it. A failure is not the caller's, whose own
// change took effect: the sweep repairs what is left.
func (l *Ledger) admit(turns []turn) {
	if l.queue == nil {
		return
	}
	for _, t := range turns {
		if l.lines.join(t) {
			go l.serve(t.queue)
		}
	}
}

// serve takes the turns of a queue, those that came meanwhile all at once,
// until there are none.
func (l *Ledger) serve(queue string) {
	for {
		turns := l.lines.next(queue)
		if len(turns) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), admitLimit)
		given, err := l.takeTurn(ctx, queue, newsOf(turns))
		if err == nil {
			turns, err = l.use(ctx, queue, given)
			l.admit(turns)
		}
		cancel()
		if err != nil {
			l.opts.Log.Warn("could not admit; the sweep will", "queue", queue, "error", err)
		}
	}
}

// Wait returns when no admission is under way beside its caller. A process
// that does not wait leaves it to the sweep.
func (l *Ledger) Wait() { l.lines.wait() }

// news is what a window is told.
type news struct {
	size       int      // most deliveries in flight; 0 leaves it
	free, held []string // tickets
	wants      []any    // team and how many deliveries it could send on, one after the other
}

// newsOf puts turns together; the last word on a team counts.
func newsOf(turns []turn) (n news) {
	told := map[string]bool{}
	for _, t := range slices.Backward(turns) {
		if t.ticket != "" {
			n.free = append(n.free, t.ticket)
		}
		if t.ready != "" && !told[t.team] {
			told[t.team] = true
			n.wants = append(n.wants, t.team, t.ready)
		}
	}
	return n
}

func (l *Ledger) takeTurn(ctx context.Context, queue string, n news) ([]ticket, error) {
	args := []any{"", mostTickets}
	if n.size > 0 {
		args[0] = n.size
	}
	for _, list := range [][]string{n.free, n.held} {
		args = append(args, len(list))
		for _, t := range list {
			args = append(args, t)
		}
	}
	r, err := l.run(ctx, turnScript, windowPrefix(queue), append(args, n.wants...)...)
	return tickets(r), err
}

// use admits a delivery for each ticket. It returns what to tell the window:
// tickets that found none, and teams that have more than it believes.
func (l *Ledger) use(ctx context.Context, queue string, given []ticket) (turns []turn, err error) {
	byTeam := map[string][]ticket{}
	var teams []string
	for _, t := range given {
		if byTeam[t.team] == nil {
			teams = append(teams, t.team)
		}
		byTeam[t.team] = append(byTeam[t.team], t)
	}
	calls := make([]call, len(teams))
	for i, team := range teams {
		args := []any{team, queue, millis(l.opts.Grace)}
		for _, t := range byTeam[team] {
			args = append(args, t.id)
		}
		calls[i] = call{prefix(waybill.Slot(team)), args}
	}
	replies, errs := l.runEach(ctx, admitScript, calls)
	var ready []Ready
	for i, team := range teams {
		if errs[i] != nil {
			continue // its tickets are found by the sweep
		}
		admitted, left, own := replies[i].ready(1), replies[i].text(0), byTeam[team]
		ready = append(ready, admitted...)
		for _, t := range own[len(admitted):] {
			turns = append(turns, turn{queue: queue, team: team, ticket: t.id, ready: left})
		}
		if len(admitted) == len(own) && left != own[len(own)-1].left {
			turns = append(turns, turn{queue: queue, team: team, ready: left})
		}
	}
	l.dispatch(ctx, ready)
	l.admitted(ready)
	return turns, errors.Join(errs...)
}

func (l *Ledger) admitted(ready []Ready) {
	if l.opts.Observer.Admitted == nil {
		return
	}
	for _, r := range ready {
		l.opts.Observer.Admitted(r.Queue, r.waited)
	}
}
