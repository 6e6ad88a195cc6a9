package compose

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(projectRoot(t), path))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// check runs a tool of Prometheus's own on a file.
func check(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath(args[0])
	if err != nil {
		t.Fatalf("%s is not installed; install it with: apt-get install prometheus prometheus-alertmanager (or: make prometheus)", args[0])
	}
	if out, err := exec.CommandContext(t.Context(), path, args[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Prometheus asks every process of the fleet, where it listens, and has the
// alerts and the Alertmanager.
func TestPrometheusAsksEveryProcess(t *testing.T) {
	p := load(t, secret...)
	root := projectRoot(t)
	text, err := os.ReadFile(filepath.Join(root, "deploy/prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	// As it is mounted: with the alerts.
	local := filepath.Join(t.TempDir(), "prometheus.yml")
	alerts := strings.ReplaceAll(string(text), "/etc/prometheus/alerts/", filepath.Join(root, "monitoring/alerts")+"/")
	if err := os.WriteFile(local, []byte(alerts), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, "promtool", "check", "config", local)
	var config struct {
		RuleFiles []string `yaml:"rule_files"`
		Scrape    []struct {
			DNS []struct {
				Names []string
				Port  int
			} `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
		Alerting struct {
			Managers []struct {
				Static []struct{ Targets []string } `yaml:"static_configs"`
			} `yaml:"alertmanagers"`
		}
	}
	read(t, "deploy/prometheus.yml", &config)
	if want := []string{"/etc/prometheus/alerts/*.yml"}; !slices.Equal(config.RuleFiles, want) || !mounted(p.Services["prometheus"], "monitoring/alerts", "/etc/prometheus/alerts") {
		t.Errorf("rules are read from %v, which is not where they are mounted", config.RuleFiles)
	}
	listens := map[string]int{"scheduler": 8080, "worker": 9100, "share": 9100} // share: --metrics, its default
	for _, s := range config.Scrape {
		for _, d := range s.DNS {
			for _, name := range d.Names {
				if listens[name] != d.Port {
					t.Errorf("%s is asked at port %d; it serves /metrics at %d", name, d.Port, listens[name])
				}
				delete(listens, name)
			}
		}
	}
	if len(listens) > 0 {
		t.Errorf("nobody asks %v", listens)
	}
	if target := config.Alerting.Managers[0].Static[0].Targets[0]; target != "alertmanager:9093" || p.Services["alertmanager"].Name == "" {
		t.Errorf("alerts go to %s", target)
	}
}

func TestAlertsGoWhereTheSecretSays(t *testing.T) {
	p := load(t, secret...)
	text, err := os.ReadFile(filepath.Join(projectRoot(t), "deploy/alertmanager.yml"))
	if err != nil {
		t.Fatal(err)
	}
	// Debian's Alertmanager, 0.25, does not know url_file yet.
	local := filepath.Join(t.TempDir(), "alertmanager.yml")
	if err := os.WriteFile(local, []byte(strings.ReplaceAll(string(text), "url_file: /", "url: http://hooks.example/")), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, "amtool", "check-config", local)
	var config struct {
		Receivers []struct {
			Webhooks []struct {
				File string `yaml:"url_file"`
			} `yaml:"webhook_configs"`
		}
	}
	read(t, "deploy/alertmanager.yml", &config)
	name := strings.TrimPrefix(config.Receivers[0].Webhooks[0].File, "/run/secrets/")
	if !slices.ContainsFunc(p.Services["alertmanager"].Secrets, func(s types.ServiceSecretConfig) bool { return s.Source == name }) || p.Secrets[name].Environment != "ALERTS_WEBHOOK" {
		t.Errorf("the receiver reads the secret %q, which alertmanager does not have", name)
	}
}

func TestGrafanaHasTheDataSourceAndTheDashboards(t *testing.T) {
	p := load(t, secret...)
	grafana := p.Services["grafana"]
	var sources struct {
		Datasources []struct {
			Type, URL string
			Default   bool `yaml:"isDefault"`
		}
	}
	read(t, "deploy/grafana/provisioning/datasources/prometheus.yml", &sources)
	if s := sources.Datasources[0]; s.Type != "prometheus" || s.URL != "http://prometheus:9090" || !s.Default {
		t.Errorf("the data source is %+v", s)
	}
	var dashboards struct {
		Providers []struct {
			Type    string
			Options struct{ Path string }
		}
	}
	read(t, "deploy/grafana/provisioning/dashboards/waybill.yml", &dashboards)
	if d := dashboards.Providers[0]; d.Type != "file" || !mounted(grafana, "monitoring/dashboards", d.Options.Path) {
		t.Errorf("dashboards are read from %+v, where none are mounted", d)
	}
	if !mounted(grafana, "deploy/grafana/provisioning", "/etc/grafana/provisioning") {
		t.Error("Grafana does not see what it is to be provisioned with")
	}
}

func mounted(s types.ServiceConfig, from, to string) bool {
	return slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return strings.HasSuffix(v.Source, "/"+from) && v.Target == to })
}

// The workers of the fleet serve every queue that the program serves by default.
func TestTheWorkersServeEveryQueue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(projectRoot(t), "cmd/waybill/serve.go"))
	if err != nil {
		t.Fatal(err)
	}
	queues := regexp.MustCompile(`"queues", "([^"]+)"`).FindSubmatch(text)
	if queues == nil {
		t.Fatal("the worker has no default of --queues")
	}
	if command := load(t, secret...).Services["worker"].Command; !slices.Contains(command, string(queues[1])) {
		t.Errorf("the workers run %q; by default they serve %s", command, queues[1])
	}
}
