package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/monitoring"
)

// planted are secrets that a process knows in one way or another; none of them
// may be seen in anything that it shows.
var planted = map[string]string{"TABLES_SECRET": "waybill-test-secret", "PLATFORM_KEY": "planted-platform-key",
	"REDIS_SECRET": "planted-redis-password", "HOOK_SECRET": "planted-webhook-secret"}

const plantedInURL = "planted-in-a-url"

// watched is a fleet whose tables lie behind a gate that can be closed to the
// commits of a table's rows.
type watched struct {
	*fleet
	closed            atomic.Bool
	scheduler, worker *process
	token             string
	traces            *testservers.CollectorServer
	told              chan string // what the fleet's webhook was sent
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{traces: testservers.Collector(t), told: make(chan string, 100)}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.told <- fmt.Sprint(r.URL, r.Header, string(body))
	}))
	t.Cleanup(hook.Close)
	redis := testservers.Redis(t, append(safe, "--maxmemory", "1gb")...)
	if err := redis.Client(t).ConfigSet(t.Context(), "requirepass", planted["REDIS_SECRET"]).Err(); err != nil {
		t.Fatal(err)
	}
	commit := regexp.MustCompile(`__V1/_delta_log/0*[1-9]\.json$`)
	var gateway *url.URL
	gate := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(gateway); r.Out.Host = r.In.Host }, // what is signed
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if w.closed.Load() && r.Method == http.MethodPut && commit.MatchString(r.URL.Path) {
				return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/xml"}}, Request: r,
					Body: io.NopCloser(strings.NewReader("<Error><Code>AccessDenied</Code><Message>no</Message></Error>"))}, nil
			}
			return http.DefaultTransport.RoundTrip(r)
		})})
	t.Cleanup(gate.Close)
	w.fleet = newFleetOn(t, fmt.Sprintf("{url: \"redis://%s/0\", password: env:REDIS_SECRET}", redis.Addr), gate.URL, hook.URL, "http://127.0.0.1:1")
	w.redis = redis
	w.s3.Bucket(t, "tables")
	var err error
	if gateway, err = url.Parse(w.s3.Endpoint); err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(filepath.Join(w.dir, "waybill.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("log: {format: text}", "log: {level: debug, format: json}", "sources: {", `sources: {allow: ["https://sources.example.invalid/"], `).Replace(string(settings))
	w.write(t, "waybill.yaml", text+fmt.Sprintf(`sharing:
  url: http://127.0.0.1:1
  storage: s3://tables
  s3: {region: %s, endpoint: %q, pathStyle: true, accessKeyId: env:TABLES_ID, secretAccessKey: env:TABLES_SECRET}
platform: {url: https://api.platform.example, apiKey: env:PLATFORM_KEY}
monitoring: {connectors: [acme-tables]}
notify: {webhook: {url: %q, secret: env:HOOK_SECRET}}
`, w.s3.Region, gate.URL, hook.URL))
	w.env = append(w.env, "TABLES_ID="+w.s3.AccessKey, "OTEL_EXPORTER_OTLP_ENDPOINT="+w.traces.URL, "OTEL_BSP_SCHEDULE_DELAY=100")
	for name, value := range planted {
		w.env = append(w.env, name+"="+value)
	}
	w.ok(t, "connector", "apply", "-f", w.write(t, "tables.yaml", "id: acme-tables\nteam: "+team+
		"\nkind: deltasharing\n"))
	w.token = w.profile(t).BearerToken
	w.scheduler = w.start(t, "scheduler")
	w.worker = w.start(t, "worker", "--queues", "delta=2,export=1")
	return w
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// metrics are what processes expose.
func metrics(t *testing.T, addrs ...string) string {
	t.Helper()
	var all strings.Builder
	for _, addr := range addrs {
		status, text := get(t, "http://"+addr+"/metrics")
		if status != http.StatusOK {
			t.Fatalf("%s/metrics: %d %s", addr, status, text)
		}
		all.WriteString(text)
	}
	return all.String()
}

// A delivery fails at stage load: the alert arrives at the webhook, the runbook's
// commands mend it, and nothing that anybody printed on the way holds a secret.
func TestAFailureAtStageLoadArrivesAsAnAlertAndIsMended(t *testing.T) {
	w := newWatched(t)
	w.closed.Store(true)
	alerts := w.prometheus(t)
	out := w.ok(t, append([]string{"run", "submit"}, w.contributions(t, 1)...)...)
	d := w.await(t, waybill.StateBlocked, 1, time.Minute)[0]
	if d.Stage != waybill.StageLoad {
		t.Fatalf("it is blocked at stage %s: %s", d.Stage, d.Code)
	}
	var alert alert
	select {
	case alert = <-alerts:
	case <-time.After(time.Minute):
		t.Fatal("no alert arrived")
	}
	if alert.Labels["alertname"] != "WaybillDeliveriesFail" || alert.Labels["stage"] != "load" || alert.Labels["task"] != "delta.publish" ||
		!strings.HasSuffix(alert.Annotations["runbook_url"], "/docs/runbooks/deliveries-fail.md") {
		t.Errorf("the alert is %+v", alert)
	}

	// As the runbook says.
	list := w.ok(t, "delivery", "list", "--stage", "load", "--since", "1h")
	show := w.ok(t, "delivery", "show", d.ID)
	for _, want := range []string{d.ID, "blocked", "load", "acme-tables"} {
		if !strings.Contains(list, want) || !strings.Contains(show, want) {
			t.Errorf("%s stands not in both of\n%s\n%s", want, list, show)
		}
	}
	w.closed.Store(false)
	retried := w.ok(t, "delivery", "retry", d.ID)
	w.await(t, waybill.StateComplete, 1, time.Minute)

	w.failAtTheSource(t)
	w.wantLinesThatSayWhose(t)
	w.wantTraceOf(t, d)
	w.wantNoSecretIn(t, out, list, show, retried)
}

// failAtTheSource hands in a run whose source has a secret in its address, and is not there.
func (w *watched) failAtTheSource(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../sandbox/testdata/runs/contributions.run.json")
	if err != nil {
		t.Fatal(err)
	}
	run := strings.NewReplacer(`"contributions.jsonl"`, `"https://sources.example.invalid/r.jsonl?token=`+plantedInURL+`"`, "job_20250118_01", "job_nowhere").Replace(string(text))
	w.ok(t, "run", "submit", "-f", w.write(t, "nowhere.json", run))
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if strings.Contains(w.worker.log.String(), `"stage":"stage","code":`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the run without a source did not fail")
		}
	}
}

// wantLinesThatSayWhose holds every line of the worker's log about a delivery
// against what such a line has.
func (w *watched) wantLinesThatSayWhose(t *testing.T) {
	t.Helper()
	lines := 0
	for text := range strings.Lines(w.worker.log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Errorf("the log has a line that is no JSON: %s", text)
			continue
		}
		if line["delivery"] == nil {
			continue
		}
		lines++
		if line["connector"] == nil || len(fmt.Sprint(line["trace_id"])) != 32 {
			t.Errorf("a line says not whose it is: %s", text)
		}
	}
	if lines < 5 {
		t.Errorf("the log has %d lines about deliveries", lines)
	}
}

// wantTraceOf wants both attempts in the delivery's trace, and the source that is not there in another.
func (w *watched) wantTraceOf(t *testing.T, d waybill.Delivery) {
	t.Helper()
	spans := w.traces.Await(t, func(s testservers.CollectedSpan) bool {
		return s.Name == "delta.publish" && s.Attributes["waybill.delivery"] != d.ID && s.Status == "STATUS_CODE_ERROR"
	})
	var attempts []string
	for _, s := range spans {
		if s.TraceID == monitoring.TraceID(d.ID, d.Generation) && s.ParentID == "" {
			attempts = append(attempts, s.Attributes["waybill.stage"]+s.Attributes["waybill.verdict"]+" rows "+s.Attributes["waybill.rows"])
		}
	}
	slices.Sort(attempts)
	if len(attempts) != 2 || !strings.HasPrefix(attempts[1], "loadblocked") || attempts[0] == " rows " {
		t.Errorf("the attempts in its trace are %q", attempts)
	}
}

func (w *watched) wantNoSecretIn(t *testing.T, printed ...string) {
	t.Helper()
	for _, args := range [][]string{{"connector", "list"}, {"connector", "show", "acme-tables"}, {"connector", "check", "acme-tables"}, {"doctor"},
		{"delivery", "list", "--json"}, {"ledger", "export"}, {"connector", "sql", "acme-tables"}} {
		stdout, stderr, _ := w.cli(t, args...) // also of those that fail
		if args[0] == "ledger" {               // holds the runs as they were handed in: it is a backup, not a view
			stdout = strings.ReplaceAll(stdout, "token="+plantedInURL, "")
		}
		printed = append(printed, stdout, stderr)
	}
	printed = append(printed, w.scheduler.log.String(), w.worker.log.String(), metrics(t, w.scheduler.addr, w.worker.addr), w.traces.Text())
	for range 2 { // blocked, and complete
		select {
		case message := <-w.told:
			printed = append(printed, message)
		case <-time.After(30 * time.Second):
			t.Fatal("nobody was told what became of the delivery")
		}
	}
	client := redis.NewClient(&redis.Options{Addr: w.redis.Addr, Password: planted["REDIS_SECRET"]})
	defer client.Close()
	tasks, err := client.Keys(t.Context(), "asynq:*").Result()
	if err != nil || len(tasks) == 0 {
		t.Fatalf("%d keys of the queue, %v", len(tasks), err)
	}
	for _, key := range tasks {
		dump, err := client.Dump(t.Context(), key).Result()
		if err != nil && !errors.Is(err, redis.Nil) { // it may have expired
			t.Fatal(err)
		}
		fields, _ := client.HGetAll(t.Context(), key).Result() // a dump may be compressed
		printed = append(printed, key, dump, fmt.Sprint(fields))
	}
	secrets := map[string]string{"the token of the share": strings.SplitN(w.token, ".", 2)[1], "the token in a source's address": plantedInURL}
	maps.Copy(secrets, planted)
	for name, secret := range secrets {
		for _, text := range printed {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s is shown: …%s…", name, text[max(0, i-200):min(len(text), i+100)])
			}
		}
	}
}

// alert is one that arrived.
type alert struct {
	Status              string
	Labels, Annotations map[string]string
}

// prometheus starts the real Prometheus and Alertmanager with the fleet's own
// rules and routes, and returns what arrives at the webhook.
func (w *watched) prometheus(t *testing.T) <-chan alert {
	t.Helper()
	arrived := make(chan alert, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var message struct{ Alerts []alert }
		if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
			t.Error(err)
		}
		for _, a := range message.Alerts {
			if strings.HasPrefix(a.Labels["alertname"], "WaybillDeliveries") {
				arrived <- a
			}
		}
	}))
	t.Cleanup(hook.Close)
	routes, err := os.ReadFile("../../deploy/alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	manager := testservers.Alertmanager(t, strings.NewReplacer(
		"url_file: /run/secrets/alerts_webhook", "url: "+hook.URL, // Debian's Alertmanager, 0.25, does not know url_file yet
		"group_wait: 30s", "group_wait: 0s").Replace(string(routes)))
	rules, err := filepath.Abs("../../monitoring/alerts/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	server := testservers.Prometheus(t, fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs: [{job_name: waybill, static_configs: [{targets: [%q, %q]}]}]
`, rules, strings.TrimPrefix(manager, "http://"), w.scheduler.addr, w.worker.addr))
	// A counter grows for Prometheus from what it saw first.
	seen := server + "/api/v1/query?query=" + url.QueryEscape(`count_over_time(waybill_deliveries_total{stage="load",outcome="blocked"}[1m]) >= 2`)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if _, text := get(t, seen); strings.Contains(text, "delta.publish") {
			return arrived
		}
		if time.Now().After(deadline) {
			t.Fatal("Prometheus does not ask the worker")
		}
	}
}

// What the README, the dashboards and the alerts name is what a fleet exposes.
func TestARunningFleetExposesEveryMetric(t *testing.T) {
	w := newWatched(t)
	share := w.start(t, "share", "--metrics", "127.0.0.1:19107")
	if status, _ := get(t, "http://"+share.addr+"/shares"); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", status)
	}
	w.ok(t, append([]string{"run", "submit"}, w.contributions(t, 1)...)...)
	w.await(t, waybill.StateComplete, 1, time.Minute)
	text := metrics(t, w.scheduler.addr, w.worker.addr, "127.0.0.1:19107")
	for _, m := range monitoring.Catalog() {
		if !regexp.MustCompile(`(?m)^` + m.Name + `(_bucket)?[{ ]`).MatchString(text) {
			t.Errorf("no process exposes %s", m.Name)
		}
	}

	// Without Redis the health says so, and what is known is served all the same.
	w.redis.Kill()
	for name, addr := range map[string]string{"scheduler": w.scheduler.addr, "worker": w.worker.addr} {
		status, body := get(t, "http://"+addr+"/healthz")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, `"check":"redis"`) {
			t.Errorf("%s says of its health %d %s", name, status, body)
		}
	}
	text = metrics(t, w.scheduler.addr, w.worker.addr)
	for _, want := range []string{"\nwaybill_redis_up 0\n", `waybill_deliveries_total{outcome="complete",stage="",task="delta.publish"} 1`, "\nwaybill_ledger_scrape_errors_total 1\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("without Redis the metrics lack %s", want)
		}
	}
}
