package connectors

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
)

const identifier = "aws:us-east-1:11111111-2222-4333-8444-555555555555"

func TestConnectorsOfTables(t *testing.T) {
	got, err := rules.ReadFiles("testdata/tables.good.yml")
	if err != nil {
		t.Fatal(err)
	}
	off, on, team := false, true, lake(t).Team
	want := []Connector{
		{ID: "acme-databricks", Team: team, Kind: waybill.KindDatabricks, Workflows: []string{"wf_movies"}, Databricks: &Databricks{Recipient: RecipientDatabricks, SharingIdentifier: identifier}},
		{ID: "acme-token", Team: team, Kind: waybill.KindDatabricks, ActivityLog: &off, Databricks: &Databricks{Recipient: RecipientToken, SecureContact: "security@acme.example",
			TokenLifetime: config.Lifetime(30 * 24 * time.Hour), AllowedIPs: []string{"203.0.113.0/24", "2001:db8::/32", "198.51.100.7"}}},
		{ID: "acme-open", Team: team, Kind: waybill.KindDeltaSharing, DeltaSharing: &DeltaSharing{TokenLifetime: config.Lifetime(12 * time.Hour), AllowedIPs: []string{"203.0.113.7"}}},
		{ID: "acme-plain", Team: "acme", Kind: waybill.KindDeltaSharing},
		{ID: "acme-snowflake", Team: "acme", Kind: waybill.KindSnowflake, Snowflake: &Snowflake{Organization: "ACMEORG", Account: "PROD_ANALYTICS",
			Region: "US East 1", Cloud: "AWS", AllowLowerEdition: true}},
		{ID: "acme-locator", Team: "acme", Kind: waybill.KindSnowflake, ActivityLog: &on, Snowflake: &Snowflake{Account: "ALC62998", Region: "us-east-1"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for i, c := range got {
		if logs := c.LogsActivity(); logs != (c.ID != "acme-token" && c.ID != "acme-snowflake") {
			t.Errorf("%s logs activity: %t", c.ID, logs)
		}
		if where := []string{identifier, "token of security@acme.example", "Delta Sharing", "Delta Sharing",
			"ACMEORG.PROD_ANALYTICS in AWS US East 1", "ALC62998 in us-east-1"}[i]; c.Where() != where {
			t.Errorf("%s delivers to %q", c.ID, c.Where())
		}
	}
	if lake(t).LogsActivity() || lake(t).Where() != "s3://acme-bucket/in" {
		t.Errorf("files: %t, %s", lake(t).LogsActivity(), lake(t).Where())
	}
	document, err := os.ReadFile("testdata/tables.golden.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	golden := strings.Split(strings.TrimSuffix(string(document), "\n"), "\n")
	for i, c := range got {
		doc, err := c.Encode()
		if err != nil || i >= len(golden) || string(doc) != golden[i] {
			t.Fatalf("%d encoded %s, %v", i, doc, err)
		}
		if back, err := Decode([]byte(golden[i])); err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("decoded %+v, %v", back, err)
		}
	}
}

func TestAKindThatNothingDeliversToIsRefused(t *testing.T) {
	today := rules
	today.Kinds = []waybill.Kind{waybill.KindStorage}
	_, err := today.ReadFiles("testdata/tables.good.yml")
	if got := texts(err); len(got) != 6 || got[0] != `tables.good.yml:3: kind: "databricks" is not a kind of connector here; use storage` {
		t.Errorf("got %q", got)
	}
}

func TestWhoReadsCannotChange(t *testing.T) {
	r := NewRegistry(&memory{docs: map[string][]byte{}, owners: map[string]string{}}, rules)
	c := Connector{ID: "acme", Team: "acme", Kind: waybill.KindDatabricks, Databricks: &Databricks{Recipient: RecipientDatabricks, SharingIdentifier: identifier}}
	if _, err := r.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]Databricks{
		"databricks.sharingIdentifier": {Recipient: RecipientDatabricks, SharingIdentifier: strings.Replace(identifier, "1111", "9999", 1)},
		"databricks.recipient":         {Recipient: RecipientToken, SecureContact: "x"},
	} {
		c.Databricks = &change
		if _, err := r.Apply(t.Context(), c); err == nil || !strings.Contains(err.Error(), field+": cannot change") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
