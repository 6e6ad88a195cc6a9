package fleet

import (
	"context"
	"net/http"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/secrets"
	"github.com/waybillhq/waybill/storage"
)

// place is where a store is and how it is reached: settings and references,
// never secrets.
type place struct {
	URL, Region, Endpoint string
	PathStyle             bool
	KMSKeyID, ExternalID  string
	Access                connectors.Access
	Guarded               bool // somebody outside the fleet wrote it: its endpoint is not trusted
}

// Store opens a storage connector's bucket, container or folder.
func (f *Fleet) Store(ctx context.Context, c connectors.Connector) (storage.Store, error) {
	s := c.Storage
	return f.open(ctx, place{URL: s.URL, Region: s.Region, Endpoint: s.Endpoint, PathStyle: s.PathStyle,
		KMSKeyID: s.KMSKeyID, ExternalID: c.ExternalID, Access: s.Access, Guarded: true})
}

// ours is a place that the fleet's own configuration names.
func ours(url string, s config.S3) place {
	return place{URL: url, Region: s.Region, Endpoint: s.Endpoint, PathStyle: s.PathStyle,
		Access: connectors.Access{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey}}
}

// sourcePlace is a bucket or container that runs' records are in.
func sourcePlace(url string, s config.Sources) place {
	p := ours(url, s.S3)
	switch scheme, _, _ := strings.Cut(url, "://"); scheme {
	case "gs":
		p = place{URL: url, Access: connectors.Access{ServiceAccount: s.GCS.ServiceAccount, Impersonate: s.GCS.Impersonate}}
	case "azblob":
		p = place{URL: url, Access: connectors.Access{Account: s.Azure.Account, SAS: s.Azure.SAS, AccountKey: s.Azure.AccountKey,
			ManagedIdentity: connectors.ManagedIdentity{On: s.Azure.ManagedIdentity != "", ClientID: s.Azure.ManagedIdentity}}}
	}
	return p
}

// open returns the store at a place. Stores are kept: they hold connections
// and credentials that serve the next delivery too.
func (f *Fleet) open(ctx context.Context, p place) (storage.Store, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s, ok := f.stores[p]; ok {
		return s, nil
	}
	s, err := f.newStore(ctx, p)
	if err != nil {
		return nil, err
	}
	f.stores[p] = s
	return s, nil
}

func (f *Fleet) newStore(ctx context.Context, p place) (storage.Store, error) {
	location, err := storage.ParseURL(p.URL)
	if err != nil {
		return nil, badSettings(err)
	}
	switch location.Scheme {
	case "file":
		return storage.OpenFolder(location.Dir)
	case "gs":
		return f.gcs(ctx, location, p)
	case "azblob":
		return f.azure(ctx, location, p)
	default:
		return f.s3(ctx, location, p)
	}
}

func (f *Fleet) s3(ctx context.Context, l storage.Location, p place) (storage.Store, error) {
	opts := storage.S3Options{Bucket: l.Bucket, Prefix: l.Prefix, Region: p.Region, Endpoint: p.Endpoint, PathStyle: p.PathStyle,
		RoleARN: p.Access.RoleARN, KMSKeyID: p.KMSKeyID, Client: f.client(p), Memory: f.memory}
	if p.Access.RoleARN != "" {
		opts.ExternalID = p.ExternalID
	}
	if !p.Access.AccessKeyID.IsZero() {
		opts.Keys = func(ctx context.Context) (storage.Keys, error) {
			id, err := f.secret(p.Access.AccessKeyID)(ctx)
			if err != nil {
				return storage.Keys{}, err
			}
			key, err := f.secret(p.Access.SecretAccessKey)(ctx)
			return storage.Keys{AccessKeyID: id, SecretAccessKey: key}, err
		}
	}
	return storage.NewS3(ctx, opts)
}

func (f *Fleet) gcs(ctx context.Context, l storage.Location, p place) (storage.Store, error) {
	opts := storage.GCSOptions{Bucket: l.Bucket, Prefix: l.Prefix, Endpoint: p.Endpoint, Impersonate: p.Access.Impersonate, Client: f.client(p)}
	if ref := p.Access.ServiceAccount; !ref.IsZero() {
		opts.ServiceAccountKey = func(ctx context.Context) ([]byte, error) {
			key, err := f.secret(ref)(ctx)
			return []byte(key), err
		}
	}
	return storage.NewGCS(ctx, opts)
}

func (f *Fleet) azure(ctx context.Context, l storage.Location, p place) (storage.Store, error) {
	return storage.NewAzure(ctx, storage.AzureOptions{Account: p.Access.Account, Container: l.Bucket, Prefix: l.Prefix, Endpoint: p.Endpoint,
		SAS: f.secret(p.Access.SAS), SharedKey: f.secret(p.Access.AccountKey), ManagedIdentity: p.Access.ManagedIdentity.ClientID,
		Client: f.client(p), Memory: f.memory})
}

// client guards the connections to an endpoint that a customer chose. Those to
// the vendors' own endpoints go out as the fleet's network wants: over a
// private link, or a proxy.
func (f *Fleet) client(p place) *http.Client {
	if !p.Guarded || p.Endpoint == "" {
		return nil
	}
	return f.guard.Client()
}

// secret fetches what a reference points to, anew for each request: one that
// was rotated is used without a restart. Without a reference it is nil.
func (f *Fleet) secret(ref secrets.Ref) func(context.Context) (string, error) {
	if ref.IsZero() {
		return nil
	}
	return func(ctx context.Context) (string, error) {
		s, err := f.secrets.Resolve(ctx, ref)
		return s.Reveal(), err
	}
}

// badSettings makes what is wrong with a connector's settings a failure that
// waits for whoever wrote them.
func badSettings(err error) error {
	return waybill.Failf(waybill.Blocked, "connector.settings", "Mend the connector's storage settings and apply it again.", "%w", err)
}
