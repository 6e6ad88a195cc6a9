package databricks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// client speaks to a workspace as any program does.
type client struct {
	t *testing.T
	s *Server
}

func start(t *testing.T) client {
	t.Helper()
	s := New(Options{Locations: []string{"s3://delta"}, Describe: func(url string) (Table, error) {
		return Table{Schema: `{"fields":[{"name":"A","type":"long"}]}`, DeletionVectors: strings.HasSuffix(url, "/vectors")}, nil
	}})
	t.Cleanup(s.Close)
	c := client{t, s}
	c.want(200, "", "POST", "recipients", `{"name":"acme","authentication_type":"TOKEN"}`)
	c.want(200, "", "POST", "schemas", `{"name":"acme","catalog_name":"waybill","storage_root":"s3://delta/acme"}`)
	c.want(200, "", "POST", "shares", `{"name":"acme"}`)
	return c
}

func (c client) call(method, path, body string) (int, map[string]any) {
	c.t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = "/api/2.1/unity-catalog/" + path
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.s.URL+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+Token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	answer := map[string]any{}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		c.t.Fatal(err)
	}
	return response.StatusCode, answer
}

func (c client) want(status int, code, method, path, body string) {
	c.t.Helper()
	got, answer := c.call(method, path, body)
	if said, _ := answer["error_code"].(string); got != status || said != code {
		c.t.Errorf("%s %s %s: %d %v, want %d %s", method, path, body, got, answer, status, code)
	}
}

func (c client) table(name, url string) map[string]any {
	c.t.Helper()
	text := fmt.Sprintf("CREATE TABLE IF NOT EXISTS `waybill`.`acme`.`%s` USING DELTA LOCATION '%s'", name, url)
	_, answer := c.call("POST", "/api/2.0/sql/statements", fmt.Sprintf(`{"statement":%q,"warehouse_id":"abc123","wait_timeout":"30s","on_wait_timeout":"CONTINUE"}`, text))
	status, _ := answer["status"].(map[string]any)
	return status
}

func TestTheWorkspaceRefusesWhatTheRealOneRefuses(t *testing.T) {
	c := start(t)
	for _, name := range []string{"a", "b", "vectors"} {
		if status := c.table(name, "s3://delta/acme/"+name); status["state"] != "SUCCEEDED" {
			t.Fatalf("%s: %v", name, status)
		}
	}
	update := func(updates ...string) string { return `{"updates":[` + strings.Join(updates, ",") + `]}` }
	change := func(action, table, more string) string {
		return fmt.Sprintf(`{"action":%q,"data_object":{"name":"waybill.acme.%s","data_object_type":"TABLE"%s}}`, action, table, more)
	}
	const d2d = `{"name":%q,"authentication_type":"DATABRICKS","data_recipient_global_metastore_id":%q}`
	const identifier = "aws:us-east-1:11111111-2222-4333-8444-555555555555"
	invalid := "INVALID_PARAMETER_VALUE"
	var crowd []string
	for i := range 101 {
		crowd = append(crowd, change("ADD", fmt.Sprint("t", i), ""))
	}
	for _, r := range []struct {
		status                   int
		code, method, path, body string
	}{
		{409, "RECIPIENT_ALREADY_EXISTS", "POST", "recipients", `{"name":"acme","authentication_type":"TOKEN"}`},
		{400, invalid, "POST", "recipients", fmt.Sprintf(d2d, "d2d", "aws:us-east-1:not-a-uuid")},
		{400, invalid, "POST", "recipients", fmt.Sprintf(d2d, "a name", identifier)},
		{200, "", "POST", "recipients", fmt.Sprintf(d2d, "d2d", identifier)},
		{409, "RECIPIENT_ALREADY_EXISTS", "POST", "recipients", fmt.Sprintf(d2d, "twin", identifier)},
		{400, invalid, "POST", "recipients", `{"name":"ips","authentication_type":"TOKEN","ip_access_list":{"allowed_ip_addresses":["acme.example"]}}`},
		{400, invalid, "POST", "recipients/acme/rotate-token", `{"existing_token_expire_in_seconds":-1}`},
		{400, invalid, "POST", "recipients/d2d/rotate-token", `{"existing_token_expire_in_seconds":1}`},
		{404, "RECIPIENT_DOES_NOT_EXIST", "GET", "recipients/nobody", ""},
		{409, "SHARE_ALREADY_EXISTS", "POST", "shares", `{"name":"acme"}`},
		{409, "SCHEMA_ALREADY_EXISTS", "POST", "schemas", `{"name":"ACME","catalog_name":"waybill"}`},
		{400, invalid, "POST", "schemas", `{"name":"far","catalog_name":"waybill","storage_root":"s3://elsewhere/far"}`},
		{404, "RECIPIENT_DOES_NOT_EXIST", "PATCH", "shares/acme/permissions", `{"changes":[{"principal":"nobody","add":["SELECT"]}]}`},
		{400, invalid, "PATCH", "shares/acme", update(crowd...)},
		{400, invalid, "PATCH", "shares/acme", update(change("ADD", "a", ""), change("REMOVE", "A", ""))},
		{404, "TABLE_DOES_NOT_EXIST", "PATCH", "shares/acme", update(change("ADD", "a", ""), change("ADD", "none", ""))},
		{400, invalid, "PATCH", "shares/acme", update(change("ADD", "a", `,"shared_as":"one.two.three"`))},
		{400, invalid, "PATCH", "shares/acme", update(change("ADD", "a", `,"shared_as":"with-hyphen.a"`))},
		{400, "INVALID_STATE", "PATCH", "shares/acme", update(change("ADD", "vectors", ""))},
		{200, "", "PATCH", "shares/acme", update(change("ADD", "vectors", `,"history_data_sharing_status":"ENABLED"`))},
		{200, "", "PATCH", "shares/acme", update(change("ADD", "A", `,"shared_as":"acme.A"`))},
		{409, "RESOURCE_ALREADY_EXISTS", "PATCH", "shares/acme", update(change("ADD", "a", ""))},
		{400, invalid, "PATCH", "shares/acme", update(change("ADD", "b", `,"shared_as":"ACME.a"`))},
		{400, invalid, "PATCH", "shares/acme", update(change("UPDATE", "a", `,"shared_as":"acme.other"`))},
		{404, "RESOURCE_DOES_NOT_EXIST", "PATCH", "shares/acme", update(change("REMOVE", "b", ""))},
		{400, "MALFORMED_REQUEST", "PATCH", "shares/acme", `{"updatez":[]}`},
		{400, "SCHEMA_NOT_EMPTY", "DELETE", "schemas/waybill.acme", ""},
		{404, "ENDPOINT_NOT_FOUND", "GET", "volumes", ""},
	} {
		c.want(r.status, r.code, r.method, r.path, r.body)
	}
	if got := c.s.Unexpected(); !slices.Equal(got, []string{"GET /api/2.1/unity-catalog/volumes"}) {
		t.Errorf("unexpected calls: %q", got)
	}
}

func TestStatementsFailAsTheRealOnesDo(t *testing.T) {
	c := start(t)
	c.table("a", "s3://delta/acme/a")
	for url, class := range map[string]string{
		"s3://elsewhere/b":                              "NO_PARENT_EXTERNAL_LOCATION_FOR_PATH",
		"s3://delta/acme/a/inside":                      "LOCATION_OVERLAP",
		"s3://delta/acme":                               "LOCATION_OVERLAP",
		"s3://delta/acme/__unitystorage/schemas/acme/t": "LOCATION_OVERLAP",
	} {
		status := c.table("b", url)
		if text := fmt.Sprint(status); status["state"] != "FAILED" || !strings.Contains(text, class) {
			t.Errorf("%s: %s", url, text)
		}
	}
	if status := c.table("a", "s3://delta/acme/other"); status["state"] != "SUCCEEDED" {
		t.Errorf("a table that exists: %v", status)
	}
	_, got := c.call("GET", "tables/waybill.acme.A", "")
	if got["storage_location"] != "s3://delta/acme/a" || got["name"] != "a" {
		t.Errorf("table is %v", got)
	}
}

func TestTheNewestSchemaOfALogIsRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := DescribeFolder("file://" + dir); err == nil {
		t.Error("a folder without a log was read")
	}
	log := filepath.Join(dir, "_delta_log")
	if err := os.Mkdir(log, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, commit := range []string{
		`{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}` + "\n" + `{"metaData":{"schemaString":"{\"fields\":[]}","configuration":{"delta.enableDeletionVectors":"true"}}}`,
		`{"add":{"path":"x"}}`,
		`{"metaData":{"description":"stable","schemaString":"{\"fields\":[{\"name\":\"A\",\"type\":\"integer\",\"nullable\":true},{\"name\":\"B\",\"type\":\"decimal(38,9)\"}]}"}}`,
	} {
		if err := os.WriteFile(filepath.Join(log, fmt.Sprintf("%020d.json", i)), []byte(commit), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := DescribeFolder("file://" + dir)
	want := []column{{"A", "int", 0, true}, {"B", "decimal(38,9)", 1, false}}
	if err != nil || got.Version != 2 || got.Description != "stable" || got.DeletionVectors || !slices.Equal(got.columns(), want) {
		t.Errorf("%+v, %+v, %v", got, got.columns(), err)
	}
}
