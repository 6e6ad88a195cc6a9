package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// objects are the ETag and time of every object in the customer's bucket.
func objects(t *testing.T, bucket storage.Store) map[string]string {
	t.Helper()
	found := map[string]string{}
	for o, err := range bucket.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		found[o.Key] = o.ETag + " " + o.Modified.String()
	}
	return found
}

func (f *fleet) flush(t *testing.T) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: f.redis.Addr})
	defer rdb.Close()
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// The guarantee of our own bucket: Redis is lost with everything in it, the
// ledger is made anew, and no customer sees any of it.
func TestALostRedisIsRebuiltAndNothingIsDeliveredTwice(t *testing.T) {
	const runs = 12
	f := newFleet(t)
	f.ok(t, "connector", "apply", "-f", f.write(t, "lake.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")))
	shown := f.ok(t, "connector", "show", "acme-lake")
	scheduler, worker := f.start(t, "scheduler"), f.start(t, "worker", "--queues", "export=2")
	args := f.contributions(t, runs)
	f.ok(t, append([]string{"run", "submit"}, args...)...)
	f.await(t, waybill.StateComplete, runs, time.Minute)
	stop(t, worker)
	stop(t, scheduler)
	bucket := f.bucket(t)
	before := objects(t, bucket)
	if len(before) != runs*4 {
		t.Fatalf("%d objects, want %d", len(before), runs*4)
	}

	f.flush(t)
	if _, stderr, err := f.cli(t, "ledger", "rebuild"); err == nil || !strings.Contains(stderr, "nothing was done") {
		t.Errorf("without an answer: %v, %s", err, stderr)
	}
	if got, want := f.ok(t, "ledger", "rebuild", "--yes"), "1 documents, 1 schema versions, 12 runs (0 to be planned again), 12 complete deliveries"; !strings.Contains(got, want) {
		t.Errorf("rebuild says %q, want %q", got, want)
	}
	if _, stderr, err := f.cli(t, "ledger", "rebuild", "--yes"); err == nil || !strings.Contains(stderr, "--merge") {
		t.Errorf("over a ledger: %v, %s", err, stderr)
	}
	if got := f.ok(t, "connector", "show", "acme-lake"); got != shown {
		t.Errorf("the connector is now\n%s\nwas\n%s", got, shown)
	}

	f.start(t, "scheduler")
	f.start(t, "worker", "--queues", "export=2")
	for line := range strings.Lines(f.ok(t, append([]string{"run", "submit"}, args...)...)) {
		if !strings.HasPrefix(line, "  ") && !strings.Contains(line, " same: generation 1, schema version V1") {
			t.Errorf("handed in again: %s", line)
		}
	}
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, runs+1)[runs*2:]...)...) // a new one
	f.await(t, waybill.StateComplete, runs+1, time.Minute)
	after := objects(t, bucket)
	for key, was := range before {
		if after[key] != was {
			t.Errorf("%s is now %s, was %s", key, after[key], was)
		}
	}
	if len(after) != len(before)+4 {
		t.Errorf("%d objects, want %d and the four of the new run", len(after), len(before))
	}

	text, err := os.ReadFile(args[1])
	if err != nil {
		t.Fatal(err)
	}
	other := f.write(t, "other.json", strings.Replace(string(text), `"rowCount": 58`, `"rowCount": 57`, 1))
	if got := f.ok(t, "run", "submit", "--replace", "-f", other); !strings.Contains(got, "replaced: generation 2") {
		t.Errorf("replace says %q", got)
	}

	file := filepath.Join(f.dir, "ledger.jsonl")
	f.ok(t, "ledger", "export", "--out", file)
	exported, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(exported)) {
		var r struct{ Type string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		counts[r.Type]++
	}
	if counts["document"] != 1 || counts["schema"] != 1 || counts["run"] != runs+1 || counts["delivery"] != runs+1 {
		t.Errorf("the export holds %v", counts)
	}
}
