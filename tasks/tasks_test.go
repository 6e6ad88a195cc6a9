package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

var ref = tasks.DeliveryRef{Delivery: "d05a5752c0a7b0332285d61", Generation: 2, Enqueue: 7}

// Tasks that are in Redis already must decode after a deploy: what is written
// here stays readable for ever.
func TestPayloadsOfEarlierVersionsDecode(t *testing.T) {
	for _, golden := range []string{
		`{"delivery":"d05a5752c0a7b0332285d61","generation":2,"enqueue":7}`,
		`{"delivery":"d05a5752c0a7b0332285d61","generation":2,"enqueue":7,"added":"later"}`,
	} {
		got, err := tasks.ExportPush.Decode([]byte(golden))
		if err != nil || got != ref {
			t.Errorf("%s decodes to %+v, %v", golden, got, err)
		}
	}
	text, err := tasks.ExportPush.Encode(ref)
	if want := `{"delivery":"d05a5752c0a7b0332285d61","generation":2,"enqueue":7}`; err != nil || string(text) != want {
		t.Errorf("encodes to %s, %v; want %s", text, err, want)
	}
}

func TestBadPayloadsAreLeftForANewerWorker(t *testing.T) {
	route := tasks.Handle(tasks.ExportPush, func(context.Context, tasks.DeliveryRef) error { t.Error("the handler ran"); return nil })
	for _, text := range []string{``, `null`, `[]`, `{}`, `{"delivery":"../x","generation":1,"enqueue":1}`, `{"delivery":"d05a5752c0a7b0332285d61"}`} {
		err := route.Run(t.Context(), []byte(text))
		if _, ok := errors.AsType[*tasks.PayloadError](err); !ok {
			t.Errorf("%q: got %v, want PayloadError", text, err)
		}
	}
}

func TestDeclarationsAreComplete(t *testing.T) {
	for _, d := range tasks.All() {
		if d.Name == "" || d.Queue == "" || d.Timeout <= 0 || len(d.Stages) == 0 || d.Summary == "" {
			t.Errorf("%+v", d)
		}
		if got, ok := tasks.Lookup(d.Name); !ok || got.Name != d.Name {
			t.Errorf("Lookup(%s) = %+v", d.Name, got)
		}
		for _, kind := range d.Starts {
			if got, ok := tasks.Starting(kind); !ok || got.Name != d.Name {
				t.Errorf("deliveries of kind %s begin with %s, want %s", kind, got.Name, d.Name)
			}
		}
	}
	if _, ok := tasks.Lookup("export.pus"); ok {
		t.Error("a prefix of a name was found")
	}
}

func setup(t *testing.T) (*redis.Client, *asynq.Inspector) {
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb, asynq.NewInspectorFromRedisClient(rdb)
}

func TestEnqueueingTwiceIsOneTask(t *testing.T) {
	rdb, inspector := setup(t)
	ready := ledger.Ready{Delivery: ref.Delivery, Task: "export.push", Generation: ref.Generation, Enqueue: ref.Enqueue, Queue: tasks.QueueExport}
	for range 2 {
		if err := tasks.NewEnqueuer(rdb).Enqueue(t.Context(), []ledger.Ready{ready}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := inspector.ListPendingTasks(tasks.QueueExport)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d tasks, %v", len(list), err)
	}
	task := list[0]
	if task.ID != "d05a5752c0a7b0332285d61:export.push:2:7" || task.MaxRetry < 10 || task.Timeout != 6*time.Hour || task.Retention != 24*time.Hour {
		t.Errorf("%+v", task)
	}
}

// A delivery goes on with a step that this version does not know: it stays in
// the ledger's outbox for a newer one, and does not keep what stands beside it.
func TestAStepOfANewerVersionIsLeftForItAndKeepsNothingElse(t *testing.T) {
	rdb, inspector := setup(t)
	later := ledger.Ready{Delivery: "later", Task: "export.later", Generation: 1, Enqueue: 1, Queue: tasks.QueueExport}
	known := ledger.Ready{Delivery: ref.Delivery, Task: "export.push", Generation: 1, Enqueue: 1, Queue: tasks.QueueExport}
	err := tasks.NewEnqueuer(rdb).Enqueue(t.Context(), []ledger.Ready{later, known})
	if err == nil || !strings.Contains(err.Error(), `task type "export.later" is unknown to this version; a newer one will enqueue delivery later`) {
		t.Errorf("unknown step: %v", err)
	}
	list, err := inspector.ListPendingTasks(tasks.QueueExport)
	if err != nil || len(list) != 1 || list[0].ID != tasks.TaskID(known) {
		t.Errorf("%d tasks, %v; want that of the known step alone", len(list), err)
	}
}

func exampleRun() waybill.Run {
	return waybill.Run{
		RunKey:     waybill.RunKey{TeamID: "team-a", WorkflowID: "wf_movies", JobID: "job_1"},
		State:      waybill.RunFinished,
		FinishedAt: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC),
		RowCount:   3201,
		Source:     waybill.Source{URI: "s3://runs/team-a/job_1.jsonl.gz"},
		Schema:     waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String}}},
	}
}

func bucket(dir string) storage.Store {
	folder, err := storage.OpenFolder(dir)
	if err != nil {
		panic(err)
	}
	return folder
}

func TestClient(t *testing.T) {
	rdb, _ := setup(t)
	client := tasks.NewClient(rdb, bucket(t.TempDir()))
	first, err := client.Submit(t.Context(), exampleRun())
	if err != nil || first.Outcome != "NEW" || first.SchemaVersion != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := client.Submit(t.Context(), exampleRun())
	if err != nil || again.Outcome != "SAME" || again.Revision != first.Revision {
		t.Errorf("%+v, %v", again, err)
	}
	other := exampleRun()
	other.RowCount = 9
	_, err = client.Submit(t.Context(), other)
	if conflict, ok := errors.AsType[*tasks.RunConflict](err); !ok || !slices.Equal(conflict.Fields, []string{"rowCount"}) {
		t.Errorf("another revision: %v", err)
	}
	other.Replace = true
	if done, err := client.Submit(t.Context(), other); err != nil || done.Outcome != "REPLACED" || done.Generation != 2 {
		t.Errorf("replaced: %+v, %v", done, err)
	}
	other.State = waybill.RunFailed
	if _, err := client.Submit(t.Context(), other); err == nil || !strings.Contains(err.Error(), "only FINISHED runs are delivered") {
		t.Errorf("a failed run: %v", err)
	}
}

// A producer is told when its run is not safe yet, and what to do.
func TestClientSaysWhenNoReplicaHasTheRun(t *testing.T) {
	rdb, _ := setup(t) // which has no replica
	own := bucket(t.TempDir())
	for range 2 {
		_, err := tasks.NewClient(rdb, own, tasks.WithReplicas(1)).Submit(t.Context(), exampleRun())
		f, ok := errors.AsType[*waybill.Failure](err)
		if !ok || !errors.Is(err, waybill.ErrUnavailable) || !strings.HasPrefix(f.Action, "Hand the run in again") {
			t.Errorf("error is %v", err)
		}
	}
	if done, err := tasks.NewClient(rdb, own, tasks.WithReplicas(tasks.NoReplicas)).Submit(t.Context(), exampleRun()); err != nil || done.Outcome != "SAME" || done.Generation != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}

func ExampleClient_Submit() {
	server, err := miniredis.Run() // the fleet's Redis, in memory here
	if err != nil {
		panic(err)
	}
	defer server.Close()
	dir, err := os.MkdirTemp("", "waybill-") // its bucket, a folder here
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	client := tasks.NewClient(redis.NewClient(&redis.Options{Addr: server.Addr()}), bucket(dir))

	for range 2 { // a producer that retries hands the same run in twice
		done, err := client.Submit(context.Background(), exampleRun())
		fmt.Println(done.Outcome, done.Generation, done.SchemaVersion, err)
	}
	changed := exampleRun()
	changed.RowCount = 3000
	_, err = client.Submit(context.Background(), changed)
	fmt.Println(err)
	// Output:
	// NEW 1 1 <nil>
	// SAME 1 1 <nil>
	// run team-a/wf_movies/job_1 was handed in before with another rowCount; set replace to true to deliver it anew
}
