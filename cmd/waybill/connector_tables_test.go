package main

import (
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
)

// The customer's side names the share and the schema as the customer sees them.
func TestTheCustomersSideOfConnectorsWithTables(t *testing.T) {
	for want, c := range map[string]connectors.Connector{
		"#acme-lake.kadoa.WORKFLOW_RUNS":                   {Kind: waybill.KindDeltaSharing},
		"#kadoa_acme_lake.acme_lake.WORKFLOW_RUNS":         {Kind: waybill.KindDatabricks, Databricks: &connectors.Databricks{Recipient: connectors.RecipientToken}},
		"USING SHARE `YOUR_PROVIDER`.`kadoa_acme_lake`;":   {Kind: waybill.KindDatabricks, Databricks: &connectors.Databricks{Recipient: connectors.RecipientDatabricks}},
		"FROM `kadoa_acme_lake`.`acme_lake`.WORKFLOW_RUNS": {Kind: waybill.KindDatabricks, Databricks: &connectors.Databricks{Recipient: connectors.RecipientDatabricks}},
	} {
		c.ID = "acme-lake"
		var out strings.Builder
		if err := tablesText(&out, c, "kadoa"); err != nil || !strings.Contains(out.String(), want) || strings.ContainsAny(out.String(), "{}") {
			t.Errorf("%v: want %q in\n%s", err, want, out.String())
		}
	}
}
