package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
)

// program is the built waybill.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "waybill-test-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "waybill")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build waybill: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// fleet is a Redis, an S3 store and a configuration for processes of waybill.
type fleet struct {
	dir   string
	redis *testservers.RedisServer
	s3    *testservers.S3Server
	env   []string
}

const (
	team       = "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d"
	bucketName = "customer"
)

// newFleet starts the servers. What may be reached besides S3 is given as http://host:port.
func newFleet(t *testing.T, reachable ...string) *fleet {
	t.Helper()
	redis := testservers.Redis(t, safe...)
	f := newFleetOn(t, fmt.Sprintf("{url: \"redis://%s/0\"}", redis.Addr), reachable...)
	f.redis = redis
	return f
}

// safe makes a Redis that a fleet starts on.
var safe = []string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"}

// newFleetOn starts the servers but for Redis, which the configuration's
// section redis names.
func newFleetOn(t *testing.T, redis string, reachable ...string) *fleet {
	t.Helper()
	f := &fleet{dir: t.TempDir(), s3: testservers.S3(t)}
	f.s3.Bucket(t, bucketName)
	runs, err := filepath.Abs("../sandbox/testdata/runs")
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, "waybill.yaml", fmt.Sprintf("redis: %s\nbucket: {url: \"file://%s/own\"}\nsources: {fileRoot: %q}\nnetwork: {allow: [%s]}\nlog: {format: text}\n", redis, f.dir, runs, quoted(append(reachable, f.s3.Endpoint))))
	if err := os.Mkdir(filepath.Join(f.dir, "own"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.env = append(os.Environ(), "WAYBILL_CONFIG="+filepath.Join(f.dir, "waybill.yaml"),
		"CUSTOMER_ID="+f.s3.AccessKey, "CUSTOMER_SECRET="+f.s3.SecretKey, "WRONG_SECRET=not-the-secret-key")
	return f
}

func (f *fleet) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// connector is a connector to a bucket of the S3 store, as a person writes it.
func (f *fleet) connector(id, bucket, secret string) string {
	return fmt.Sprintf(`id: %s
team: %s
kind: storage
storage:
  url: s3://%s/exports
  region: %s
  endpoint: %s
  pathStyle: true
  formats: [parquet, jsonl, csv]
  access: {accessKeyId: env:CUSTOMER_ID, secretAccessKey: %s}
`, id, team, bucket, f.s3.Region, f.s3.Endpoint, secret)
}

// cli runs a command to its end.
func (f *fleet) cli(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = f.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func (f *fleet) ok(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := f.cli(t, args...)
	if err != nil {
		t.Fatalf("waybill %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return stdout
}

// process is a waybill that runs until it is told to stop.
type process struct {
	*exec.Cmd
	log  *processLog
	addr string
}

// processLog is what a process wrote so far; it may be read while it runs.
type processLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *processLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *processLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (f *fleet) start(t *testing.T, args ...string) *process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	p := &process{Cmd: exec.Command(program, append(args, "--listen", addr)...), log: &processLog{}, addr: addr}
	p.Env, p.Stdout, p.Stderr = f.env, p.log, p.log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
		if t.Failed() {
			t.Logf("log of waybill %s:\n%s", strings.Join(args, " "), tail(p.log.String(), 4000))
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, _, err := f.cli(t, "health", "--url", "http://"+addr+"/healthz"); err == nil {
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("waybill %s does not answer", strings.Join(args, " "))
		}
	}
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

func (f *fleet) deliveries(t *testing.T, args ...string) []waybill.Delivery {
	t.Helper()
	var list []waybill.Delivery
	if err := json.Unmarshal([]byte(f.ok(t, append([]string{"delivery", "list", "--json"}, args...)...)), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// await polls the history until n deliveries are in the state.
func (f *fleet) await(t *testing.T, state waybill.State, n int, within time.Duration) []waybill.Delivery {
	t.Helper()
	var list []waybill.Delivery
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if list = f.deliveries(t, "--state", string(state)); len(list) >= n {
			return list
		}
	}
	t.Fatalf("%d deliveries are %s after %s, want %d; all: %+v", len(list), state, within, n, f.deliveries(t))
	return nil
}

func (f *fleet) bucket(t *testing.T) storage.Store {
	t.Helper()
	s, err := storage.NewS3(t.Context(), storage.S3Options{Bucket: bucketName, Prefix: "exports", Region: f.s3.Region, Endpoint: f.s3.Endpoint, PathStyle: true,
		Keys: func(context.Context) (storage.Keys, error) {
			return storage.Keys{AccessKeyID: f.s3.AccessKey, SecretAccessKey: f.s3.SecretKey}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

func quoted(list []string) string {
	var b strings.Builder
	for i, text := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", text)
	}
	return b.String()
}
