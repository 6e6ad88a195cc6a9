package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	fake "github.com/waybillhq/waybill/internal/fakes/snowflake"
	"github.com/waybillhq/waybill/internal/secrets"
)

// warehouse is a test server in place of Snowflake: our account, and one of
// each customer.
type warehouse struct {
	*fake.Server
	key       *rsa.PrivateKey // of everybody
	customers map[string]*fake.Account
}

const (
	ingestURL = "s3://waybill-ingest/" // what the test server reads DIR/ingest as
	sandboxWH = "SANDBOX"
)

func startWarehouse(dir string) (*warehouse, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	server, err := fake.New(fake.Options{Locations: map[string]fake.Objects{ingestURL: fake.Folder(filepath.Join(dir, "ingest"))}})
	if err != nil {
		return nil, fmt.Errorf("start the test server in place of Snowflake: %w", err)
	}
	provider := server.AddAccount(fake.Account{Org: "OURORG", Name: "PROVIDER", Edition: fake.Enterprise})
	provider.AddUser("WAYBILL", "WAYBILL", &key.PublicKey)
	provider.Grant("WAYBILL", fake.LoaderPrivileges()...)
	provider.AddWarehouse(sandboxWH)
	provider.AddIntegration("WAYBILL_S3", ingestURL)
	return &warehouse{Server: server, key: key, customers: map[string]*fake.Account{}}, nil
}

// settings are those of the fleet that has its account here.
func (w *warehouse) settings(dir string) (config.Snowflake, error) {
	der, err := x509.MarshalPKCS8PrivateKey(w.key)
	if err != nil {
		return config.Snowflake{}, fmt.Errorf("write a key: %w", err)
	}
	file := filepath.Join(dir, "own", "snowflake.p8")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return config.Snowflake{}, fmt.Errorf("write a key: %w", err)
	}
	ref, err := secrets.ParseRef("file:" + file)
	return config.Snowflake{Account: "OURORG-PROVIDER", User: "WAYBILL", Role: "WAYBILL", Warehouse: sandboxWH, PrivateKey: ref,
		Region: "us-east-1", Endpoint: "http://" + net.JoinHostPort(w.Host, strconv.Itoa(w.Port)),
		Stage: config.Stage{Integration: "WAYBILL_S3", URL: ingestURL, Storage: fileURL(filepath.Join(dir, "ingest"))}}, err
}

// customer makes the account that a connector delivers to.
func (w *warehouse) customer(connector string) *connectors.Snowflake {
	if w.customers[connector] == nil {
		a := w.AddAccount(fake.Account{Org: "ACMEORG", Name: strings.ToUpper(strings.ReplaceAll(connector, "-", "_")), Edition: fake.Enterprise})
		a.AddUser("ANALYST", "ACCOUNTADMIN", &w.key.PublicKey)
		a.AddWarehouse(sandboxWH)
		w.customers[connector] = a
	}
	return &connectors.Snowflake{Organization: "ACMEORG", Account: w.customers[connector].Name, Region: "US East 1", Cloud: "AWS"}
}

// Where customers import their share.
const (
	imported       = "KADOA"
	importedSchema = imported + ".SHARED"
)

// open connects as a connector's customer.
func (w *warehouse) open(connector string) *sql.DB {
	return w.customers[connector].Open("ANALYST", sandboxWH, w.key)
}

// report imports a connector's share, as its customer does, and prints what
// they read there.
func (w *warehouse) report(ctx context.Context, out io.Writer, dir, connector string) error {
	a := w.customers[connector]
	share := "KADOA_" + a.Name // the customer's account has the connector's name here
	db := w.open(connector)
	defer db.Close()
	if _, err := db.ExecContext(ctx, fmt.Sprintf("CREATE DATABASE %s FROM SHARE OURORG.PROVIDER.%s", imported, share)); err != nil { //nolint:gosec // names of our own making
		return fmt.Errorf("import the share %s: %w", share, err)
	}
	views, err := viewsOf(ctx, db, importedSchema)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nSnowflake, played by a test server at http://%s:%d; the customer %s imported the share %s as %s:\n", w.Host, w.Port, a.Identifier(), share, imported)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, view := range views {
		var rows int64
		if err := db.QueryRowContext(ctx, fmt.Sprintf("SELECT COUNT(*) FROM %s.%s", importedSchema, view)).Scan(&rows); err != nil { //nolint:gosec // likewise
			return fmt.Errorf("read %s: %w", view, err)
		}
		fmt.Fprintf(table, "  SELECT * FROM %s.%s\t%d rows\n", importedSchema, view, rows)
	}
	fmt.Fprintf(table, "Read it with Snowflake's own Go driver: user ANALYST, protocol http, private key %s. Staged files: %s\n",
		filepath.Join(dir, "own", "snowflake.p8"), filepath.Join(dir, "ingest", share))
	return table.Flush()
}

func viewsOf(ctx context.Context, db *sql.DB, schema string) (names []string, err error) {
	rows, err := db.QueryContext(ctx, "SHOW VIEWS IN SCHEMA "+schema)
	if err != nil {
		return nil, fmt.Errorf("list views: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		cells, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		names = append(names, cells[1].String) // created_on, name, …
	}
	return names, rows.Err()
}
