package scheduler_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/scheduler"
	"github.com/waybillhq/waybill/tasks"
)

// ticking returns replicas of a scheduler with one entry each second.
func ticking(t *testing.T, r *rig, replicas int) (list []*scheduler.Scheduler) {
	t.Helper()
	for range replicas {
		list = append(list, scheduler.New(scheduler.Config{Ledger: r.Ledger, Redis: r.rdb,
			Entries: func(context.Context) ([]scheduler.Entry, error) {
				return []scheduler.Entry{{Name: "clean", Task: tasks.Declaration{Name: "test.clean", Queue: tasks.QueueBackfill, Timeout: time.Minute}, Every: time.Second}}, nil
			}}))
	}
	return list
}

func (r *rig) ticked(t *testing.T) (ids []string) {
	t.Helper()
	list, err := r.inspector.ListPendingTasks(tasks.QueueBackfill, asynq.PageSize(1000))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range list {
		ids = append(ids, task.ID)
	}
	return ids
}

func TestReplicasTickOnce(t *testing.T) {
	r := setup(t, ledger.Options{})
	began, err := r.rdb.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	var replicas sync.WaitGroup
	for _, s := range ticking(t, r, 3) {
		replicas.Go(func() {
			for range 250 { // over some seconds, all at the same time
				if err := s.Tick(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	replicas.Wait()
	ended, err := r.rdb.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	got := r.ticked(t)
	if n, most := len(got), int(ended.Unix()-began.Unix())+1; n < 2 || n > most {
		t.Errorf("%d ticks between %s and %s, want 2 to %d", n, began, ended, most)
	}
	slices.Sort(got)
	if len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("a tick twice: %v", got)
	}
}

func TestMissedTicksAreMadeGoodByTheLatest(t *testing.T) {
	r := setup(t, ledger.Options{})
	s := ticking(t, r, 1)[0]
	now, _, err := r.Ticks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Ticked(t.Context(), "clean", now.Add(-time.Hour).Unix()); err != nil { // nobody was there for an hour
		t.Fatal(err)
	}
	if err := s.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, last, err := r.Ticks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := r.ticked(t); len(got) != 1 || got[0] != fmt.Sprintf("cron:clean:%d", last["clean"]) || last["clean"] < now.Unix() {
		t.Errorf("after an hour: %v, last %v at %s", got, last, now)
	}
	if err := r.Ticked(t.Context(), "clean", 5); err != nil {
		t.Fatal(err)
	}
	if _, again, err := r.Ticks(t.Context()); err != nil || again["clean"] != last["clean"] {
		t.Errorf("an older tick moved the last one back to %v, %v", again, err)
	}
}
