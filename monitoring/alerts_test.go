package monitoring

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

const (
	alertsFile = "alerts/waybill.yml"
	runbooks   = "https://github.com/waybillhq/waybill/blob/main/"
)

// rule is a rule of the alerts, as Prometheus reads it.
type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

func rules(t *testing.T) (list []rule) {
	t.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct{ Rules []rule }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	return list
}

// promtool runs Prometheus's own tool, without which no expression is checked.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed; install it with: apt-get install prometheus prometheus-alertmanager (or: make prometheus)")
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestEveryAlertIsReadByPrometheusAndHasARunbook(t *testing.T) {
	promtool(t, "check", "rules", alertsFile)
	names := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if names[r.Alert] {
			t.Errorf("%s stands twice", r.Alert)
		}
		names[r.Alert] = true
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" {
			t.Errorf("%s has no summary", r.Alert)
		}
		page, ok := strings.CutPrefix(r.Annotations["runbook_url"], runbooks)
		text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(page)))
		if !ok || err != nil {
			t.Errorf("%s has no runbook: %v", r.Alert, err)
			continue
		}
		if !strings.Contains(string(text), r.Alert) {
			t.Errorf("%s does not speak of %s", page, r.Alert)
		}
	}
}

// promised are samples of what came of promises, one a minute.
func promisedSeries(onTime, late string) []string {
	return []string{`waybill_promised_deliveries_total{kind="storage",outcome="on_time"} ` + onTime,
		`waybill_promised_deliveries_total{kind="storage",outcome="late"} ` + late,
		`waybill_promised_deliveries_total{kind="storage",outcome="failed"} 0x500`}
}

func freshnessSeries(kind, within60, within120, all string) (list []string) {
	for le, values := range map[string]string{"60": within60, "120": within120, "300": all, "+Inf": all} {
		list = append(list, fmt.Sprintf(`waybill_delivery_freshness_seconds_bucket{kind=%q,le=%q} %s`, kind, le, values))
	}
	return list
}

// destinationSeries are of a destination with failing of all connectors, as two schedulers tell it.
func destinationSeries(name string, failing, all int) (list []string) {
	for _, instance := range []string{"a", "b"} {
		list = append(list, fmt.Sprintf(`waybill_destination_failing_connectors{destination=%q,instance=%q} %dx300`, name, instance, failing),
			fmt.Sprintf(`waybill_destination_connectors{destination=%q,instance=%q} %dx300`, name, instance, all))
	}
	return list
}

func one(series ...string) []string { return series }

type alertCase struct {
	alert  string
	what   string
	series []string
	at     string
	fires  int
}

// alertCases are what each alert is to see: series, one sample a minute (every ten where the time is beyond six hours), and how many of it are to fire at a time. Every alert has a
// case in which it fires and one in which it does not.
var alertCases = []alertCase{
	{"WaybillOnTimeBurnsFast", "one in twenty is late", promisedSeries("0+95x200", "0+5x200"), "2h", 1},
	{"WaybillOnTimeBurnsFast", "one in two hundred is late", promisedSeries("0+995x200", "0+5x200"), "2h", 0},
	{"WaybillOnTimeBurnsFast", "a single one of few is late", promisedSeries("0+1x200", "0x100 1x100"), "105m", 0},
	{"WaybillOnTimeBurnsFast", "it was bad, and is over", promisedSeries("0+95x200", "0+5x100 500x100"), "140m", 0},
	{"WaybillOnTimeBurnsSlowly", "one in two hundred is late", promisedSeries("0+995x450", "0+5x450"), "73h", 1},
	{"WaybillOnTimeBurnsSlowly", "one in two thousand is late", promisedSeries("0+1999x450", "0+1x450"), "73h", 0},
	{"WaybillNotFresh", "one in ten files takes more than a minute", freshnessSeries("storage", "0+9x100", "0+10x100", "0+10x100"), "90m", 1},
	{"WaybillNotFresh", "one in ten tables takes more than a minute", freshnessSeries("databricks", "0+9x100", "0+10x100", "0+10x100"), "90m", 0},
	{"WaybillNotFresh", "one in ten tables takes more than two", freshnessSeries("databricks", "0+5x100", "0+9x100", "0+10x100"), "90m", 1},

	{"WaybillDeliveriesOverdue", "three for long", one(`waybill_overdue_deliveries{queue="export"} 0x5 3x60`), "25m", 1},
	{"WaybillDeliveriesOverdue", "three for a moment", one(`waybill_overdue_deliveries{queue="export"} 0x5 3x10 0x50`), "25m", 0},
	{"WaybillRunsUnplanned", "for minutes", one(`waybill_unplanned_oldest_seconds 30+60x60`), "10m", 1},
	{"WaybillRunsUnplanned", "each for a moment", one(`waybill_unplanned_oldest_seconds 2x60`), "10m", 0},
	{"WaybillSchedulerGone", "none", one(`waybill_redis_up 1x60`), "10m", 1},
	{"WaybillSchedulerGone", "one of two", one(`waybill_scheduler_rounds_total{work="sweep",outcome="ok",instance="a"} 0+20x60`), "10m", 0},
	{"WaybillSchedulerFails", "nobody sweeps", one(`waybill_scheduler_rounds_total{work="sweep",outcome="ok"} 7x90`, `waybill_scheduler_rounds_total{work="sweep",outcome="failed"} 0+20x90`), "40m", 1},
	{"WaybillSchedulerFails", "one of two sweeps", one(`waybill_scheduler_rounds_total{work="sweep",outcome="ok",instance="a"} 7x90`, `waybill_scheduler_rounds_total{work="sweep",outcome="failed",instance="a"} 0+20x90`,
		`waybill_scheduler_rounds_total{work="sweep",outcome="ok",instance="b"} 0+20x90`, `waybill_scheduler_rounds_total{work="sweep",outcome="failed",instance="b"} 0x90`), "40m", 0},
	{"WaybillQueueStuck", "nobody takes", one(`waybill_queue_latency_seconds{queue="export"} 0+60x60`), "10m", 1},
	{"WaybillQueueStuck", "all are busy for a moment", one(`waybill_queue_latency_seconds{queue="export"} 0x5 90x2 1x60`), "10m", 0},
	{"WaybillBacklog", "live ones wait", one(`waybill_backlog_oldest_seconds{queue="export"} 0+60x60`), "25m", 1},
	{"WaybillBacklog", "historical ones wait", one(`waybill_backlog_oldest_seconds{queue="backfill"} 0+60x60`), "25m", 0},

	{"WaybillDestinationDown", "nine of twelve, and an alert for it alone", append(destinationSeries("s3/eu-central-1", 9, 12), destinationSeries("gs", 0, 7)...), "10m", 1},
	{"WaybillDestinationDown", "three of twelve", destinationSeries("s3/eu-central-1", 3, 12), "10m", 0},
	{"WaybillDestinationDown", "one of one", destinationSeries("s3/minio.example", 1, 1), "10m", 0},
	{"WaybillDestinationFailing", "one each at two", append(destinationSeries("s3/eu-central-1", 1, 12), destinationSeries("gs", 1, 7)...), "10m", 2},
	{"WaybillDestinationFailing", "none", destinationSeries("s3/eu-central-1", 0, 12), "10m", 0},
	{"WaybillConnectorsPaused", "by failures", one(`waybill_paused_connectors{by="failures",instance="a"} 2x60`, `waybill_paused_connectors{by="failures",instance="b"} 2x60`), "10m", 1},
	{"WaybillConnectorsPaused", "by an operator", one(`waybill_paused_connectors{by="operator"} 2x60`, `waybill_paused_connectors{by="failures"} 0x60`), "10m", 0},
	{"WaybillPauseForgotten", "a destination, for two days", one(`waybill_paused_connectors{by="operator"} 0x300`, `waybill_paused_destinations 1x300`), "2d", 1},
	{"WaybillPauseForgotten", "a connector, since this morning", one(`waybill_paused_connectors{by="operator"} 0x140 1x150`, `waybill_paused_destinations 0x300`), "28h", 0},
	{"WaybillDeliveriesFail", "one, at stage load", one(`waybill_deliveries_total{task="delta.publish",outcome="failed",stage="load"} 0x5 1x60`, `waybill_deliveries_total{task="delta.publish",outcome="failed",stage="share"} 0x60`), "10m", 1},
	{"WaybillDeliveriesFail", "one was tried again", one(`waybill_deliveries_total{task="delta.publish",outcome="retry",stage="load"} 0x5 1x60`, `waybill_deliveries_total{task="delta.publish",outcome="failed",stage="load"} 0x60`), "10m", 0},
	{"WaybillDeliveriesBlocked", "for two days", one(`waybill_ledger_deliveries{state="blocked"} 4x300`), "2d", 1},
	{"WaybillDeliveriesBlocked", "since an hour", one(`waybill_ledger_deliveries{state="blocked"} 0x200 4x100`, `waybill_ledger_deliveries{state="failed"} 4x300`), "34h", 0},
	{"WaybillCredentialEnds", "in a week, and one that ended", one(`waybill_credential_expiry_timestamp_seconds{credential="sas",connector="a"} 604800x300`,
		`waybill_credential_expiry_timestamp_seconds{credential="share-token",connector="b"} 0x300`, `waybill_credential_expiry_timestamp_seconds{credential="share-token",connector="c"} 7776000x300`), "2h", 2},
	{"WaybillCredentialEnds", "in three months", one(`waybill_credential_expiry_timestamp_seconds{credential="sas",connector="a"} 7776000x300`), "2h", 0},
	{"WaybillShareFails", "one in ten", one(`waybill_share_request_duration_seconds_count{endpoint="/shares",status="200"} 0+90x60`, `waybill_share_request_duration_seconds_count{endpoint="/shares",status="500"} 0+10x60`), "30m", 1},
	{"WaybillShareFails", "customers without a token", one(`waybill_share_request_duration_seconds_count{endpoint="/shares",status="200"} 0+90x60`, `waybill_share_request_duration_seconds_count{endpoint="/shares",status="401"} 0+90x60`), "30m", 0},

	{"WaybillAPIFails", "one in ten", one(`waybill_http_requests_total{route="/v1/runs",method="POST",status="2xx"} 0+90x60`, `waybill_http_requests_total{route="/v1/runs",method="POST",status="5xx"} 0+10x60`), "30m", 1},
	{"WaybillAPIFails", "callers without a token", one(`waybill_http_requests_total{route="/v1/runs",method="POST",status="2xx"} 0+90x60`, `waybill_http_requests_total{route="/v1/runs",method="POST",status="4xx"} 0+90x60`), "30m", 0},
	{"WaybillRedisDown", "for minutes", one(`waybill_redis_up 1x5 0x20`), "10m", 1},
	{"WaybillRedisDown", "one of two schedulers is cut off", one(`waybill_redis_up{instance="a"} 0x20`, `waybill_redis_up{instance="b"} 1x20`), "10m", 0},
	{"WaybillRedisMemory", "nine tenths", one(`waybill_redis_memory_used_bytes{server="redis"} 900x60`, `waybill_redis_memory_max_bytes{server="redis"} 1000x60`), "10m", 1},
	{"WaybillRedisMemory", "half", one(`waybill_redis_memory_used_bytes{server="redis"} 500x60`, `waybill_redis_memory_max_bytes{server="redis"} 1000x60`), "10m", 0},
	{"WaybillRedisMemory", "no limit", one(`waybill_redis_memory_used_bytes{server="redis"} 500x60`, `waybill_redis_memory_max_bytes{server="redis"} 0x60`), "10m", 0},
	{"WaybillRedisUnsafe", "it evicts", one(`waybill_redis_unsafe{check="eviction"} 1x60`, `waybill_redis_unsafe{check="clock"} 0x60`), "10m", 1},
	{"WaybillRedisUnsafe", "all is well", one(`waybill_redis_unsafe{check="eviction"} 0x60`), "10m", 0},
	{"WaybillSchedulersDiffer", "in two sections", one(`waybill_schedulers_differ{section="limits"} 1x60`, `waybill_schedulers_differ{section="times"} 1x60`), "20m", 2},
	{"WaybillSchedulersDiffer", "during a deployment", one(`waybill_schedulers_differ{section="limits"} 1x10 stale`), "20m", 0},
	{"WaybillClocksDiffer", "behind by two seconds", one(`waybill_redis_clock_skew_seconds -2x60`), "10m", 1},
	{"WaybillClocksDiffer", "by a tenth", one(`waybill_redis_clock_skew_seconds 0.1x60`), "10m", 0},
	{"WaybillLeasesLost", "again and again", one(`waybill_lease_losses_total{task="export.push"} 0+1x60`), "45m", 1},
	{"WaybillActivityLags", "the platform is away", one(`waybill_activity_lag_seconds{kind="databricks"} 60+60x60`), "40m", 1},
	{"WaybillActivityLags", "a few minutes", one(`waybill_activity_lag_seconds{kind="databricks"} 300x60`), "40m", 0},
	{"WaybillActivityLost", "three days late", one(`waybill_activity_late_events_total{kind="databricks",outcome="lost"} 0x10 4x60`), "20m", 1},
	{"WaybillActivityLost", "late, and added", one(`waybill_activity_late_events_total{kind="databricks",outcome="added"} 0x10 4x60`), "20m", 0},
	{"WaybillBackfillFails", "two runs", one(`waybill_backfill_runs{what="failed"} 2x90`), "80m", 1},
	{"WaybillBackfillFails", "they were mended", one(`waybill_backfill_runs{what="failed"} 2x30 0x60`), "80m", 0},
	{"WaybillBackfillStopped", "one", one(`waybill_backfills{state="failed"} 1x60`), "30m", 1},
	{"WaybillBackfillStopped", "one is complete", one(`waybill_backfills{state="complete"} 1x60`, `waybill_backfills{state="failed"} 0x60`), "30m", 0},
	{"WaybillLeasesLost", "when a worker was killed", one(`waybill_lease_losses_total{task="export.push"} 0x20 8x60`), "45m", 0},
}

// Prometheus itself evaluates the alerts over the series of each case.
func TestEveryAlertFiresWhenItShallAndNotOtherwise(t *testing.T) {
	file, err := filepath.Abs(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string][]any{} // by the interval of samples and evaluations: an hour of every minute takes a second
	for _, c := range alertCases {
		at, err := time.ParseDuration(strings.Replace(c.at, "2d", "48h", 1))
		if err != nil {
			t.Fatal(err)
		}
		interval := "1m"
		if at > 6*time.Hour {
			interval = "10m"
		}
		tests[interval] = append(tests[interval], c.promtool(interval))
	}
	for interval, tests := range tests {
		text, err := yaml.Marshal(map[string]any{"rule_files": []string{file}, "evaluation_interval": interval, "tests": tests})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "test.yml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		promtool(t, "test", "rules", path)
	}
	for _, r := range rules(t) {
		for _, fires := range []bool{true, false} {
			if r.Alert != "" && !slices.ContainsFunc(alertCases, func(c alertCase) bool { return c.alert == r.Alert && (c.fires > 0) == fires }) {
				t.Errorf("%s has no case in which it fires: %v", r.Alert, fires)
			}
		}
	}
}

// promtool is the case as a unit test of Prometheus.
// https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
func (c alertCase) promtool(interval string) any {
	type series struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	}
	var input []series
	for _, s := range c.series {
		name, _, labelled := strings.Cut(s, "} ")
		if labelled {
			name += "}"
		} else {
			name, _, _ = strings.Cut(s, " ")
		}
		input = append(input, series{name, strings.TrimPrefix(s, name+" ")})
	}
	samples := []any{}
	if c.fires > 0 {
		samples = append(samples, map[string]any{"labels": "{}", "value": c.fires})
	}
	return map[string]any{"interval": interval, "name": c.alert + ": " + c.what, "input_series": input,
		"promql_expr_test": []any{map[string]any{"expr": fmt.Sprintf(`count(ALERTS{alertname=%q,alertstate="firing"})`, c.alert), "eval_time": c.at, "exp_samples": samples}}}
}

// metricName finds the names of metrics, ours and those of our recording rules.
var metricName = regexp.MustCompile(`\bwaybill[_:][a-zA-Z0-9_:]+`)

// The alerts name what is in the catalog, or what they record themselves.
func TestAlertsNameMetricsThatExist(t *testing.T) {
	recorded := map[string]bool{}
	for _, r := range rules(t) {
		recorded[r.Record] = true
	}
	for _, r := range rules(t) {
		for _, name := range metricName.FindAllString(r.Expr, -1) {
			if !recorded[name] && !inCatalog(name) {
				t.Errorf("%s%s names %s, which no process exposes", r.Alert, r.Record, name)
			}
		}
	}
}

func inCatalog(name string) bool {
	return slices.ContainsFunc(Catalog(), func(m Metric) bool {
		if m.Type == "histogram" {
			return slices.Contains([]string{m.Name + "_bucket", m.Name + "_sum", m.Name + "_count"}, name)
		}
		return m.Name == name
	})
}

// Every series that a dashboard or an alert names is in the catalog, and every
// metric of the catalog is looked at by one of them.
func TestDashboardsNameMetricsThatExist(t *testing.T) {
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(files) != 3 {
		t.Fatalf("dashboards are %v, %v", files, err)
	}
	used := map[string]bool{}
	for _, r := range rules(t) {
		used[r.Record] = true
	}
	for _, file := range append(files, alertsFile) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range metricName.FindAllString(string(text), -1) {
			if !used[name] && !inCatalog(name) {
				t.Errorf("%s names %s, which no process exposes", file, name)
			}
			used[name] = true
		}
	}
	for _, m := range Catalog() {
		if !used[m.Name] && !used[m.Name+"_bucket"] && !used[m.Name+"_count"] && m.Name != queuePaused.Name {
			t.Errorf("no dashboard and no alert looks at %s", m.Name)
		}
	}
}
