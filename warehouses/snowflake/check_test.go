package snowflake

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	fakes "github.com/waybillhq/waybill/internal/fakes/snowflake"
)

// checked is what a check reports, by what was looked at: the action where it failed.
func (w *world) checked() string {
	w.t.Helper()
	var lines []string
	w.dest.Check(w.t.Context(), func(what string, err error) {
		if f := waybill.At("", err); f != nil {
			what += ": " + f.Action
		}
		lines = append(lines, what)
	})
	return strings.Join(lines, "\n")
}

func TestACheckNamesEveryMissingPrivilegeWithItsGrantAtOnce(t *testing.T) {
	w := newWorld(t)
	w.setup()
	if got := w.checked(); strings.Contains(got, ": ") || strings.Count(got, "\n") < 7 {
		t.Errorf("of a connector that lacks nothing a check says\n%s", got)
	}
	for _, p := range fakes.LoaderPrivileges() {
		w.provider.Revoke("WAYBILL", p)
	}
	w.dest.account.cfg.Warehouse = "GONE"
	got := w.checked()
	for _, grant := range []string{"CREATE DATABASE ON ACCOUNT", "CREATE SHARE ON ACCOUNT", "MANAGE SHARE TARGET ON ACCOUNT", `USAGE ON WAREHOUSE "GONE"`} {
		if want := fmt.Sprintf(`run: GRANT %s TO ROLE "WAYBILL".`, grant); !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "LISTING") {
		t.Errorf("a direct share needs no listing:\n%s", got)
	}
}

func TestACheckChangesNothingAndFindsWhatSomebodyChanged(t *testing.T) {
	w := newWorld(t)
	if got := w.checked(); !strings.Contains(got, "waybill connector apply") {
		t.Errorf("of a connector that was never set up a check says\n%s", got)
	}
	for _, st := range w.Statements() {
		if st.Kind() != "SHOW" && st.Kind() != "SELECT" && st.Kind() != "DESCRIBE" {
			t.Errorf("a check sends %s", st.Text)
		}
	}
	w.setup()
	w.addCustomer("THEIRORG", "THEIRS", "AWS_US_EAST_1")
	if _, err := w.account.query(t.Context(), `ALTER SHARE "KADOA_ACME" ADD ACCOUNTS = THEIRORG.THEIRS`); err != nil {
		t.Fatal(err)
	}
	if got := w.checked(); !strings.Contains(got, "alone: The share does not go to the connector's account alone") {
		t.Errorf("of a share that goes to somebody else a check says\n%s", got)
	}
}
