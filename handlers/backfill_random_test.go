package handlers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testsize"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// Random histories of two workflows whose schemas change back and forth, live
// runs and those of the backfill in any order and interleaving, processes that
// die anywhere: in the end the tables hold what the source does, and LATEST is
// of the newest run's schema.
func TestWhateverHappensTheTablesEqualTheSource(t *testing.T) {
	for seed := range uint64(testsize.Of(5, 2)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			p := newPast(t, waybill.KindDeltaSharing)
			p.randomHistory(rng)
			manifest := p.manifest()
			w := p.process(long)
			live := rng.Perm(len(p.runs))[:1+rng.IntN(len(p.runs))]
			w.live(p.runs[live[0]])
			w.work(1)
			w.start(ledger.BackfillPlan{Manifest: manifest})
			live = live[1:]
			for range 60 {
				switch rng.IntN(6) {
				case 0, 1:
					_ = w.tick()
				case 2, 3:
					w.work(1 + rng.IntN(3))
				case 4:
					if len(live) > 0 {
						p.process(long).live(p.runs[live[0]])
						live = live[1:]
					}
				case 5: // the process dies before long, and another takes over
					_ = errors.Join(w.tick(), w.scheduler.PlanAll(t.Context()))
					w = p.process(int64(rng.IntN(400)))
				}
			}
			w = p.process(long)
			time.Sleep(110 * time.Millisecond) // what the dead ones held
			for _, i := range live {
				w.live(p.runs[i])
			}
			w.finish(ledger.BackfillComplete)
			w.wantOnce("random")
			w.wantTables()
		})
	}
}

func (p *past) randomHistory(rng *rand.Rand) {
	for _, workflow := range []string{"wf_movies", "wf_books"} {
		at, schema := dawn, schemaA
		for i := range 4 + rng.IntN(8) {
			at = at.Add(time.Duration(1+rng.IntN(5)) * time.Hour)
			if rng.IntN(3) == 0 {
				schema = map[bool]waybill.Schema{true: schemaA, false: schemaB}[rng.IntN(2) == 0]
			}
			var records []string
			for n := range 1 + rng.IntN(4) {
				records = append(records, fmt.Sprintf(`{"Title":"%s-%d-%d"}`, workflow, i, n))
			}
			p.happened(workflow, fmt.Sprintf("job-%03d", i), at, schema, records...)
		}
	}
}

// manifest puts a manifest of the history, in any order, into our bucket. The
// records are where the platform has them.
func (p *past) manifest() string {
	p.Helper()
	var text bytes.Buffer
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(len(p.runs)) {
		run := p.runs[i]
		run.Source = waybill.Source{URI: p.platform.DataURL(run.WorkflowID, run.JobID), Format: "envelope"}
		if err := json.NewEncoder(&text).Encode(run); err != nil {
			p.Fatal(err)
		}
	}
	key := handlers.ManifestKey("lake", "test")
	if _, err := p.bucket.Put(p.Context(), key, &text, storage.PutOptions{}); err != nil {
		p.Fatal(err)
	}
	return key
}

// wantTables holds every table of versions, LATEST and WORKFLOW_RUNS against
// the history.
func (p *process) wantTables() {
	p.Helper()
	shared := map[string]int{}
	for _, workflow := range []string{"WF_MOVIES", "WF_BOOKS"} {
		id := map[string]string{"WF_MOVIES": "wf_movies", "WF_BOOKS": "wf_books"}[workflow]
		schemas, err := p.Ledger.Schemas(p.Context(), team, id)
		if err != nil {
			p.Fatal(err)
		}
		versions := map[string]int{}
		for n, s := range schemas {
			versions[s.Fingerprint()] = n
		}
		want, latest := map[int][]string{}, 0
		for _, run := range p.runs { // oldest first
			if run.WorkflowID != id {
				continue
			}
			latest = versions[run.Schema.Fingerprint()]
			shared[id+" "+run.JobID]++
			for line := range bytes.Lines([]byte(p.records[id+"/"+run.JobID])) {
				var record struct{ Title string }
				if err := json.Unmarshal(line, &record); err != nil {
					p.Fatal(err)
				}
				want[latest] = append(want[latest], run.JobID+" "+record.Title)
			}
		}
		for n := range want {
			slices.Sort(want[n])
			if got := p.column(fmt.Sprintf("%s__V%d", workflow, n), "KADOA_JOB_ID", "TITLE"); !slices.Equal(got, want[n]) {
				p.Errorf("%s__V%d holds %v, want %v", workflow, n, got, want[n])
			}
		}
		if got := p.column(workflow+"__LATEST", "KADOA_JOB_ID", "TITLE"); !slices.Equal(got, want[latest]) {
			p.Errorf("%s__LATEST holds %v, want V%d, %v", workflow, got, latest, want[latest])
		}
	}
	if got, want := p.column("WORKFLOW_RUNS", "WORKFLOW_ID", "JOB_ID"), slices.Sorted(maps.Keys(shared)); !slices.Equal(got, want) {
		p.Errorf("WORKFLOW_RUNS holds %v, want %v", got, want)
	}
}

// column are two columns of a table as a fresh reader finds them, sorted.
func (p *past) column(table, a, b string) (values []string) {
	p.Helper()
	d := delta.Open(p.customer, table, delta.Options{})
	s, err := d.Snapshot(p.Context())
	if err != nil {
		p.Fatalf("%s: %v", table, err)
	}
	rows, err := d.Rows(p.Context(), s)
	if err != nil {
		p.Fatalf("%s: %v", table, err)
	}
	for _, row := range rows {
		values = append(values, fmt.Sprint(row[a], " ", row[b]))
	}
	slices.Sort(values)
	return values
}
