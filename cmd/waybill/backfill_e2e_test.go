package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/fakes/platform"
)

// withPlatform gives the fleet a platform with n runs of a workflow.
func (f *fleet) withPlatform(t *testing.T, p *platform.Server, n int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "waybill.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, "waybill.yaml", strings.Replace(string(text), "sources: {", fmt.Sprintf("platform: {url: %q, apiKey: env:PLATFORM_KEY}\nsources: {allow: [%q], ", p.URL, p.URL+"/"), 1))
	f.env = append(f.env, "PLATFORM_KEY="+platform.Key)
	p.AddWorkflow("wf_titles", team, waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String}}})
	for i := range n {
		at := time.Date(2025, 1, 15, 10, i, 0, 0, time.UTC)
		p.AddRuns("wf_titles", platform.Run{ID: fmt.Sprintf("job_%04d", i), State: waybill.RunFinished, StartedAt: at, FinishedAt: at, Records: []byte("{\"Title\":\"a\"}\n")})
	}
	p.AddRuns("wf_titles", platform.Run{ID: "job_bad", State: waybill.RunFailed, StartedAt: time.Now()})
}

func TestABackfillFromTheCommandLine(t *testing.T) {
	p := platform.New(platform.Options{})
	t.Cleanup(p.Close)
	f := newFleet(t, p.URL)
	f.withPlatform(t, p, 25)
	f.ok(t, "connector", "apply", "-f", f.write(t, "lake.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")+"workflows: [wf_titles]\n"))
	f.start(t, "scheduler")
	f.start(t, "worker", "--queues", "export=2,backfill=2")

	plan := f.ok(t, "backfill", "start", "acme-lake", "--dry-run", "--to", "2025-01-15T10:20:00Z")
	for _, want := range []string{"20, 20 rows, in 1 chunks", "1 more have not finished", "estimate"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the dry run does not say %q:\n%s", want, plan)
		}
	}
	if _, stderr, err := f.cli(t, "backfill", "status", "acme-lake"); err == nil || !strings.Contains(stderr, "not found") {
		t.Errorf("a dry run leaves a backfill: %v %s", err, stderr)
	}
	f.ok(t, "backfill", "start", "acme-lake", "--first", "job_0003")
	if _, stderr, err := f.cli(t, "backfill", "start", "acme-lake"); err == nil || !strings.Contains(stderr, "under way") {
		t.Errorf("a second backfill: %v %s", err, stderr)
	}
	f.await(t, waybill.StateComplete, 25, time.Minute)
	deadline := time.Now().Add(time.Minute)
	status := ""
	for ; !strings.Contains(status, "state      complete") && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		status = f.ok(t, "backfill", "status", "acme-lake")
	}
	if !strings.Contains(status, "25 complete, 0 failed") {
		t.Errorf("status:\n%s", status)
	}
	for _, args := range [][]string{{"pause"}, {"resume"}, {"cancel"}} {
		if _, stderr, err := f.cli(t, append([]string{"backfill", args[0]}, "acme-lake")...); err == nil || !strings.Contains(stderr, "is complete") {
			t.Errorf("%s of a complete one: %v %s", args[0], err, stderr)
		}
	}

	bad := f.write(t, "bad.jsonl", fmt.Sprintf("\n{\"teamId\":%q}\n", team))
	if _, stderr, err := f.cli(t, "backfill", "start", "acme-lake", "--manifest", bad); err == nil || !strings.Contains(stderr, "line 2") || !strings.Contains(stderr, "workflowId") {
		t.Errorf("a bad manifest: %v %s", err, stderr)
	}
	if u := p.Unexpected(); u != nil {
		t.Errorf("unexpected calls %v", u)
	}
}
