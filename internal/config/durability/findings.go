package durability

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "OK"
	Warn Level = "WARN" // it works, and is less safe or less comfortable than it could be
	Bad  Level = "BAD"  // it does not work, or loses what it was given
)

// Finding is one thing looked at.
type Finding struct {
	Level  Level  `json:"level"`
	Check  string `json:"check"`            // what was looked at, e.g. "redis eviction"
	Text   string `json:"text"`             // how it is, and how to mend it
	Unsafe string `json:"unsafe,omitempty"` // the name by which redis.allowUnsafe allows it
}

// MaxSkew is the difference of clocks that is still well: asynq's own leases
// are by the workers' clocks.
const MaxSkew = time.Second

// oldest is the oldest version of Redis that still has ACL users, and what we
// use of Lua; 7 is the one that the tests run on.
const oldest = 6.2

// Findings looks at a server, whose replicas have to confirm so many writes.
// What allowed names is a warning at most.
func (s Server) Findings(confirming int, allowed []string) []Finding {
	list := []Finding{s.version(), s.eviction(), s.aof(), s.fsync(), s.replicas(confirming)}
	if s.Replicas > 0 {
		list = append(list, s.minReplicas())
	}
	list = append(list, s.clock())
	for i, f := range list {
		if f.Level == Bad && f.Unsafe != "" && slices.Contains(allowed, f.Unsafe) {
			list[i].Level, list[i].Text = Warn, f.Text+" (redis.allowUnsafe allows it)"
		}
		list[i].Check = strings.TrimSpace("redis " + f.Check + " " + s.Addr)
	}
	return list
}

// Require returns what must not be started with: each problem names the
// setting, how to mend it, and how to start all the same.
func Require(findings []Finding) error {
	var p waybill.Problems
	for _, f := range findings {
		if f.Level == Bad && f.Unsafe != "" {
			p.Addf(f.Check, "%s; to start all the same, add %s to redis.allowUnsafe", f.Text, f.Unsafe)
		}
	}
	return p.Err()
}

func (s Server) version() Finding {
	digits := strings.SplitN(s.Version, ".", 3)
	v, err := strconv.ParseFloat(strings.Join(digits[:min(2, len(digits))], "."), 64)
	switch {
	case err != nil:
		return Finding{Warn, "version", "Redis does not tell its version; 6.2 is needed, 7 or later recommended", ""}
	case v < oldest:
		return Finding{Bad, "version", s.Version + " is too old; use 7 or later, at least 6.2", ""}
	}
	return Finding{OK, "version", s.Version, ""}
}

func (s Server) eviction() Finding {
	switch {
	case s.MaxMemory == 0:
		return Finding{OK, "eviction", "nothing is evicted: there is no maxmemory", ""}
	case s.Policy == "noeviction":
		return Finding{OK, "eviction", "nothing is evicted: maxmemory-policy is noeviction", ""}
	case s.Policy == "":
		return Finding{Bad, "eviction", "Redis does not tell its maxmemory-policy; make sure that it is noeviction", config.UnsafeEviction}
	}
	return Finding{Bad, "eviction", "maxmemory-policy is " + s.Policy + ": where memory is short Redis deletes deliveries; set maxmemory-policy noeviction", config.UnsafeEviction}
}

func (s Server) aof() Finding {
	switch s.AOF {
	case "1":
		return Finding{OK, "append-only file", "on", ""}
	case "":
		return Finding{Bad, "append-only file", "Redis does not tell whether it writes an append-only file; make sure that appendonly is yes", config.UnsafeNoAOF}
	}
	return Finding{Bad, "append-only file", "appendonly is no: a Redis that restarts has lost what it accepted; set appendonly yes", config.UnsafeNoAOF}
}

func (s Server) fsync() Finding {
	switch {
	case s.AOF != "1":
		return Finding{OK, "appendfsync", "of no meaning without an append-only file", ""}
	case s.Fsync == "":
		return Finding{Warn, "appendfsync", "Redis does not tell it; make sure that it is always", ""}
	case s.Fsync == "always":
		return Finding{OK, "appendfsync", "always: what is acknowledged is on disk", ""}
	case s.Fsync == "everysec":
		return Finding{Warn, "appendfsync", "everysec: a power failure loses up to a second of accepted runs; set appendfsync always", ""}
	}
	return Finding{Bad, "appendfsync", "appendfsync is " + s.Fsync + ": a power failure loses half a minute of accepted runs; set appendfsync always", config.UnsafeNoFsync}
}

func (s Server) replicas(confirming int) Finding {
	switch n := max(s.Replicas, 0); {
	case n < confirming:
		return Finding{Bad, "replicas", fmt.Sprintf("%d are connected and redis.waitReplicas wants %d: no run is accepted; bring the replicas back, or set redis.waitReplicas: %d", n, confirming, n), ""}
	case n == 0:
		return Finding{Warn, "replicas", "none: what is lost with this server's disk is lost; run one or more replicas", ""}
	case confirming < 0:
		return Finding{Warn, "replicas", fmt.Sprintf("%d, and redis.waitReplicas is 0: a failover may lose runs that were accepted", n), ""}
	default:
		return Finding{OK, "replicas", fmt.Sprintf("%d, of which %d must have a run before it counts as accepted", n, max(confirming, 1)), ""}
	}
}

func (s Server) minReplicas() Finding {
	switch {
	case s.MinReplicas < 0:
		return Finding{Warn, "min-replicas-to-write", "Redis does not tell it; make sure that it is 1 or more", ""}
	case s.MinReplicas == 0:
		return Finding{Warn, "min-replicas-to-write", "0: a master that is cut off from its replicas goes on writing what will be lost; set min-replicas-to-write 1 and min-replicas-max-lag 2", ""}
	}
	return Finding{OK, "min-replicas-to-write", strconv.Itoa(s.MinReplicas), ""}
}

func (s Server) clock() Finding {
	if s.Ahead.Abs() >= MaxSkew {
		return Finding{Bad, "clock", fmt.Sprintf("Redis is %s ahead of this machine (negative: behind); let NTP set both clocks, for tasks start twice where they differ by seconds", s.Ahead.Round(time.Millisecond)), ""}
	}
	return Finding{OK, "clock", "agrees with this machine's within a second", ""}
}
