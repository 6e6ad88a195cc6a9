package chaos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill/internal/testservers"
)

// outages are the times from each moment that Redis was taken away to the next
// row that arrived.
func (w *world) outages(at []time.Time) (times []time.Duration) {
	log := w.attempts()
	for _, gone := range at {
		// What was past its last word to Redis when that went is no recovery.
		i := slices.IndexFunc(log, func(e entry) bool { return e.What == "began" && e.At.Sub(gone) > time.Second })
		if i >= 0 {
			times = append(times, log[i].At.Sub(gone))
		}
	}
	return times
}

var killedRedis = scenario{number: 2, fault: "Redis SIGKILL, 2 s", count: 5000, short: 400, run: func(w *world) report {
	w.schedulers(role{})
	w.workers(role{Work: time.Millisecond, NoHook: w.off}) // most of the time something is on its way to Redis
	w.submit(w.runs(w.deliveries()))
	var at []time.Time
	for k := range 2 {
		w.awaitProgress((k + 1) * w.deliveries() / 4)
		at = append(at, time.Now())
		w.redis.Kill()
		time.Sleep(2 * time.Second)
		w.redis.Start(w)
	}
	r := w.audit()
	r.zero("finished work that ran again", w.runAgain())
	r.recovery = w.outages(at)
	return r
}}

func TestAKilledRedisLosesNothingAndRepeatsNothing(t *testing.T) { killedRedis.holds(t) }

func TestWithoutTheCompletionHookFinishedWorkRunsAgainAfterRedisWasKilled(t *testing.T) {
	killedRedis.breaks(t)
}

var lostCompletions = scenario{number: 5, fault: "completion write error", count: 500, short: 60, run: func(w *world) report {
	w.schedulers(role{})
	w.workers(role{Work: 20 * time.Millisecond, LoseCompletions: true, NoHook: w.off})
	w.submit(w.runs(w.deliveries()))
	r := w.audit()
	lost, err := readLines[entry](w.path("dropped.log"))
	w.must(err)
	r.nonZero("completions lost", len(lost))
	r.zero("finished work that ran again", w.runAgain())
	return r
}}

func TestEveryTaskRunsOnceAlthoughItsCompletionIsLost(t *testing.T) { lostCompletions.holds(t) }

func TestWithoutTheCompletionHookALostCompletionLeavesItsTaskToRunAgain(t *testing.T) {
	lostCompletions.breaks(t)
}

// cutPower takes the power from a Redis while producers hand in runs: what was
// not synced to the disk is gone. What counts is what was acknowledged.
var cutPower = scenario{number: 3, fault: "power loss", count: 5000, short: 300, redis: powered, run: func(w *world) report {
	w.workers(role{Work: time.Millisecond})
	w.schedulers(role{})
	time.Sleep(2 * time.Second) // the customers' connectors are on the disk in any case
	runs := w.runs(w.deliveries())
	var at []time.Time
	for part := range slices.Chunk(runs, (len(runs)+2)/3) {
		handedIn := make(chan struct{})
		go func() { defer close(handedIn); w.submit(part) }()
		time.Sleep(time.Duration(300+w.rng.IntN(600)) * time.Millisecond)
		at = append(at, time.Now())
		w.redis.CutPower(w)
		time.Sleep(500 * time.Millisecond)
		w.redis.Start(w)
		<-handedIn
	}
	r := w.audit()
	r.recovery = w.outages(at)
	return r
}}

func TestAPowerCutLosesNothingThatWasAcknowledged(t *testing.T) { cutPower.holds(t) }

func TestALogSyncedEachSecondLosesWhatWasAcknowledged(t *testing.T) { cutPower.breaks(t) }

// powered is a Redis whose power can be cut; its log is synced each second
// where the scenario is to show what that costs.
func powered(t *testing.T, s scenario) backend {
	args := slices.Clone(durable)
	if s.off {
		args = append(args, "--appendfsync", "everysec")
	}
	return single(testservers.RedisOnPower(t, args...))
}

// failover kills the master while producers hand in runs. The replicas are the
// next master and its own; where they are behind, nothing of the master's last
// 1.5 seconds reaches them.
func failover(behind bool) func(w *world) report {
	return func(w *world) report {
		w.careless = w.off
		w.schedulers(role{})
		w.workers(role{Work: 10 * time.Millisecond})
		runs := w.runs(w.deliveries())
		half := len(runs) / 2
		w.submit(runs[:half])
		w.awaitProgress(half / 2)
		s := w.redis.sentinels
		if behind {
			for _, replica := range s.Replicas {
				replica.Stop(w)
			}
		}
		handedIn := make(chan struct{})
		go func() { defer close(handedIn); w.submit(runs[half:]) }()
		time.Sleep(1500 * time.Millisecond)
		at := time.Now()
		s.Master.Kill()
		if behind {
			for _, replica := range s.Replicas {
				replica.Start(w) // with what it had on its disk; what waited for it on the way is gone
			}
		}
		<-handedIn
		r := w.audit()
		r.recovery, r.bound = w.outages([]time.Time{at}), 10*time.Second
		return r
	}
}

func sentinels(t *testing.T, _ scenario) backend {
	s := testservers.Sentinel(t, 2, durable...)
	var addrs []string
	for _, a := range s.Addrs() {
		addrs = append(addrs, strconv.Quote(a))
	}
	return backend{sentinels: s, setting: fmt.Sprintf("{sentinel: {master: %s, addrs: [%s]}}", testservers.SentinelMaster, strings.Join(addrs, ", "))}
}

var (
	failedOver       = scenario{number: 4, fault: "Sentinel failover", count: 2000, short: 150, redis: sentinels, run: failover(false)}
	failedOverBehind = scenario{number: 4, fault: "likewise, replicas 1.5 s behind", count: 2000, short: 150, redis: sentinels, run: failover(true)}
)

func TestAFailoverLosesNothingThatWasAcknowledged(t *testing.T) { failedOver.holds(t) }

func TestAFailoverToAReplicaThatIsBehindLosesNothingThatWasAcknowledged(t *testing.T) {
	failedOverBehind.holds(t)
}

func TestProducersThatDoNotWaitForAReplicaLoseRunsInAFailover(t *testing.T) {
	failedOverBehind.breaks(t)
}
