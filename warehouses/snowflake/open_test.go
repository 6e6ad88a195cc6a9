package snowflake

import (
	"context"
	"strings"
	"testing"
)

func TestAConfigurationNamesAllThatIsMissing(t *testing.T) {
	secret := func(context.Context) (string, error) { return "x", nil }
	base := Config{Account: "OURORG-PROVIDER", User: "WAYBILL", Role: "WAYBILL", Warehouse: "DELIVERY"}
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"nothing":             {func(c *Config) { *c = Config{} }, "account: role: warehouse: user: privateKey:"},
		"no key":              {func(*Config) {}, "privateKey:"},
		"key":                 {func(c *Config) { c.PrivateKey = secret }, ""},
		"oauth":               {func(c *Config) { c.Auth = AuthOAuth }, "token:"},
		"oauth client":        {func(c *Config) { c.Auth = AuthOAuthClient }, "clientId: clientSecret: tokenUrl:"},
		"workload identity":   {func(c *Config) { c.Auth, c.User = AuthWorkloadIdentity, "" }, "provider:"},
		"oidc":                {func(c *Config) { c.Auth, c.Provider = AuthWorkloadIdentity, "OIDC" }, "token:"},
		"aws":                 {func(c *Config) { c.Auth, c.Provider = AuthWorkloadIdentity, "AWS" }, ""},
		"a password":          {func(c *Config) { c.Auth = "password" }, "auth:"},
		"bucket, no way in":   {func(c *Config) { c.PrivateKey, c.Stage.URL = secret, "s3://x/" }, "stage.integration:"},
		"a way in, no bucket": {func(c *Config) { c.PrivateKey, c.Stage.Integration = secret, "I" }, "stage.url:"},
	} {
		c := base
		tc.change(&c)
		_, err := Open(c)
		if (err == nil) != (tc.want == "") {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		for field := range strings.FieldsSeq(tc.want) {
			if err != nil && !strings.Contains(err.Error(), field) {
				t.Errorf("%s: %v, want %s", name, err, field)
			}
		}
	}
}

func TestABadKeyIsNotTold(t *testing.T) {
	for _, text := range []string{"hush", "-----BEGIN PRIVATE KEY-----\naHVzaA==\n-----END PRIVATE KEY-----\n"} {
		_, err := (&logins{cfg: Config{Auth: AuthKeyPair, PrivateKey: func(context.Context) (string, error) { return text, nil }}}).Connect(t.Context())
		if err == nil || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "aHVzaA") || !strings.Contains(err.Error(), "snowflake.bad_secret") {
			t.Errorf("a bad key gives %v", err)
		}
	}
}
