package databricks

import (
	"os"
	"testing"
)

// The statements as they are sent, reviewed as text.
func TestGoldenStatements(t *testing.T) {
	const table = "waybill.kadoa_acme.WF_MOVIES__V1"
	for file, got := range map[string]string{
		"create.sql":  createTable(table, "s3://waybill-delta/acme/WF_MOVIES__V1"),
		"quoting.sql": createTable("way`bill.kadoa_acme.WF_MOVIES__V1", `s3://waybill's\delta/acme/WF_MOVIES__V1`),
		"sync.sql":    syncTable(table),
	} {
		want, err := os.ReadFile("testdata/" + file)
		if err != nil || got+"\n" != string(want) {
			t.Errorf("%s: got %s, want %s, %v", file, got, want, err)
		}
	}
}
