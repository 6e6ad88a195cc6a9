package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/notify"
	"github.com/waybillhq/waybill/internal/secrets"
)

// Whom a connector's changes are told.
const (
	itsWebhook   = "webhook"
	itsSlack     = "slack"
	fleetWebhook = "fleet-webhook"
	fleetSlack   = "fleet-slack"
)

// told are those that a connector's changes are told.
func (f *Fleet) told(c connectors.Connector) string {
	var to []string
	if c.Webhook != nil {
		to = append(to, itsWebhook)
	}
	if !c.Slack.IsZero() {
		to = append(to, itsSlack)
	}
	return strings.Join(append(to, f.toldOfAll()...), " ")
}

// toldOfAll are those that are told of every connector, and of destinations.
func (f *Fleet) toldOfAll() (to []string) {
	if f.Config.Notify.Webhook != (config.Webhook{}) {
		to = append(to, fleetWebhook)
	}
	if !f.Config.Notify.Slack.IsZero() {
		to = append(to, fleetSlack)
	}
	return to
}

// Notifier tells others what became of deliveries and connectors.
func (f *Fleet) Notifier() *notify.Notifier {
	return notify.New(notify.Options{Outbox: f.Ledger, Receiver: f.receiver, Do: f.guard.Do, Log: f.Log})
}

// RunScheduler runs a scheduler, and tells others what changed, until ctx ends.
func (f *Fleet) RunScheduler(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return f.Scheduler().Run(ctx) })
	group.Go(func() error { return f.Notifier().Run(ctx) })
	return group.Wait()
}

// receiver is whom a note is for, with the secrets of the moment.
func (f *Fleet) receiver(ctx context.Context, n ledger.Note) (notify.Receiver, error) {
	webhook, slack := f.Config.Notify.Webhook, f.Config.Notify.Slack
	if n.To == itsWebhook || n.To == itsSlack {
		c, err := f.Connectors.Get(ctx, n.Connector)
		if errors.Is(err, waybill.ErrNotFound) {
			return notify.Receiver{}, notify.ErrNobody
		}
		if err != nil {
			return notify.Receiver{}, err
		}
		webhook, slack = config.Webhook{}, c.Slack
		if c.Webhook != nil {
			webhook = *c.Webhook
		}
	}
	switch n.To {
	case itsWebhook, fleetWebhook:
		secret, err := f.reveal(ctx, webhook.Secret)
		return notify.Receiver{URL: webhook.URL, Secret: secret}, err
	case itsSlack, fleetSlack:
		url, err := f.reveal(ctx, slack)
		return notify.Receiver{URL: strings.TrimSpace(url), Slack: true}, err
	}
	return notify.Receiver{}, notify.ErrNobody
}

// reveal fetches a secret; without a reference there is nobody to be told.
func (f *Fleet) reveal(ctx context.Context, ref secrets.Ref) (string, error) {
	if ref.IsZero() {
		return "", notify.ErrNobody
	}
	s, err := f.secrets.Resolve(ctx, ref)
	if err != nil {
		return "", fmt.Errorf("secret of the receiver: %w", err)
	}
	return s.Reveal(), nil
}
