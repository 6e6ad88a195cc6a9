package ledger

import (
	"context"
	"errors"

	"github.com/waybillhq/waybill"
)

// Story is all that is known of one delivery.
type Story struct {
	Delivery waybill.Delivery `json:"delivery"`
	History  []waybill.Event  `json:"history"`           // oldest first; the last 100
	Receipt  *waybill.Receipt `json:"receipt,omitempty"` // once complete
}

// Story returns a delivery, what happened to it, and its receipt. Where the
// receipt alone cannot be read, the story comes with the error.
func (l *Ledger) Story(ctx context.Context, id string) (s Story, err error) {
	if s.Delivery, err = l.Delivery(ctx, id); err != nil {
		return s, err
	}
	if s.History, err = l.History(ctx, id); err != nil {
		return s, err
	}
	r, err := l.Receipt(ctx, s.Delivery)
	switch {
	case err == nil:
		s.Receipt = &r
	case errors.Is(err, waybill.ErrNotFound):
		err = nil
	}
	return s, err
}
