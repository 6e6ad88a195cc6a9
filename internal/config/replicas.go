package config

import (
	"fmt"
	"strconv"

	"github.com/waybillhq/waybill"
)

// What redis.allowUnsafe may name, and package durability refuses without.
const (
	UnsafeEviction = "eviction"
	UnsafeNoAOF    = "no-aof"
	UnsafeNoFsync  = "no-fsync"
)

// maxReplicas bounds how many replicas one write may wait for.
const maxReplicas = 10

// Replicas is how many replicas must confirm a write. The zero value means
// that nobody said; the setting 0 is [NoReplicas].
type Replicas int

// NoReplicas waits for none.
const NoReplicas Replicas = -1

// String writes the number, or nothing where nobody said.
func (r Replicas) String() string {
	switch r {
	case 0:
		return ""
	case NoReplicas:
		return "0"
	}
	return strconv.Itoa(int(r))
}

// MarshalText writes what [Replicas.UnmarshalText] reads.
func (r Replicas) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a number of replicas.
func (r *Replicas) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		return fmt.Errorf("%s is not a number of replicas; write 0, 1, 2, …", waybill.Quote(string(text)))
	}
	*r = Replicas(n)
	if n == 0 {
		*r = NoReplicas
	}
	return nil
}

// Confirming is how many replicas must confirm an accepted run: a number,
// negative for none, or 0 where what Redis says of its replicas decides.
// Behind Sentinels and in a Cluster a master fails over to a replica, so that
// there what no replica has is not kept.
func (r Redis) Confirming() int {
	if r.WaitReplicas == 0 && (r.Sentinel.Master != "" || len(r.Cluster.Addrs) > 0) {
		return 1
	}
	return int(r.WaitReplicas)
}

// HasUser reports whether an ACL user is named.
func (r Redis) HasUser() bool {
	u, err := parseRedisURL(r.URL)
	return r.Username != "" || err == nil && u.username != ""
}
