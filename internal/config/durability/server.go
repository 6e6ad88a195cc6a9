// Package durability asks a Redis whether it keeps what it is given: what it
// evicts, what it writes to its disk, what its replicas have, and whether its
// clock agrees with ours.
package durability

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is what one server says of itself. What it does not tell is empty, or
// negative where it is a number.
type Server struct {
	Addr        string // host:port; in a Cluster there are several
	Version     string
	Policy      string        // maxmemory-policy
	MaxMemory   int64         // bytes; 0: no limit
	UsedMemory  int64         // bytes
	AOF         string        // "1" or "0"
	Fsync       string        // appendfsync
	Replicas    int           // that are connected
	MinReplicas int           // min-replicas-to-write
	Ahead       time.Duration // of our clock
}

// Ask asks every master that the client reaches. INFO tells what matters most
// and managed services allow it; what CONFIG alone tells is asked for where
// askConfig says so, and may be refused.
func Ask(ctx context.Context, client redis.UniversalClient, askConfig bool) ([]Server, error) {
	if c, ok := client.(*redis.ClusterClient); ok {
		var mu sync.Mutex
		var servers []Server
		err := c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			s, err := ask(ctx, node, askConfig)
			mu.Lock()
			defer mu.Unlock()
			s.Addr = node.Options().Addr
			servers = append(servers, s)
			return err
		})
		slices.SortFunc(servers, func(a, b Server) int { return strings.Compare(a.Addr, b.Addr) })
		return servers, err
	}
	s, err := ask(ctx, client, askConfig)
	return []Server{s}, err
}

func ask(ctx context.Context, c redis.Cmdable, askConfig bool) (Server, error) {
	text, err := c.Info(ctx).Result()
	if err != nil {
		return Server{}, fmt.Errorf("ask Redis for INFO: %w", err)
	}
	info := fields(text)
	s := Server{
		Version: info["redis_version"], Policy: info["maxmemory_policy"], MaxMemory: number(info["maxmemory"]), UsedMemory: number(info["used_memory"]),
		AOF: info["aof_enabled"], Replicas: int(number(info["connected_slaves"])), MinReplicas: -1,
	}
	if askConfig {
		if err := s.config(ctx, c); err != nil {
			return s, err
		}
	}
	s.Ahead, err = ahead(ctx, c)
	return s, err
}

func (s *Server) config(ctx context.Context, c redis.Cmdable) error {
	for _, name := range []string{"appendfsync", "min-replicas-to-write"} {
		values, err := c.ConfigGet(ctx, name).Result()
		if _, refused := errors.AsType[redis.Error](err); refused {
			return nil
		}
		if err != nil {
			return fmt.Errorf("ask Redis for its configuration: %w", err)
		}
		switch value := values[name]; name {
		case "appendfsync":
			s.Fsync = value
		default:
			s.MinReplicas = int(number(value))
		}
	}
	return nil
}

// ahead takes the server's answer for one from the middle of the round trip.
func ahead(ctx context.Context, c redis.Cmdable) (time.Duration, error) {
	asked := time.Now()
	theirs, err := c.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("ask Redis for its time: %w", err)
	}
	return theirs.Sub(asked.Add(time.Since(asked) / 2)), nil
}

// fields reads INFO: name:value on lines of its own.
func fields(info string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			all[name] = value
		}
	}
	return all
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}
