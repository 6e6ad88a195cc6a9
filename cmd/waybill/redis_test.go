package main_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
)

const redisPassword = "not-shown-anywhere"

// acl is a file of deploy/ with a password in it, and the rules of its one user.
func acl(t *testing.T, name string) (text, user string, rules []string) {
	t.Helper()
	content, err := os.ReadFile("../../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	text = strings.ReplaceAll(string(content), "CHANGE-ME", redisPassword)
	words := strings.Fields(text)
	return text, words[1], words[2:]
}

// grant makes the user of an ACL file on servers.
func grant(t *testing.T, name string, servers ...*testservers.RedisServer) {
	t.Helper()
	_, user, rules := acl(t, name)
	for _, server := range servers {
		if err := server.Client(t).ACLSetUser(t.Context(), user, rules...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// wantNoDenial holds that nothing was refused to the users.
func wantNoDenial(t *testing.T, servers ...*testservers.RedisServer) {
	t.Helper()
	for _, server := range servers {
		log, err := server.Client(t).ACLLog(t.Context(), 100).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range log {
			t.Errorf("%s was denied %s %s (%s)", e.Username, e.Reason, e.Object, e.Context)
		}
	}
}

// used are the commands that servers ran.
func used(t *testing.T, servers ...*testservers.RedisServer) map[string]bool {
	t.Helper()
	commands := map[string]bool{}
	for _, server := range servers {
		for line := range strings.Lines(server.Client(t).Info(t.Context(), "commandstats").Val()) {
			if name, _, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":"); ok {
				commands[name] = true
			}
		}
	}
	return commands
}

// inScripts are the commands of the ledger's scripts: some run only when
// something goes wrong, and must be allowed then.
func inScripts(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../../internal/ledger/lua/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	commands := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range regexp.MustCompile(`redis\.call\('([A-Z]+)'`).FindAllStringSubmatch(string(text), -1) {
			commands[strings.ToLower(call[1])] = true
		}
	}
	return commands
}

// asUser gives the fleet its user's password, and lets it sweep often.
func (f *fleet) asUser() *fleet {
	f.env = append(f.env, "REDIS_PASSWORD="+redisPassword, "WAYBILL_TIMES_SWEEP=100ms")
	return f
}

// exercise has a fleet do its work: connectors come and go, deliveries arrive,
// some are blocked and go on when their cause is mended, sweeps and pages look
// at all of it.
func (f *fleet) exercise(t *testing.T) {
	t.Helper()
	f.ok(t, "connector", "apply", "-f", f.write(t, "lake.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")))
	f.ok(t, "connector", "apply", "-f", f.write(t, "other.yaml", f.connector("acme-other", "no-such-bucket", "env:CUSTOMER_SECRET")))
	scheduler := f.start(t, "scheduler")
	f.start(t, "worker", "--queues", "export=2")
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, 2)...)...)
	f.await(t, waybill.StateComplete, 2, time.Minute)
	f.await(t, waybill.StateBlocked, 2, time.Minute)
	out := f.ok(t, "connector", "apply", "-f", f.write(t, "other.yaml", f.connector("acme-other", bucketName, "env:CUSTOMER_SECRET")))
	if !strings.Contains(out, "2 blocked deliveries are on their way again") {
		t.Errorf("applied: %s", out)
	}
	done := f.await(t, waybill.StateComplete, 4, time.Minute)
	f.ok(t, "delivery", "show", done[0].ID)
	f.ok(t, "connector", "delete", "acme-other")
	visitor := f.visitor(t, scheduler.addr)
	for _, page := range []string{"/", "/connectors", "/deliveries/" + done[0].ID, "/queues/", "/queues/api/queues", "/queues/api/servers", "/queues/api/redis_info", "/queues/api/queues/export/completed_tasks", "/metrics"} {
		resp, err := visitor.Get("http://" + scheduler.addr + page)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.Body.Close(); resp.StatusCode != http.StatusOK || resp.Request.URL.Path != page {
			t.Errorf("%s answers %d at %s: %s", page, resp.StatusCode, resp.Request.URL, tail(string(body), 500))
		}
	}
	if objects := len(f.keys(t)); objects != 2*4 {
		t.Errorf("%d objects, want 8: three files and a manifest for each run", objects)
	}
}

// What a fleet on one server does not use of its user's commands.
var (
	onlyInACluster = []string{"asking", "cluster|info", "cluster|keyslot", "cluster|nodes", "cluster|slots", "command", "unwatch", "watch"}
	onlyElsewhere  = []string{"select"} // a database other than 0
)

func TestTheRedisUserMayDoWhatAFleetNeedsAndNoMore(t *testing.T) {
	text, _, rules := acl(t, "redis.acl")
	file := filepath.Join(t.TempDir(), "redis.acl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := testservers.Redis(t, append([]string{"--aclfile", file}, safe...)...)
	testservers.RedisReplica(t, server) // so that WAIT is of use
	f := newFleetOn(t, fmt.Sprintf("{url: \"redis://waybill@%s/0\", password: env:REDIS_PASSWORD}", server.Addr)).asUser()
	f.exercise(t)
	wantNoDenial(t, server)

	scripts, needed := inScripts(t), used(t, server)
	maps.Copy(needed, scripts)
	for name := range scripts {
		if !slices.Contains(rules, "+"+name) {
			t.Errorf("a script of the ledger uses %s, which the user may not", name)
		}
	}
	for _, rule := range rules {
		name, ok := strings.CutPrefix(rule, "+")
		if ok && !needed[name] && !slices.Contains(slices.Concat(onlyInACluster, onlyElsewhere), name) {
			t.Errorf("the user may do %s, and nothing needs it", name)
		}
	}
	_, out, err := f.doctor(t)
	if err != nil || !strings.Contains(out, "Redis does not tell it") {
		t.Errorf("the doctor, who may not ask for the configuration: %v\n%s", err, out)
	}
}

func TestADeliveryThroughACluster(t *testing.T) {
	cluster := testservers.Cluster(t, true, safe...)
	servers := slices.Concat(cluster.Masters, cluster.Replicas)
	grant(t, "redis.acl", servers...)
	f := newFleetOn(t, fmt.Sprintf("{username: waybill, password: env:REDIS_PASSWORD, cluster: {addrs: [%s]}}", quoted(cluster.Addrs()))).asUser()
	f.exercise(t)
	wantNoDenial(t, servers...)
	needed := used(t, servers...)
	for _, name := range onlyInACluster {
		if !needed[name] && name != "asking" { // only while a slot is moved
			t.Errorf("nothing needs %s", name)
		}
	}
	f.ok(t, "doctor")
	for _, master := range cluster.Masters {
		if n := master.Client(t).DBSize(t.Context()).Val(); n == 0 {
			t.Errorf("%s has no key", master.Addr)
		}
	}
}

func TestADeliveryThroughSentinels(t *testing.T) {
	s := testservers.Sentinel(t, 1, safe...)
	grant(t, "redis.acl", append(s.Replicas, s.Master)...)
	grant(t, "redis-sentinel.acl", s.Sentinels...)
	f := newFleetOn(t, fmt.Sprintf("{username: waybill, password: env:REDIS_PASSWORD, sentinel: {master: %s, db: 3, username: waybill-sentinel, password: env:REDIS_PASSWORD, addrs: [%s]}}",
		testservers.SentinelMaster, quoted(s.Addrs()))).asUser()
	f.exercise(t)
	wantNoDenial(t, append(s.Sentinels, s.Master)...)

	// Each command of the user at the Sentinels is needed: without it there is
	// a denial, of a command that comes or of the fleet, which pings a quiet
	// subscription every few seconds.
	_, user, rules := acl(t, "redis-sentinel.acl")
	for _, rule := range rules {
		command, ok := strings.CutPrefix(rule, "+")
		if !ok {
			continue
		}
		for _, sentinel := range s.Sentinels {
			sentinel.Client(t).ACLSetUser(t.Context(), user, "-"+command)
		}
		denied := false
		for deadline := time.Now().Add(30 * time.Second); !denied && time.Now().Before(deadline); {
			_, _, _ = f.cli(t, "delivery", "list") // which needs not fail: one Sentinel is enough
			denied = slices.ContainsFunc(s.Sentinels, func(sentinel *testservers.RedisServer) bool {
				return len(sentinel.Client(t).ACLLog(t.Context(), 1).Val()) > 0
			})
		}
		if !denied {
			t.Errorf("the user at the Sentinels may %s, and nothing needs it", command)
		}
		for _, sentinel := range s.Sentinels {
			sentinel.Client(t).ACLSetUser(t.Context(), user, "+"+command)
			sentinel.Client(t).ACLLogReset(t.Context())
		}
	}
}

func TestADeliveryOverTLS(t *testing.T) {
	server := testservers.RedisTLS(t, "redis.test", safe...)
	_, port, err := net.SplitHostPort(server.TLSAddr)
	if err != nil {
		t.Fatal(err)
	}
	grant(t, "redis.acl", server.RedisServer)
	config := "{url: \"rediss://waybill@127.0.0.1:%s/0\", password: env:REDIS_PASSWORD, tls: {ca: %q%s}}"
	f := newFleetOn(t, fmt.Sprintf(config, port, server.CAFile, ", serverName: redis.test")).asUser()
	f.exercise(t)
	wantNoDenial(t, server.RedisServer)

	stranger := newFleetOn(t, fmt.Sprintf(config, port, server.CAFile, "")).asUser()
	if _, stderr, err := stranger.cli(t, "delivery", "list"); err == nil || !strings.Contains(stderr, "certificate") {
		t.Errorf("a server with another name was believed: %v %s", err, stderr)
	}
}

func TestAFleetGoesOnWhenRedisHasMemoryAgain(t *testing.T) {
	f := newFleet(t)
	f.ok(t, "connector", "apply", "-f", f.write(t, "lake.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")))
	f.start(t, "scheduler")
	args := f.contributions(t, 3)
	f.ok(t, append([]string{"run", "submit"}, args[:2]...)...)
	f.await(t, waybill.StateQueued, 1, time.Minute)

	admin := f.redis.Client(t)
	limit := func(bytes string) {
		if err := admin.ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	_, stderr, err := f.cli(t, append([]string{"run", "submit"}, args[2:4]...)...)
	if err == nil || !strings.Contains(stderr, "raise maxmemory") {
		t.Errorf("without memory a run is taken: %v %s", err, stderr)
	}
	f.start(t, "worker")
	if list := f.deliveries(t); len(list) != 1 || list[0].State == waybill.StateComplete {
		t.Errorf("without memory: %+v", list)
	}
	limit("0")
	f.ok(t, append([]string{"run", "submit"}, args[2:]...)...)
	f.await(t, waybill.StateComplete, 3, time.Minute)
}
