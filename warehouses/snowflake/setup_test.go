package snowflake

import (
	"slices"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	fakes "github.com/waybillhq/waybill/internal/fakes/snowflake"
	"github.com/waybillhq/waybill/internal/testservers"
)

func TestTheAccountIsVerifiedBeforeAnythingIsShown(t *testing.T) {
	w := newWorld(t)
	w.setup()
	added, shown := -1, -1
	for i, st := range w.Statements() {
		if strings.Contains(st.Text, "ADD ACCOUNTS") {
			added = i
		}
		if strings.HasPrefix(st.Text, "GRANT SELECT") && shown < 0 {
			shown = i
		}
		if strings.Contains(st.Text, "SET ACCOUNTS") {
			t.Errorf("the setup sends %s", st.Text)
		}
	}
	if added < 0 || shown < added {
		t.Errorf("the account was added by statement %d, the first view was granted by statement %d", added, shown)
	}
	w.Forget()
	w.setup()
	for _, st := range w.Statements() {
		if strings.HasPrefix(st.Text, "GRANT SELECT") || strings.Contains(st.Text, "ADD ACCOUNTS") || strings.HasPrefix(st.Text, "REVOKE") {
			t.Errorf("a second setup sends %s", st.Text)
		}
	}
}

func TestAnAccountInAnotherRegionGetsAListingAndNeverADirectShare(t *testing.T) {
	w := newWorld(t)
	w.addCustomer("EUORG", "EU", "AWS_EU_CENTRAL_1")
	w.dest = w.connector("acme", target(t, "EUORG", "EU", "eu-central-1"))
	made := w.setup()
	if made.Route != RouteListing || made.Account != "EUORG.EU" {
		t.Errorf("the setup is %+v", made)
	}
	for _, st := range w.Statements() {
		if strings.Contains(st.Text, "ADD ACCOUNTS") {
			t.Errorf("the listing's route sends %s", st.Text)
		}
	}
	r, s := w.run(simple("wf_shop", "job1", 1, 2, "2025-01-16T06:00:00Z"), w.next())
	if err := w.load(t.Context(), r, s); err != nil {
		t.Fatal(err)
	}
	if err := w.dest.Share(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if p, err := w.dest.Publish(t.Context(), r, made.Route); err != nil || p.Rows != 2 {
		t.Errorf("the publication is %+v, %v", p, err)
	}
	from, err := w.dest.Revoke(t.Context())
	if err != nil || !slices.Equal(from, []string{"EUORG.EU"}) {
		t.Errorf("revoked from %v, %v", from, err)
	}
}

func TestAnAccountThatCannotBeAddedIsTheOperatorsToCorrect(t *testing.T) {
	w := newWorld(t)
	w.addCustomer("EUORG", "EU", "AWS_EU_CENTRAL_1")
	for name, tc := range map[string]struct {
		to   Target
		code string
	}{
		"no such account":            {target(t, "ACMEORG", "TYPO", "us-east-1"), "snowflake.account_not_addable"},
		"in another region":          {target(t, "EUORG", "EU", "us-east-1"), "snowflake.account_not_addable"},
		"a locator in another":       {target(t, "", "ALC62998", "eu-central-1"), "snowflake.locator_elsewhere"},
		"our own":                    {target(t, "OURORG", "PROVIDER", "us-east-1"), "snowflake.own_account"},
		"a connector of one and two": {target(t, "ACMEORG", "PROD_ANALYTICS", "us-east-1"), ""},
	} {
		d := w.connector("c-"+strings.ReplaceAll(name, " ", "-"), tc.to)
		_, err := d.Setup(t.Context())
		if codeOf(err) != tc.code || tc.code == "" && err != nil {
			t.Errorf("%s: %v, want %q", name, err, tc.code)
		}
		if tc.code == "" {
			continue
		}
		if f := waybill.At(waybill.StageShare, err); f.Verdict != waybill.Blocked {
			t.Errorf("%s is %s", name, f.Verdict)
		}
	}
	for _, st := range w.Statements() {
		if strings.HasPrefix(st.Text, "GRANT SELECT") && !strings.Contains(st.Text, "C_A_CONNECTOR_OF_ONE_AND_TWO") {
			t.Errorf("an account that was not verified is shown something: %s", st.Text)
		}
	}
}

func TestALocatorInOurRegionIsResolved(t *testing.T) {
	w := newWorld(t)
	w.dest = w.connector("acme", target(t, "", w.customer.Locator, "us-east-1"))
	made := w.setup()
	again := w.connector("acme", Target{Account: w.customer.Locator, Region: "AWS_US_EAST_1", Resolved: made.Account})
	if _, err := again.Setup(t.Context()); err != nil {
		t.Errorf("a second setup, with what the first resolved (%s): %v", made.Account, err)
	}
}

func TestALowerEditionNeedsTheOperatorsWord(t *testing.T) {
	w := newWorld(t)
	critical := w.AddAccount(fakes.Account{Org: "OURORG", Name: "CRITICAL", Edition: fakes.BusinessCritical})
	critical.AddUser("WAYBILL", "WAYBILL", &testservers.Key().PublicKey)
	critical.Grant("WAYBILL", fakes.LoaderPrivileges()...)
	critical.AddWarehouse("DELIVERY")
	critical.AddIntegration("WAYBILL_S3", "s3://ingest/")
	cfg := w.config()
	cfg.Account = "OURORG-CRITICAL"
	w.account = w.open(cfg)
	to := target(t, "ACMEORG", "PROD_ANALYTICS", "us-east-1")
	if _, err := w.connector("acme", to).Setup(t.Context()); codeOf(err) != "snowflake.edition" {
		t.Errorf("a lower edition: %v", err)
	}
	to.AllowLowerEdition = true
	if _, err := w.connector("acme", to).Setup(t.Context()); err != nil {
		t.Errorf("a lower edition, allowed: %v", err)
	}
}

func TestWhatIsNotMarkedAsTheConnectorsIsNeverAdopted(t *testing.T) {
	w := newWorld(t)
	w.setup()
	thief, err := w.account.Connector(Connector{ID: "acme", Team: "team2", Brand: "kadoa", Target: target(t, "ACMEORG", "OTHER", "us-east-1")})
	if err != nil {
		t.Fatal(err)
	}
	w.Forget()
	for name, do := range map[string]func() error{
		"set up": func() error { _, err := thief.Setup(t.Context()); return err },
		"drop":   func() error { return thief.Drop(t.Context()) },
		"revoke": func() error { _, err := thief.Revoke(t.Context()); return err },
	} {
		if err := do(); codeOf(err) != "snowflake.name_taken" {
			t.Errorf("%s what is another's: %v", name, err)
		}
	}
	for _, st := range w.Statements() {
		if kind := st.Kind(); kind != "SELECT" && kind != "SHOW" && kind != "DESCRIBE" && !strings.Contains(st.Text, "IF NOT EXISTS") {
			t.Errorf("another's is touched by %s", st.Text)
		}
	}
}

func TestAConnectorOfAnotherAccountIsTakenFromTheFirst(t *testing.T) {
	w := newWorld(t)
	w.setup()
	w.deliver(simple("wf_shop", "job1", 1, 2, "2025-01-16T06:00:00Z"))
	w.addCustomer("ACMEORG", "OTHER", "AWS_US_EAST_1")
	w.dest = w.connector("acme", target(t, "ACMEORG", "OTHER", "us-east-1"))
	w.Forget()
	if made := w.setup(); made.Account != "ACMEORG.OTHER" {
		t.Errorf("the setup is %+v", made)
	}
	var order []string
	for _, st := range w.Statements() {
		for _, word := range []string{"REVOKE SELECT", "REMOVE ACCOUNTS", "ADD ACCOUNTS", "GRANT SELECT"} {
			if strings.Contains(st.Text, word) && (len(order) == 0 || order[len(order)-1] != word) {
				order = append(order, word)
			}
		}
	}
	if got := strings.Join(order, ", "); got != "REVOKE SELECT, REMOVE ACCOUNTS, ADD ACCOUNTS, GRANT SELECT" {
		t.Errorf("the account was changed by %s", got)
	}
	grants, err := w.dest.grants(t.Context())
	if views := w.dest.views(grants); err != nil || len(views) != 5 {
		t.Errorf("the share shows %v, %v; want the five views again", views, err)
	}
}

func TestAShareThatWasChangedByHandIsMendedOrRefused(t *testing.T) {
	w := newWorld(t)
	w.setup()
	w.deliver(simple("wf_shop", "job1", 1, 2, "2025-01-16T06:00:00Z"))
	byHand := func(text string) {
		t.Helper()
		if _, err := w.dest.sendText(t.Context(), "by hand", text); err != nil {
			t.Fatal(err)
		}
	}
	byHand(`REVOKE SELECT ON VIEW "KADOA_ACME"."SHARED"."WF_SHOP__V1" FROM SHARE "KADOA_ACME"`)
	byHand(`REVOKE SELECT ON VIEW "KADOA_ACME"."SHARED"."WF_SHOP__LATEST" FROM SHARE "KADOA_ACME"`)
	byHand(`REVOKE SELECT ON VIEW "KADOA_ACME"."SHARED"."WORKFLOW_RUNS" FROM SHARE "KADOA_ACME"`)
	customer := w.analyst()
	w.deliver(simple("wf_shop", "job2", 1, 2, "2025-01-17T06:00:00Z"))
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__V1`, "4")
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__LATEST`, "4")
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WORKFLOW_RUNS`, "2")

	w.addCustomer("ACMEORG", "OTHER", "AWS_US_EAST_1")
	byHand(`ALTER SHARE "KADOA_ACME" ADD ACCOUNTS = ACMEORG.OTHER`)
	r, s := w.run(simple("wf_shop", "job3", 1, 2, "2025-01-18T06:00:00Z"), w.next())
	if err := w.attempt(t.Context(), r, s); codeOf(err) != "snowflake.accounts_differ" {
		t.Errorf("a share with one more account: %v", err)
	}
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WORKFLOW_RUNS`, "2")
	w.setup()
	w.deliver(simple("wf_shop", "job3", 1, 2, "2025-01-18T06:00:00Z"))
}

func TestANarrowedWorkflowIsGoneFromTheCustomerAndComesBackWhole(t *testing.T) {
	w := newWorld(t)
	w.setup()
	customer := w.analyst()
	w.deliver(simple("wf_shop", "job1", 1, 2, "2025-01-16T06:00:00Z"))
	w.deliver(simple("wf_shop", "job2", 2, 2, "2025-01-17T06:00:00Z", extra))
	w.deliver(simple("wf_other", "job1", 1, 2, "2025-01-16T06:00:00Z"))
	for range 2 {
		if _, err := w.dest.Narrow(t.Context(), Lane{"wf_shop", w.next()}); err != nil {
			t.Fatal(err)
		}
		w.wants(customer, `SELECT WORKFLOW_ID FROM KADOA.SHARED.WORKFLOW_RUNS`, "wf_other")
		w.wants(customer, `SELECT WORKFLOW_ID FROM KADOA.SHARED.WORKFLOW_SCHEMA_VERSIONS`, "wf_other")
		w.wants(customer, `SELECT DISTINCT WORKFLOW_ID FROM KADOA.SHARED.WORKFLOW_SCHEMA_FIELDS`, "wf_other")
	}
	w.setup() // does not bring it back
	for _, view := range []string{"WF_SHOP__V1", "WF_SHOP__V2", "WF_SHOP__LATEST"} {
		if _, err := (&Account{db: customer}).query(t.Context(), "SELECT 1 FROM KADOA.SHARED."+view); numberOf(err) != codeNotFound {
			t.Errorf("the customer still reads %s: %v", view, err)
		}
	}
	w.deliver(simple("wf_shop", "job3", 2, 1, "2025-01-18T06:00:00Z", extra))
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__V1`, "2")
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__LATEST`, "3")
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WORKFLOW_RUNS`, "4")

	tables, err := w.dest.Purge(t.Context(), Lane{"wf_shop", w.next()})
	if err != nil || !slices.Equal(slices.Sorted(slices.Values(tables)), []string{"WF_SHOP__V1", "WF_SHOP__V2"}) {
		t.Errorf("purged %v, %v", tables, err)
	}
	if tables, err = w.dest.Purge(t.Context(), Lane{"wf_shop", w.next()}); err != nil || len(tables) != 0 {
		t.Errorf("purged again: %v, %v", tables, err)
	}
	w.deliver(simple("wf_shop", "job1", 1, 2, "2025-01-16T06:00:00Z"))
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__LATEST`, "2")
}

func TestADroppedConnectorLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.setup()
	w.deliver(simple("wf_shop", "job1", 1, 2, "2025-01-16T06:00:00Z"))
	from, err := w.dest.Revoke(t.Context())
	if err != nil || !slices.Equal(from, []string{"ACMEORG.PROD_ANALYTICS"}) {
		t.Errorf("revoked from %v, %v", from, err)
	}
	for range 2 {
		if err := w.dest.Drop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, show := range []string{"database_show", "share_show"} {
		if out, err := w.dest.send(t.Context(), show, nil); err != nil || len(out.values) != 0 {
			t.Errorf("%s gives %v, %v", show, out.values, err)
		}
	}
	w.setup() // and it can be made again
}

func TestTheActivityLogIsSharedOnlyIfItIsOn(t *testing.T) {
	w := newWorld(t)
	on, err := w.account.Connector(Connector{ID: "acme", Team: "team1", Brand: "kadoa", Target: target(t, "ACMEORG", "PROD_ANALYTICS", "us-east-1"), ActivityLog: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := on.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	customer := w.analyst()
	events := []Activity{{EventID: "a", Title: "it's $$", Details: `{"k":1}`}, {EventID: "b", Title: "two"}, {EventID: "a", Title: "it's $$", Details: `{"k":1}`}}
	for i := range 2 * activityBatch {
		events = append(events, Activity{EventID: strings.Repeat("x", i+1)})
	}
	for _, want := range []int64{1002, 0} {
		if added, err := on.MergeActivity(t.Context(), events); err != nil || added != want {
			t.Fatalf("%d events added, %v, want %d", added, err, want)
		}
	}
	w.wants(customer, `SELECT EVENT_ID, TITLE, USER_ID, DETAILS FROM KADOA.SHARED.ACTIVITY_LOG WHERE EVENT_ID IN ('a', 'b') ORDER BY EVENT_ID`, "a|it's $$|NULL|{\n  \"k\": 1\n}", "b|two|NULL|NULL")
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.ACTIVITY_LOG`, "1002")
	w.setup() // the connector without it
	if _, err := (&Account{db: customer}).query(t.Context(), "SELECT 1 FROM KADOA.SHARED.ACTIVITY_LOG"); numberOf(err) != codeNotFound {
		t.Errorf("the customer still reads the activity log: %v", err)
	}
}
