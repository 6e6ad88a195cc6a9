package fleet_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/internal/tokens"
)

var screenshots = flag.Bool("screenshots", false, "rewrite the pictures of docs/screenshots")

const planted = `<script>alert(1)</script><img src=x onerror=alert(2)>"'&`

// login is the cookie of a session.
func (w *world) login(token string) string {
	w.t.Helper()
	a := w.form("/login", "", url.Values{"token": {token}, "next": {"/connectors"}})
	if a.status != 303 || a.header.Get("Location") != "/connectors" {
		w.t.Fatalf("login: %d, to %s", a.status, a.header.Get("Location"))
	}
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	return cookie
}

func (w *world) form(path, cookie string, values url.Values, headers ...string) answer {
	return w.ask("POST", path, "", values.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded", "Cookie", cookie}, headers...)...)
}

func (w *world) see(path, cookie string) answer { return w.ask("GET", path, "", "", "Cookie", cookie) }

var csrfField = regexp.MustCompile(`name="csrf" value="([0-9a-f]{64})"`)

func (a answer) csrf(t *testing.T) string {
	t.Helper()
	m := csrfField.FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no form of ours in\n%s", a.body)
	}
	return m[1]
}

func TestNobodySeesAPageWithoutAToken(t *testing.T) {
	w := start(t)
	w.apply(w.connector("acme-lake", "team-a"))
	id := w.deliver(runOf("wf_movies", "job-1"), "acme-lake")
	for _, cookie := range []string{"", "waybill_session=", "waybill_session=x", "waybill_session=" + w.ops, "waybill_session=" + strings.Repeat("x", 5000)} {
		for _, path := range []string{"/", "/deliveries/" + id, "/connectors", "/queues/", "/queues/api/queues", "/nothing"} {
			if a := w.see(path, cookie); a.status != 303 || !strings.HasPrefix(a.header.Get("Location"), "/login") || strings.Contains(a.body, "wf_movies") {
				t.Errorf("%s with %.20q: %d %s", path, cookie, a.status, a.header.Get("Location"))
			}
		}
	}
	if a := w.form("/login", "", url.Values{"token": {w.ops + "x"}}); a.status != 401 || a.header.Get("Set-Cookie") != "" || strings.Contains(a.body, w.ops) {
		t.Errorf("a wrong token: %d %s", a.status, a.header)
	}
	for _, next := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:alert(1)", "/\t/evil.example"} {
		if a := w.form("/login", "", url.Values{"token": {w.ops}, "next": {next}}); a.header.Get("Location") != "/" {
			t.Errorf("after the login it goes on to %q", a.header.Get("Location"))
		}
	}
	a := w.form("/login", "", url.Values{"token": {w.ops}})
	for _, want := range []string{"HttpOnly", "SameSite=Lax", "Path=/"} {
		if set := a.header.Get("Set-Cookie"); !strings.Contains(set, want) || strings.Contains(set, w.ops) {
			t.Errorf("the cookie %q lacks %s", set, want)
		}
	}
	if a := w.form("/login", "", url.Values{"token": {w.ops}}, "X-Forwarded-Proto", "https"); !strings.Contains(a.header.Get("Set-Cookie"), "Secure") {
		t.Error("behind TLS, the cookie goes out without")
	}
}

func TestASessionEndsWithItsTokenAndWithItsLogout(t *testing.T) {
	w := start(t)
	first, second := w.login(w.ops), w.login(w.ops)
	if a := w.form("/logout", first, url.Values{"csrf": {"wrong"}}); a.status != 403 || w.see("/", first).status != 200 {
		t.Error("somebody else's form logs out")
	}
	if a := w.form("/logout", first, url.Values{"csrf": {w.see("/", first).csrf(t)}}); a.status != 303 || w.see("/", first).status != 303 {
		t.Errorf("after the logout: %d", a.status)
	}
	if a := w.see("/", second); a.status != 200 {
		t.Errorf("another session: %d", a.status)
	}
	if _, err := w.APITokens().Revoke(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	if a := w.see("/", second); a.status != 303 {
		t.Errorf("a session of a revoked token: %d", a.status)
	}
}

func TestThePagesShowATeamsOwnAndNothingElse(t *testing.T) {
	w := start(t)
	w.apply(w.connector("acme-lake", "team-a"))
	id := w.deliver(runOf("wf_movies", "job-1"), "acme-lake")
	w.fail(id, waybill.StateBlocked, denied("Allow Waybill to write."))
	other := w.login(w.opsB)
	csrf := w.see("/", other).csrf(t)
	for path, want := range map[string]int{"/": 200, "/?connector=acme-lake": 200, "/?team=team-a": 200, "/connectors": 200, "/connectors?team=team-a": 200,
		"/deliveries/" + id: 404, "/deliveries/d00aaaaaaaaaaaaaaaaaaaa": 404, "/deliveries/x": 404, "/queues/": 403} {
		if a := w.see(path, other); a.status != want || strings.Contains(a.body, "wf_movies") || strings.Contains(a.body, "all workflows") {
			t.Errorf("another team's %s: %d\n%s", path, a.status, a.body)
		}
	}
	if a := w.form("/deliveries/"+id+"/retry", other, url.Values{"csrf": {csrf}}); a.status != 404 {
		t.Errorf("another team's retry: %d", a.status)
	}
	producer := w.login(w.producer)
	if a := w.see("/deliveries/"+id, producer); a.status != 200 || !strings.Contains(a.body, "Allow Waybill to write.") || strings.Contains(a.body, "/retry") {
		t.Errorf("a producer's page: %d\n%s", a.status, a.body)
	}
	if a := w.form("/deliveries/"+id+"/retry", producer, url.Values{"csrf": {w.see("/", producer).csrf(t)}}); a.status != 403 {
		t.Errorf("a producer's retry: %d", a.status)
	}
	if d, err := w.Ledger.Delivery(t.Context(), id); err != nil || d.State != waybill.StateBlocked {
		t.Errorf("it is %s now, %v", d.State, err)
	}
}

func TestARetryIsSentFromOurOwnPageOnly(t *testing.T) {
	w := start(t)
	w.apply(w.connector("acme-lake", "team-a"))
	id := w.deliver(runOf("wf_movies", "job-1"), "acme-lake")
	w.fail(id, waybill.StateBlocked, denied("Allow Waybill to write."))
	cookie, another := w.login(w.ops), w.login(w.ops)
	retry := "/deliveries/" + id + "/retry"
	csrf := w.see("/deliveries/"+id, cookie).csrf(t)
	for what, a := range map[string]answer{
		"no proof":                 w.form(retry, cookie, url.Values{}),
		"another session's proof":  w.form(retry, cookie, url.Values{"csrf": {w.see("/", another).csrf(t)}}),
		"another site's form":      w.form(retry, cookie, url.Values{"csrf": {csrf}}, "Sec-Fetch-Site", "cross-site"),
		"another origin's form":    w.form(retry, cookie, url.Values{"csrf": {csrf}}, "Origin", "https://evil.example"),
		"a form of too many bytes": w.form(retry, cookie, url.Values{"x": {strings.Repeat("x", 1<<20)}, "csrf": {csrf}}),
	} {
		if a.status != 403 {
			t.Errorf("%s: %d", what, a.status)
		}
	}
	if a := w.see(retry, cookie); a.status != 404 {
		t.Errorf("by a link: %d", a.status)
	}
	if d, err := w.Ledger.Delivery(t.Context(), id); err != nil || d.State != waybill.StateBlocked {
		t.Fatalf("it is %s now, %v", d.State, err)
	}
	if a := w.form(retry, cookie, url.Values{"csrf": {csrf}}, "Sec-Fetch-Site", "same-origin"); a.status != 303 {
		t.Errorf("our own form: %d %s", a.status, a.body)
	}
	if a := w.form(retry, cookie, url.Values{"csrf": {csrf}}); a.status != 409 {
		t.Errorf("twice: %d", a.status)
	}
}

func TestWithoutRedisThePagesSaySo(t *testing.T) {
	w := start(t)
	cookie := w.login(w.ops)
	w.redis.Kill()
	for _, path := range []string{"/", "/connectors"} {
		if a := w.see(path, cookie); a.status != 503 || !strings.Contains(a.body, "does not answer") {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

func TestTheQueuesAreShownAndNothingMore(t *testing.T) {
	w := start(t)
	cookie := w.login(w.ops)
	if a := w.see("/queues/", cookie); a.status != 200 || !strings.Contains(a.body, "<html") {
		t.Errorf("the view: %d", a.status)
	}
	if a := w.form("/queues/api/queues/export:pause", cookie, url.Values{}); a.status != 405 {
		t.Errorf("an action: %d", a.status)
	}
}

// The pages in a real browser, as a person uses them. Text that somebody else
// chose holds scripts, and none of it runs.
func TestThePagesInABrowser(t *testing.T) {
	w := start(t)
	lake := w.connector("acme-lake", "team-a")
	w.apply(lake)
	tables := w.connector("acme-archive", "team-a")
	tables.Workflows = []string{"wf_movies"}
	w.apply(tables)
	var complete, blocked string
	for i := range 24 {
		run := runOf("wf_movies", fmt.Sprintf("job_20250115_%02d", i+1))
		complete = w.deliver(run, "acme-lake")
		archived := waybill.DeliveryID(run.RunKey, "acme-archive")
		w.complete(complete)
		w.complete(archived)
		age := time.Duration(23-i) * time.Duration(23-i) * 150 * time.Second // most of them lately
		w.planned(age, complete)
		w.planned(age, archived)
	}
	failed := w.deliver(runOf("wf_earthquakes", "job_20250116_07"), "acme-lake")
	w.fail(failed, waybill.StateFailed, waybill.Failure{Verdict: waybill.Permanent, Code: "records.malformed",
		Action: "2 records are malformed and the connector tolerates none; mend lines 17 and 204 of the source."})
	w.deliver(runOf("wf_prices", "job_20250117_01"), "acme-lake")
	blocked = w.deliver(runOf("wf_contributions", "job_20250118_01"), "acme-lake")
	w.fail(blocked, waybill.StateBlocked, denied("Allow Waybill's role to write into the bucket acme-bucket: it lacks s3:PutObject."))
	if _, err := w.Ledger.PauseConnector(t.Context(), "team-a", "acme-archive", "acme moves its bucket to another region"); err != nil {
		t.Fatal(err)
	}

	kept := []string{"login", "deliveries", "deliveries-dark", "deliveries-phone-dark", "delivery", "delivery-phone-dark", "failed", "connectors"}
	b := testservers.Chromium(t)
	b.Look(1200, "light")
	b.Open(w.url + "/deliveries/" + blocked)
	picture := func(name string) {
		t.Helper()
		for _, broken := range b.Axe() {
			t.Errorf("%s is hard to use for some: %s", name, broken)
		}
		if *screenshots && slices.Contains(kept, name) {
			must(t, os.WriteFile(filepath.Join("../../../docs/screenshots", name+".png"), b.Screenshot(), 0o644))
		}
		for _, complaint := range b.Refused() {
			if !strings.Contains(complaint, "status of 4") { // what we answer on purpose
				t.Errorf("%s: the browser complains: %s", name, complaint)
			}
		}
	}
	has := func(text string) {
		t.Helper()
		if page := b.Eval("document.body.innerText"); !strings.Contains(page, text) {
			t.Errorf("the page %s lacks %q:\n%s", b.Eval("location.href"), text, page)
		}
	}
	picture("login")
	b.Type("#token", "root.wrong")
	b.Click("main button")
	has("This is no valid token")
	picture("login-wrong")
	b.Type("#token", w.ops)
	b.Click("main button")
	if at := b.Eval("location.pathname"); at != "/deliveries/"+blocked {
		t.Errorf("after the login: %s", at)
	}
	has("lacks s3:PutObject")
	has("Whose turn: customer or operator")
	picture("blocked")

	b.Open(w.url + "/")
	has("The last 24 hours")
	picture("deliveries")
	onPhone := func(name string) {
		t.Helper()
		b.Look(390, "dark")
		picture(name)
		if wide := b.Eval("document.documentElement.scrollWidth"); wide != "390" {
			t.Errorf("on a phone, %s is %s wide", name, wide)
		}
	}
	onPhone("deliveries-phone-dark")
	b.Look(1200, "dark")
	picture("deliveries-dark")
	b.Look(1200, "light")
	b.Eval(`document.querySelector("#state").value = "blocked"`)
	b.Click(".filter button")
	if rows := b.Eval(`document.querySelectorAll("a.run").length`); rows != "1" {
		t.Errorf("the filter shows %s deliveries", rows)
	}
	has("wf_contributions")
	b.Click("a.run")
	b.Click(".retry button")
	has("It is on its way again")
	if d, err := w.Ledger.Delivery(t.Context(), blocked); err != nil || d.State == waybill.StateBlocked {
		t.Errorf("it is %s, %v", d.State, err)
	}
	b.Open(w.url + "/deliveries/" + failed)
	has("Whose turn: us or the producer")
	picture("failed")
	b.Open(w.url + "/deliveries/" + complete)
	has("s3://acme-bucket/kadoa")
	has("data.parquet")
	has("line 17, Release_Date: is not a date")
	picture("delivery")
	onPhone("delivery-phone-dark")
	b.Look(1200, "light")
	b.Open(w.url + "/connectors")
	has("acme moves its bucket")
	picture("connectors")

	hostile := w.deliver(runOf("wf_hostile", "job_1"), "acme-lake")
	w.fail(hostile, waybill.StateFailed, waybill.Failure{Verdict: waybill.Permanent, Code: "records.malformed", Action: planted})
	_, err := w.Ledger.PauseConnector(t.Context(), "team-a", "acme-lake", planted)
	must(t, err)
	for _, path := range []string{"/", "/deliveries/" + hostile, "/connectors"} {
		b.Open(w.url + path)
		has(planted)
		if n := b.Eval("document.querySelectorAll('main script, main img').length"); n != "0" {
			t.Errorf("%s has what was planted, as markup", path)
		}
	}
	b.Open(w.url + "/?workflow=" + url.QueryEscape(planted) + "&connector=" + url.QueryEscape(planted) + "&cursor=" + url.QueryEscape(planted))
	has("No delivery is like that")
	picture("empty")
	if scripts := b.Eval("document.scripts.length"); scripts != "0" {
		t.Errorf("the page has %s scripts", scripts)
	}
	b.Click("header .quiet")
	has("Log in")
}

// What a delivery's connector is named by cannot hold markup, but what an older
// version or another writer left might.
func TestIdsThatHoldMarkupAreText(t *testing.T) {
	w := start(t)
	doc, err := json.Marshal(map[string]any{"id": "acme-x", "team": "team-a", "kind": planted, "storage": map[string]any{"url": planted, "formats": []string{planted}}, "workflows": []string{planted}})
	must(t, err)
	must(t, w.Ledger.PutConnector(t.Context(), "acme-x", "team-a", nil, doc))
	bearer, _, err := w.APITokens().Create(t.Context(), tokens.Grant{Name: "again", Scope: tokens.Ops, Teams: []string{"*"}}, time.Hour)
	must(t, err)
	a := w.see("/connectors", w.login(bearer))
	if a.status != 200 || strings.Contains(a.body, "<script") || strings.Contains(a.body, "<img") || !strings.Contains(a.body, "&lt;script&gt;") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
		t.Errorf("the policy is %q", policy)
	}
}
