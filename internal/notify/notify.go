// Package notify tells others what became of deliveries and connectors: by
// webhooks that are signed, and by messages that Slack and what is compatible
// with it take. Each change is told at least once; who is told twice knows it by
// the id.
package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill/internal/ledger"
)

// Outbox keeps what is to be told. The ledger is one.
type Outbox interface {
	TakeNotes(ctx context.Context, limit int, lease time.Duration) ([]ledger.Note, error)
	NoteTold(ctx context.Context, n ledger.Note) error
	NoteLater(ctx context.Context, n ledger.Note, after time.Duration) error
}

var _ Outbox = (*ledger.Ledger)(nil)

// Receiver is who is told, and how.
type Receiver struct {
	URL    string
	Secret string // signs; of Slack there is none
	Slack  bool
}

// ErrNobody means: a note's receiver is no longer there.
var ErrNobody = errors.New("nobody is to be told any more")

// Options say how others are told. Fields without a default are required.
type Options struct {
	Outbox Outbox
	// Receiver finds whom a note is for. An error that matches [ErrNobody] ends the note.
	Receiver func(ctx context.Context, n ledger.Note) (Receiver, error)
	// Do sends a request. Addresses are others' choice, so that it guards them;
	// its errors hold no more of one than the host, for the rest may be a secret.
	Do func(req *http.Request) (*http.Response, error)

	Every time.Duration // between two looks into the outbox; default 2 s
	Now   func() time.Time
	Log   *slog.Logger
}

// Notifier empties the outbox. Any number of them may.
type Notifier struct{ o Options }

// New returns a notifier.
func New(o Options) *Notifier {
	o.Every = cmp.Or(o.Every, 2*time.Second)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Notifier{o: o}
}

const (
	batch     = 50               // notes of one slot at a time
	atATime   = 16               // requests under way
	sendLimit = 10 * time.Second // for one request
	lease     = time.Minute      // a note that was taken is told by then, or taken again
)

// Delays are those after the first four of a note's five tries: an hour in all.
var Delays = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 39 * time.Minute}

// Run tells until ctx ends.
func (n *Notifier) Run(ctx context.Context) error {
	tick := time.NewTicker(n.o.Every)
	defer tick.Stop()
	for {
		if err := n.Tell(ctx); err != nil && ctx.Err() == nil {
			n.o.Log.WarnContext(ctx, "could not tell what changed; it will be tried again", "component", "notify", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Tell tells what is due.
func (n *Notifier) Tell(ctx context.Context) error {
	notes, err := n.o.Outbox.TakeNotes(ctx, batch, lease)
	var group errgroup.Group
	group.SetLimit(atATime)
	for _, note := range notes {
		group.Go(func() error { return n.tell(ctx, note) })
	}
	return errors.Join(err, group.Wait())
}

// tell tells one note, and says in the outbox what came of it.
func (n *Notifier) tell(ctx context.Context, note ledger.Note) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	err := n.send(ctx, note)
	over := context.WithoutCancel(ctx)
	log := n.o.Log.With("component", "notify", "note", note.ID, "what", note.What, "connector", note.Connector, "delivery", note.Delivery.ID, "to", note.To)
	switch {
	case err == nil || errors.Is(err, ErrNobody):
		return n.o.Outbox.NoteTold(over, note)
	case note.Tries > len(Delays):
		log.ErrorContext(ctx, "nobody could be told, and it is not tried again", "tries", note.Tries, "error", err)
		return n.o.Outbox.NoteTold(over, note)
	}
	after := Delays[max(note.Tries, 1)-1]
	log.WarnContext(ctx, "nobody could be told; it is tried again", "tries", note.Tries, "after", after, "error", err)
	return n.o.Outbox.NoteLater(over, note, after)
}

func (n *Notifier) send(ctx context.Context, note ledger.Note) error {
	to, err := n.o.Receiver(ctx, note)
	if err != nil {
		return err
	}
	req, err := n.request(ctx, note, to)
	if err != nil {
		return err
	}
	resp, err := n.o.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection serves the next one
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the receiver answers %d", resp.StatusCode)
	}
	return nil
}

func (n *Notifier) request(ctx context.Context, note ledger.Note, to Receiver) (*http.Request, error) {
	text, err := message(note, to.Slack)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, strings.NewReader(string(text)))
	if err != nil {
		return nil, errors.New("the receiver's address is not a URL") // it may be a secret itself
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "waybill")
	req.Header.Set("Idempotency-Key", note.ID)
	if !to.Slack {
		sign(req.Header, to.Secret, note.ID, n.o.Now(), text)
	}
	return req, nil
}
