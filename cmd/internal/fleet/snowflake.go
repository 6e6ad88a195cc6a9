package fleet

import (
	"context"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/snowflake"
)

// newAccount is the Snowflake account that the configuration names, if any.
func (f *Fleet) newAccount() (*snowflake.Account, error) {
	s := f.Config.Snowflake
	if s == (config.Snowflake{}) {
		return nil, nil //nolint:nilnil // that there is none is an answer here
	}
	cfg := snowflake.Config{
		Account: s.Account, User: s.User, Role: s.Role, Warehouse: s.Warehouse, Auth: snowflake.Auth(s.Auth),
		PrivateKey: f.secret(s.PrivateKey), NextPrivateKey: f.secret(s.NextPrivateKey), Token: f.secret(s.Token),
		ClientID: s.ClientID, ClientSecret: f.secret(s.ClientSecret), TokenURL: s.TokenURL, Provider: s.Provider,
		Stage: snowflake.Stage{Integration: s.Stage.Integration, URL: s.Stage.URL}, MaxSessions: s.Sessions,
		Endpoint: strings.TrimRight(strings.TrimPrefix(s.Endpoint, "http://"), "/"),
	}
	if s.Region != "" {
		var err error
		if cfg.Region, err = snowflake.ParseRegion(s.Region, ""); err != nil {
			return nil, waybill.Problems{{Field: "snowflake.region", Message: err.Error()}}
		}
	}
	return snowflake.Open(cfg)
}

// Ingest opens the folder of the ingestion bucket that a connector's stage shows.
func (f *Fleet) Ingest(ctx context.Context, d *snowflake.Destination) (storage.Store, error) {
	s := f.Config.Snowflake.Stage
	base := strings.TrimSuffix(s.Place(), "/") + "/" + d.Database + "/"
	return f.openOwn(ctx, base, config.Sources{S3: s.S3, GCS: s.GCS, Azure: s.Azure})
}

// Snowflake is a connector's part of our account, which it does not touch.
func (f *Fleet) Snowflake(ctx context.Context, c connectors.Connector) (*snowflake.Destination, error) {
	settings, err := f.snowflakeConnector(c)
	if err != nil {
		return nil, err
	}
	return f.account.Known(ctx, f.Ledger, settings)
}

// SnowflakeSetup is how a connector was set up last; nothing where it never was.
func (f *Fleet) SnowflakeSetup(ctx context.Context, id string) (snowflake.Setup, error) {
	return snowflake.KnownSetup(ctx, f.Ledger, id)
}

func (f *Fleet) snowflakeConnector(c connectors.Connector) (snowflake.Connector, error) {
	if f.account == nil {
		return snowflake.Connector{}, notConfigured(waybill.KindSnowflake)
	}
	return handlers.SnowflakeConnector(c, f.Config.Brand)
}

// setUp makes what a connector of kind snowflake needs in our account, and
// lets the customer's in once it is verified.
func (f *Fleet) setUp(ctx context.Context, c connectors.Connector) (*snowflake.Setup, error) {
	settings, err := f.snowflakeConnector(c)
	if err != nil {
		return nil, err
	}
	ready, err := f.account.SetUp(ctx, f.Ledger, settings)
	return &ready.Setup, err
}
