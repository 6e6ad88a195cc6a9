package fleet

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/storage"
)

// Store opens a storage connector's bucket or folder.
func (f *Fleet) Store(ctx context.Context, c connectors.Connector) (storage.Store, error) {
	s := c.Storage
	return f.open(ctx, s.URL, config.S3{Region: s.Region, Endpoint: s.Endpoint, PathStyle: s.PathStyle,
		AccessKeyID: s.Access.AccessKeyID, SecretAccessKey: s.Access.SecretAccessKey})
}

// open returns the store at a URL. Stores are kept: they hold connections and
// credentials that serve the next delivery too.
func (f *Fleet) open(ctx context.Context, url string, access config.S3) (storage.Store, error) {
	key, err := json.Marshal([]any{url, access}) // references, never secrets
	if err != nil {
		return nil, fmt.Errorf("name store: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s, ok := f.stores[string(key)]; ok {
		return s, nil
	}
	s, err := f.newStore(ctx, url, access)
	if err != nil {
		return nil, err
	}
	f.stores[string(key)] = s
	return s, nil
}

func (f *Fleet) newStore(ctx context.Context, url string, access config.S3) (storage.Store, error) {
	location, err := storage.ParseURL(url)
	if err != nil {
		return nil, badSettings(err)
	}
	if location.Scheme == "file" {
		return storage.OpenFolder(location.Dir)
	}
	opts := storage.S3Options{Bucket: location.Bucket, Prefix: location.Prefix, Region: access.Region,
		Endpoint: access.Endpoint, PathStyle: access.PathStyle, Memory: f.memory}
	if !access.AccessKeyID.IsZero() {
		opts.Keys = f.keys(access)
	}
	return storage.NewS3(ctx, opts)
}

// badSettings makes what is wrong with a connector's settings a failure that
// waits for whoever wrote them.
func badSettings(err error) error {
	return waybill.Failf(waybill.Blocked, "connector.settings", "Mend the connector's storage settings and apply it again.", "%w", err)
}

// keys fetches an access key anew for each request: one that was rotated is
// used without a restart.
func (f *Fleet) keys(access config.S3) func(context.Context) (storage.Keys, error) {
	return func(ctx context.Context) (storage.Keys, error) {
		id, err := f.secrets.Resolve(ctx, access.AccessKeyID)
		if err != nil {
			return storage.Keys{}, err
		}
		secret, err := f.secrets.Resolve(ctx, access.SecretAccessKey)
		return storage.Keys{AccessKeyID: id.Reveal(), SecretAccessKey: secret.Reveal()}, err
	}
}
