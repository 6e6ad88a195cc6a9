package testservers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// RedisReplica starts a replica of a Redis server; it has the master's data
// when it is handed to the test.
func RedisReplica(t testing.TB, master *RedisServer, args ...string) *RedisServer {
	t.Helper()
	host, port := splitAddr(t, master.Addr)
	replica := Redis(t, append([]string{"--replicaof", host, port}, args...)...)
	c := replica.Client(t)
	eventually(t, "the replica to follow its master", func(ctx context.Context) error {
		return infoSays(ctx, c, "replication", "master_link_status:up\r\n")
	})
	return replica
}

// SentinelServers are a master, its replicas, and three Sentinels that watch it.
type SentinelServers struct {
	Master    *RedisServer
	Replicas  []*RedisServer
	Sentinels []*RedisServer
}

// SentinelMaster is the name by which the Sentinels know the master.
const SentinelMaster = "waybill"

// Sentinel starts a master with some replicas, and three Sentinels that take it
// for dead after a second. Arguments are those of the master and its replicas.
func Sentinel(t testing.TB, replicas int, args ...string) *SentinelServers {
	t.Helper()
	s := &SentinelServers{Master: Redis(t, args...)}
	for range replicas {
		s.Replicas = append(s.Replicas, RedisReplica(t, s.Master, args...))
	}
	for range 3 {
		s.Sentinels = append(s.Sentinels, s.sentinel(t))
	}
	for _, sentinel := range s.Sentinels {
		c := redis.NewSentinelClient(&redis.Options{Addr: sentinel.Addr})
		t.Cleanup(func() { _ = c.Close() })
		eventually(t, "the Sentinels to know each other and the replicas", func(ctx context.Context) error {
			return s.known(ctx, c)
		})
	}
	return s
}

// Addrs are the Sentinels' addresses.
func (s *SentinelServers) Addrs() []string { return addrs(s.Sentinels) }

func (s *SentinelServers) sentinel(t testing.TB) *RedisServer {
	t.Helper()
	host, port := splitAddr(t, s.Master.Addr)
	config := filepath.Join(t.TempDir(), "sentinel.conf") // which a Sentinel writes its state to
	text := fmt.Sprintf("sentinel monitor %[1]s %s %s 2\nsentinel down-after-milliseconds %[1]s 1000\nsentinel failover-timeout %[1]s 3000\n", SentinelMaster, host, port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startRedis(t, &RedisServer{dir: filepath.Dir(config), command: func(port string) []string {
		return []string{config, "--sentinel", "--port", port, "--bind", "127.0.0.1"}
	}})
}

func (s *SentinelServers) known(ctx context.Context, c *redis.SentinelClient) error {
	if err := c.CkQuorum(ctx, SentinelMaster).Err(); err != nil {
		return err
	}
	master, err := c.Master(ctx, SentinelMaster).Result()
	if err != nil {
		return err
	}
	if master["num-slaves"] != strconv.Itoa(len(s.Replicas)) || master["num-other-sentinels"] != "2" {
		return fmt.Errorf("%s replicas, %s other Sentinels", master["num-slaves"], master["num-other-sentinels"])
	}
	return nil
}

// ClusterServers are the nodes of a Redis Cluster that serves all slots.
type ClusterServers struct {
	Masters  []*RedisServer
	Replicas []*RedisServer // the n-th is the n-th master's
}

// Cluster starts a Cluster of three masters, each with a replica if wanted. It
// takes about two seconds: a Cluster's master waits so long before it serves.
func Cluster(t testing.TB, replicas bool, args ...string) *ClusterServers {
	t.Helper()
	const masters, slots = 3, 16384
	s := &ClusterServers{}
	for range masters {
		s.Masters = append(s.Masters, clusterNode(t, args))
		if replicas {
			s.Replicas = append(s.Replicas, clusterNode(t, args))
		}
	}
	first := s.nodes()[0]
	for i, node := range s.Masters {
		c := node.Client(t)
		ok(t, c.ClusterAddSlotsRange(t.Context(), i*slots/masters, (i+1)*slots/masters-1).Err())
		ok(t, c.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
	}
	for _, node := range s.nodes()[1:] {
		host, port := splitAddr(t, first.Addr)
		ok(t, node.Client(t).Do(t.Context(), "CLUSTER", "MEET", host, port, first.busPort).Err())
	}
	s.follow(t)
	for _, node := range s.nodes() {
		c := node.Client(t)
		eventually(t, "the Cluster to serve all slots", func(ctx context.Context) error {
			return clusterServes(ctx, c, len(s.nodes()))
		})
	}
	return s
}

// Addrs are the nodes' addresses.
func (s *ClusterServers) Addrs() []string { return addrs(s.nodes()) }

func (s *ClusterServers) nodes() []*RedisServer {
	return append(s.Masters[:len(s.Masters):len(s.Masters)], s.Replicas...)
}

// follow makes the replicas replicas, which they can be as soon as they know their master.
func (s *ClusterServers) follow(t testing.TB) {
	t.Helper()
	for i, node := range s.Replicas {
		master := s.Masters[i].Client(t).Do(t.Context(), "CLUSTER", "MYID").Val()
		c := node.Client(t)
		eventually(t, "a replica of the Cluster to know its master", func(ctx context.Context) error {
			return c.Do(ctx, "CLUSTER", "REPLICATE", master).Err()
		})
		eventually(t, "a replica of the Cluster to follow its master", func(ctx context.Context) error {
			return infoSays(ctx, c, "replication", "master_link_status:up\r\n")
		})
	}
}

// clusterNode starts a node whose bus has a free port too: the usual one, 10,000
// above, may be no port at all.
func clusterNode(t testing.TB, args []string) *RedisServer {
	t.Helper()
	var bus string
	s := &RedisServer{dir: t.TempDir()}
	s.command = func(port string) []string {
		var err error
		if bus, err = freePort(); err != nil {
			t.Fatal(err)
		}
		return s.standalone(port, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", bus}, args...))
	}
	startRedis(t, s)
	s.busPort = bus
	return s
}

func clusterServes(ctx context.Context, c *redis.Client, nodes int) error {
	info, err := c.ClusterInfo(ctx).Result()
	if err == nil && !(strings.Contains(info, "cluster_state:ok\r\n") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r\n", nodes))) {
		err = errors.New(info)
	}
	return err
}

func infoSays(ctx context.Context, c *redis.Client, section, want string) error {
	info, err := c.Info(ctx, section).Result()
	if err == nil && !strings.Contains(info, want) {
		err = errors.New(info)
	}
	return err
}

func addrs(servers []*RedisServer) []string {
	list := make([]string, len(servers))
	for i, s := range servers {
		list[i] = s.Addr
	}
	return list
}

func splitAddr(t testing.TB, addr string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	ok(t, err)
	return host, port
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
