package databricks_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	fake "github.com/waybillhq/waybill/internal/fakes/databricks"
	"github.com/waybillhq/waybill/warehouses/databricks"
)

func TestAServicePrincipalLogsInWithItsSecretOfNow(t *testing.T) {
	secret := fake.ClientSecret
	b := setup(t, func(o *databricks.Options, _ *fake.Options) {
		o.Auth = databricks.AuthM2M
		o.Login = func(context.Context) (databricks.Login, error) {
			return databricks.Login{ClientID: fake.ClientID, ClientSecret: secret}, nil
		}
	})
	_, err := b.w.Provision(t.Context(), acme)
	b.must(err)
	b.server.SetClientSecret("rotated")
	_, err = b.w.Provision(t.Context(), acme)
	failed(t, err, waybill.Blocked, "databricks.bad_credentials", "clientSecret")
	secret = "rotated"
	_, err = b.w.Provision(t.Context(), acme)
	b.must(err)
}

func TestATokenOfAnotherIssuerInAFileLogsIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(fake.FederatedToken), 0o600); err != nil {
		t.Fatal(err)
	}
	b := setup(t, func(o *databricks.Options, _ *fake.Options) {
		o.Auth, o.TokenFile, o.Login = databricks.AuthFileOIDC, file, login(databricks.Login{ClientID: fake.ClientID})
	})
	_, err := b.w.Provision(t.Context(), acme)
	b.must(err)
}

func TestWrongCredentialsAreNamedAndNotShown(t *testing.T) {
	for auth, l := range map[string]databricks.Login{
		databricks.AuthPAT: {Token: "hunter2"},
		databricks.AuthM2M: {ClientID: fake.ClientID, ClientSecret: "hunter2"},
	} {
		b := setup(t, func(o *databricks.Options, _ *fake.Options) { o.Auth, o.Login = auth, login(l) })
		_, err := b.w.Provision(t.Context(), acme)
		failed(t, err, waybill.Blocked, "databricks.bad_credentials")
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret is shown: %v", err)
		}
	}
}

func TestTheEnvironmentDoesNotDecideWhoWeAre(t *testing.T) {
	t.Setenv("DATABRICKS_TOKEN", fake.Token)
	t.Setenv("DATABRICKS_AUTH_TYPE", "pat")
	b := setup(t, func(o *databricks.Options, _ *fake.Options) {
		o.Auth, o.Login = databricks.AuthM2M, login(databricks.Login{})
	})
	t.Setenv("DATABRICKS_HOST", b.server.URL)
	if _, err := b.w.Provision(t.Context(), acme); err == nil {
		t.Error("logged in with the environment's token")
	}
	_, err := databricks.New(databricks.Options{Auth: "databricks-cli"})
	failed(t, err, waybill.Blocked, "databricks.settings")
}

func TestASecretThatCannotBeFetchedIsTheFailure(t *testing.T) {
	missing := errors.New("no such secret")
	b := setup(t, func(o *databricks.Options, _ *fake.Options) {
		o.Login = func(context.Context) (databricks.Login, error) { return databricks.Login{}, missing }
	})
	if _, err := b.w.Provision(t.Context(), acme); !errors.Is(err, missing) {
		t.Errorf("%v", err)
	}
}

func TestAWorkspaceThatIsNotThereIsTransient(t *testing.T) {
	b := setup(t)
	b.server.Close()
	_, err := b.open().Provision(t.Context(), acme)
	failed(t, err, waybill.Transient, "databricks.unreachable")
}
