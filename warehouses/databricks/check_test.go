package databricks_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	fake "github.com/waybillhq/waybill/internal/fakes/databricks"
	"github.com/waybillhq/waybill/warehouses/databricks"
)

// check returns a line for each thing that was looked at.
func (b *bench) check() []string {
	var lines []string
	b.w.Check(b.t.Context(), func(what string, err error) {
		line := "ok " + what
		if f, ok := errors.AsType[*waybill.Failure](err); ok {
			line = f.Code + " " + what + ": " + f.Action
		} else if err != nil {
			line = fmt.Sprintf("unclassified %s: %v", what, err)
		}
		lines = append(lines, line)
	})
	return lines
}

func TestTheCheckFindsAllThatIsThere(t *testing.T) {
	b := setup(t)
	want := []string{"ok log in", "ok SQL warehouse abc123", "ok catalog waybill", "ok external location of " + b.opts.Storage + "/", "ok storage credential waybill-storage", "ok shares and recipients"}
	if got := b.check(); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	for _, r := range b.server.Log() {
		if r.Method != http.MethodGet {
			t.Errorf("the check changes something: %s %s", r.Method, r.Path)
		}
	}
}

func TestTheCheckNamesAllThatIsMissingAtOnce(t *testing.T) {
	b := setup(t)
	b.server.Remove("warehouse")
	b.server.Remove("credential")
	b.server.Revoke(fake.Principal, "catalog", fake.Catalog, "CREATE_SCHEMA")
	b.server.Revoke(fake.Principal, "external_location", "location-1", "CREATE_EXTERNAL_TABLE")
	b.server.Revoke(fake.Principal, "metastore", fake.MetastoreID, "CREATE_SHARE")
	b.server.Revoke(fake.Principal, "metastore", fake.MetastoreID, "CREATE_RECIPIENT")
	got := strings.Join(b.check(), "\n")
	for _, want := range []string{
		"databricks.no_warehouse SQL warehouse abc123: The SQL warehouse of databricks.warehouseId does not exist",
		"databricks.no_storage_credential storage credential waybill-storage: The storage credential",
		"databricks.permission_denied catalog waybill: Grant Waybill's principal CREATE SCHEMA on catalog waybill.",
		"Grant Waybill's principal CREATE EXTERNAL TABLE on external location location-1.",
		"Grant Waybill's principal CREATE SHARE and CREATE RECIPIENT on metastore " + fake.MetastoreID + ".",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the check does not say %q:\n%s", want, got)
		}
	}
	b.server.Remove("locations")
	b.server.Remove("catalog")
	got = strings.Join(b.check(), "\n")
	for _, want := range []string{"databricks.no_external_location external location of", "databricks.no_catalog catalog waybill"} {
		if !strings.Contains(got, want) {
			t.Errorf("the check does not say %q:\n%s", want, got)
		}
	}
}

func TestTheUseOfTheMetastoresLimitsIsCounted(t *testing.T) {
	b := setup(t)
	for i := range 5 { // more than one page
		c := acmeOpen
		c.ID = fmt.Sprintf("customer-%d", i)
		_, err := b.w.Provision(t.Context(), c)
		b.must(err)
	}
	limits, err := b.w.Limits(t.Context())
	if err != nil || len(limits) != 2 || limits[0].Used != 5 || limits[1].Used != 5 || limits[0].Max != 1000 || limits[1].Max != 5000 {
		t.Errorf("%+v, %v", limits, err)
	}
	for used, near := range map[int]bool{799: false, 800: true, 1000: true} {
		if l := (databricks.Limit{Used: used, Max: 1000}); l.Near() != near {
			t.Errorf("%d of 1000: near is %t", used, l.Near())
		}
	}
}
