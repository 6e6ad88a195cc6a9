package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/waybillhq/waybill"
)

var figuresScript = script("figures")

// Figures are how many deliveries stand where.
type Figures struct {
	States       map[waybill.State]int64
	Queues       map[string]QueueFigures
	Destinations map[string]DestinationFigures // as [Connector] names them

	PausedConnectors   int64
	PausedDestinations int64

	Unplanned       int64         // accepted runs that no delivery was written for yet
	OldestUnplanned time.Duration // since the oldest of them was accepted
}

// QueueFigures are how many deliveries of a queue are not settled.
type QueueFigures struct {
	Waiting     int64         // in the backlog, and nothing holds them there
	Held        int64         // in the backlog of a paused connector or destination
	InFlight    int64         // handed to the queue, being tried, or between two tries
	Overdue     int64         // on their way for longer than promised
	LongestWait time.Duration // of those that may go next
}

// DestinationFigures are how many connectors are at a destination.
type DestinationFigures struct {
	Connectors int64
	Failing    int64 // those whose last delivery failed by the destination
	Paused     int64 // those that were paused for that
}

// Figures counts. Of each queue it is told how long a delivery may take until
// it is overdue, 0 for as long as it likes. It reads a few keys a connector,
// however many deliveries there are.
func (l *Ledger) Figures(ctx context.Context, promised map[string]time.Duration) (Figures, error) {
	args := []any{len(waybill.States())}
	for _, s := range waybill.States() {
		args = append(args, string(s))
	}
	var queues []string
	for queue, by := range promised {
		queues = append(queues, queue)
		args = append(args, queue, millis(by))
	}
	calls := make([]call, waybill.Slots)
	for slot := range calls {
		calls[slot] = call{prefix(slot), args}
	}
	replies, errs := l.runEach(ctx, figuresScript, calls)
	f := Figures{States: map[waybill.State]int64{}, Queues: map[string]QueueFigures{}, Destinations: map[string]DestinationFigures{}}
	if err := errors.Join(errs...); err != nil {
		return f, err
	}
	for _, r := range replies {
		f.add(r, queues)
	}
	return f, nil
}

// add adds those of a slot.
func (f *Figures) add(r reply, queues []string) {
	ago := func(r reply, i int) time.Duration { return time.Duration(r.int(i)) * time.Millisecond }
	for i, s := range waybill.States() {
		f.States[s] += r.list(0).int(i)
	}
	for i, queue := range queues {
		q, here := f.Queues[queue], r.list(1).list(i)
		f.Queues[queue] = QueueFigures{Waiting: q.Waiting + here.int(0), Held: q.Held + here.int(1), InFlight: q.InFlight + here.int(2),
			Overdue: q.Overdue + here.int(3), LongestWait: max(q.LongestWait, ago(here, 4))}
	}
	for i := range r.list(2) {
		here := r.list(2).list(i)
		d := f.Destinations[here.text(0)]
		f.Destinations[here.text(0)] = DestinationFigures{Connectors: d.Connectors + here.int(1), Failing: d.Failing + here.int(2), Paused: d.Paused + here.int(3)}
	}
	f.PausedConnectors += r.int(3)
	f.Unplanned += r.int(4)
	f.OldestUnplanned = max(f.OldestUnplanned, ago(r, 5))
	f.PausedDestinations = max(f.PausedDestinations, r.int(6)) // every slot has them
}
