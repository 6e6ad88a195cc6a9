package chaos

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// logged brings a customer's activity log up to date each second, while the
// platform goes on telling, and workers and schedulers are killed: workers at
// the moment when the platform answers them, or a little later. Without what it
// is about, the platform tells of each event only once: what a worker had read
// counts as written.
var logged = scenario{number: 14, fault: "SIGKILLs while activity is read", count: 4000, short: 150, run: func(w *world) report {
	p, log := w.logsActivity()
	if w.off {
		p.TellOnce()
	}
	schedulers := []*process{w.keep(role{Kind: "scheduler"}), w.keep(role{Kind: "scheduler"})}
	r := role{Kind: "worker", Slots: 1, Activity: 2, Export: true}
	workers := []*process{w.keep(r), w.keep(r)}

	asked, kills := make(chan struct{}, 1), 0
	p.Inject(platform.Fault{Path: "/v4/activity/", Times: -1, Do: func() {
		select {
		case asked <- struct{}{}:
		default: // one at a time
		}
	}})
	for told := 0; told < w.deliveries() || kills < leastKills; told += w.tell(p) {
		select {
		case <-asked:
		case <-time.After(100 * time.Millisecond):
			continue
		}
		time.Sleep(time.Duration(w.rng.IntN(300)) * time.Millisecond) // a tick takes about as long
		for _, worker := range workers {
			worker.kill()
		}
		if kills++; kills%3 == 0 {
			schedulers[kills%2].kill()
		}
		select { // what was asked meanwhile was asked by the dead
		case <-asked:
		default:
		}
	}
	p.Heal()
	w.tell(p) // the last ones meet nobody's death
	w.await(w.patience(), func() bool { return slices.Equal(w.lines(log), w.told(p)) })

	got, want := w.lines(log), w.told(p)
	audit := report{count: len(want), lost: len(platform.Without(want, got)), doubled: len(platform.Without(got, want))}
	audit.nonZero("kills", kills)
	return audit
}}

const (
	leastKills      = 4 // while the platform is read
	loggedConnector = "log-0"
	loggedTeam      = "team-0"
)

var loggedWorkflows = []string{"wf-0", "wf-1"}

// logsActivity gives the world a platform, and a connector with an activity log
// whose place it returns.
func (w *world) logsActivity() (*platform.Server, *storage.Folder) {
	p := platform.New(platform.Options{})
	w.Cleanup(p.Close)
	w.must(os.WriteFile(w.path("platform-key"), []byte(platform.Key), 0o600))
	w.must(os.MkdirAll(w.path("tables/"+loggedConnector), 0o755))
	text, err := os.ReadFile(w.config)
	w.must(err)
	settings := strings.Replace(string(text), "times: {", "times: {activity: 1s, ", 1)
	if !*full { // a killed worker holds the log for as long
		settings = strings.Replace(settings, "lease: "+w.lease.String(), "lease: 1s", 1)
	}
	settings += fmt.Sprintf("platform: {url: %q, apiKey: %q}\nsharing: {url: %q, storage: %q}\nnetwork: {allow: [%q]}\n",
		p.URL, "file:"+w.path("platform-key"), p.URL+"/delta-sharing", fileURL(w.path("tables")), p.URL)
	w.must(os.WriteFile(w.config, []byte(settings), 0o600))
	cfg, err := config.Load(w.config, func(string) (string, bool) { return "", false }, config.NeedBucket)
	w.must(err)
	w.fleet, err = fleet.Open(w.Context(), cfg, slog.New(slog.DiscardHandler), 20)
	w.must(err)
	f := w.fleet
	w.Cleanup(func() { _ = f.Close() })
	_, err = f.Connectors.Apply(w.Context(), connectors.Connector{ID: loggedConnector, Team: loggedTeam, Kind: waybill.KindDeltaSharing, DeltaSharing: &connectors.DeltaSharing{}})
	w.must(err)
	w.must(f.Ledger.RequestActivity(w.Context(), loggedConnector, time.Now().Add(-time.Hour)))
	w.submit(w.runs(2 * w.connectors)) // whose workflows they are
	place, err := storage.OpenFolder(w.path("tables/" + loggedConnector))
	w.must(err)
	w.Cleanup(func() { _ = place.Close() })
	return p, place
}

// tell has the platform tell of something, and returns of how many events:
// mostly late by some seconds, some by minutes; some of one moment, some twice.
func (w *world) tell(p *platform.Server) (n int) {
	for range 1 + w.rng.IntN(4) {
		ago := 11*time.Second + time.Duration(w.rng.IntN(20_000))*time.Millisecond
		if w.rng.IntN(10) == 0 {
			ago = time.Duration(w.rng.IntN(12*60)) * time.Second
		}
		e := platform.Event{Title: fmt.Sprint("event ", w.rng.IntN(5)), DateTime: time.Now().UTC().Add(-ago).Truncate(time.Duration(1+w.rng.IntN(2)*999) * time.Millisecond),
			Source:   platform.EventSource{RequestSource: "API", UserID: "u1"},
			Resource: platform.EventResource{Type: "run", WorkflowID: loggedWorkflows[w.rng.IntN(2)]}, Details: map[string]any{"records": 7}}
		for range 1 + w.rng.IntN(2) {
			p.AddEvents(e)
			n++
		}
	}
	return n
}

// told are the platform's events as the customer is to see them.
func (w *world) told(p *platform.Server) []string { return p.Lines(time.Time{}, loggedWorkflows...) }

// lines are the events of the customer's table.
func (w *world) lines(place *storage.Folder) []string {
	table := delta.Open(place, waybill.TableActivity, delta.Options{})
	s, err := table.Snapshot(w.Context())
	if errors.Is(err, delta.ErrNoTable) {
		return nil
	}
	w.must(err)
	rows, err := table.Rows(w.Context(), s)
	w.must(err)
	plain := make([]map[string]any, len(rows))
	for i, row := range rows {
		plain[i] = row
	}
	return platform.Lines(plain)
}

func TestTheActivityLogThroughKillsIsThePlatforms(t *testing.T) { logged.holds(t) }

func TestActivityThatIsReadOnlyOnceIsLostWithItsWorker(t *testing.T) { logged.breaks(t) }
