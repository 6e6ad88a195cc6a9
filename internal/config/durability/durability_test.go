package durability_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/config/durability"
	"github.com/waybillhq/waybill/internal/testservers"
)

func askOne(t *testing.T, client redis.UniversalClient) durability.Server {
	t.Helper()
	servers, err := durability.Ask(t.Context(), client, true)
	if err != nil || len(servers) != 1 {
		t.Fatalf("%+v, %v", servers, err)
	}
	return servers[0]
}

// bad are the findings of a level, as level and check.
func at(level durability.Level, findings []durability.Finding) (checks []string) {
	for _, f := range findings {
		if f.Level == level {
			checks = append(checks, strings.TrimPrefix(f.Check, "redis "))
		}
	}
	return checks
}

// Each unsafe setting is refused, with the setting and the mend, unless it is
// allowed by its name.
func TestUnsafeSettingsAreRefusedUnlessTheyAreAllowed(t *testing.T) {
	safe := []string{"--appendonly", "yes", "--appendfsync", "always"}
	for name, c := range map[string]struct {
		args   []string
		allow  string // what makes it start
		says   string
		warned []string
	}{
		"as it should be":    {args: safe, warned: []string{"replicas"}},
		"everysec":           {args: []string{"--appendonly", "yes", "--appendfsync", "everysec"}, warned: []string{"appendfsync", "replicas"}},
		"never synced":       {args: []string{"--appendonly", "yes", "--appendfsync", "no"}, allow: config.UnsafeNoFsync, says: "set appendfsync always", warned: []string{"appendfsync", "replicas"}},
		"no log":             {args: nil, allow: config.UnsafeNoAOF, says: "set appendonly yes", warned: []string{"append-only file", "replicas"}},
		"evicts":             {args: append(safe, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"), allow: config.UnsafeEviction, says: "set maxmemory-policy noeviction", warned: []string{"eviction", "replicas"}},
		"evicts what ends":   {args: append(safe, "--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"), allow: config.UnsafeEviction, says: "set maxmemory-policy noeviction", warned: []string{"eviction", "replicas"}},
		"nothing to evict":   {args: append(safe, "--maxmemory-policy", "allkeys-lru"), warned: []string{"replicas"}},
		"a limit, no victim": {args: append(safe, "--maxmemory", "100mb", "--maxmemory-policy", "noeviction"), warned: []string{"replicas"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := askOne(t, testservers.Redis(t, c.args...).Client(t))
			err := durability.Require(s.Findings(0, nil))
			if c.allow == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if c.allow != "" && (err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "add "+c.allow+" to redis.allowUnsafe")) {
				t.Errorf("error is %v, want %q and how to allow %s", err, c.says, c.allow)
			}
			allowed := s.Findings(0, []string{c.allow})
			if err := durability.Require(allowed); err != nil {
				t.Errorf("allowed, and refused all the same: %v", err)
			}
			if got := at(durability.Warn, allowed); !slices.Equal(got, c.warned) {
				t.Errorf("warns of %q, want %q", got, c.warned)
			}
			if got := at(durability.Bad, allowed); got != nil {
				t.Errorf("still bad: %q", got)
			}
		})
	}
}

// Managed services hide CONFIG, by an ACL or by another name; INFO still tells
// what matters.
func TestWhereConfigIsRefusedInfoTells(t *testing.T) {
	for name, args := range map[string][]string{
		"renamed":  {"--rename-command", "CONFIG", ""},
		"by rules": {"--user", "default", "on", "nopass", "~*", "&*", "+@all", "-config"},
	} {
		t.Run(name, func(t *testing.T) {
			server := testservers.Redis(t, append(args, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--appendonly", "yes")...)
			findings := askOne(t, server.Client(t)).Findings(0, nil)
			if got := at(durability.Bad, findings); !slices.Equal(got, []string{"eviction"}) {
				t.Errorf("bad are %q", got)
			}
			if got := at(durability.Warn, findings); !slices.Equal(got, []string{"appendfsync", "replicas"}) {
				t.Errorf("warned of %q", got)
			}
		})
	}
}

// What cannot be known is not taken to be well.
func TestARedisThatTellsNothingIsRefusedUnlessItIsAllowed(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer client.Close()
	s := askOne(t, client)
	if err := durability.Require(s.Findings(0, nil)); err == nil || !strings.Contains(err.Error(), "does not tell its maxmemory-policy") {
		t.Errorf("error is %v", err)
	}
	if err := durability.Require(s.Findings(0, []string{config.UnsafeEviction, config.UnsafeNoAOF})); err != nil {
		t.Errorf("allowed, and refused: %v", err)
	}
}

func TestReplicasAreHeldAgainstWhatMustConfirm(t *testing.T) {
	master := testservers.Redis(t, "--appendonly", "yes", "--min-replicas-to-write", "1")
	if got := at(durability.Bad, askOne(t, master.Client(t)).Findings(1, nil)); !slices.Equal(got, []string{"replicas"}) {
		t.Errorf("without the replica that must confirm, bad are %q", got)
	}
	testservers.RedisReplica(t, master)
	s := askOne(t, master.Client(t))
	if got := at(durability.OK, s.Findings(1, nil)); !slices.Contains(got, "replicas") || !slices.Contains(got, "min-replicas-to-write") {
		t.Errorf("with it, fine are %q", got)
	}
	if got := at(durability.Warn, s.Findings(-1, nil)); !slices.Contains(got, "replicas") {
		t.Errorf("with it and nobody waiting for it, warned of %q", got)
	}
}

func TestEveryMasterOfAClusterIsAsked(t *testing.T) {
	cluster := testservers.Cluster(t, false)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addrs()})
	defer client.Close()
	if err := cluster.Masters[1].Client(t).ConfigSet(t.Context(), "maxmemory", "100mb").Err(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Masters[1].Client(t).ConfigSet(t.Context(), "maxmemory-policy", "allkeys-random").Err(); err != nil {
		t.Fatal(err)
	}
	servers, err := durability.Ask(t.Context(), client, true)
	if err != nil || len(servers) != 3 {
		t.Fatalf("%+v, %v", servers, err)
	}
	var unsafe []string
	for _, s := range servers {
		unsafe = append(unsafe, at(durability.Bad, s.Findings(-1, []string{config.UnsafeNoAOF}))...)
	}
	if want := []string{"eviction " + cluster.Masters[1].Addr}; !slices.Equal(unsafe, want) {
		t.Errorf("bad are %q, want %q", unsafe, want)
	}
}

func TestClocksThatDiffer(t *testing.T) {
	for ahead, want := range map[time.Duration]durability.Level{
		0: durability.OK, 900 * time.Millisecond: durability.OK, time.Second: durability.Bad, -70 * time.Second: durability.Bad,
	} {
		findings := durability.Server{Version: "7.0.15", AOF: "1", Fsync: "always", Ahead: ahead}.Findings(0, nil)
		if clock := findings[len(findings)-1]; clock.Level != want || want == durability.Bad && !strings.Contains(clock.Text, fmt.Sprint(ahead)) {
			t.Errorf("%s apart: %+v", ahead, clock)
		}
	}
	if s := askOne(t, testservers.Redis(t).Client(t)); s.Ahead.Abs() > durability.MaxSkew {
		t.Errorf("a server on this machine is %s ahead", s.Ahead)
	}
}

func TestOldVersionsAreBad(t *testing.T) {
	for version, want := range map[string]durability.Level{
		"6.0.16": durability.Bad, "5.0.14": durability.Bad, "6.2.14": durability.OK, "7.0.15": durability.OK, "8.2.1": durability.OK, "10.0.0": durability.OK, "": durability.Warn,
	} {
		if f := (durability.Server{Version: version}).Findings(0, nil)[0]; f.Level != want {
			t.Errorf("version %q is %s: %s", version, f.Level, f.Text)
		}
	}
}
