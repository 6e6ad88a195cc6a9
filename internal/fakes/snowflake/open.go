package snowflake

import (
	"crypto/rsa"
	"database/sql"

	sf "github.com/snowflakedb/gosnowflake"
)

// Open gives a user's sessions, through the vendor's own driver: what a
// customer sees is what that answers.
func (a *Account) Open(user, warehouse string, key *rsa.PrivateKey) *sql.DB {
	return sql.OpenDB(sf.NewConnector(sf.SnowflakeDriver{}, sf.Config{Account: a.Org + "-" + a.Name, User: user, Warehouse: warehouse,
		Authenticator: sf.AuthTypeJwt, PrivateKey: key, Protocol: "http", Host: a.srv.Host, Port: a.srv.Port, DisableOCSPChecks: true}))
}
