package main_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	fakes "github.com/waybillhq/waybill/internal/fakes/snowflake"
)

// A connector is applied, checked and delivered to by the program as it is
// shipped, and its customer follows the SQL that it prints.
func TestACustomerFollowsThePrintedSQLInSnowflake(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ingest := t.TempDir()
	server := fakes.Start(t, fakes.Options{Locations: map[string]fakes.Objects{"s3://waybill-ingest/": fakes.Folder(ingest)}})
	provider := server.AddAccount(fakes.Account{Org: "OURORG", Name: "PROVIDER", Edition: fakes.Enterprise})
	provider.AddUser("WAYBILL", "WAYBILL", &key.PublicKey)
	provider.Grant("WAYBILL", fakes.LoaderPrivileges()...)
	provider.AddWarehouse("DELIVERY")
	provider.AddIntegration("WAYBILL_S3", "s3://waybill-ingest/")
	customer := server.AddAccount(fakes.Account{Org: "ACMEORG", Name: "PROD_ANALYTICS", Edition: fakes.Enterprise})
	customer.AddUser("ANALYST", "ACCOUNTADMIN", &key.PublicKey)
	customer.AddWarehouse("WH")

	address := "http://" + net.JoinHostPort(server.Host, strconv.Itoa(server.Port))
	f := newFleet(t, address)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	secret := f.write(t, "snowflake.p8", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	connector := func(region string) string {
		return f.write(t, "acme.yaml", "id: acme-snowflake\nteam: "+team+"\nkind: snowflake\nworkflows: [wf_contributions]\n"+
			"snowflake: {organization: ACMEORG, account: PROD_ANALYTICS, region: "+region+"}\n")
	}
	if _, stderr, err := f.cli(t, "connector", "apply", "-f", connector("us-east-1")); err == nil || !strings.Contains(stderr, `"snowflake" is not a kind of connector here`) {
		t.Errorf("a connector that nothing serves was taken: %v %s", err, stderr)
	}
	settings, err := os.ReadFile(filepath.Join(f.dir, "waybill.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, "waybill.yaml", string(settings)+fmt.Sprintf("snowflake: {account: OURORG-PROVIDER, user: WAYBILL, role: WAYBILL, warehouse: DELIVERY, region: US East 1, privateKey: %q, "+
		"endpoint: %q, stage: {integration: WAYBILL_S3, url: \"s3://waybill-ingest/\", storage: \"file://%s\"}}\n", "file:"+secret, address, ingest))

	if _, stderr, err := f.cli(t, "connector", "apply", "-f", connector("Virginia")); err == nil || !strings.Contains(stderr, "AWS_US_EAST_1") || !strings.Contains(stderr, "AZURE_EASTUS2") {
		t.Errorf("an ambiguous region is answered %v %s, want the choices", err, stderr)
	}
	if out := f.ok(t, "connector", "apply", "-f", connector("us-east-1")); out != "acme-snowflake created; share KADOA_ACME_SNOWFLAKE of OURORG.PROVIDER goes to ACMEORG.PROD_ANALYTICS (direct)\n" {
		t.Errorf("apply says %s", out)
	}
	if out := f.ok(t, "connector", "check", "acme-snowflake"); strings.Contains(out, "failed") || !strings.Contains(out, "ok      the share goes to the connector's account alone") ||
		!strings.Contains(out, "ok      write\n") {
		t.Errorf("check says\n%s", out)
	}
	f.start(t, "scheduler")
	f.start(t, "worker", "--queues", "snowflake=2")
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, 2)...)...)
	f.await(t, waybill.StateComplete, 2, time.Minute)

	if text := f.ok(t, "connector", "show", "acme-snowflake"); !strings.Contains(text, "# share KADOA_ACME_SNOWFLAKE of OURORG.PROVIDER") || !strings.Contains(text, "account: PROD_ANALYTICS") {
		t.Errorf("show says\n%s", text)
	}
	db := customer.Open("ANALYST", "WH", key)
	defer db.Close()
	for statement := range strings.SplitSeq(f.ok(t, "connector", "sql", "acme-snowflake"), ";") {
		var lines []string
		for line := range strings.Lines(statement) {
			if code, _, _ := strings.Cut(line, "--"); strings.TrimSpace(code) != "" {
				lines = append(lines, code)
			}
		}
		if len(lines) == 0 {
			continue
		}
		if _, err := db.ExecContext(t.Context(), strings.ReplaceAll(strings.Join(lines, ""), "YOUR_ROLE", "ACCOUNTADMIN")); err != nil {
			t.Fatalf("%s\n%v", statement, err)
		}
	}
	var rows, runs int
	if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*), COUNT(DISTINCT KADOA_JOB_ID) FROM KADOA.SHARED.WF_CONTRIBUTIONS__LATEST`).Scan(&rows, &runs); err != nil || rows != 116 || runs != 2 {
		t.Errorf("the customer reads %d rows of %d runs, %v; want 116 of 2", rows, runs, err)
	}

	provider.Revoke("WAYBILL", "CREATE SHARE")
	if out, stderr, err := f.cli(t, "connector", "check", "acme-snowflake"); err == nil || !strings.Contains(out, `GRANT CREATE SHARE ON ACCOUNT TO ROLE "WAYBILL"`) {
		t.Errorf("without a privilege check says %v\n%s%s", err, out, stderr)
	}
	wantNowhere(t, filepath.Join(f.dir, "own"), "PRIVATE KEY")
}
