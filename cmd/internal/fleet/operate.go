package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/warehouses/snowflake"
)

// Applied is what applying a connector did.
type Applied struct {
	Change  connectors.Change
	Retried int              // blocked deliveries that go on with the new settings
	Resumed bool             // it had been paused after failures in a row
	Setup   *snowflake.Setup // of kind snowflake: what our account has for it
}

// ApplyConnector creates or changes a connector. What waited for its settings
// to be mended goes on. One of kind snowflake is set up as well, even if it is
// what it was: somebody may have removed what it needs.
func (f *Fleet) ApplyConnector(ctx context.Context, c connectors.Connector) (a Applied, err error) {
	if a.Change, err = f.Connectors.Apply(ctx, c); err != nil {
		return a, err
	}
	if c.Kind == waybill.KindSnowflake {
		if a.Setup, err = f.setUp(ctx, c); err != nil {
			return a, fmt.Errorf("it is %s, and not set up: %w", a.Change, err)
		}
	} else if a.Change != connectors.Changed {
		return a, nil
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
	a.Retried, err = f.RetryAll(ctx, ledger.Filter{Team: c.Team, Connector: c.ID, State: waybill.StateBlocked})
	return a, err
}

// RetryAll sends every delivery that the filter selects on its way again. It
// returns how many were.
func (f *Fleet) RetryAll(ctx context.Context, filter ledger.Filter) (n int, err error) {
	for {
		page, err := f.Ledger.List(ctx, filter)
		if err != nil {
			return n, err
		}
		for _, d := range page.Deliveries {
			err := f.Ledger.Retry(ctx, d.ID)
			if _, moved := errors.AsType[*ledger.StateError](err); moved {
				continue // it moved on since it was listed
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
