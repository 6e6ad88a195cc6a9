package fleet_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/api"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/tokens"
)

// described holds answers against the API's own description.
type described struct {
	*world
	doc      map[string]any
	compiler *jsonschema.Compiler
	seen     map[string]bool // operation and status
}

func describe(t *testing.T, w *world) *described {
	t.Helper()
	a := w.ask("GET", "/openapi.json", "", "")
	if a.status != 200 {
		t.Fatalf("the description: %d", a.status)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(a.body))
	must(t, err)
	d := &described{world: w, doc: doc.(map[string]any), compiler: jsonschema.NewCompiler(), seen: map[string]bool{}}
	for _, s := range at(d.doc, "components", "schemas") {
		s.(map[string]any)["additionalProperties"] = false // what is answered beyond the description is found too
	}
	d.compiler.AssertFormat()
	must(t, d.compiler.AddResource("openapi.json", d.doc))
	return d
}

func at(v any, path ...string) map[string]any {
	for _, key := range path {
		v = v.(map[string]any)[key]
	}
	m, _ := v.(map[string]any)
	return m
}

// call sends a request to an operation, and holds the answer against what is
// told of it. The path of the operation is given with {id}.
func (d *described) call(want int, method, path, id, query, token, body string, headers ...string) answer {
	d.t.Helper()
	target := strings.ReplaceAll(path, "{id}", id)
	if query != "" {
		target += "?" + query
	}
	a := d.ask(method, target, token, body, headers...)
	name := fmt.Sprintf("%s %s", method, path)
	if a.status != want {
		d.t.Fatalf("%s (%s %s): %d, want %d: %s", name, id, query, a.status, want, a.body)
	}
	d.seen[fmt.Sprintf("%s %d", name, a.status)] = true
	response := at(d.doc, "paths", path, strings.ToLower(method), "responses", fmt.Sprint(a.status))
	if response == nil {
		d.t.Fatalf("%s: status %d is not described", name, a.status)
	}
	content, _ := response["content"].(map[string]any)
	if len(content) == 0 {
		if a.body != "" {
			d.t.Errorf("%s: answers %q where nothing is described", name, a.body)
		}
		return a
	}
	kind := a.header.Get("Content-Type")
	ref, _ := at(content, kind, "schema")["$ref"].(string)
	if ref == "" {
		d.t.Fatalf("%s: %d is answered as %q, described is %v", name, a.status, kind, slices.Collect(maps.Keys(content)))
	}
	schema, err := d.compiler.Compile("openapi.json" + ref)
	must(d.t, err)
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(a.body))
	must(d.t, err)
	if err := schema.Validate(v); err != nil {
		d.t.Errorf("%s: %d is not as described: %v\n%s", name, a.status, err, a.body)
	}
	return a
}

func (a answer) problem(t *testing.T) (p api.Problem) {
	t.Helper()
	must(t, json.Unmarshal([]byte(a.body), &p))
	return p
}

func runText(t *testing.T, run waybill.Run) string {
	t.Helper()
	text, err := json.Marshal(run)
	must(t, err)
	return string(text)
}

func connectorText(t *testing.T, c connectors.Connector) string {
	t.Helper()
	text, err := c.Encode()
	must(t, err)
	return string(text)
}

// Every operation is called so that it answers with each status that it is
// described with, and each answer is held against its schema.
func TestTheAPIIsAsItDescribesItself(t *testing.T) {
	w := start(t, func(c *config.Config) { c.Limits.APIRequests = 1000 })
	w.apply(w.connector("acme-lake", "team-a"))
	d := describe(t, w)
	const (
		runs, deliveries, delivery = "/v1/runs", "/v1/deliveries", "/v1/deliveries/{id}"
		all, one                   = "/v1/connectors", "/v1/connectors/{id}"
	)

	// Runs.
	run := runOf("wf_movies", "job-1")
	text := runText(t, run)
	var in api.HandedIn
	must(t, json.Unmarshal([]byte(d.call(202, "POST", runs, "", "", w.producer, text).body), &in))
	id := waybill.DeliveryID(run.RunKey, "acme-lake")
	if in.Outcome != "NEW" || len(in.Deliveries) != 1 || in.Deliveries[0].ID != id {
		t.Errorf("handed in: %+v", in)
	}
	d.call(200, "POST", runs, "", "", w.producer, text)
	other := run
	other.RowCount = 7
	if p := d.call(409, "POST", runs, "", "", w.producer, runText(t, other)).problem(t); !slices.Equal(p.Fields, []string{"rowCount"}) {
		t.Errorf("a run with other content: %+v", p)
	}
	other.Replace = true
	d.call(202, "POST", runs, "", "", w.producer, runText(t, other))
	d.call(403, "POST", runs, "", "", w.opsB, text)
	d.call(413, "POST", runs, "", "", w.producer, strings.Repeat(" ", 1<<20)+text)
	d.call(415, "POST", runs, "", "", w.producer, text, "Content-Type", "text/plain")
	bad := strings.Replace(strings.Replace(text, `"rowCount"`, `"rows"`, 1), `"FINISHED"`, `"FAILED"`, 1)
	if p := d.call(400, "POST", runs, "", "", w.producer, bad).problem(t); len(p.Errors) != 3 || !strings.Contains(fmt.Sprint(p.Errors), `"rows"`) {
		t.Errorf("a bad run: %+v", p)
	}
	d.call(400, "POST", runs, "", "", w.producer, strings.Replace(text, "s3://runs/team-a/", "file:///etc/", 1))

	// Deliveries.
	w.plan()
	lease, err := w.Ledger.Begin(t.Context(), id, 2, 1)
	must(t, err)
	must(t, lease.Complete(t.Context(), waybill.Receipt{Rows: 3, Files: []waybill.File{{Name: "data.csv"}}, Conversion: waybill.Conversion{Fields: []waybill.FieldStats{}}}))
	must(t, lease.Close(nil))
	failed := w.deliver(runOf("wf_movies", "job-2"), "acme-lake")
	w.fail(failed, waybill.StateBlocked, denied("Allow Waybill to write."))
	d.call(200, "GET", deliveries, "", "", w.ops, "")
	d.call(200, "GET", deliveries, "", "state=blocked&stage=stage&connector=acme-lake&since=2025-01-15T10:30:00Z&limit=1", w.producer, "")
	d.call(403, "GET", deliveries, "", "team=team-b", w.producer, "")
	for query, want := range map[string]string{"sate=failed": "sate", "state=gone": "state", "limit=0": "limit", "limit=501": "limit", "cursor=nonsense": "cursor",
		"since=yesterday": "since", "connector=..%2F": "connector", "team=a/b": "team", "state=failed&state=blocked": "state"} {
		if p := d.call(400, "GET", deliveries, "", query, w.ops, "").problem(t); !strings.Contains(fmt.Sprint(p.Errors), want) {
			t.Errorf("%s: %+v", query, p)
		}
	}
	if a := d.call(200, "GET", delivery, id, "", w.producer, ""); !strings.Contains(a.body, `"receipt"`) {
		t.Errorf("without a receipt: %s", a.body)
	}
	d.call(200, "GET", delivery, failed, "", w.producer, "")
	d.call(200, "POST", delivery+"/retry", failed, "", w.ops, "")
	if p := d.call(409, "POST", delivery+"/retry", failed, "", w.ops, "").problem(t); p.State == "" {
		t.Errorf("a delivery that cannot be retried: %+v", p)
	}
	d.call(200, "POST", delivery+"/cancel", failed, "", w.ops, "")
	d.call(409, "POST", delivery+"/cancel", id, "", w.ops, "")

	// Connectors.
	d.call(200, "GET", all, "", "", w.ops, "")
	d.call(403, "GET", all, "", "team=team-b", w.producer, "")
	d.call(400, "GET", all, "", "limit=many", w.producer, "")
	c := w.connector("acme-two", "team-a")
	d.call(201, "PUT", one, c.ID, "", w.ops, connectorText(t, c))
	shown := d.call(200, "GET", one, c.ID, "", w.producer, "")
	var standing struct{ Connector json.RawMessage }
	must(t, json.Unmarshal([]byte(shown.body), &standing))
	if a := d.call(200, "PUT", one, c.ID, "", w.ops, string(standing.Connector)); !strings.Contains(a.body, `"change":"unchanged"`) {
		t.Errorf("what was read, put back: %s", a.body)
	}
	if p := d.call(400, "PUT", one, c.ID, "", w.ops, strings.Replace(connectorText(t, c), `"formats"`, `"format"`, 1)).problem(t); !strings.Contains(fmt.Sprint(p.Errors), "storage.format") {
		t.Errorf("a bad connector: %+v", p)
	}
	d.call(400, "PUT", one, "another", "", w.ops, connectorText(t, c))
	d.call(415, "PUT", one, c.ID, "", w.ops, connectorText(t, c), "Content-Type", "application/x-yaml")
	d.call(413, "PUT", one, c.ID, "", w.ops, strings.Repeat(" ", 1<<20)+"{}")
	d.call(200, "POST", one+"/check", c.ID, "", w.ops, "")
	d.call(200, "POST", one+"/pause", c.ID, "", w.ops, `{"reason":"maintenance"}`)
	if a := d.call(200, "GET", all, "", "limit=1&cursor=acme-lake", w.ops, ""); !strings.Contains(a.body, "maintenance") || strings.Contains(a.body, `"next"`) {
		t.Errorf("the last page: %s", a.body)
	}
	d.call(400, "POST", one+"/pause", c.ID, "", w.ops, `{"why":"maintenance"}`)
	d.call(415, "POST", one+"/pause", c.ID, "", w.ops, "")
	d.call(413, "POST", one+"/pause", c.ID, "", w.ops, strings.Repeat(" ", 1<<20)+"{}")
	d.call(200, "POST", one+"/resume", c.ID, "", w.ops, "")
	d.call(204, "DELETE", one, c.ID, "", w.ops, "")
	d.call(409, "PUT", one, c.ID, "", w.ops, connectorText(t, c))

	// Destinations.
	const places, place = "/v1/destinations", "/v1/destinations/{id}"
	far := w.connector("acme-far", "team-b")
	far.Storage.URL, far.Storage.Region = "s3://acme-far", "eu-central-1"
	w.apply(far)
	destinations := func() string { return d.call(200, "GET", places, "", "", w.ops, "").body }
	if got := destinations(); got != `{"destinations":[{"name":"file","connectors":1},{"name":"s3","connectors":1},{"name":"s3/eu-central-1","connectors":1}]}`+"\n" {
		t.Errorf("destinations: %s", got)
	}
	d.call(403, "GET", places, "", "", w.producer, "")
	d.call(200, "POST", place+"/pause", "s3", "", w.ops, `{"reason":"AWS is down"}`)
	if a := d.call(200, "GET", one, far.ID, "", w.ops, ""); !strings.Contains(a.body, `"halt":{`) || !strings.Contains(a.body, "AWS is down") {
		t.Errorf("a connector of a paused destination: %s", a.body)
	}
	if a := d.call(200, "POST", place+"/pause", "s3%2Feu-central-1", "", w.ops, `{"reason":"the region too"}`); !strings.Contains(a.body, "the region too") {
		t.Errorf("a paused region: %s", a.body)
	}
	d.call(200, "POST", place+"/resume", "s3", "", w.ops, "")
	if got := destinations(); strings.Contains(got, "AWS is down") || !strings.Contains(got, "the region too") {
		t.Errorf("after the larger one goes on: %s", got)
	}
	d.call(403, "POST", place+"/pause", "s3", "", w.opsB, `{"reason":"of one team"}`)
	d.call(400, "POST", place+"/pause", "s3", "", w.ops, `{"reason":""}`)
	d.call(415, "POST", place+"/pause", "s3", "", w.ops, "")
	d.call(413, "POST", place+"/pause", "s3", "", w.ops, strings.Repeat(" ", 1<<20)+"{}")

	// What every operation refuses alike.
	const nobody = "d00aaaaaaaaaaaaaaaaaaaa"
	operations(d, func(method, path string, op map[string]any) {
		id, body := nobody, ""
		if strings.HasPrefix(path, one) {
			id = "nobody"
		}
		if op["requestBody"] != nil {
			body = "{}"
		}
		d.call(401, method, path, id, "", "root.wrong", body)
		d.call(400, method, path, id, "unknown=1", w.ops, body)
		responses := at(op, "responses")
		if responses["404"] != nil {
			if strings.HasSuffix(path, "/pause") {
				body = `{"reason":"x"}`
			}
			d.call(404, method, path, id, "", w.ops, body)
		}
		if responses["403"] != nil && !d.seen[method+" "+path+" 403"] {
			d.call(403, method, path, id, "", w.producer, body)
		}
	})
	busy := start(t, func(c *config.Config) { c.Limits.APIRequests = 1 })
	operations(d, func(method, path string, _ map[string]any) {
		token := busy.token("busy-"+operationID(d, method, path), tokens.Ops, tokens.AllTeams)
		limited := *d
		limited.world = busy
		for busy.ask(method, strings.ReplaceAll(path, "{id}", nobody), token, "{}").status != 429 {
			continue // it may ask once more each second
		}
		if a := limited.call(429, method, path, nobody, "", token, "{}"); a.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
	})
	w.redis.Kill()
	operations(d, func(method, path string, _ map[string]any) {
		if a := d.call(503, method, path, nobody, "", w.ops, text); a.header.Get("Retry-After") == "" {
			t.Error("without Redis, it is not said when to ask again")
		}
	})

	for path, ops := range at(d.doc, "paths") {
		for method, op := range ops.(map[string]any) {
			for status := range at(op, "responses") {
				if name := fmt.Sprintf("%s %s %s", strings.ToUpper(method), path, status); status != "default" && !d.seen[name] {
					t.Errorf("described, and never answered: %s", name)
				}
			}
		}
	}
}

func operations(d *described, do func(method, path string, op map[string]any)) {
	paths := at(d.doc, "paths")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for method := range at(paths, path) {
			do(strings.ToUpper(method), path, at(paths, path, method))
		}
	}
}

func operationID(d *described, method, path string) string {
	return strings.ToLower(at(d.doc, "paths", path, strings.ToLower(method))["operationId"].(string))
}

func TestPagesOfDeliveriesHoldEachOnceAndEnd(t *testing.T) {
	w := start(t)
	w.apply(w.connector("acme-lake", "team-a"))
	want := map[string]bool{}
	for i := range 7 {
		want[w.deliver(runOf("wf_movies", fmt.Sprintf("job-%d", i)), "acme-lake")] = true
	}
	got, cursor, pages := map[string]bool{}, "", 0
	for {
		var page api.Deliveries
		must(t, json.Unmarshal([]byte(w.ask("GET", "/v1/deliveries?limit=3&cursor="+cursor, w.producer, "").body), &page))
		pages++
		for _, d := range page.Deliveries {
			if got[d.ID] {
				t.Errorf("%s is there twice", d.ID)
			}
			got[d.ID] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if !maps.Equal(got, want) || pages != 3 {
		t.Errorf("%d pages of %v, want %v", pages, got, want)
	}
	if a := w.ask("GET", "/v1/deliveries?cursor=1.d00aaaaaaaaaaaaaaaaaaaa", w.producer, ""); a.status != 200 || a.body != "{\"deliveries\":[]}\n" {
		t.Errorf("past the end: %d %s", a.status, a.body)
	}
}

func TestAddressesThatAreNotThereSaySo(t *testing.T) {
	w := start(t)
	if a := w.ask("GET", "/v1/nothing", w.ops, ""); a.status != 404 || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a := w.ask("PATCH", "/v1/connectors/x", w.ops, ""); a.status != 405 || a.header.Get("Allow") != "GET, PUT, DELETE" {
		t.Errorf("%d %v", a.status, a.header)
	}
}

func TestASchedulerThatCannotTakeRunsIsNotReady(t *testing.T) {
	w := start(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := w.ask("GET", path, "", ""); a.status != 200 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	w.redis.Kill()
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := w.ask("GET", path, "", ""); a.status != 503 || !strings.Contains(a.body, `"redis"`) {
			t.Errorf("%s without Redis: %d %s", path, a.status, a.body)
		}
	}
	if a := w.ask("GET", "/metrics", "", ""); a.status != 200 {
		t.Errorf("metrics without Redis: %d", a.status)
	}
}
