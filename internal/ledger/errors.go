package ledger

import (
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

// refusals are Redis's own words for "not now", https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors.
// Redis says each before a script's first write, so that nothing of it was
// done. A script that wrote once is never refused any more: it goes on to its
// end, beyond the memory's limit if need be.
var refusals = []struct {
	is           func(error) bool
	code, action string
}{
	{redis.IsOOMError, "redis.out_of_memory", "Redis has no memory left: raise maxmemory, or keep the history for a shorter time; then the same again succeeds."},
	{redis.IsNoReplicasError, "redis.too_few_replicas", "Redis has fewer replicas than its min-replicas-to-write wants: bring them back; then the same again succeeds."},
	{redis.IsReadOnlyError, "redis.read_only", "Redis is a replica at the moment: a failover is under way, or redis.url names a replica; try again, and if that does not help name the master."},
	{redis.IsLoadingError, "redis.loading", "Redis is reading its data after a start; try again in a moment."},
	{redis.IsMasterDownError, "redis.master_down", "Redis has lost its master; a failover takes some seconds, then the same again succeeds."},
	{redis.IsClusterDownError, "redis.cluster_down", "The Cluster does not serve all of its slots; a failover takes some seconds, then the same again succeeds."},
	{redis.IsMaxClientsError, "redis.too_many_clients", "Redis takes no more connections: raise its maxclients."},
	{func(err error) bool { return redis.HasErrorPrefix(err, "MISCONF") }, "redis.cannot_persist", "Redis cannot write to its disk and takes nothing more: mend the disk; then the same again succeeds."},
}

// classify makes what Redis refused for the moment a failure that matches
// [waybill.ErrUnavailable].
func classify(err error) error {
	err = fmt.Errorf("ledger: %w", err)
	for _, r := range refusals {
		if r.is(err) {
			return unavailable(r.code, r.action, err)
		}
	}
	if redis.IsPermissionError(err) {
		return waybill.Failf(waybill.Blocked, "redis.not_permitted", "Give Redis's user the commands and keys of deploy/redis.acl.", "%w", err)
	}
	return err
}

func unavailable(code, action string, cause error) error {
	return &waybill.Failure{Verdict: waybill.Transient, Code: code, Action: action, Err: errors.Join(waybill.ErrUnavailable, cause)}
}
