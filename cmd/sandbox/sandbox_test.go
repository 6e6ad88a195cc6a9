package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/waybillhq/waybill/handlers"
)

const customer = "bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d"

// once are the flags of a sandbox that is short and ends.
func once(dir string, more ...string) []string {
	return append([]string{"--once", "--dir", dir, "--listen", "127.0.0.1:0", "--share", "127.0.0.1:0", "--past", "2", "--activity", "1s"}, more...)
}

func TestTheBundledRunsArrive(t *testing.T) {
	dir := t.TempDir()
	var out, errs bytes.Buffer
	if err := run(t.Context(), once(dir), &out, &errs); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
	}
	for line := range strings.Lines(errs.String()) {
		if !strings.Contains(line, "i/o timeout") { // a machine with too much to do: it was tried again
			t.Errorf("it logged: %s", line)
		}
	}
	for folder, want := range map[string]struct {
		rows    int64
		version int
	}{
		"wf_movies/2025-01-15T10-30-00Z-job_20250115_01":        {3201, 1},
		"wf_earthquakes/2025-01-16T06-00-03Z-job_20250116_07":   {1000, 1},
		"wf_earthquakes/2025-01-17T06-00-02Z-job_20250117_07":   {707, 2},
		"wf_contributions/2025-01-18T00-15-00Z-job_20250118_01": {58, 1},
	} {
		path := filepath.Join(dir, customer, folder)
		var m handlers.Manifest
		if err := json.Unmarshal(readFile(t, path, handlers.ManifestName), &m); err != nil {
			t.Fatal(err)
		}
		if m.Rows != want.rows || m.SchemaVersion != want.version || m.State != "complete" {
			t.Errorf("%s: %d rows, V%d, %s; want %d, V%d, complete", folder, m.Rows, m.SchemaVersion, m.State, want.rows, want.version)
		}
		if lines := int64(bytes.Count(readFile(t, path, "data.jsonl"), []byte("\n"))); lines != want.rows {
			t.Errorf("%s: %d lines of JSONL, want %d", folder, lines, want.rows)
		}
		records, err := csv.NewReader(bytes.NewReader(readFile(t, path, "data.csv"))).ReadAll()
		if err != nil || int64(len(records)) != want.rows+1 {
			t.Errorf("%s: %d CSV records, %v; want %d and a header", folder, len(records), err, want.rows)
		}
		if !strings.Contains(out.String(), folder) {
			t.Errorf("%s is not named in what it printed", folder)
		}
	}
	for _, place := range []string{"delta/sandbox-tables-1", "databricks/sandbox-databricks-1"} {
		for _, table := range []string{"WF_MOVIES__V1", "WF_MOVIES__LATEST", "WF_EARTHQUAKES__V1", "WF_EARTHQUAKES__V2", "WF_EARTHQUAKES__LATEST", "WORKFLOW_RUNS"} {
			readFile(t, filepath.Join(dir, place, table), "_delta_log/00000000000000000000.json")
		}
	}
	var profile struct{ Endpoint, BearerToken string }
	if err := json.Unmarshal(readFile(t, dir, "profile.share"), &profile); err != nil || !strings.HasPrefix(profile.BearerToken, "sandbox-tables-1.") {
		t.Errorf("profile %+v, %v", profile, err)
	}
	if !strings.Contains(out.String(), "sandbox_databricks_1.wf_movies__latest") && !strings.Contains(out.String(), "sandbox_databricks_1.WF_MOVIES__LATEST") {
		t.Errorf("what Databricks' customer sees is not in what it printed:\n%s", out.String())
	}
	for view, rows := range map[string]int{"WF_EARTHQUAKES__V1": 1000, "WF_EARTHQUAKES__V2": 707, "WF_EARTHQUAKES__LATEST": 707, "WF_MOVIES__LATEST": 3201, "WORKFLOW_RUNS": 4} {
		if !regexp.MustCompile(fmt.Sprintf(`FROM KADOA\.SHARED\.%s +%d rows`, view, rows)).MatchString(out.String()) {
			t.Errorf("Snowflake's customer does not read %d rows of %s:\n%s", rows, view, out.String())
		}
	}
	// The sandbox itself fails where they differ.
	for _, kind := range []string{"lake", "snowflake", "tables", "databricks"} {
		m := regexp.MustCompile(`sandbox-` + kind + `-1: (\d+) of (\d+) runs have the rows that they were made with, 0 were delivered twice`).FindStringSubmatch(out.String())
		if m == nil || m[1] != m[2] {
			t.Errorf("the backfill of kind %s was not held against the history:\n%s", kind, out.String())
		}
		if log := regexp.MustCompile(`ACTIVITY_LOG of sandbox-` + kind + `-1: \d+ events; looked at`); log.MatchString(out.String()) != (kind != "lake") {
			t.Errorf("the activity log of kind %s was not held against the platform's:\n%s", kind, out.String())
		}
	}
	for _, folder := range []string{"bucket", "ingest", "delta", "databricks"} {
		wantNowhere(t, filepath.Join(dir, folder), "_sourceIndex")
	}
}

func readFile(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func wantNowhere(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			t.Errorf("%s holds %s", path, text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{{"--twice"}, {"once"}, {"--once", "-f", "/nowhere/run.json"}} {
		if err := run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}

func TestTheBundledRunsAreAllNamed(t *testing.T) {
	entries, err := bundled.ReadDir(bundledDir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".run.json") {
			n++
		}
	}
	if n != len(order) {
		t.Errorf("%d runs are bundled and %d delivered", n, len(order))
	}
}
