package snowflake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	sf "github.com/snowflakedb/gosnowflake"

	"github.com/waybillhq/waybill/internal/testservers"
)

// world is a provider with a loader, and a customer in its region.
type world struct {
	*Server

	provider, customer *Account
	files              string // what s3://ingest/ holds
}

func newWorld(t *testing.T, opts Options) *world {
	t.Helper()
	files := t.TempDir()
	opts.Locations = map[string]Objects{"s3://ingest/": Folder(files)}
	srv := Start(t, opts)
	w := &world{Server: srv, files: files}
	w.provider = srv.AddAccount(Account{Org: "WAYBILL", Name: "PROVIDER", Edition: Enterprise})
	w.provider.AddUser("LOADER", "LOADER_ROLE", &testservers.Key().PublicKey)
	w.provider.Grant("LOADER_ROLE", LoaderPrivileges()...)
	w.provider.AddWarehouse("LOAD_WH")
	w.provider.AddIntegration("INGEST", "s3://ingest/")
	w.customer = w.addCustomer("ACME", "PROD", "AWS_US_EAST_1")
	return w
}

func (w *world) addCustomer(org, name, region string) *Account {
	a := w.AddAccount(Account{Org: org, Name: name, Region: region, Edition: Enterprise})
	a.AddUser("ANALYST", accountAdmin, &testservers.Key().PublicKey)
	a.AddWarehouse("WH")
	return a
}

func (w *world) config(a *Account, user string) sf.Config {
	utc := "UTC"
	return sf.Config{
		Account: a.Org + "-" + a.Name, User: user, Authenticator: sf.AuthTypeJwt, PrivateKey: testservers.Key(),
		Protocol: "http", Host: w.Host, Port: w.Port, DisableOCSPChecks: true, DisableTelemetry: true, ValidateDefaultParameters: sf.ConfigBoolFalse, //nolint:staticcheck // as the adapter sets it
		Warehouse: map[bool]string{true: "LOAD_WH", false: "WH"}[user == "LOADER"],
		Params:    map[string]*string{"TIMEZONE": &utc}, LoginTimeout: 10 * time.Second, RequestTimeout: 20 * time.Second, MaxRetryCount: 3, //nolint:staticcheck // as the adapter sets them
	}
}

func open(t *testing.T, cfg sf.Config) *sql.DB {
	t.Helper()
	db := sql.OpenDB(sf.NewConnector(sf.SnowflakeDriver{}, cfg))
	t.Cleanup(func() { db.Close() })
	return db
}

func (w *world) loader(t *testing.T) *sql.DB {
	t.Helper()
	return open(t, w.config(w.provider, "LOADER"))
}

func (w *world) analyst(t *testing.T) *sql.DB {
	t.Helper()
	return open(t, w.config(w.customer, "ANALYST"))
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// run runs statements one after another.
func run(t *testing.T, db queryer, statements ...string) {
	t.Helper()
	for _, text := range statements {
		if _, err := rowsOf(db, text); err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
	}
}

// rowsOf runs a statement and gives its rows as text.
func rowsOf(db queryer, text string, args ...any) ([]string, error) {
	rows, err := db.QueryContext(context.Background(), text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all []string
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		texts := make([]string, len(values))
		for i, v := range values {
			if at, ok := v.(time.Time); ok {
				v = at.Format("2006-01-02T15:04:05.999999")
			}
			texts[i] = fmt.Sprint(v)
		}
		all = append(all, strings.Join(texts, "|"))
	}
	return all, rows.Err()
}

// wants checks a statement's rows.
func wants(t *testing.T, db queryer, text string, rows ...string) {
	t.Helper()
	got, err := rowsOf(db, text)
	if err != nil {
		t.Errorf("%s\n%v", text, err)
	} else if strings.Join(got, "\n") != strings.Join(rows, "\n") {
		t.Errorf("%s\ngives\n%s\nwant\n%s", text, strings.Join(got, "\n"), strings.Join(rows, "\n"))
	}
}

// refuses checks that a statement is refused with a number and a sentence.
func refuses(t *testing.T, db queryer, text string, number int, sentence string) {
	t.Helper()
	_, err := rowsOf(db, text)
	refused(t, text, err, number, sentence)
}

func refused(t *testing.T, text string, err error, number int, sentence string) {
	t.Helper()
	e, ok := errors.AsType[*sf.SnowflakeError](err)
	if !ok || e.Number != number || !strings.Contains(e.Error(), sentence) {
		t.Errorf("%s\nis answered %v; want %06d with %q", text, err, number, sentence)
	}
}
