// Package snowflake delivers to customers' Snowflake accounts, as the provider:
// it loads runs into tables of our own account, shows them through secure
// views, and shares those with the customer's account, directly or through a
// private listing.
//
// Everything of a connector lies in one database of three schemas: DATA has
// the provider's tables, STAGING what attempts under way need, SHARED the
// customer's views. Only views of SHARED are ever granted. What is loaded is
// invisible until it is published: the views show the rows of a load only if
// the newest word on its run, in RUNS, says PUBLISHED.
//
// Every change of a workflow is one scripting block on the server that begins
// by claiming the lane's fence. So an attempt that lost its lane changes
// nothing, and a client that dies leaves no transaction open.
package snowflake

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/snowflakedb/gosnowflake"

	"github.com/waybillhq/waybill"
)

// Secret gives a secret's text. It is asked at every login, so that a rotated
// secret is taken without a restart.
type Secret func(context.Context) (string, error)

// Auth is how we log in. The zero value is [AuthKeyPair].
type Auth string

// The ways to log in. Passwords are not among them: Snowflake ends them.
const (
	// AuthKeyPair signs a token with a private key.
	// https://docs.snowflake.com/en/user-guide/key-pair-auth
	AuthKeyPair Auth = "key-pair"
	// AuthOAuth presents an access token that somebody else keeps fresh.
	AuthOAuth Auth = "oauth"
	// AuthOAuthClient fetches access tokens with the client credentials flow.
	AuthOAuthClient Auth = "oauth-client"
	// AuthWorkloadIdentity presents the identity of the machine.
	// https://docs.snowflake.com/en/user-guide/workload-identity-federation
	AuthWorkloadIdentity Auth = "workload-identity"
)

// Config is our own account and how we enter it.
type Config struct {
	Account   string // ORG-ACCOUNT
	User      string // not needed with a workload identity
	Role      string
	Warehouse string
	Region    Region // the account must be there; empty: wherever it is

	Auth Auth
	// PrivateKey and NextPrivateKey are PEM, PKCS #8. Snowflake keeps two public
	// keys of a user, RSA_PUBLIC_KEY and RSA_PUBLIC_KEY_2, so that a key is
	// replaced while the other is used: where one is refused, the other is tried.
	// https://docs.snowflake.com/en/user-guide/key-pair-auth#configuring-key-pair-rotation
	PrivateKey, NextPrivateKey Secret
	Token                      Secret // AuthOAuth, and AuthWorkloadIdentity with provider OIDC
	ClientID                   string // AuthOAuthClient
	ClientSecret               Secret
	TokenURL                   string
	Provider                   string // AuthWorkloadIdentity: AWS, GCP, AZURE or OIDC

	Stage            Stage
	StatementTimeout time.Duration // default 30 min
	MaxSessions      int           // default 8

	// Endpoint is where a server that is not the vendor's listens, host:port
	// without TLS; for tests and the sandbox.
	Endpoint string
}

// Stage is where staged files lie: below URL in a bucket of ours, which
// Snowflake enters by the integration; or, without one, in Snowflake itself.
// https://docs.snowflake.com/en/user-guide/data-load-s3-config-storage-integration
type Stage struct {
	Integration string
	URL         string // s3://waybill-ingest/, gcs://… or azure://…
}

// Account is our Snowflake account.
type Account struct {
	cfg Config
	db  *sql.DB
}

// Open returns the account. It does not connect yet: the first statement does.
func Open(cfg Config) (*Account, error) {
	cfg.Auth = cmp.Or(cfg.Auth, AuthKeyPair)
	cfg.StatementTimeout = cmp.Or(cfg.StatementTimeout, 30*time.Minute)
	if err := cfg.validate().Err(); err != nil {
		return nil, err
	}
	gosnowflake.GetLogger().SetOutput(io.Discard) // what goes wrong is returned; the driver would print it as well
	db := sql.OpenDB(&logins{cfg: cfg})
	db.SetMaxOpenConns(cmp.Or(cfg.MaxSessions, 8))
	db.SetMaxIdleConns(cmp.Or(cfg.MaxSessions, 8))
	db.SetConnMaxIdleTime(15 * time.Minute)
	db.SetConnMaxLifetime(3 * time.Hour) // before a session's master token ends, after 4 hours
	return &Account{cfg: cfg, db: db}, nil
}

// Close ends all sessions.
func (a *Account) Close() error { return a.db.Close() }

func (c Config) validate() (p waybill.Problems) {
	need := func(field string, missing bool, what string) {
		if missing {
			p.Addf(field, "is missing; give %s", what)
		}
	}
	need("account", c.Account == "", "our account as ORG-ACCOUNT")
	need("role", c.Role == "", "the role that owns what is shared")
	need("warehouse", c.Warehouse == "", "the warehouse that loads")
	need("stage.url", c.Stage.Integration != "" && c.Stage.URL == "", "the bucket that the integration enters, e.g. s3://waybill-ingest/")
	need("stage.integration", c.Stage.Integration == "" && c.Stage.URL != "", "the storage integration by which Snowflake enters the bucket, or leave out the url to stage in Snowflake itself")
	switch c.Auth {
	case AuthKeyPair:
		need("user", c.User == "", "the user whose public key is set")
		need("privateKey", c.PrivateKey == nil, "the private key, as a reference to a secret")
	case AuthOAuth:
		need("token", c.Token == nil, "the access token, as a reference to a secret")
	case AuthOAuthClient:
		need("clientId", c.ClientID == "", "the client's id")
		need("clientSecret", c.ClientSecret == nil, "the client's secret, as a reference")
		need("tokenUrl", c.TokenURL == "", "where tokens are fetched")
	case AuthWorkloadIdentity:
		need("provider", c.Provider == "", "AWS, GCP, AZURE or OIDC")
		need("token", c.Provider == "OIDC" && c.Token == nil, "the identity token, as a reference to a secret")
	default:
		p.Addf("auth", "%s is not a way to log in; use key-pair, oauth, oauth-client or workload-identity", waybill.Quote(string(c.Auth)))
	}
	return p
}

// driverConfig is the driver's configuration but for what proves who we are.
func (c Config) driverConfig() gosnowflake.Config {
	utc, timeout, no := "UTC", fmt.Sprint(int(c.StatementTimeout.Seconds())), "false"
	return gosnowflake.Config{
		Account: c.Account, User: c.User, Role: c.Role, Warehouse: c.Warehouse, Application: "Waybill",
		LoginTimeout:              time.Minute,                      //nolint:staticcheck // deprecated without a successor; the default is five minutes
		RequestTimeout:            c.StatementTimeout + time.Minute, //nolint:staticcheck // likewise; the default is none
		ValidateDefaultParameters: gosnowflake.ConfigBoolTrue,
		Params:                    map[string]*string{"TIMEZONE": &utc, "STATEMENT_TIMEOUT_IN_SECONDS": &timeout, "CLIENT_TELEMETRY_ENABLED": &no},
	}
}

// parseKey reads a private key. Its errors never tell the key.
func parseKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is not a PKCS #8 private key without a passphrase")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("it is not an RSA key")
	}
	return key, nil
}
