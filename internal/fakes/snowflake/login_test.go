package snowflake

import (
	"context"
	"testing"

	sf "github.com/snowflakedb/gosnowflake"

	"github.com/waybillhq/waybill/internal/testservers"
)

func TestAKeyPairOfEitherSlotLogsIn(t *testing.T) {
	w := newWorld(t, Options{})
	db := w.loader(t)
	wants(t, db, "SELECT CURRENT_ORGANIZATION_NAME(), CURRENT_ACCOUNT_NAME(), CURRENT_USER(), CURRENT_ROLE(), CURRENT_WAREHOUSE()", "WAYBILL|PROVIDER|LOADER|LOADER_ROLE|LOAD_WH")
	next := testservers.NewKey()
	cfg := w.config(w.provider, "LOADER")
	cfg.PrivateKey = next
	_, err := rowsOf(open(t, cfg), "SELECT 1")
	refused(t, "a login with an unknown key", err, 390144, "JWT token is invalid")
	w.provider.SetKey("LOADER", 2, &next.PublicKey)
	wants(t, open(t, cfg), "SELECT 1", "1")
	wants(t, w.loader(t), "SELECT 1", "1") // the old key still works
	w.provider.SetKey("LOADER", 1, nil)
	_, err = rowsOf(w.loader(t), "SELECT 1")
	refused(t, "a login with a removed key", err, 390144, "JWT token is invalid")
}

func TestALoginIsRefusedWithTheRealCode(t *testing.T) {
	w := newWorld(t, Options{})
	for _, c := range []struct {
		name     string
		number   int
		sentence string
		change   func(cfg *sf.Config)
	}{
		{"an unknown user", 390144, "JWT token is invalid", func(cfg *sf.Config) { cfg.User = "NOBODY" }},
		{"an unknown account", 260008, "verify account name", func(cfg *sf.Config) { cfg.Account = "WAYBILL-NOWHERE" }},
		{"a role of somebody else", 390189, "does not exist or not authorized", func(cfg *sf.Config) { cfg.Role = accountAdmin }},
		{"a bad OAuth token", 390303, "Invalid OAuth access token", func(cfg *sf.Config) { cfg.Authenticator, cfg.Token = sf.AuthTypeOAuth, "wrong" }},
		{"a bad access token", 394400, "Programmatic access token is invalid", func(cfg *sf.Config) { cfg.Authenticator, cfg.Token = sf.AuthTypePat, "wrong" }},
		{"a password", 390100, "Incorrect username or password", func(cfg *sf.Config) { cfg.Authenticator, cfg.Password = sf.AuthTypeSnowflake, "secret" }},
		{"a warehouse that is not there", 390201, "requested warehouse", func(cfg *sf.Config) { cfg.ValidateDefaultParameters, cfg.Warehouse = sf.ConfigBoolTrue, "NONE" }},
	} {
		cfg := w.config(w.provider, "LOADER")
		c.change(&cfg)
		_, err := rowsOf(open(t, cfg), "SELECT 1")
		refused(t, c.name, err, c.number, c.sentence)
	}
	w.provider.SetToken("LOADER", "good", true)
	cfg := w.config(w.provider, "LOADER")
	cfg.Authenticator, cfg.Token = sf.AuthTypeOAuth, "good"
	wants(t, open(t, cfg), "SELECT CURRENT_USER()", "LOADER")
	w.provider.DisableUser("LOADER")
	_, err := rowsOf(w.loader(t), "SELECT 1")
	refused(t, "a disabled user", err, 390101, "User access disabled")
}

func TestAnExpiredTokenIsRenewedAndAnEndedSessionIsNot(t *testing.T) {
	w := newWorld(t, Options{})
	conn, err := w.loader(t).Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	session, _ := rowsOf(conn, "SELECT CURRENT_SESSION()")
	w.ExpireTokens("LOADER", false)
	wants(t, conn, "SELECT CURRENT_SESSION()", session...)
	w.ExpireTokens("LOADER", true)
	refuses(t, conn, "SELECT 1", 390114, "must authenticate again")
	other, err := w.loader(t).Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	run(t, other, "SELECT 1")
	w.EndSessions("LOADER")
	refuses(t, other, "SELECT 1", 390111, "Session no longer exists")
}
