package snowflake

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"strconv"
	"sync/atomic"

	"github.com/snowflakedb/gosnowflake"
)

// logins opens sessions for the pool.
type logins struct {
	cfg  Config
	next atomic.Bool // the next key is the one that was accepted last
}

var _ driver.Connector = (*logins)(nil)

// Driver is the vendor's.
func (l *logins) Driver() driver.Driver { return gosnowflake.SnowflakeDriver{} }

// Connect logs in. Of two keys, the one that was accepted last goes first.
func (l *logins) Connect(ctx context.Context) (driver.Conn, error) {
	if l.cfg.Auth != AuthKeyPair || l.cfg.NextPrivateKey == nil {
		return l.login(ctx, l.cfg.PrivateKey)
	}
	keys := map[bool]Secret{false: l.cfg.PrivateKey, true: l.cfg.NextPrivateKey}
	next := l.next.Load()
	conn, err := l.login(ctx, keys[next])
	if numberOf(err) != codeBadJWT {
		return conn, err
	}
	other, otherErr := l.login(ctx, keys[!next])
	if otherErr != nil {
		return nil, errors.Join(err, otherErr)
	}
	l.next.Store(!next)
	return other, nil
}

func (l *logins) login(ctx context.Context, key Secret) (driver.Conn, error) {
	cfg := l.cfg.driverConfig()
	if err := l.cfg.prove(ctx, &cfg, key); err != nil {
		return nil, err
	}
	if l.cfg.Endpoint != "" {
		host, port, err := net.SplitHostPort(l.cfg.Endpoint)
		if err != nil {
			return nil, err
		}
		cfg.Protocol, cfg.Host, cfg.DisableOCSPChecks = "http", host, true
		if cfg.Port, err = strconv.Atoi(port); err != nil {
			return nil, err
		}
	}
	return gosnowflake.NewConnector(gosnowflake.SnowflakeDriver{}, cfg).Connect(ctx)
}

// prove adds what proves who we are.
func (c Config) prove(ctx context.Context, cfg *gosnowflake.Config, key Secret) (err error) {
	reveal := func(s Secret, field string) (text string) {
		if s != nil && err == nil {
			if text, err = s(ctx); err != nil {
				err = badSecret(field, err)
			}
		}
		return text
	}
	switch c.Auth {
	case AuthKeyPair:
		text := reveal(key, "private key")
		if err == nil {
			if cfg.PrivateKey, err = parseKey(text); err != nil {
				err = badSecret("private key", err)
			}
		}
		cfg.Authenticator = gosnowflake.AuthTypeJwt
	case AuthOAuth:
		cfg.Authenticator, cfg.Token = gosnowflake.AuthTypeOAuth, reveal(c.Token, "token")
	case AuthOAuthClient:
		cfg.Authenticator = gosnowflake.AuthTypeOAuthClientCredentials
		cfg.OauthClientID, cfg.OauthTokenRequestURL = c.ClientID, c.TokenURL
		cfg.OauthClientSecret = reveal(c.ClientSecret, "client secret")
	case AuthWorkloadIdentity:
		cfg.Authenticator, cfg.WorkloadIdentityProvider = gosnowflake.AuthTypeWorkloadIdentityFederation, c.Provider
		cfg.Token = reveal(c.Token, "token")
	}
	return err
}
