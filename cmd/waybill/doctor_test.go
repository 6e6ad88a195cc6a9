package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config/durability"
)

func (f *fleet) doctor(t *testing.T) (levels map[string]durability.Level, text string, err error) {
	t.Helper()
	stdout, stderr, err := f.cli(t, "doctor", "--json")
	var findings []durability.Finding
	if jsonErr := json.Unmarshal([]byte(stdout), &findings); jsonErr != nil {
		t.Fatalf("%v: %s%s", jsonErr, stdout, stderr)
	}
	levels = map[string]durability.Level{}
	for _, finding := range findings {
		levels[finding.Check] = finding.Level
	}
	return levels, stdout + stderr, err
}

func wantLevels(t *testing.T, got, want map[string]durability.Level, text string) {
	t.Helper()
	for check, level := range want {
		if got[check] != level {
			t.Errorf("%s is %q, want %s", check, got[check], level)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestTheDoctorFindsAWorkingFleetWell(t *testing.T) {
	f := newFleet(t)
	f.ok(t, "connector", "apply", "-f", f.write(t, "lake.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")))
	f.start(t, "scheduler")
	f.start(t, "worker")
	got, text, err := f.doctor(t)
	if err != nil {
		t.Error(err)
	}
	const ok = durability.OK
	wantLevels(t, got, map[string]durability.Level{
		"configuration": ok, "our bucket": ok, "redis version": ok, "redis eviction": ok, "redis append-only file": ok, "redis appendfsync": ok,
		"redis replicas": durability.Warn, "redis clock": ok, "connector acme-lake": ok, "schedulers": ok, "queue export": ok,
	}, text)
	lines := f.ok(t, "doctor")
	for _, want := range []string{"OK configuration: is valid\n", "OK queue export: 8 handlers in 1 pools; 0 tasks wait\n", "WARN redis replicas: none"} {
		if !strings.Contains(lines, want) {
			t.Errorf("%q is not in\n%s", want, lines)
		}
	}
	if keys := f.keys(t); len(keys) != 0 {
		t.Errorf("it left %v in the customer's bucket", keys)
	}
	if left, err := filepath.Glob(filepath.Join(f.dir, "own", "doctor", "*")); err != nil || len(left) != 0 {
		t.Errorf("it left %v in our bucket, %v", left, err)
	}
}

func TestTheDoctorTellsOfSchedulersThatDiffer(t *testing.T) {
	f := newFleet(t)
	f.ok(t, "connector", "apply", "-f", f.write(t, "lake.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")))
	f.start(t, "scheduler")
	f.env = append(f.env, "WAYBILL_LIMITS_MAX_IN_FLIGHT=9")
	f.start(t, "scheduler")
	for f.redis.Client(t).HLen(t.Context(), "wb:{schedulers}:alive").Val() < 2 {
		select {
		case <-t.Context().Done():
			t.Fatal("the schedulers did not tell of themselves")
		case <-time.After(50 * time.Millisecond):
		}
	}
	got, text, err := f.doctor(t)
	if err == nil || got["schedulers"] != durability.Bad || !strings.Contains(text, "differ in limits.maxInFlight, connector acme-lake. Give all schedulers the same waybill.yaml") {
		t.Errorf("%v: %s", err, text)
	}
}

func TestTheDoctorTellsAllProblemsAtOnce(t *testing.T) {
	f := newFleet(t)
	f.ok(t, "connector", "apply", "-f", f.write(t, "a.yaml", f.connector("acme-lake", bucketName, "env:WRONG_SECRET")))
	f.ok(t, "connector", "apply", "-f", f.write(t, "b.yaml", f.connector("acme-two", "no-such-bucket", "env:CUSTOMER_SECRET")))
	scheduler := f.start(t, "scheduler")
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, 1)...)...)
	f.await(t, waybill.StateQueued, 2, 30*time.Second)
	stop(t, scheduler)
	for name, value := range map[string]string{"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru", "appendonly": "no"} {
		if err := f.redis.Client(t).ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	queue := asynq.NewClientFromRedisClient(f.redis.Client(t))
	if _, err := queue.EnqueueContext(t.Context(), asynq.NewTask("future.task", nil), asynq.Queue("future")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(f.dir, "own")); err != nil {
		t.Fatal(err)
	}
	f.env = append(f.env, "WAYBILL_PLATFORM_URL=https://platform.example", "WAYBILL_PLATFORM_API_KEY=env:NOWHERE", "WAYBILL_LOG_LEVEL=loud")

	const bad = durability.Bad
	got, text, err := f.doctor(t)
	if err == nil || !strings.Contains(text, "checks are bad") {
		t.Errorf("it ends with %v", err)
	}
	wantLevels(t, got, map[string]durability.Level{
		"configuration": bad, "secret platform.apiKey": bad, "our bucket": bad, "redis eviction": bad, "redis append-only file": bad,
		"connector acme-lake": bad, "connector acme-two": bad, "queue export": bad,
		"queue future": durability.Warn, "redis clock": durability.OK,
	}, text)
	for _, want := range []string{"WAYBILL_LOG_LEVEL: log.level", "set maxmemory-policy noeviction", "set appendonly yes", "no-such-bucket", "waybill worker --queues export=8", "2 tasks wait"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for _, secret := range []string{"not-the-secret-key", f.s3.SecretKey} {
		if strings.Contains(text, secret) {
			t.Errorf("a secret is shown in\n%s", text)
		}
	}

	f.redis.Kill()
	got, text, err = f.doctor(t)
	if err == nil {
		t.Error("without Redis it is content")
	}
	wantLevels(t, got, map[string]durability.Level{"redis": bad, "our bucket": bad, "secret platform.apiKey": bad}, text)
}

func TestAFleetStartsOnAnUnsafeRedisOnlyWhenToldTo(t *testing.T) {
	f := newFleet(t)
	if err := f.redis.Client(t).ConfigSet(t.Context(), "appendonly", "no").Err(); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"worker", "scheduler"} {
		_, stderr, err := f.cli(t, command, "--listen", "127.0.0.1:0")
		if err == nil || !strings.Contains(stderr, "set appendonly yes; to start all the same, add no-aof to redis.allowUnsafe") || strings.Contains(stderr, "started") {
			t.Errorf("%s: %v\n%s", command, err, stderr)
		}
	}
	f.ok(t, "delivery", "list") // what only reads is let
	f.env = append(f.env, "WAYBILL_REDIS_ALLOW_UNSAFE=no-aof")
	worker := f.start(t, "worker")
	stop(t, worker)
	if log := worker.log.String(); !strings.Contains(log, "redis.allowUnsafe allows it") {
		t.Errorf("the override is not in the log:\n%s", log)
	}
}
