package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
)

// replicated is a Redis with replicas, and how to reach it.
type replicated struct {
	client   redis.UniversalClient
	replicas []*testservers.RedisServer
}

// replicatedServers runs a test on each arrangement of Redis that has replicas.
func replicatedServers(t *testing.T, test func(t *testing.T, r replicated)) {
	t.Run("one server with a replica", func(t *testing.T) {
		master := testservers.Redis(t)
		replica := testservers.RedisReplica(t, master)
		test(t, replicated{master.Client(t), []*testservers.RedisServer{replica}})
	})
	t.Run("behind Sentinels", func(t *testing.T) {
		s := testservers.Sentinel(t, 1)
		client := redis.NewUniversalClient(&redis.UniversalOptions{MasterName: testservers.SentinelMaster, Addrs: s.Addrs()})
		t.Cleanup(func() { _ = client.Close() })
		test(t, replicated{client, s.Replicas})
	})
	t.Run("Cluster", func(t *testing.T) {
		s := testservers.Cluster(t, true)
		client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: s.Addrs()})
		t.Cleanup(func() { _ = client.Close() })
		test(t, replicated{client, s.Replicas})
	})
}

// revision is what some replica knows of a run.
func (r replicated) revision(t *testing.T, key waybill.RunKey) string {
	t.Helper()
	name := fmt.Sprintf("wb:{s%02d}:run:%s", waybill.Slot(key.TeamID), key)
	for _, replica := range r.replicas {
		c := replica.Client(t).Conn()
		_ = c.ReadOnly(t.Context()) // a Cluster's replica answers only then, another one refuses the command
		revision := c.HGet(t.Context(), name, "revision").Val()
		_ = c.Close()
		if revision != "" {
			return revision
		}
	}
	return ""
}

func wantUnavailable(t *testing.T, err error, code string) {
	t.Helper()
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok || !errors.Is(err, waybill.ErrUnavailable) || f.Code != code || f.Verdict != waybill.Transient || f.Action == "" {
		t.Errorf("error is %v, want %s", err, code)
	}
}

// own is a bucket of ours.
func own(t *testing.T) storage.Store {
	t.Helper()
	bucket, err := storage.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	return bucket
}

func TestARunCountsAsHandedInWhenAReplicaHasIt(t *testing.T) {
	replicatedServers(t, func(t *testing.T, r replicated) {
		l := ledger.New(r.client, own(t), nil, ledger.Options{})
		first, second := run("job_1"), run("job_2")
		a, err := l.Accept(t.Context(), first)
		if err != nil || a.Outcome != ledger.OutcomeNew {
			t.Fatalf("%+v, %v", a, err)
		}
		if got := r.revision(t, first.RunKey); got != a.Revision {
			t.Errorf("when it was acknowledged the replica had revision %q, want %q", got, a.Revision)
		}
		for _, replica := range r.replicas {
			replica.Stop(t)
		}
		_, err = l.Accept(t.Context(), second)
		wantUnavailable(t, err, "redis.not_replicated")
		_, err = l.Accept(t.Context(), second) // it waits again, although it is there
		wantUnavailable(t, err, "redis.not_replicated")
		for _, replica := range r.replicas {
			replica.Continue(t)
		}
		if a, err = l.Accept(t.Context(), second); err != nil || a.Outcome != ledger.OutcomeSame || a.Generation != 1 {
			t.Fatalf("handed in again: %+v, %v", a, err)
		}
		if got := r.revision(t, second.RunKey); got != a.Revision {
			t.Errorf("when it was acknowledged again the replica had revision %q, want %q", got, a.Revision)
		}
	})
}

// A master that was seen with a replica and lost it may be on the wrong side of
// a partition: what it takes in would be lost with it.
func TestAMasterThatLostItsReplicaAcceptsNothing(t *testing.T) {
	master := testservers.Redis(t)
	replica := testservers.RedisReplica(t, master)
	l := ledger.New(master.Client(t), own(t), nil, ledger.Options{})
	if _, err := l.Accept(t.Context(), run("job_1")); err != nil {
		t.Fatal(err)
	}
	replica.Kill()
	_, err := l.Accept(t.Context(), run("job_2"))
	wantUnavailable(t, err, "redis.not_replicated")
}

func TestHowManyReplicasConfirmIsSaidOrSeen(t *testing.T) {
	alone := testservers.Redis(t)
	if _, err := ledger.New(alone.Client(t), own(t), nil, ledger.Options{}).Accept(t.Context(), run("job_1")); err != nil {
		t.Errorf("a server without replicas: %v", err)
	}
	_, err := ledger.New(alone.Client(t), own(t), nil, ledger.Options{Replicas: 1}).Accept(t.Context(), run("job_2"))
	wantUnavailable(t, err, "redis.not_replicated")

	// Behind Sentinels one must confirm even where none was ever seen.
	failover := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: testservers.SentinelMaster, SentinelAddrs: testservers.Sentinel(t, 0).Addrs()})
	defer failover.Close()
	_, err = ledger.New(failover, own(t), nil, ledger.Options{}).Accept(t.Context(), run("job_1"))
	wantUnavailable(t, err, "redis.not_replicated")

	replica := testservers.RedisReplica(t, alone)
	replica.Stop(t)
	if _, err := ledger.New(alone.Client(t), own(t), nil, ledger.Options{Replicas: ledger.NoReplicas}).Accept(t.Context(), run("job_3")); err != nil {
		t.Errorf("told to wait for none: %v", err)
	}
}

// Redis itself refuses a write when fewer replicas keep up than it was told to want.
func TestTooFewReplicasForRedisItself(t *testing.T) {
	master := testservers.Redis(t, "--min-replicas-to-write", "1")
	client := redis.NewClient(&redis.Options{Addr: master.Addr, MaxRetries: -1})
	defer client.Close()
	l := ledger.New(client, own(t), nil, ledger.Options{})
	_, err := l.Accept(t.Context(), run("job_1"))
	wantUnavailable(t, err, "redis.too_few_replicas")
	if keys := client.Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Errorf("it wrote %v", keys)
	}
}

// Lists of the whole fleet, and the pipelines behind them, over all slots.
func TestAClusterHoldsTheLedger(t *testing.T) {
	s := testservers.Cluster(t, false)
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: s.Addrs()})
	t.Cleanup(func() { _ = client.Close() })
	bucket, err := storage.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	queue := &recordingQueue{}
	l := ledger.New(client, bucket, queue, ledger.Options{Replicas: ledger.NoReplicas})

	const teams = 40
	if err := l.Mend(t.Context(), map[string]int{"export": 2 * teams}); err != nil {
		t.Fatal(err)
	}
	var runs []waybill.RunKey
	for i := range teams {
		r := run("job_1")
		r.TeamID = fmt.Sprintf("team-%d", i)
		if _, err := l.Accept(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := l.PutConnector(t.Context(), "lake-"+r.TeamID, r.TeamID, nil, []byte(`{"id":"lake"}`)); err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r.RunKey)
	}
	unplanned, err := l.Unplanned(t.Context(), teams)
	if err != nil || len(unplanned) != teams {
		t.Fatalf("%d runs are to be planned, %v", len(unplanned), err)
	}
	for _, key := range unplanned {
		a, err := l.Run(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Plan(t.Context(), a, planned(key.TeamID, "lake-"+key.TeamID, 4)); err != nil {
			t.Fatal(err)
		}
	}
	l.Wait()
	ready := queue.take()
	if len(ready) != teams {
		t.Fatalf("%d deliveries were enqueued, want %d", len(ready), teams)
	}
	lease, err := l.Begin(t.Context(), ready[0].Delivery, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := lease.Close(lease.Complete(t.Context(), waybill.Receipt{})); err != nil {
		t.Fatal(err)
	}
	wantList(t, l, runs)
	if all, err := l.Connectors(t.Context(), ""); err != nil || len(all) != teams {
		t.Errorf("%d connectors, %v", len(all), err)
	}
	if err := l.DeleteConnector(t.Context(), "lake-team-7"); err != nil {
		t.Error(err)
	}
	if _, err := l.Due(t.Context(), teams); err != nil {
		t.Error(err)
	}
}

// wantList pages through the history of all teams.
func wantList(t *testing.T, l *ledger.Ledger, want []waybill.RunKey) {
	t.Helper()
	var got []waybill.RunKey
	for f := (ledger.Filter{Limit: 7}); ; {
		page, err := l.List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Deliveries {
			got = append(got, d.RunKey)
		}
		if f.Cursor = page.Cursor; f.Cursor == "" {
			break
		}
	}
	order := func(a, b waybill.RunKey) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if !slices.Equal(got, want) {
		t.Errorf("listed %d deliveries, want %d", len(got), len(want))
	}
}
