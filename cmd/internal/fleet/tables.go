package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/databricks"
)

// Tables opens the place of a connector's Delta tables, which is its own.
func (f *Fleet) Tables(ctx context.Context, c connectors.Connector) (storage.Store, error) {
	tables, base := f.Config.Sharing.Tables, ""
	switch c.Kind {
	case waybill.KindDeltaSharing:
		base = strings.TrimSuffix(tables.Storage, "/") + "/" + c.ID + "/"
	case waybill.KindDatabricks:
		if f.workspace != nil {
			tables, base = f.Config.Databricks.Tables, f.workspace.StoragePath(databricks.Connector{ID: c.ID})
		}
	default:
		return nil, waybill.Failf(waybill.Permanent, "connector.kind", "This is a fault of Waybill; report it.", "kind %s has no tables", c.Kind)
	}
	if tables.Storage == "" || base == "" {
		return nil, notConfigured(c.Kind)
	}
	return f.openOwn(ctx, base, config.Sources{S3: tables.S3, GCS: tables.GCS, Azure: tables.Azure})
}

// openOwn opens a connector's own folder of a place of the fleet's.
func (f *Fleet) openOwn(ctx context.Context, base string, access config.Sources) (storage.Store, error) {
	if u, err := url.Parse(base); err == nil && u.Scheme == "file" {
		// In one that must be there: it may be a mount.
		if err := os.Mkdir(u.Path, 0o755); err != nil && !errors.Is(err, os.ErrExist) && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("a connector's own folder: %w", err)
		}
	}
	return f.open(ctx, sourcePlace(base, access))
}

func notConfigured(kind waybill.Kind) error {
	section := string(kind)
	if kind == waybill.KindDeltaSharing {
		section = "sharing"
	}
	return waybill.Failf(waybill.Blocked, section+".not_configured",
		"Give the fleet's configuration the section "+section+", then retry.", "no section %s", section)
}

// Workspace is our Databricks workspace; nil where none is configured.
func (f *Fleet) Workspace() *databricks.Workspace { return f.workspace }

// newWorkspace is the workspace that the configuration names, if any.
func (f *Fleet) newWorkspace() (*databricks.Workspace, error) {
	d := f.Config.Databricks
	if d == (config.Databricks{}) {
		return nil, nil //nolint:nilnil // that there is none is an answer here
	}
	return databricks.New(databricks.Options{Host: d.Host, Auth: d.Auth, TenantID: d.TenantID, TokenFile: d.TokenFile,
		Catalog: d.Catalog, WarehouseID: d.WarehouseID, Storage: d.Storage, Account: d.Azure.Account, Owner: d.Owner, Brand: f.Config.Brand,
		Statements: f.Ledger,
		Login: func(ctx context.Context) (l databricks.Login, err error) {
			for _, part := range []struct {
				get func(context.Context) (string, error)
				to  *string
			}{{f.secret(d.Token), &l.Token}, {f.secret(d.ClientID), &l.ClientID}, {f.secret(d.ClientSecret), &l.ClientSecret}} {
				if part.get == nil {
					continue
				}
				if *part.to, err = part.get(ctx); err != nil {
					return databricks.Login{}, err
				}
			}
			return l, nil
		}})
}

// TokenLifetime is how long a new token of the connector is valid.
func (f *Fleet) TokenLifetime(c connectors.Connector) time.Duration {
	if c.DeltaSharing != nil && c.DeltaSharing.TokenLifetime != 0 {
		return time.Duration(c.DeltaSharing.TokenLifetime)
	}
	return time.Duration(f.Config.Times.TokenLifetime)
}

// prefixes are addresses and ranges as ranges. They were checked when the
// connector was applied.
func prefixes(texts []string) (list []netip.Prefix, err error) {
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			ip, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("allowed address: %w", err)
			}
			p = netip.PrefixFrom(ip, ip.BitLen())
		}
		list = append(list, p)
	}
	return list, nil
}
