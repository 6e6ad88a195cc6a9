package config

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/secrets"
)

const defaultRedisURL = "redis://127.0.0.1:6379/0"

type redisURL struct {
	addr, username string
	db             int
	tls            bool
}

// parseRedisURL reads redis://[user@]host[:port][/db]. The queue library's own
// reading of such a URL drops the user. No error repeats the URL.
func parseRedisURL(text string) (redisURL, error) {
	u, err := url.Parse(cmp.Or(text, defaultRedisURL))
	if err != nil || (u.Scheme != "redis" && u.Scheme != "rediss") || u.Hostname() == "" {
		return redisURL{}, errors.New("is not a Redis URL; write redis://[user@]host:port/db, or rediss:// for TLS")
	}
	if _, set := u.User.Password(); set {
		return redisURL{}, errors.New("holds a password; leave it out of the URL and write password: env:NAME or file:/path")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return redisURL{}, errors.New("has a query or a fragment; the timeouts are fixed, and everything else has its own setting")
	}
	db, err := strconv.Atoi(cmp.Or(strings.TrimPrefix(u.Path, "/"), "0"))
	if err != nil || db < 0 {
		return redisURL{}, errors.New("does not end with the number of a database, e.g. /0")
	}
	return redisURL{
		addr:     net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "6379")),
		username: u.User.Username(), db: db, tls: u.Scheme == "rediss",
	}, nil
}

// Resolver fetches secrets. [*secrets.Resolver] is one.
type Resolver interface {
	Resolve(context.Context, secrets.Ref) (secrets.Secret, error)
}

// Options returns what go-redis needs to connect, with a pool of poolSize
// connections a node. The password is fetched anew for each connection, so
// that one rotated in its file is used without a restart.
func (r Redis) Options(ctx context.Context, resolver Resolver, poolSize int) (*redis.UniversalOptions, error) {
	u, err := parseRedisURL(r.URL)
	if err != nil {
		return nil, waybill.Problems{{Field: "redis.url", Message: err.Error()}}
	}
	o := &redis.UniversalOptions{
		Addrs: []string{u.addr}, DB: u.db,
		DialTimeout: 2 * time.Second, ReadTimeout: 3 * time.Second, WriteTimeout: 3 * time.Second,
		MaxRetries: 3, DialerRetries: 1, // the retry of the command is the retry of the dial
		PoolSize: poolSize,
		// Naming the library to Redis is a command more that an ACL user would need.
		DisableIdentity: true,
		// Only hosted Redis of one vendor sends these; elsewhere the handshake is an error in Redis's log.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if err := r.topology(ctx, resolver, o); err != nil {
		return nil, err
	}
	if err := r.authenticate(ctx, resolver, o, cmp.Or(r.Username, u.username)); err != nil {
		return nil, err
	}
	if u.tls || r.TLS.Enabled {
		o.TLSConfig, err = r.TLS.config()
	}
	return o, err
}

func (r Redis) topology(ctx context.Context, resolver Resolver, o *redis.UniversalOptions) error {
	switch {
	case len(r.Cluster.Addrs) > 0:
		o.Addrs, o.IsClusterMode = r.Cluster.Addrs, true
	case r.Sentinel.Master != "":
		s := r.Sentinel
		o.Addrs, o.MasterName, o.DB, o.SentinelUsername = s.Addrs, s.Master, s.DB, s.Username
		if !s.Password.IsZero() {
			password, err := resolver.Resolve(ctx, s.Password)
			o.SentinelPassword = password.Reveal()
			return err
		}
	}
	return nil
}

func (r Redis) authenticate(ctx context.Context, resolver Resolver, o *redis.UniversalOptions, username string) error {
	o.Username = username
	if r.Password.IsZero() {
		return nil
	}
	if _, err := resolver.Resolve(ctx, r.Password); err != nil {
		return err
	}
	o.CredentialsProviderContext = func(ctx context.Context) (string, string, error) {
		password, err := resolver.Resolve(ctx, r.Password)
		return username, password.Reveal(), err
	}
	return nil
}

func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("read redis.tls.ca: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, waybill.Problems{{Field: "redis.tls.ca", Message: "holds no certificate in PEM form"}}
	}
	return c, nil
}

// Connect returns a client that has reached Redis once. The caller closes it.
func (r Redis) Connect(ctx context.Context, resolver Resolver, poolSize int) (redis.UniversalClient, error) {
	o, err := r.Options(ctx, resolver, poolSize)
	if err != nil {
		return nil, err
	}
	client := redis.NewUniversalClient(o)
	if err := client.Ping(ctx).Err(); err != nil {
		_ = client.Close()
		return nil, fmt.Errorf("reach Redis at %s: %w", strings.Join(o.Addrs, ", "), err)
	}
	return client, nil
}
