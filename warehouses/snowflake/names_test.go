package snowflake

import (
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

func TestNoTextLeavesItsQuotes(t *testing.T) {
	for text, want := range map[string]string{
		`it's`:             `'it''s'`,
		`\'; DROP SHARE x`: `'\\''; DROP SHARE x'`,
		`$$`:               `'$$'`,
		"a\x00b":           `'ab'`,
		`"quoted"`:         `'"quoted"'`,
	} {
		if got := literal(text); got != want {
			t.Errorf("%q becomes %s, want %s", text, got, want)
		}
	}
	if got := ident(`a"b`); got != `"a""b"` {
		t.Errorf("an identifier becomes %s", got)
	}
	if got := yamlText(`$$ "x"` + "\n"); strings.Contains(got, "$") || strings.Contains(got, "\n") || got != `"\u0024\u0024 \"x\"\n"` {
		t.Errorf("a manifest has %s", got)
	}
	if got := timeLiteral(time.Date(2025, 1, 15, 12, 30, 0, 1500, time.FixedZone("", 2*3600))); got != "'2025-01-15 10:30:00.000001'::TIMESTAMP_NTZ" {
		t.Errorf("a time becomes %s", got)
	}
}

func TestTwoConnectorsNeverShareADatabase(t *testing.T) {
	p, err := newPlace("kadoa", "acme-snowflake", "team1")
	if err != nil || p.Database != "KADOA_ACME_SNOWFLAKE" || p.mark() != "waybill: connector acme-snowflake of team team1" {
		t.Errorf("the place is %+v, %v", p, err)
	}
	for _, id := range []string{"", "acme_snowflake", "Acme", `a"`, strings.Repeat("a", 64)} {
		if _, err := newPlace("kadoa", id, "team1"); err == nil {
			t.Errorf("%q is taken as a connector id", id)
		}
	}
}

func TestNamesOfAnyRunFitAnIdentifier(t *testing.T) {
	r := Run{Lane: Lane{WorkflowID: strings.Repeat("w-", 64), Fence: 1 << 62}, DeliveryID: "d17a1b2c3d4e5f60718293", SchemaVersion: 1 << 30}
	for _, name := range []string{r.table(), r.staging(), r.fenceTable(), waybill.LatestTable(r.WorkflowID)} {
		if len(name) > waybill.MaxNameLength {
			t.Errorf("%s has %d characters", name, len(name))
		}
	}
	if fenceOf(r.staging()) != r.Fence {
		t.Errorf("the fence of %s is %d", r.staging(), fenceOf(r.staging()))
	}
}
