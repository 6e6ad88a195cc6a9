// Package compose checks docker-compose.yml and the Dockerfile, in a module of
// its own so that the product does not depend on what reads them.
package compose

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const (
	ownImage = "waybill:dev"
	password = "REDIS_PASSWORD"
)

// secret is what a .env has to hold.
var secret = []string{password + "=secret", "GRAFANA_PASSWORD=secret", "ALERTS_WEBHOOK=https://hooks.example/alerts"}

func TestServices(t *testing.T) {
	p := load(t, secret...)
	if got, want := p.ServiceNames(), []string{"alertmanager", "grafana", "prometheus", "redis", "scheduler", "share", "worker"}; !slices.Equal(got, want) {
		t.Fatalf("services are %v, want %v", got, want)
	}
	for _, s := range p.Services {
		t.Run(s.Name, func(t *testing.T) {
			if s.HealthCheck == nil || s.HealthCheck.Disable || len(s.HealthCheck.Test) == 0 {
				t.Error("has no health check")
			}
			if s.Restart != "unless-stopped" {
				t.Errorf("restarts %q, want unless-stopped", s.Restart)
			}
			if s.StopGracePeriod == nil || s.StopGracePeriod.String() != "40s" {
				t.Errorf("is given %v to stop, want 40s", s.StopGracePeriod)
			}
			if s.Privileged || s.NetworkMode == "host" {
				t.Error("runs with the host's rights or network")
			}
			checkImage(t, s)
			checkPorts(t, s)
			checkMounts(t, p, s)
		})
	}
}

func TestFleetServices(t *testing.T) {
	p := load(t, secret...)
	for name, want := range map[string]struct{ command, health string }{
		"scheduler": {"scheduler --listen :8080", "CMD /waybill health --url http://127.0.0.1:8080/healthz"},
		"share":     {"share --listen :8081", "CMD /waybill health --url http://127.0.0.1:8081/healthz"},
		"worker":    {"worker --queues export=8,snowflake=4,delta=4,activity=2,backfill=2 --listen :9100", "CMD /waybill health --url http://127.0.0.1:9100/healthz"},
	} {
		t.Run(name, func(t *testing.T) {
			s := p.Services[name]
			if got := strings.Join(s.Command, " "); got != want.command {
				t.Errorf("command is %q, want %q", got, want.command)
			}
			if got := strings.Join(s.HealthCheck.Test, " "); got != want.health {
				t.Errorf("health check is %q, want %q", got, want.health)
			}
			if got := s.DependsOn["redis"].Condition; got != types.ServiceConditionHealthy {
				t.Errorf("starts when redis is %q, want %q", got, types.ServiceConditionHealthy)
			}
			if got := s.Environment[password]; got == nil || *got != "secret" {
				t.Error("does not get the password of redis")
			}
			if got := s.Environment["WAYBILL_CONFIG"]; got == nil || !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == *got }) {
				t.Error("names no configuration, or one that is not mounted")
			}
			if s.Build == nil || !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
				t.Error("is not built here, or its root file system, capabilities or privileges are not reduced")
			}
		})
	}
}

func TestWorkersCanBeScaled(t *testing.T) {
	worker := load(t, secret...).Services["worker"]
	if worker.ContainerName != "" || len(worker.Ports) != 0 {
		t.Fatalf("the worker has the name %q and the ports %v; only one could run", worker.ContainerName, worker.Ports)
	}
}

func TestRedisLosesNothing(t *testing.T) {
	redis := load(t, secret...).Services["redis"]
	for option, want := range map[string]string{
		"--appendonly": "yes", "--appendfsync": "always", "--maxmemory-policy": "noeviction", "--requirepass": "secret",
	} {
		i := slices.Index(redis.Command, option)
		if i < 0 || i+1 == len(redis.Command) || redis.Command[i+1] != want {
			t.Errorf("redis is not started with %s %s: %q", option, want, redis.Command)
		}
	}
	kept := func(v types.ServiceVolumeConfig) bool { return v.Type == types.VolumeTypeVolume && v.Target == "/data" }
	if !slices.ContainsFunc(redis.Volumes, kept) {
		t.Error("what redis writes is not on a volume")
	}
}

func TestAMissingPasswordIsRefused(t *testing.T) {
	for i, s := range secret[:2] {
		name, _, _ := strings.Cut(s, "=")
		_, err := project(t, slices.Delete(slices.Clone(secret), i, i+1)...)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), ".env") {
			t.Errorf("without %s: %v, want an error that names it and where to write it", name, err)
		}
	}
}

var pinned = regexp.MustCompile(`^[a-z./-]+:v?\d+\.\d+\.\d+(-[a-z0-9.]+)?$`)

func checkImage(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	if s.Image != ownImage && !pinned.MatchString(s.Image) {
		t.Errorf("image %q is not pinned to a version", s.Image)
	}
	if s.Name == "redis" && !strings.HasPrefix(s.Image, "redis:7.") {
		t.Errorf("image is %q, want Redis 7", s.Image)
	}
}

func checkPorts(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	for _, port := range s.Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("port %s is published on %q, want 127.0.0.1 only", port.Published, port.HostIP)
		}
	}
}

func checkMounts(t *testing.T, p *types.Project, s types.ServiceConfig) {
	t.Helper()
	for _, v := range s.Volumes {
		switch v.Type {
		case types.VolumeTypeBind:
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s is mounted from %s, which is not there", v.Target, v.Source)
			}
			if !v.ReadOnly {
				t.Errorf("%s is mounted so that the container can write to the project", v.Target)
			}
		case types.VolumeTypeVolume:
			if _, ok := p.Volumes[v.Source]; !ok {
				t.Errorf("%s is mounted from the volume %q, which is not declared", v.Target, v.Source)
			}
		default:
			t.Errorf("%s is a mount of type %q", v.Target, v.Type)
		}
	}
}

func load(t *testing.T, env ...string) *types.Project {
	t.Helper()
	p, err := project(t, env...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// project loads docker-compose.yml as `docker compose` does, with the given
// environment and no other, so that a developer's own .env makes no difference.
func project(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	root := projectRoot(t)
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")},
		cli.WithWorkingDirectory(root), cli.WithEnv(env), cli.WithResolvedPaths(true), cli.WithDiscardEnvFile)
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func projectRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}
