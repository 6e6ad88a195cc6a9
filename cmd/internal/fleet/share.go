package fleet

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/warehouses/sharing"
)

// ShareMux serves what customers of kind deltasharing read: the protocol below
// the path of sharing.url, and /healthz. It does not serve /metrics: customers reach it.
func (f *Fleet) ShareMux() (http.Handler, error) {
	if f.Config.Sharing.URL == "" {
		return nil, notConfigured(waybill.KindDeltaSharing)
	}
	metrics := monitoring.NewShareMetrics(f.Registry)
	server, err := sharing.New(sharing.Options{URL: f.Config.Sharing.URL, Tokens: f.Tokens(), Share: f.share, Brand: f.Config.Brand,
		Observe: metrics.Request, Log: f.Log})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", f.health())
	mux.Handle("/", server)
	return mux, nil
}

// share is what the tokens of a connector open.
func (f *Fleet) share(ctx context.Context, id string) (sharing.Share, error) {
	c, err := f.Connectors.Get(ctx, id)
	if err != nil {
		return sharing.Share{}, err
	}
	if c.Kind != waybill.KindDeltaSharing {
		return sharing.Share{}, fmt.Errorf("connector %s is of kind %s: %w", c.ID, c.Kind, waybill.ErrNotFound)
	}
	store, err := f.Tables(ctx, c)
	if err != nil {
		return sharing.Share{}, err
	}
	s := sharing.Share{Store: store, Workflows: c.Workflows, Activity: c.LogsActivity()}
	if c.DeltaSharing != nil {
		s.AllowedIPs, err = prefixes(c.DeltaSharing.AllowedIPs)
	}
	return s, err
}

// Tokens are the tokens of the fleet's connectors of kind deltasharing.
func (f *Fleet) Tokens() sharing.TokenBook {
	return sharing.TokenBook{Documents: f.Ledger, Now: time.Now}
}
