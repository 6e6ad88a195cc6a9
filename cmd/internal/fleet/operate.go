package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/api"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/warehouses/snowflake"
)

// Applied is what applying a connector did.
type Applied struct {
	Change  connectors.Change
	Retried int                        // blocked deliveries that go on with the new settings
	Resumed bool                       // it had been paused after failures in a row
	Done    []waybill.OperationReceipt // what was taken from the customer, or shown again
	Setup   *snowflake.Setup           // of kind snowflake: what our account has for it
}

// Operations are what an operator does to published tables.
func (f *Fleet) Operations() *handlers.Operations {
	return &handlers.Operations{Handlers: f.handlers(), Keep: time.Duration(f.Config.Times.KeepDeleted)}
}

// ApplyConnector creates or changes a connector. What it no longer selects is
// taken from the customer; what waited for its settings to be mended goes on.
// One of kind snowflake is set up as well, even if it is what it was: somebody
// may have removed what it needs.
func (f *Fleet) ApplyConnector(ctx context.Context, r handlers.Request, c connectors.Connector) (a Applied, err error) {
	narrows, err := f.narrows(ctx, c)
	if err != nil {
		return a, err
	}
	if narrows {
		if err := f.Operations().Narrowing(ctx, r, c); err != nil {
			return a, err
		}
	}
	if a.Change, err = f.Connectors.Apply(ctx, c); err != nil {
		return a, err
	}
	if narrows {
		if a.Done, err = f.Operations().Align(ctx, r, c); err != nil {
			return a, fmt.Errorf("the connector is changed, but not yet what its customer reads; the scheduler tries again, and so does applying it again: %w", err)
		}
	}
	if c.Kind == waybill.KindSnowflake {
		if a.Setup, err = f.setUp(ctx, c); err != nil {
			return a, fmt.Errorf("it is %s, and not set up: %w", a.Change, err)
		}
	}
	if a.Change != connectors.Changed && a.Setup == nil {
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
	a.Retried, err = RetryAll(ctx, f.Ledger, ledger.Filter{Team: c.Team, Connector: c.ID, State: waybill.StateBlocked})
	return a, err
}

// narrows reports whether a connector with tables is to select other workflows
// than it does, or was so and is not in line with it yet.
func (f *Fleet) narrows(ctx context.Context, c connectors.Connector) (bool, error) {
	old, err := f.Connectors.Get(ctx, c.ID)
	switch {
	case errors.Is(err, connectors.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case old.Kind == waybill.KindStorage:
		return false, nil
	case !slices.Equal(old.Workflows, c.Workflows):
		return true, nil
	}
	pending, err := f.Ledger.PendingOperations(ctx, c.ID)
	return len(pending) > 0, err
}

// ResumeConnector lets a connector go on: what somebody removed of its
// recipient and share is made again first, and what waited for that goes on. It
// says whether anything changed.
func (f *Fleet) ResumeConnector(ctx context.Context, c connectors.Connector) (bool, error) {
	if err := f.Operations().Reinstate(ctx, c); err != nil {
		return false, err
	}
	resumed, err := f.Ledger.ResumeConnector(ctx, c.Team, c.ID)
	if err != nil || c.Kind != waybill.KindDatabricks {
		return resumed, err
	}
	n, err := RetryAll(ctx, f.Ledger, ledger.Filter{Team: c.Team, Connector: c.ID, State: waybill.StateBlocked})
	return resumed || n > 0, err
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
