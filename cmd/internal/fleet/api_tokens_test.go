package fleet_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/tokens"
)

func TestATokenOpensItsTeamsAndNothingElse(t *testing.T) {
	w := start(t)
	w.apply(w.connector("acme-lake", "team-a"))
	id := w.deliver(runOf("wf_movies", "job-1"), "acme-lake")
	w.fail(id, waybill.StateFailed, denied("Allow it."))
	nowhere := w.ask("GET", "/v1/deliveries/"+id[:len(id)-4]+"ffff", w.opsB, "")
	for _, request := range []string{"GET /v1/deliveries/" + id, "POST /v1/deliveries/" + id + "/retry", "POST /v1/deliveries/" + id + "/cancel",
		"GET /v1/connectors/acme-lake", "DELETE /v1/connectors/acme-lake", "POST /v1/connectors/acme-lake/check", "POST /v1/connectors/acme-lake/resume",
		"POST /v1/connectors/acme-lake/pause"} {
		method, path, _ := strings.Cut(request, " ")
		body := ""
		if strings.HasSuffix(path, "/pause") {
			body = `{"reason":"x"}`
		}
		if a := w.ask(method, path, w.opsB, body); a.status != 404 || a.body != nowhere.body {
			t.Errorf("another team's token, %s: %d %s; of what is not there: %s", request, a.status, a.body, nowhere.body)
		}
	}
	for _, list := range []string{"/v1/deliveries", "/v1/deliveries?connector=acme-lake", "/v1/connectors"} {
		if a := w.ask("GET", list, w.opsB, ""); a.status != 200 || strings.Contains(a.body, "acme") {
			t.Errorf("another team's token lists %s", a.body)
		}
	}
	// Whose an id is cannot be told from what becomes of taking it.
	c := w.connector("acme-lake", "team-b")
	c.Storage.URL = "s3://bucket"
	c.Storage.Region = "eu-central-1"
	if a := w.ask("PUT", "/v1/connectors/acme-lake", w.opsB, connectorText(t, c)); a.status != 409 || strings.Contains(a.body, "team-a") {
		t.Errorf("another team's id: %d %s", a.status, a.body)
	}
	if d, err := w.Ledger.Delivery(t.Context(), id); err != nil || d.State != waybill.StateFailed {
		t.Errorf("the delivery is %s now, %v", d.State, err)
	}
	two := w.token("two", tokens.Producer, "team-a", "team-b")
	if a := w.ask("GET", "/v1/deliveries", two, ""); a.status != 400 || !strings.Contains(a.body, "team-a, team-b") {
		t.Errorf("a list without a team: %d %s", a.status, a.body)
	}
	if a := w.ask("GET", "/v1/deliveries?team=team-a", two, ""); !strings.Contains(a.body, id) {
		t.Errorf("a list of one of its teams: %s", a.body)
	}
}

func TestOperatorsOfOneTeamNameNoSecretsOfTheFleet(t *testing.T) {
	w := start(t)
	t.Setenv("PLANTED", "secret-of-the-fleet")
	put := func(token, text string) answer { return w.ask("PUT", "/v1/connectors/b-lake", token, text) }
	const keys = `,"access":{"accessKeyId":"env:PLANTED","secretAccessKey":"env:PLANTED"}`
	text := func(bucket, access string) string {
		return `{"id":"b-lake","team":"team-b","kind":"storage","storage":{"url":"` + bucket + `","region":"eu-central-1","formats":["csv"]` + access + `}}`
	}
	for what, bad := range map[string]string{"a reference": text("s3://bucket", keys), "a folder": `{"id":"b-lake","team":"team-b","kind":"storage","storage":{"url":"file:///etc","formats":["csv"]}}`,
		"a Slack address": strings.Replace(text("s3://bucket", ""), `"storage":`, `"slack":"env:PLANTED","storage":`, 1)} {
		if a := put(w.opsB, bad); a.status != 403 {
			t.Errorf("%s of the fleet: %d %s", what, a.status, a.body)
		}
	}
	if a := put(w.ops, text("s3://bucket", keys)); a.status != 201 {
		t.Fatalf("an operator of all teams: %d %s", a.status, a.body)
	}
	if a := put(w.opsB, strings.Replace(text("s3://bucket", keys), `"csv"`, `"csv","jsonl"`, 1)); a.status != 200 {
		t.Errorf("what was given stays: %d %s", a.status, a.body)
	}
	if a := put(w.opsB, text("s3://elsewhere", keys)); a.status != 403 {
		t.Errorf("moved with its secrets: %d %s", a.status, a.body)
	}
	if a := w.ask("GET", "/v1/connectors/b-lake", w.opsB, ""); strings.Contains(a.body, "secret-of-the-fleet") || !strings.Contains(a.body, "env:PLANTED") {
		t.Errorf("shown: %s", a.body)
	}
}

func TestTokensExpireRotateAndEnd(t *testing.T) {
	w := start(t)
	ok := func(token string) bool { return w.ask("GET", "/v1/connectors", token, "").status == 200 }
	for _, bad := range []string{"", "root", "root.", "root.x", w.ops + "x", w.ops[:len(w.ops)-1], "platform" + w.ops[len("root"):], "../x.y", strings.Repeat("x", 10_000)} {
		a := w.ask("GET", "/v1/connectors", bad, "")
		if a.status != 401 || a.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%.20q: %d %s", bad, a.status, a.body)
		}
	}
	if a := w.ask("GET", "/v1/connectors", "", "", "Authorization", "Basic "+w.ops); a.status != 401 {
		t.Errorf("Basic: %d", a.status)
	}
	book := w.APITokens()
	if _, _, err := book.Create(t.Context(), tokens.Grant{Name: "root", Scope: tokens.Ops, Teams: []string{"*"}}, time.Hour); err == nil {
		t.Error("a second first token was made")
	}
	renewed, _, err := book.Rotate(t.Context(), "root", 3*time.Hour, time.Hour)
	must(t, err)
	if !ok(w.ops) || !ok(renewed) {
		t.Error("not both are valid for the overlap")
	}
	later := book
	later.Now = func() time.Time { return time.Now().Add(time.Hour + time.Second) }
	if _, err := later.Find(t.Context(), w.ops); err == nil {
		t.Error("the old one outlived the overlap")
	}
	if g, err := later.Find(t.Context(), renewed); err != nil || g.Name != "root" || !g.EveryTeam() {
		t.Errorf("the new one after the overlap: %+v, %v", g, err)
	}
	if n, err := book.Revoke(t.Context(), "root"); n != 2 || err != nil {
		t.Errorf("revoked %d, %v", n, err)
	}
	if ok(w.ops) || ok(renewed) {
		t.Error("a revoked token goes on")
	}
	docs, err := w.Ledger.MirroredAll(t.Context(), "api-tokens")
	must(t, err)
	for name, doc := range docs {
		for _, token := range []string{w.producer, w.opsB} {
			if _, secret, _ := strings.Cut(token, "."); bytes.Contains(doc, []byte(secret)) {
				t.Errorf("%s: the token itself is kept: %s", name, doc)
			}
		}
	}
}

func TestATokenOfTheConfigurationIsKnownByItsHash(t *testing.T) {
	bearer, hash := tokens.New("platform-of-config")
	t.Setenv("TOKEN_HASH", hash+"\n")
	w := start(t, func(c *config.Config) {
		c.Tokens = []config.Token{{Name: "platform-of-config", Scope: "producer", Teams: []string{"team-a"}}}
		must(t, c.Tokens[0].Hash.UnmarshalText([]byte("env:TOKEN_HASH")))
	})
	if a := w.ask("GET", "/v1/connectors", bearer, ""); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.ask("DELETE", "/v1/connectors/x", bearer, ""); a.status != 403 {
		t.Errorf("a producer deletes: %d %s", a.status, a.body)
	}
}
