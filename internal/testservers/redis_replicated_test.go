package testservers_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill/internal/testservers"
)

func TestAReplicaHasWhatItsMasterWrote(t *testing.T) {
	master := testservers.Redis(t)
	replica := testservers.RedisReplica(t, master)
	c := master.Client(t)
	conn := c.Conn() // WAIT speaks of its own connection
	defer conn.Close()
	if err := conn.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Wait(t.Context(), 1, 10*time.Second).Result(); n != 1 {
		t.Fatalf("%d replicas confirmed, %v", n, err)
	}
	if got := replica.Client(t).Get(t.Context(), "k").Val(); got != "v" {
		t.Fatalf("the replica has %q", got)
	}
	replica.Stop(t)
	conn.Set(t.Context(), "k", "w", 0)
	if n, err := conn.Wait(t.Context(), 1, 100*time.Millisecond).Result(); n != 0 || err != nil {
		t.Fatalf("%d replicas confirmed although the only one is halted, %v", n, err)
	}
	replica.Continue(t)
	if n, err := conn.Wait(t.Context(), 1, 10*time.Second).Result(); n != 1 {
		t.Fatalf("%d replicas confirmed after it went on, %v", n, err)
	}
}

func TestSentinelsLeadToTheMaster(t *testing.T) {
	s := testservers.Sentinel(t, 2)
	c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: testservers.SentinelMaster, SentinelAddrs: s.Addrs()})
	defer c.Close()
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got := s.Master.Client(t).Get(t.Context(), "k").Val(); got != "v" {
		t.Fatalf("the master has %q", got)
	}
}

func TestAClusterServesEverySlot(t *testing.T) {
	s := testservers.Cluster(t, true)
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: s.Addrs()})
	defer c.Close()
	for _, key := range []string{"{s00}", "{s01}", "{s02}", "{s03}", "{s04}", "{s05}"} {
		if err := c.Set(t.Context(), key, "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i, master := range s.Masters {
		if n := master.Client(t).DBSize(t.Context()).Val(); n == 0 {
			t.Errorf("master %d has no key", i)
		}
		if s.Replicas[i].Client(t).Info(t.Context(), "replication").Err() != nil {
			t.Errorf("replica %d does not answer", i)
		}
	}
}

func TestRedisOverTLSAsksForItsNameAndAuthority(t *testing.T) {
	s := testservers.RedisTLS(t, "redis.test")
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for name, c := range map[string]struct {
		tls  *tls.Config
		good bool
	}{
		"both":         {&tls.Config{RootCAs: roots, ServerName: "redis.test"}, true},
		"no authority": {&tls.Config{ServerName: "redis.test"}, false},
		"no name":      {&tls.Config{RootCAs: roots}, false},
	} {
		client := redis.NewClient(&redis.Options{Addr: s.TLSAddr, TLSConfig: c.tls, MaxRetries: -1, DialerRetries: 1})
		if err := client.Ping(t.Context()).Err(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		client.Close()
	}
}
