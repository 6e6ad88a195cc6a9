package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/storage"
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
	return sharing.TokenBook{Documents: documents{f.bucket}, Now: time.Now}
}

// documents are kept in our own bucket.
type documents struct{ bucket storage.Store }

var _ sharing.Documents = documents{}

func (d documents) key(kind, id string) string { return "documents/" + kind + "/" + id + ".json" }

// Mirror keeps a document.
func (d documents) Mirror(ctx context.Context, kind, id string, doc json.RawMessage) error {
	_, err := d.bucket.Put(ctx, d.key(kind, id), bytes.NewReader(doc), storage.PutOptions{ContentType: "application/json"})
	return err
}

// Mirrored returns a document.
func (d documents) Mirrored(ctx context.Context, kind, id string) (json.RawMessage, error) {
	body, _, err := d.bucket.Get(ctx, d.key(kind, id), storage.GetOptions{})
	if errors.Is(err, storage.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", waybill.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}
