package testservers

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// syncs is a library that is loaded before the server's own: it notes how much
// of the append-only file was synced to the disk.
//
//go:embed testdata/syncs.c
var syncs []byte

// RedisOnPower starts a Redis server as [Redis] does, whose power can be cut.
// It needs a C compiler, as the race detector does.
func RedisOnPower(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	cc, err := systemProgram("cc", "apt-get install gcc")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source, library, noted := filepath.Join(dir, "syncs.c"), filepath.Join(dir, "syncs.so"), filepath.Join(dir, "synced")
	if err := os.WriteFile(source, syncs, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", source, err, out)
	}
	s := &RedisServer{dir: dir, synced: noted, env: []string{"LD_PRELOAD=" + library, "SYNCED=" + noted}}
	s.command = func(port string) []string { return s.standalone(port, args) }
	return startRedis(t, s)
}

// CutPower ends the server as a cut of its power would: with SIGKILL, and what
// of its append-only file was not synced is gone.
func (s *RedisServer) CutPower(t testing.TB) {
	t.Helper()
	s.Kill()
	text, err := os.ReadFile(s.synced)
	if err != nil {
		t.Fatalf("nothing was ever synced: %v", err)
	}
	size, path, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, n); err != nil {
		t.Fatal(err)
	}
}
