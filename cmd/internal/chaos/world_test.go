package chaos

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/tasks"
)

// world is a Redis, a destination and the processes of a fleet.
type world struct {
	*testing.T
	scenario
	dir          string
	rng          *rand.Rand
	redis        backend
	fleet        *fleet.Fleet // the test's own view
	config       string
	lease, sweep time.Duration
	connectors   int
	records      string // the source of every run
	careless     bool   // producers do not wait for replicas
	export       bool   // the fleet's own handlers deliver files; else it is the test's destination

	mu    sync.Mutex
	names map[string]int // of processes, for their logs
}

// durable is how the ledger's Redis is to be run.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--auto-aof-rewrite-percentage", "0"}

// backend is the Redis of a world, and what waybill.yaml says of it.
type backend struct {
	*testservers.RedisServer
	setting   string
	sentinels *testservers.SentinelServers
}

func single(server *testservers.RedisServer) backend {
	return backend{RedisServer: server, setting: fmt.Sprintf("{url: \"redis://%s/0\"}", server.Addr)}
}

func durableRedis(t *testing.T, _ scenario) backend { return single(testservers.Redis(t, durable...)) }

func newWorld(t *testing.T, s scenario) *world {
	t.Helper()
	server := s.redis(t, s)
	w := &world{T: t, scenario: s, dir: t.TempDir(), rng: s.random(), redis: server, names: map[string]int{}}
	w.lease, w.sweep = s.times()
	w.connectors = min(max(s.deliveries()/100, 4), 50)
	for _, dir := range []string{"own", "dest/lanes", "crashed", "bucket", "logs"} {
		w.must(os.MkdirAll(w.path(dir), 0o755))
	}
	w.records = w.path("records.jsonl")
	w.must(os.WriteFile(w.records, []byte("{\"Title\":\"a\"}\n{\"Title\":\"b\"}\n"), 0o600))
	w.config = w.configure(server.setting)
	cfg, err := config.Load(w.config, func(string) (string, bool) { return "", false }, config.NeedBucket)
	w.must(err)
	w.fleet, err = fleet.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), 20)
	w.must(err)
	t.Cleanup(func() { _ = w.fleet.Close() })
	for i := range w.connectors {
		_, err := w.fleet.Connectors.Apply(t.Context(), connectors.Connector{
			ID: fmt.Sprintf("customer-%d", i), Team: fmt.Sprintf("team-%d", i), Kind: waybill.KindStorage, MaxInFlight: 8,
			Storage: &connectors.Storage{URL: fileURL(w.path("bucket")), Formats: []string{"jsonl", "csv"}},
		})
		w.must(err)
	}
	return w
}

// configure writes a waybill.yaml for processes that reach Redis that way.
func (w *world) configure(redis string) string {
	file := w.path(fmt.Sprintf("waybill-%d.yaml", time.Now().UnixNano()))
	text := fmt.Sprintf("redis: %s\nbucket: {url: %q}\nsources: {fileRoot: %q}\ntimes: {lease: %s, sweep: %s}\nlimits: {maxFailures: 1000}\n", // no pause of its own accord
		redis, fileURL(w.path("own")), filepath.Dir(w.dir), w.lease, w.sweep)
	w.must(os.WriteFile(file, []byte(text), 0o600))
	return file
}

func fileURL(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// runs are n finished runs, spread over the customers, two workflows each.
func (w *world) runs(n int) []waybill.Run {
	began := time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)
	list := make([]waybill.Run, n)
	for i := range list {
		list[i] = waybill.Run{
			RunKey: waybill.RunKey{TeamID: fmt.Sprintf("team-%d", i%w.connectors), WorkflowID: fmt.Sprintf("wf-%d", i/w.connectors%2), JobID: fmt.Sprintf("job-%06d", i)},
			State:  waybill.RunFinished, FinishedAt: began.Add(time.Duration(i) * time.Second), RowCount: 2,
			Source: waybill.Source{URI: fileURL(w.records)},
			Schema: waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String}}},
		}
	}
	return list
}

// connectorOf is the one connector of a run's team.
func connectorOf(key waybill.RunKey) string {
	return strings.Replace(key.TeamID, "team-", "customer-", 1)
}

func deliveryOf(key waybill.RunKey) string { return waybill.DeliveryID(key, connectorOf(key)) }

// submit hands runs in, as several producers at once would, and returns when
// each was acknowledged.
func (w *world) submit(runs []waybill.Run) {
	w.Helper()
	var options []tasks.ClientOption
	if w.careless {
		options = append(options, tasks.WithReplicas(tasks.NoReplicas))
	}
	client := w.fleet.Producer(options...)
	var group sync.WaitGroup
	const producers = 8
	for p := range producers {
		group.Go(func() {
			for i := p; i < len(runs); i += producers {
				for w.Context().Err() == nil {
					if _, err := client.Submit(w.Context(), runs[i]); err == nil {
						appendLine(w.path("acknowledged.log"), acknowledged{runs[i].RunKey, time.Now()})
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	group.Wait()
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// await polls until ok, and says whether it came to be in time.
func (w *world) await(within time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return ok()
}

// patience is how long a fleet may take: long where it works, for the machine
// may be busy, and the promised time where it cannot.
func (w *world) patience() time.Duration {
	switch {
	case w.off:
		return 20 * time.Second
	case *full:
		return 2*time.Minute + time.Duration(w.deliveries())*100*time.Millisecond
	}
	return 2 * time.Minute
}

// arrived counts the runs of which rows are at the destination.
func (w *world) arrived() int {
	if w.export {
		files, err := filepath.Glob(w.path("bucket/kadoa/*/*/*/" + handlers.ManifestName))
		w.must(err)
		return len(files)
	}
	seen := map[string]bool{}
	for _, l := range w.lanes() {
		for _, r := range l.Rows {
			seen[r.Delivery] = true
		}
	}
	return len(seen)
}

// awaitProgress waits until a part of n runs has arrived.
func (w *world) awaitProgress(n int) {
	w.Helper()
	if !w.await(w.patience()+time.Minute, func() bool { return w.arrived() >= n }) {
		w.Fatalf("only %d of %d runs have arrived", w.arrived(), n)
	}
}

func (w *world) lanes() map[string]laneFile {
	files, err := filepath.Glob(w.path("dest/lanes/*.json"))
	w.must(err)
	lanes := map[string]laneFile{}
	for _, file := range files {
		lanes[filepath.Base(file)], err = readLane(file)
		w.must(err)
	}
	return lanes
}

func (w *world) attempts() []entry {
	list, err := readLines[entry](w.path("dest/attempts.log"))
	w.must(err)
	return list
}

func encodeFile(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
