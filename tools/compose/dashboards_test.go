package compose

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// Every dashboard is what Grafana's own schema allows and nothing more, and
// every panel has a data source, a unit, a description and expressions that
// Prometheus can read.
func TestDashboards(t *testing.T) {
	plugins.RegisterDefaultPlugins() // kinds of panels and queries that the schema knows
	files, err := filepath.Glob(filepath.Join(projectRoot(t), "monitoring/dashboards/*.json"))
	if err != nil || len(files) != 3 {
		t.Fatalf("dashboards are %v, %v", files, err)
	}
	uids := map[string]bool{}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// Without a problem both return an empty list of problems, which is no nil
			// error; the strict reading then takes its own panels for unreadable and drops them.
			var strict, d dashboard.Dashboard //nolint:staticcheck // the classic schema, which every Grafana loads
			if err := strict.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &d); err != nil {
				t.Fatal(err)
			}
			if err := d.Validate(); err != nil && err.Error() != "" {
				t.Error(err)
			}
			if d.Uid == nil || uids[*d.Uid] || d.Title == nil || len(d.Panels) == 0 {
				t.Fatalf("uid %v, title %v, %d panels", d.Uid, d.Title, len(d.Panels))
			}
			uids[*d.Uid] = true
			checkPanels(t, d)
		})
	}
}

func checkPanels(t *testing.T, d dashboard.Dashboard) { //nolint:staticcheck // likewise
	t.Helper()
	ids, places := map[uint32]bool{}, map[string]bool{}
	var expressions []string
	for _, p := range d.Panels {
		panel := p.Panel
		if panel == nil || panel.Id == nil || panel.Title == nil || panel.GridPos == nil {
			t.Fatalf("a panel without id, title or place: %+v", panel)
		}
		name := *panel.Title
		place := fmt.Sprint(panel.GridPos.X, ",", panel.GridPos.Y)
		if ids[*panel.Id] || places[place] || panel.GridPos.X+panel.GridPos.W > 24 {
			t.Errorf("%s: id %d or place %s stands twice, or it is too wide", name, *panel.Id, place)
		}
		ids[*panel.Id], places[place] = true, true
		if !ofVariable(panel.Datasource) {
			t.Errorf("%s has not the data source that is chosen", name)
		}
		if panel.FieldConfig == nil || panel.FieldConfig.Defaults.Unit == nil || *panel.FieldConfig.Defaults.Unit == "" {
			t.Errorf("%s has no unit", name)
		}
		if panel.Description == nil || *panel.Description == "" {
			t.Errorf("%s does not say what it shows", name)
		}
		if len(panel.Targets) == 0 {
			t.Errorf("%s shows nothing", name)
		}
		for _, target := range panel.Targets {
			q, ok := target.(*prometheus.Dataquery)
			if !ok || q.Expr == "" || !ofVariable(q.Datasource) {
				t.Fatalf("%s: %T is no query of Prometheus, or without expression or data source", name, target)
			}
			expressions = append(expressions, q.Expr)
		}
	}
	checkExpressions(t, expressions)
}

func ofVariable(ref any) bool {
	text, err := json.Marshal(ref)
	return err == nil && strings.Contains(string(text), `"prometheus"`) && strings.Contains(string(text), `"${datasource}"`)
}

// checkExpressions has Prometheus read what Grafana sends it.
func checkExpressions(t *testing.T, expressions []string) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed; install it with: apt-get install prometheus prometheus-alertmanager (or: make prometheus)")
	}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$connector", ".*", "$task", ".*")
	rules := []map[string]any{}
	for i, e := range expressions {
		e = variables.Replace(e)
		if strings.Contains(e, "$") {
			t.Errorf("%s: has a variable that the dashboard does not have", e)
		}
		rules = append(rules, map[string]any{"record": fmt.Sprintf("panel:%d", i), "expr": e})
	}
	// JSON is YAML.
	text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "panels.yml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
