package fleet

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/api"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
)

// Applied is what applying a connector did.
type Applied struct {
	Change  connectors.Change
	Retried int  // blocked deliveries that go on with the new settings
	Resumed bool // it had been paused after failures in a row
}

// ApplyConnector creates or changes a connector. What waited for its settings
// to be mended goes on.
func (f *Fleet) ApplyConnector(ctx context.Context, c connectors.Connector) (a Applied, err error) {
	if a.Change, err = f.Connectors.Apply(ctx, c); err != nil || a.Change != connectors.Changed {
		return a, err
	}
	pause, err := f.Ledger.ConnectorPause(ctx, c.Team, c.ID)
	if err != nil {
		return a, err
	}
	if pause != nil && pause.Automatic {
		if a.Resumed, err = f.Ledger.ResumeConnector(ctx, c.Team, c.ID); err != nil {
			return a, err
		}
	}
	a.Retried, err = RetryAll(ctx, f.Ledger, ledger.Filter{Team: c.Team, Connector: c.ID, State: waybill.StateBlocked})
	return a, err
}

// Retrier lists deliveries and sends them on their way again.
type Retrier interface {
	List(ctx context.Context, f ledger.Filter) (ledger.Page, error)
	Retry(ctx context.Context, id string) error
}

// RetryAll sends every delivery that the filter selects on its way again. It
// returns how many were.
func RetryAll(ctx context.Context, history Retrier, filter ledger.Filter) (n int, err error) {
	for {
		page, err := history.List(ctx, filter)
		if err != nil {
			return n, err
		}
		for _, d := range page.Deliveries {
			err := history.Retry(ctx, d.ID)
			if movedOn(err) {
				continue // since it was listed
			}
			if err != nil {
				return n, err
			}
			n++
		}
		if filter.Cursor = page.Cursor; filter.Cursor == "" {
			return n, nil
		}
	}
}

// movedOn reports whether a delivery's state no longer allows what was asked,
// as the ledger says it or the API.
func movedOn(err error) bool {
	_, state := errors.AsType[*ledger.StateError](err)
	p, told := errors.AsType[*api.Problem](err)
	return state || told && p.State != ""
}

// Destination is what can be paused as one: the vendor, and where the
// connector says it, the region or the endpoint, as in s3/eu-central-1.
func Destination(c connectors.Connector) string {
	if c.Storage == nil {
		return string(c.Kind)
	}
	vendor, _, _ := strings.Cut(c.Storage.URL, "://")
	if u, err := url.Parse(c.Storage.Endpoint); err == nil && u.Host != "" {
		return vendor + "/" + u.Host
	}
	if c.Storage.Region != "" {
		return vendor + "/" + c.Storage.Region
	}
	return vendor
}
