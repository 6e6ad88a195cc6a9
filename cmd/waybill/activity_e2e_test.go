package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/delta"
)

func TestTheActivityLogFromTheCommandLine(t *testing.T) {
	p := platform.New(platform.Options{})
	t.Cleanup(p.Close)
	f := newFleet(t, p.URL)
	f.withPlatform(t, p, 1)
	tables := filepath.Join(f.dir, "tables")
	if err := os.MkdirAll(filepath.Join(tables, "acme-tables"), 0o755); err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(filepath.Join(f.dir, "waybill.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, "waybill.yaml", string(settings)+fmt.Sprintf("times: {activity: 1s}\nsharing: {url: %q, storage: \"file://%s\"}\n", p.URL+"/delta-sharing", tables))
	f.ok(t, "connector", "apply", "-f", f.write(t, "tables.yaml", "id: acme-tables\nteam: "+team+"\nkind: deltasharing\n"))
	f.ok(t, "connector", "apply", "-f", f.write(t, "lake.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")))
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, 1)...)...)

	now := time.Now().UTC()
	event := func(ago time.Duration, title string) {
		p.AddEvents(platform.Event{Title: title, DateTime: now.Add(-ago), Resource: platform.EventResource{Type: "run", WorkflowID: "wf_contributions"}, Details: map[string]any{"_cost": 1, "n": 2}})
	}
	event(72*time.Hour, "long ago")
	event(20*time.Hour, "yesterday")
	event(20*time.Hour, "yesterday")
	for _, refused := range []struct{ args, why string }{
		{"acme-lake --activity --from 2025-01-01", "has no activity log"},
		{"acme-tables --activity", "wants --from"},
		{"acme-tables --activity --from tomorrow", "--from"},
		{"acme-tables --activity --from 2999-01-01", "of the past"},
		{"acme-tables --activity --from 2025-01-01 --dry-run", "activity"},
	} {
		if _, stderr, err := f.cli(t, append([]string{"backfill", "start"}, strings.Fields(refused.args)...)...); err == nil || !strings.Contains(stderr, refused.why) {
			t.Errorf("%s: %v %s", refused.args, err, stderr)
		}
	}
	if out := f.ok(t, "connector", "show", "acme-tables"); !strings.Contains(out, "# activity: nothing was read yet") {
		t.Errorf("before a tick, it shows\n%s", out)
	}

	f.start(t, "scheduler")
	f.start(t, "worker", "--queues", "activity=1")
	f.ok(t, "backfill", "start", "acme-tables", "--activity", "--from", now.Add(-24*time.Hour).Format(time.RFC3339))
	want := p.Lines(now.Add(-24*time.Hour), "wf_contributions")
	place, err := storage.OpenFolder(filepath.Join(tables, "acme-tables"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = place.Close() })
	var got []string
	for deadline := time.Now().Add(time.Minute); !slices.Equal(got, want) && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		got = activityOf(t, place)
	}
	if !slices.Equal(got, want) || len(want) != 2 {
		t.Errorf("the log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	p.Inject(platform.Fault{Path: "/v4/activity/", Status: 401, Times: -1})
	out := ""
	for deadline := time.Now().Add(time.Minute); !strings.Contains(out, "platform.access_denied") && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		out = f.ok(t, "connector", "show", "acme-tables")
	}
	for _, says := range []string{"# activity: all until 20", "s ago\n", "# activity: fails at stage ", "(platform.access_denied): "} {
		if !strings.Contains(out, says) {
			t.Errorf("it does not show %q:\n%s", says, out)
		}
	}
	f.ok(t, "connector", "apply", "-f", f.write(t, "shown.yaml", out)) // what is shown can be applied
}

// activityOf are the events of a customer's table.
func activityOf(t *testing.T, place storage.Store) []string {
	t.Helper()
	table := delta.Open(place, waybill.TableActivity, delta.Options{})
	s, err := table.Snapshot(t.Context())
	if err != nil {
		return nil // not yet
	}
	rows, err := table.Rows(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	plain := make([]map[string]any, len(rows))
	for i, row := range rows {
		plain[i] = row
	}
	return platform.Lines(plain)
}
