package snowflake

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
)

var extra = waybill.Field{Name: "extra", DataType: waybill.String}

func TestAnUnchangedSchemaNeedsNoDDLButForStagingAndFewStatements(t *testing.T) {
	w := newWorld(t)
	w.setup()
	w.deliver(simple("wf_shop", "job1", 1, 3, "2025-01-16T06:00:00Z"))
	w.Forget()
	ctx := WithTag(t.Context(), "delivery d1")
	r, s := w.run(simple("wf_shop", "job2", 1, 3, "2025-01-17T06:00:00Z"), w.next())
	if err := w.attempt(ctx, r, s); err != nil {
		t.Fatal(err)
	}
	sent := w.Statements()
	if len(sent) > 14 {
		t.Errorf("%d statements, want at most 14", len(sent))
	}
	for _, st := range sent {
		if st.Tag != "delivery d1" {
			t.Errorf("the tag of %s is %q", st.Text, st.Tag)
		}
		for _, text := range append(st.Inner, st.Text) {
			word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
			ddl := word == "CREATE" || word == "DROP" || word == "ALTER" || word == "GRANT" || word == "REVOKE"
			if ddl && !strings.Contains(text, `"STAGING"."STG_`) {
				t.Errorf("an unchanged schema sends %s", text)
			}
		}
	}
}

func TestAnAttemptThatLostItsLaneChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.setup()
	customer := w.analyst()
	old, oldFiles := w.run(simple("wf_shop", "job1", 1, 5, "2025-01-16T06:00:00Z"), w.next())
	if err := w.load(t.Context(), old, oldFiles); err != nil {
		t.Fatal(err)
	}
	w.deliver(simple("wf_shop", "job1", 1, 5, "2025-01-16T06:00:00Z"))
	want := w.seen(customer, "wf_shop")
	sweeps := old.args("kadoa")
	for name, zombie := range map[string]func() error{
		"load":      func() error { return w.dest.Load(t.Context(), old, oldFiles) },
		"publish":   func() error { _, err := w.dest.Publish(t.Context(), old, RouteDirect); return err },
		"unpublish": func() error { _, err := w.dest.Unpublish(t.Context(), old.Lane, "job1", RouteDirect); return err },
		"pin":       func() error { _, err := w.dest.Pin(t.Context(), old.Lane, 1, RouteDirect); return err },
		"narrow":    func() error { _, err := w.dest.Narrow(t.Context(), old.Lane); return err },
		"purge":     func() error { _, err := w.dest.Purge(t.Context(), old.Lane); return err },
		"sweep":     func() error { _, err := w.dest.block(t.Context(), "sweep", sweeps); return err },
	} {
		err := zombie()
		if !errors.Is(err, ErrLostFence) || codeOf(err) != "snowflake.lost_fence" {
			t.Errorf("a late %s is answered %v, want that the lane is lost", name, err)
		}
		if got := w.seen(customer, "wf_shop"); got != want {
			t.Errorf("after a late %s the customer sees\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestLatestFollowsTheNewestRunAndNotTheLastDelivered(t *testing.T) {
	w := newWorld(t)
	w.setup()
	customer := w.analyst()
	for _, step := range []struct {
		d      delivery
		latest int64
	}{
		{simple("wf_shop", "job2", 1, 2, "2025-01-17T06:00:00Z"), 1},
		{simple("wf_shop", "job3", 2, 3, "2025-01-18T06:00:00Z", extra), 2},
		{simple("wf_shop", "job1", 1, 4, "2025-01-16T06:00:00Z"), 2}, // history: its rows load, LATEST stays
		{simple("wf_shop", "job4", 1, 1, "2025-01-19T06:00:00Z"), 1}, // a return to the older descriptor
		{simple("wf_shop", "job5", 2, 1, "2025-01-19T06:00:00Z", extra), 2},
	} {
		p := w.deliver(step.d)
		if p.Latest.Shows != step.latest {
			t.Errorf("after %s LATEST points to V%d, want V%d", step.d.job, p.Latest.Shows, step.latest)
		}
		w.wants(customer, `SELECT SCHEMA_VERSION FROM KADOA.SHARED.WORKFLOW_SCHEMA_VERSIONS WHERE IS_LATEST`, fmt.Sprint(step.latest))
	}
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__V1`, "7")
	w.wants(customer, `SELECT COUNT(*), COUNT(EXTRA) FROM KADOA.SHARED.WF_SHOP__LATEST`, "4|0")
}

func TestAReplacementSwapsTheRowsOfItsJobAtOnce(t *testing.T) {
	w := newWorld(t)
	w.setup()
	customer := w.analyst()
	w.deliver(simple("wf_shop", "job1", 1, 5, "2025-01-16T06:00:00Z"))
	w.deliver(simple("wf_shop", "job2", 1, 2, "2025-01-17T06:00:00Z"))
	again := simple("wf_shop", "job1", 2, 3, "2025-01-16T06:00:00Z", extra)
	again.generation = 2
	r, s := w.run(again, w.next())
	if err := w.load(t.Context(), r, s); err != nil {
		t.Fatal(err)
	}
	w.wants(customer, `SELECT KADOA_JOB_ID, COUNT(*) FROM KADOA.SHARED.WF_SHOP__V1 GROUP BY KADOA_JOB_ID ORDER BY KADOA_JOB_ID`, "job1|5", "job2|2")
	if _, err := w.publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	w.wants(customer, `SELECT KADOA_JOB_ID, COUNT(*) FROM KADOA.SHARED.WF_SHOP__V1 GROUP BY KADOA_JOB_ID`, "job2|2")
	w.wants(customer, `SELECT KADOA_JOB_ID, COUNT(*) FROM KADOA.SHARED.WF_SHOP__V2 GROUP BY KADOA_JOB_ID`, "job1|3")
	w.wants(customer, `SELECT JOB_ID, SCHEMA_VERSION, ROW_COUNT FROM KADOA.SHARED.WORKFLOW_RUNS ORDER BY JOB_ID`, "job1|2|3", "job2|1|2")

	late := w.next() + 8*24*60*60*1000
	swept, err := w.dest.Sweep(t.Context(), Lane{WorkflowID: "wf_shop", Fence: late})
	if err != nil || len(swept.Loads) != 1 || swept.Rows != 5 {
		t.Errorf("a week later the sweep removes %+v, %v; want the 5 rows of the first load", swept, err)
	}
	if swept, err = w.dest.Sweep(t.Context(), Lane{WorkflowID: "wf_shop", Fence: late}); err != nil || len(swept.Loads) != 0 {
		t.Errorf("a second sweep removes %+v, %v", swept, err)
	}
	w.fence = late
}

func TestASweepRemovesTheTablesOfDeadAttemptsOfItsLaneAlone(t *testing.T) {
	w := newWorld(t)
	w.setup()
	dead, _ := w.run(simple("wf_shop", "job1", 1, 2, "2025-01-16T06:00:00Z"), w.next())
	other, _ := w.run(simple("wf_other", "job1", 1, 2, "2025-01-16T06:00:00Z"), w.next())
	mine, _ := w.run(simple("wf_shop", "job1", 1, 2, "2025-01-16T06:00:00Z"), w.next())
	for _, r := range []Run{dead, other, mine} {
		if err := w.dest.Evolve(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if _, err := w.dest.send(t.Context(), "stg_create", r.args("kadoa")); err != nil {
			t.Fatal(err)
		}
	}
	swept, err := w.dest.Sweep(t.Context(), mine.Lane)
	if err != nil || len(swept.Tables) != 1 || swept.Tables[0] != dead.staging() {
		t.Errorf("the sweep removes %v, %v; want %s", swept.Tables, err, dead.staging())
	}
}

func TestUnpublishingTakesARunBackAndLatestFollows(t *testing.T) {
	w := newWorld(t)
	w.setup()
	customer := w.analyst()
	w.deliver(simple("wf_shop", "job1", 1, 2, "2025-01-16T06:00:00Z"))
	bad := simple("wf_shop", "job2", 2, 3, "2025-01-17T06:00:00Z", extra)
	w.deliver(bad)
	lane := Lane{WorkflowID: "wf_shop", Fence: w.next()}
	for range 2 { // repeated, it comes to the same
		if _, err := w.dest.Unpublish(t.Context(), lane, "job2", RouteDirect); err != nil {
			t.Fatal(err)
		}
		w.wants(customer, `SELECT JOB_ID, STATUS FROM KADOA.SHARED.WORKFLOW_RUNS ORDER BY JOB_ID`, "job1|PUBLISHED", "job2|UNPUBLISHED")
		w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__V2`, "0")
		w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__LATEST`, "2")
	}
	state, err := w.dest.RunState(t.Context(), "wf_shop", "job2")
	if err != nil || state.Status != waybill.StatusUnpublished || state.Rows != 3 {
		t.Errorf("the run is %+v, %v", state, err)
	}
	w.deliver(bad)
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__LATEST`, "3")
}

func TestAPinnedLatestStaysUntilItIsLetGo(t *testing.T) {
	w := newWorld(t)
	w.setup()
	w.deliver(simple("wf_shop", "job1", 1, 2, "2025-01-16T06:00:00Z"))
	w.deliver(simple("wf_shop", "job2", 2, 3, "2025-01-17T06:00:00Z", extra))
	latest, err := w.dest.Pin(t.Context(), Lane{"wf_shop", w.next()}, 1, RouteDirect)
	if err != nil || latest.Shows != 1 || latest.Newest != 2 || !latest.Pinned || len(latest.Moves) != 3 {
		t.Errorf("pinned, LATEST is %+v, %v", latest, err)
	}
	if p := w.deliver(simple("wf_shop", "job3", 2, 3, "2025-01-18T06:00:00Z", extra)); p.Moved || p.Latest.Shows != 1 {
		t.Errorf("a new run moved the pinned LATEST: %+v", p)
	}
	if latest, err = w.dest.Unpin(t.Context(), Lane{"wf_shop", w.next()}, RouteDirect); err != nil || latest.Shows != 2 || latest.Pinned {
		t.Errorf("let go, LATEST is %+v, %v", latest, err)
	}
	if _, err := w.dest.Pin(t.Context(), Lane{"wf_shop", w.next()}, 9, RouteDirect); codeOf(err) != "snowflake.no_version" {
		t.Errorf("pinning to a version that is not there: %v", err)
	}
}

func TestALatestThatALateAttemptMovedIsMovedBack(t *testing.T) {
	w := newWorld(t)
	w.setup()
	customer := w.analyst()
	w.deliver(simple("wf_shop", "job1", 1, 2, "2025-01-16T06:00:00Z"))
	w.deliver(simple("wf_shop", "job2", 2, 3, "2025-01-17T06:00:00Z", extra))
	late := w.dest.pointLatest(Lane{WorkflowID: "wf_shop", Fence: w.fence}, 1, false, []string{"ID", "N", "KADOA_JOB_ID", "KADOA_RUN_FINISHED_AT"})
	_, view, _ := strings.Cut(late, "COMMIT;")
	view, _, _ = strings.Cut(view, ";\n  GRANT")
	if _, err := w.dest.sendText(t.Context(), "latest_point", view); err != nil {
		t.Fatal(err)
	}
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__LATEST`, "2")
	if p := w.deliver(simple("wf_shop", "job3", 2, 1, "2025-01-18T06:00:00Z", extra)); !p.Moved {
		t.Errorf("the publication is %+v; want LATEST repaired", p)
	}
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__LATEST`, "4")
}

func TestAnEmptyRunIsPublishedToo(t *testing.T) {
	w := newWorld(t)
	w.setup()
	customer := w.analyst()
	if p := w.deliver(simple("wf_shop", "job1", 1, 0, "2025-01-16T06:00:00Z")); p.Rows != 0 {
		t.Errorf("the publication is %+v", p)
	}
	w.wants(customer, `SELECT JOB_ID, ROW_COUNT, STATUS FROM KADOA.SHARED.WORKFLOW_RUNS`, "job1|0|PUBLISHED")
}

func TestEveryTypeArrivesAsItWasWritten(t *testing.T) {
	w := newWorld(t)
	w.setup()
	customer := w.analyst()
	d := simple("Prices-2025", "it.s", 1, 0, "2025-01-16T06:00:00Z")
	d.fields = []waybill.Field{{Name: "select", DataType: waybill.String}, {Name: "aB", DataType: waybill.Number}, {Name: "Ab", DataType: waybill.Money},
		{Name: "b", DataType: waybill.Boolean}, {Name: "d", DataType: waybill.Date}, {Name: "t", DataType: waybill.DateTime}, {Name: "o", DataType: waybill.Object}}
	d.records = []string{`{"select":"it's \"$$\" \\","aB":1.5,"Ab":{"amount":1999,"currencyCode":"USD"},"b":true,"d":"2025-02-03","t":"2025-02-03T04:05:06.789Z","o":{"k":[1]}}`,
		`{"select":"","aB":"x","Ab":null,"b":"maybe","d":"01/02/2025","t":null}`}
	w.deliver(d)
	view := "KADOA.SHARED." + waybill.VersionTable(d.workflow, 1)
	amount := waybill.Schema{Fields: d.fields}.Columns("kadoa")[2].Name
	w.wants(customer, `SELECT "SELECT", `+amount+`, B, D, T, O FROM `+view+` WHERE B`, `it's "$$" \|19.990000000|1|2025-02-03T00:00:00Z|2025-02-03T04:05:06.789Z|{`+"\n"+`  "k": [`+"\n"+`    1`+"\n"+`  ]`+"\n"+`}`)
	w.wants(customer, `SELECT COUNT(*), COUNT("SELECT"), COUNT(`+amount+`), COUNT(B), COUNT(D), COUNT(T), COUNT(O) FROM `+view, "2|2|1|1|1|1|1")
}

func TestRealRunsArriveWhole(t *testing.T) {
	w := newWorld(t)
	w.setup()
	customer := w.analyst()
	for i, version := range []int{1, 2} {
		folder := filepath.Join("..", "..", "cmd", "sandbox", "testdata", "runs")
		doc, err := os.ReadFile(filepath.Join(folder, fmt.Sprintf("earthquakes-%d.run.json", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		var run waybill.Run
		if err := json.Unmarshal(doc, &run); err != nil {
			t.Fatal(err)
		}
		records, err := os.ReadFile(filepath.Join(folder, run.Source.URI))
		if err != nil {
			t.Fatal(err)
		}
		w.deliver(delivery{workflow: run.WorkflowID, job: run.JobID, version: version, fields: run.Schema.Fields,
			records: []string{string(records)}, finished: run.FinishedAt, generation: 1})
	}
	for view, rows := range map[string]string{"V1": "1000", "V2": "707", "LATEST": "707"} {
		w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_EARTHQUAKES__`+view, rows)
	}
}
