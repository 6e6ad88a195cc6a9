package testservers

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisServer is a redis-server process.
type RedisServer struct {
	Addr string // host:port

	path, dir string
	env       []string                   // beside the test's own
	synced    string                     // file that says how much is on the disk, see RedisOnPower
	busPort   string                     // of a Cluster's node
	command   func(port string) []string // its arguments
	process   *process
}

// Redis starts a Redis server without persistence. Arguments are added to its
// command line, where a later one wins over an earlier: "--appendonly", "yes".
func Redis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	s := &RedisServer{dir: t.TempDir()}
	s.command = func(port string) []string { return s.standalone(port, args) }
	return startRedis(t, s)
}

func (s *RedisServer) standalone(port string, args []string) []string {
	return append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no",
		"--repl-diskless-sync-delay", "0"}, args...) // a replica need not wait for others
}

func startRedis(t testing.TB, s *RedisServer) *RedisServer {
	t.Helper()
	var err error
	if s.path, err = systemProgram("redis-server", "apt-get install redis-server"); err != nil {
		t.Fatal(err)
	}
	var port string
	s.process, port, err = onFreePort(func(port string) (*process, error) { return s.start(t, port) })
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = net.JoinHostPort("127.0.0.1", port)
	return s
}

// Kill ends the server with SIGKILL, as a crash would, and returns when it is gone.
func (s *RedisServer) Kill() { s.process.kill() }

// Stop halts the server's process (SIGSTOP): its connections stay open and
// nothing answers, until [RedisServer.Continue].
func (s *RedisServer) Stop(t testing.TB) { s.process.signal(t, syscall.SIGSTOP) }

// Continue lets a halted server go on.
func (s *RedisServer) Continue(t testing.TB) { s.process.signal(t, syscall.SIGCONT) }

// Start starts the server again after [RedisServer.Kill], on the same port and
// with what it had written to its folder.
func (s *RedisServer) Start(t testing.TB) {
	t.Helper()
	s.process.kill() // starting twice would leave two servers on one folder
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if s.process, err = s.start(t, port); err != nil {
		t.Fatal(err)
	}
}

// Client returns a client of the server that is closed at the test's end.
func (s *RedisServer) Client(t testing.TB) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr})
	t.Cleanup(func() { _ = c.Close() }) // the test may have closed it
	return c
}

func (s *RedisServer) start(t testing.TB, port string) (*process, error) {
	return start(t, command{path: s.path, args: s.command(port), env: s.env, dir: s.dir, ready: func(ctx context.Context, pid int) error {
		return redisAnswers(ctx, net.JoinHostPort("127.0.0.1", port), pid)
	}})
}

// redisAnswers asks for the server's process id: INFO also answers with an
// error while an append-only file is being loaded.
func redisAnswers(ctx context.Context, addr string, pid int) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err // before the client would log it
	}
	_ = conn.Close()
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = c.Close() }()
	if err := c.Ping(ctx).Err(); err != nil {
		return err
	}
	info, err := c.Info(ctx, "server").Result()
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("process_id:%d\r\n", pid); !strings.Contains(info, want) {
		return errPortTaken
	}
	return nil
}
