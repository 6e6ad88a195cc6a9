// Package databricks shares Delta tables with customers through a Databricks
// workspace of ours: each connector has a recipient, a share, a schema and a
// storage path of its own there. The tables are written by others, natively;
// here they are registered in Unity Catalog, shared, and read back.
//
// Every step may be repeated: it looks at what is there, and does what is
// missing. Errors are [waybill.Failure].
package databricks

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/databricks/databricks-sdk-go/client"
	"github.com/databricks/databricks-sdk-go/config"
	"github.com/databricks/databricks-sdk-go/httpclient"
	"github.com/databricks/databricks-sdk-go/service/catalog"
	"github.com/databricks/databricks-sdk-go/service/iam"
	"github.com/databricks/databricks-sdk-go/service/sharing"
	"github.com/databricks/databricks-sdk-go/service/sql"

	"github.com/waybillhq/waybill"
)

// The ways to log in. The SDK would otherwise take whatever the environment or
// a file in the home folder offers.
// https://docs.databricks.com/dev-tools/auth/index.html
const (
	AuthPAT               = "pat"                 // a token
	AuthM2M               = "oauth-m2m"           // a service principal's client id and secret
	AuthFileOIDC          = "file-oidc"           // a client id, and another issuer's token in a file: workload identity federation
	AuthAzureClientSecret = "azure-client-secret" // likewise of Entra, with the tenant's id
	AuthAzureMSI          = "azure-msi"           // the managed identity of our process
)

// Login is what proves who we are, as far as the way to log in needs it.
type Login struct{ Token, ClientID, ClientSecret string }

// Options say which workspace is ours and what of it we use.
type Options struct {
	Host      string                               // https://our.cloud.databricks.com
	Auth      string                               // one of the ways above
	Login     func(context.Context) (Login, error) // asked before each step, so that a rotated secret is used
	TenantID  string                               // of Entra, for azure-client-secret
	TokenFile string                               // for file-oidc

	Catalog     string // holds the connectors' schemas
	WarehouseID string // the SQL warehouse that registers tables
	Storage     string // URL below which connectors have their storage paths: s3://, gs:// or azblob://
	Account     string // the storage account of an azblob:// URL
	Owner       string // group that is to own the shares; empty: who logs in
	Brand       string // begins the names of what is made

	Statements Statements        // remembers statements under way; nil: a restart hands them in again
	Transport  http.RoundTripper // nil: the SDK's
	Now        func() time.Time  // nil: time.Now
}

// Workspace is our side of the sharing.
type Workspace struct {
	o Options

	mu    sync.Mutex
	login Login
	apis  *apis
}

// apis are the parts of the SDK that are used; its workspace client would
// bring every other one into the program.
type apis struct {
	me          *iam.CurrentUserAPI
	recipients  *sharing.RecipientsAPI
	shares      *sharing.SharesAPI
	catalogs    *catalog.CatalogsAPI
	schemas     *catalog.SchemasAPI
	tables      *catalog.TablesAPI
	grants      *catalog.GrantsAPI
	locations   *catalog.ExternalLocationsAPI
	credentials *catalog.StorageCredentialsAPI
	metastores  *catalog.MetastoresAPI
	statements  *sql.StatementExecutionAPI
	warehouses  *sql.WarehousesAPI
}

// New returns the workspace. Nothing is asked of it yet.
func New(o Options) (*Workspace, error) {
	if strategy(o.Auth) == nil {
		return nil, waybill.Failf(waybill.Blocked, "databricks.settings", "Correct databricks.auth in the fleet's configuration.", "no way to log in is called %q", o.Auth)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Brand = cmp.Or(o.Brand, "waybill")
	o.Storage = strings.TrimSuffix(o.Storage, "/") + "/"
	quieten()
	return &Workspace{o: o}, nil
}

func strategy(auth string) config.CredentialsStrategy {
	switch auth {
	case AuthPAT:
		return config.PatCredentials{}
	case AuthM2M:
		return config.M2mCredentials{}
	case AuthFileOIDC:
		return config.FileOIDCCredentials{}
	case AuthAzureClientSecret:
		return config.AzureClientSecretCredentials{}
	case AuthAzureMSI:
		return config.AzureMsiCredentials{}
	}
	return nil
}

// api returns the SDK, logged in with the secrets of now.
func (w *Workspace) api(ctx context.Context) (*apis, error) {
	var login Login
	if w.o.Login != nil {
		var err error
		if login, err = w.o.Login(ctx); err != nil {
			return nil, fmt.Errorf("credentials of the workspace: %w", err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.apis != nil && w.login == login {
		return w.apis, nil
	}
	c, err := w.connect(login)
	if err != nil {
		return nil, failure(ctx, need{do: "log in"}, err)
	}
	w.login, w.apis = login, &apis{
		me: iam.NewCurrentUser(c), recipients: sharing.NewRecipients(c), shares: sharing.NewShares(c),
		catalogs: catalog.NewCatalogs(c), schemas: catalog.NewSchemas(c), tables: catalog.NewTables(c), grants: catalog.NewGrants(c),
		locations: catalog.NewExternalLocations(c), credentials: catalog.NewStorageCredentials(c), metastores: catalog.NewMetastores(c),
		statements: sql.NewStatementExecution(c), warehouses: sql.NewWarehouses(c),
	}
	return w.apis, nil
}

// callTimeout is how long a call may be silent; a statement's answers within 30 s.
const callTimeout = time.Minute

func (w *Workspace) connect(login Login) (*client.DatabricksClient, error) {
	cfg := &config.Config{
		Host: w.o.Host, AuthType: w.o.Auth, Credentials: strategy(w.o.Auth), Loaders: []config.Loader{nothingElse{}},
		Token: login.Token, ClientID: login.ClientID, ClientSecret: login.ClientSecret, OIDCTokenFilepath: w.o.TokenFile,
		HTTPTransport: once{cmp.Or[http.RoundTripper](w.o.Transport, http.DefaultTransport)}, HTTPTimeoutSeconds: int(callTimeout.Seconds()),
		RetryTimeoutSeconds: int(callTimeout.Seconds()),
	}
	if w.o.Auth == AuthAzureClientSecret {
		cfg.AzureClientID, cfg.AzureClientSecret, cfg.AzureTenantID = login.ClientID, login.ClientSecret, w.o.TenantID
		cfg.ClientID, cfg.ClientSecret = "", ""
	}
	if w.o.Auth == AuthAzureMSI {
		cfg.AzureUseMSI, cfg.AzureClientID, cfg.ClientID = true, login.ClientID, ""
	}
	settings, err := config.HTTPClientConfigFromConfig(cfg)
	if err != nil {
		return nil, err
	}
	// The queue repeats steps, when the workspace said it may, and holds no
	// worker meanwhile. The SDK would repeat calls at its own pace.
	settings.ErrorRetriable = func(context.Context, error) bool { return false }
	settings.TransientErrors = nil
	settings.RateLimitPerSecond = 100 // 429 says what is too much
	return client.NewWithClient(cfg, httpclient.NewApiClient(settings))
}
