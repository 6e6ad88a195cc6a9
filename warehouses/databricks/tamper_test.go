package databricks_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	fake "github.com/waybillhq/waybill/internal/fakes/databricks"
	"github.com/waybillhq/waybill/warehouses/databricks"
)

// Somebody else's hands in the workspace stop the connector with a sentence
// that says what to do.
func TestWhatOthersDidInTheWorkspaceIsFound(t *testing.T) {
	const name = "kadoa_acme_databricks"
	for title, c := range map[string]struct {
		tamper func(*bench)
		code   string
		words  []string
	}{
		"the recipient was removed": {func(b *bench) { b.call(http.MethodDelete, "recipients/"+name, "") }, "databricks.recipient_gone", []string{name, "resume"}},
		"the share was removed":     {func(b *bench) { b.call(http.MethodDelete, "shares/"+name, "") }, "databricks.share_gone", []string{name}},
		"the grant was revoked":     {func(b *bench) { b.server.Revoke(name, "share", name, "SELECT") }, "databricks.grant_gone", []string{name}},
		"another recipient was granted": {func(b *bench) {
			b.call(http.MethodPost, "recipients", `{"name":"rival","authentication_type":"TOKEN"}`)
			b.server.GrantSelect(name, "rival")
		}, "databricks.foreign_reader", []string{"revoke", name}},
		"an internal table was added": {func(b *bench) {
			b.table("stg_movies")
			b.update(`{"action":"ADD","data_object":{"name":"waybill.` + name + `.stg_movies","data_object_type":"TABLE","history_data_sharing_status":"ENABLED"}}`)
		}, "databricks.foreign_object", []string{name}},
		"a table was added by another name": {func(b *bench) {
			b.table("WF_OTHER__V1")
			b.update(`{"action":"ADD","data_object":{"name":"waybill.` + name + `.wf_other__v1","data_object_type":"TABLE","shared_as":"other.name","history_data_sharing_status":"ENABLED"}}`)
		}, "databricks.shared_as", []string{name}},
		"a table was dropped":                {func(b *bench) { b.call(http.MethodDelete, "tables/waybill."+name+".wf_movies__v1", "") }, "databricks.share_inactive", []string{"USE SCHEMA"}},
		"the share's owner lost the catalog": {func(b *bench) { b.server.Revoke(fake.Group, "catalog", fake.Catalog, "USE_CATALOG") }, "databricks.share_inactive", []string{"owner"}},
	} {
		t.Run(title, func(t *testing.T) {
			b := setup(t, func(o *databricks.Options, _ *fake.Options) { o.Owner = fake.Group })
			b.publish(acme, b.write(acme, "WF_MOVIES__V1", moviesV1))
			c.tamper(b)
			_, err := b.w.Verify(t.Context(), acme, []string{"WF_MOVIES__V1"})
			failed(t, err, waybill.Blocked, c.code, c.words...)
		})
	}
}

func TestARemovedRecipientIsMadeAgainOnlyWhenAsked(t *testing.T) {
	b := setup(t)
	b.publish(acme, b.write(acme, "WF_MOVIES__V1", moviesV1))
	b.call(http.MethodDelete, "recipients/kadoa_acme_databricks", "")
	_, err := b.w.Provision(t.Context(), acme)
	failed(t, err, waybill.Blocked, "databricks.recipient_gone")
	if got := b.sees(acme); got != "" {
		t.Errorf("the customer that was removed sees %s", got)
	}
	_, err = b.w.Reinstate(t.Context(), acme)
	b.must(err)
	if got := b.sees(acme); got != "acme_databricks.WF_MOVIES__V1" {
		t.Errorf("customer sees %s", got)
	}
}

func TestATableWithoutItsHistoryGetsItBack(t *testing.T) {
	b := setup(t)
	b.publish(acme, b.write(acme, "WF_MOVIES__V1", moviesV1))
	b.update(`{"action":"UPDATE","data_object":{"name":"waybill.kadoa_acme_databricks.wf_movies__v1","data_object_type":"TABLE","history_data_sharing_status":"DISABLED"}}`)
	_, err := b.w.Verify(t.Context(), acme, nil)
	failed(t, err, waybill.Transient, "databricks.share_incomplete")
	b.must(b.w.Share(t.Context(), acme, []string{"WF_MOVIES__V1"}))
	_, err = b.w.Verify(t.Context(), acme, []string{"WF_MOVIES__V1"})
	b.must(err)
	_, err = b.w.Verify(t.Context(), acme, []string{"WF_MOVIES__V1", "WF_MOVIES__LATEST"})
	failed(t, err, waybill.Transient, "databricks.share_incomplete")
}

func TestWhatIsNotMarkedIsNeverUsed(t *testing.T) {
	const name = "kadoa_acme_databricks"
	for kind, body := range map[string]string{
		"recipients": `{"name":"` + name + `","authentication_type":"DATABRICKS","data_recipient_global_metastore_id":"` + identifier + `","comment":"by hand"}`,
		"shares":     `{"name":"` + name + `"}`,
		"schemas":    `{"name":"` + name + `","catalog_name":"waybill"}`,
	} {
		t.Run(kind, func(t *testing.T) {
			b := setup(t)
			b.call(http.MethodPost, kind, body)
			was := describe(b)
			failed(t, b.w.Purge(t.Context(), acme), waybill.Blocked, "databricks.not_ours", strings.TrimSuffix(kind, "s"), name)
			if is := describe(b); is != was {
				t.Errorf("it was\n%s\nit is\n%s", was, is)
			}
			_, err := b.w.Provision(t.Context(), acme)
			failed(t, err, waybill.Blocked, "databricks.not_ours", strings.TrimSuffix(kind, "s"), name)
		})
	}
}

func TestASharingIdentifierThatAnotherRecipientHasIsNotShared(t *testing.T) {
	b := setup(t)
	b.call(http.MethodPost, "recipients", `{"name":"older","authentication_type":"DATABRICKS","data_recipient_global_metastore_id":"`+identifier+`"}`)
	_, err := b.w.Provision(t.Context(), acme)
	failed(t, err, waybill.Blocked, "databricks.identifier_taken", "remove", "token")
}

func TestAnotherSharingIdentifierNeedsAnotherConnector(t *testing.T) {
	b := setup(t)
	b.publish(acme, b.write(acme, "WF_MOVIES__V1", moviesV1))
	for _, change := range []func(*databricks.Connector){
		func(c *databricks.Connector) {
			c.SharingIdentifier = "aws:eu-west-1:99999999-2222-4333-8444-555555555555"
		},
		func(c *databricks.Connector) {
			c.Mode, c.TokenLifetime = databricks.ModeToken, acmeOpen.TokenLifetime
		},
	} {
		c := acme
		change(&c)
		_, err := b.w.Verify(t.Context(), c, nil)
		failed(t, err, waybill.Blocked, "databricks.recipient_differs", "another id")
	}
}

func TestOnlyPublicTablesOfTheConnectorAreRegistered(t *testing.T) {
	b := setup(t)
	_, err := b.w.Provision(t.Context(), acme)
	b.must(err)
	good := b.write(acme, "WF_MOVIES__V1", moviesV1)
	for _, bad := range []databricks.Table{
		{Name: "STG_MOVIES", Location: good.Location, Schema: moviesV1},
		{Name: "WF_MOVIES__V1", Location: b.w.StoragePath(acmeOpen) + "WF_MOVIES__V1", Schema: moviesV1},
	} {
		failed(t, b.w.Register(t.Context(), acme, bad), waybill.Permanent, "databricks.not_public")
	}
	good.Schema = "{"
	failed(t, b.w.Register(t.Context(), acme, good), waybill.Permanent, "databricks.bad_schema")
}

func TestATableOfTheNameAtAnotherPlaceIsNotTakenOver(t *testing.T) {
	b := setup(t)
	movies := b.write(acme, "WF_MOVIES__V1", moviesV1)
	b.publish(acme, movies)
	movies.Location = b.write(acme, "WF_MOVIES__V2", moviesV1).Location
	failed(t, b.w.Register(t.Context(), acme, movies), waybill.Blocked, "databricks.table_taken")
}

func TestDeletingRevokesFirstAndKeepsTheTables(t *testing.T) {
	b := setup(t)
	b.publish(acme, b.write(acme, "WF_MOVIES__V1", moviesV1))
	b.server.ResetLog()
	b.must(b.w.Revoke(t.Context(), acme))
	var changes []string
	for _, r := range b.server.Log() {
		if r.Method != http.MethodGet {
			changes = append(changes, r.Method+" "+strings.TrimPrefix(r.Path, "/api/2.1/unity-catalog/"))
		}
	}
	want := "PATCH shares/kadoa_acme_databricks/permissions, DELETE shares/kadoa_acme_databricks, DELETE recipients/kadoa_acme_databricks"
	if got := strings.Join(changes, ", "); got != want {
		t.Errorf("changes %s, want %s", got, want)
	}
	if got := describe(b); !strings.Contains(got, "table waybill.kadoa_acme_databricks.wf_movies__v1") {
		t.Errorf("the table is gone:\n%s", got)
	}
	b.must(b.w.Revoke(t.Context(), acme)) // again: nothing is left to do
	b.must(b.w.Purge(t.Context(), acme))
	if got := describe(b); strings.Contains(got, "acme") {
		t.Errorf("after the purge there is\n%s", got)
	}
	b.must(b.w.Purge(t.Context(), acme))
}

func TestAPurgeLeavesWhatWaybillDidNotMake(t *testing.T) {
	b := setup(t)
	b.publish(acme, b.write(acme, "WF_MOVIES__V1", moviesV1))
	b.table("analysis")
	failed(t, b.w.Purge(t.Context(), acme), waybill.Blocked, "databricks.schema_in_use")
	if got := describe(b); !strings.Contains(got, "acme_databricks.analysis") || !strings.Contains(got, "wf_movies__v1") {
		t.Errorf("there is\n%s", got)
	}
}

func TestNarrowingTakesBackWhatIsNotNamed(t *testing.T) {
	b := setup(t)
	b.publish(acme, b.write(acme, "WF_MOVIES__V1", moviesV1), b.write(acme, "WF_MOVIES__LATEST", moviesV1),
		b.write(acme, "WF_SERIES__V1", moviesV1), b.write(acme, "WORKFLOW_RUNS", moviesV1))
	taken, err := b.w.Narrow(t.Context(), acme, func(table string) bool { return !strings.HasPrefix(table, "WF_MOVIES__") })
	if err != nil || strings.Join(taken, " ") != "WF_MOVIES__LATEST WF_MOVIES__V1" {
		t.Errorf("took back %q, %v", taken, err)
	}
	if got := b.sees(acme); got != "acme_databricks.WF_SERIES__V1 acme_databricks.WORKFLOW_RUNS" {
		t.Errorf("customer sees %s", got)
	}
}

func TestATableWithDeletionVectorsIsSharedWithItsHistoryOnly(t *testing.T) {
	b := setup(t, func(_ *databricks.Options, o *fake.Options) {
		o.Describe = func(string) (fake.Table, error) { return fake.Table{Schema: moviesV1, DeletionVectors: true}, nil }
	})
	b.publish(acme, databricks.Table{Name: "WF_MOVIES__V1", Location: b.w.StoragePath(acme) + "WF_MOVIES__V1", Schema: moviesV1})
	b.call(http.MethodPost, "shares", `{"name":"by-hand"}`)
	body := `{"updates":[{"action":"ADD","data_object":{"name":"waybill.kadoa_acme_databricks.wf_movies__v1","data_object_type":"TABLE"}}]}`
	if status := b.send(http.MethodPatch, "shares/by-hand", body); status != http.StatusBadRequest {
		t.Errorf("shared without its history: %d", status)
	}
}

// call changes the workspace as a person's script would, past Waybill.
func (b *bench) call(method, path, body string) {
	b.t.Helper()
	if status := b.send(method, path, body); status != http.StatusOK {
		b.t.Fatalf("%s %s: %d", method, path, status)
	}
}

func (b *bench) update(updates string) {
	b.t.Helper()
	b.call(http.MethodPatch, "shares/kadoa_acme_databricks", `{"updates":[`+updates+`]}`)
}

func (b *bench) send(method, path, body string) int {
	b.t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = "/api/2.1/unity-catalog/" + path
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.server.URL+path, strings.NewReader(body))
	b.must(err)
	r.Header.Set("Authorization", "Bearer "+fake.Token)
	answer, err := http.DefaultClient.Do(r)
	b.must(err)
	defer answer.Body.Close()
	return answer.StatusCode
}

// table registers a table in acme's schema by hand.
func (b *bench) table(name string) {
	b.t.Helper()
	location := b.write(acme, name, moviesV1).Location
	statement := "CREATE TABLE IF NOT EXISTS `waybill`.`kadoa_acme_databricks`.`" + name + "` USING DELTA LOCATION '" + location + "'"
	b.call(http.MethodPost, "/api/2.0/sql/statements", `{"statement":"`+statement+`","warehouse_id":"`+fake.WarehouseID+`","wait_timeout":"30s","on_wait_timeout":"CONTINUE"}`)
}
