package testservers

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
)

const prometheusMend = "apt-get install prometheus prometheus-alertmanager (or: make prometheus)"

// Prometheus starts a Prometheus with a configuration and returns its URL.
func Prometheus(t testing.TB, config string) string {
	t.Helper()
	return prometheusLike(t, "prometheus", config, func(addr, file, dir string) []string {
		return []string{"--config.file=" + file, "--storage.tsdb.path=" + dir, "--web.listen-address=" + addr}
	})
}

// Alertmanager starts an Alertmanager with a configuration and returns its URL.
func Alertmanager(t testing.TB, config string) string {
	t.Helper()
	return prometheusLike(t, "prometheus-alertmanager", config, func(addr, file, dir string) []string {
		return []string{"--config.file=" + file, "--storage.path=" + dir, "--web.listen-address=" + addr, "--cluster.listen-address="}
	})
}

func prometheusLike(t testing.TB, program, config string, args func(addr, file, dir string) []string) string {
	t.Helper()
	path, err := systemProgram(program, prometheusMend)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, err := onFreePort(func(port string) (*process, error) {
		addr := net.JoinHostPort("127.0.0.1", port)
		return start(t, command{path: path, dir: dir, args: args(addr, file, filepath.Join(dir, "data")), ready: func(ctx context.Context, _ int) error {
			return httpAnswers(ctx, "http://"+addr+"/-/ready")
		}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + net.JoinHostPort("127.0.0.1", port)
}
