package main_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// jobRows is how many rows of a job a table below a folder has, and how many Parquet files there are in all.
func jobRows(t *testing.T, dir, table, job string) (rows int64, files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".parquet") {
			files++
		}
		if !e.IsDir() || e.Name() != table {
			return nil
		}
		store, err := storage.OpenFolder(filepath.Dir(path))
		if err != nil {
			return err
		}
		defer store.Close()
		d := delta.Open(store, table, delta.Options{})
		s, err := d.Snapshot(t.Context())
		if err == nil {
			rows, err = d.JobRows(t.Context(), s, job)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows, files
}

func TestPublishedTablesAreOperatedFromTheCommandLine(t *testing.T) {
	f := newFleet(t)
	tables := filepath.Join(f.dir, "tables")
	if err := os.Mkdir(tables, 0o755); err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(filepath.Join(f.dir, "waybill.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, "waybill.yaml", string(settings)+"sharing: {url: \"https://share.example.com/delta\", storage: \"file://"+tables+"\"}\n")
	f.ok(t, "connector", "apply", "-f", f.write(t, "tables.yaml", "id: acme-tables\nteam: "+team+"\nkind: deltasharing\nworkflows: [wf_contributions]\n"))
	says := func(want string, args ...string) {
		t.Helper()
		if out := f.ok(t, args...); !strings.Contains(out, want) {
			t.Errorf("waybill %s says\n%s\nwithout %q", strings.Join(args, " "), out, want)
		}
	}
	says("nothing was published yet", "connector", "latest", "acme-tables", "wf_contributions")
	f.start(t, "scheduler")
	f.start(t, "worker", "--queues", "delta=2")
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, 2)...)...)
	published := f.await(t, waybill.StateComplete, 2, 2*time.Minute)

	says("WF_CONTRIBUTIONS__LATEST points to V1 and follows", "connector", "latest", "acme-tables", "wf_contributions")
	says("points to V1, where it is pinned", "connector", "latest", "acme-tables", "wf_contributions", "--to", "V1")
	says("points to V1 and follows", "connector", "latest", "acme-tables", "wf_contributions", "--follow")
	for _, to := range []string{"V9", "one"} {
		if _, stderr, err := f.cli(t, "connector", "latest", "acme-tables", "wf_contributions", "--to", to); err == nil || stderr == "" {
			t.Errorf("LATEST is moved to %s: %v %s", to, err, stderr)
		}
	}

	job := published[0].JobID
	if rows, _ := jobRows(t, tables, "WF_CONTRIBUTIONS__LATEST", job); rows != published[0].Rows || rows == 0 {
		t.Fatalf("%d rows of %s, want %d", rows, job, published[0].Rows)
	}
	says("is unpublished", "delivery", "unpublish", published[0].ID)
	if left := f.deliveries(t, "--state", string(waybill.StateUnpublished)); len(left) != 1 || left[0].ID != published[0].ID {
		t.Errorf("unpublished are %+v", left)
	}
	for _, table := range []string{"WF_CONTRIBUTIONS__V1", "WF_CONTRIBUTIONS__LATEST"} {
		if rows, _ := jobRows(t, tables, table, job); rows != 0 {
			t.Errorf("%s has %d rows of the run that was unpublished", table, rows)
		}
		if rows, _ := jobRows(t, tables, table, published[1].JobID); rows != published[1].Rows {
			t.Errorf("%s has %d rows of the other run, want %d", table, rows, published[1].Rows)
		}
	}
	f.ok(t, "delivery", "retry", published[0].ID)
	f.await(t, waybill.StateComplete, 2, 2*time.Minute)
	if rows, _ := jobRows(t, tables, "WF_CONTRIBUTIONS__LATEST", job); rows != published[0].Rows {
		t.Errorf("published anew, it has %d rows, want %d", rows, published[0].Rows)
	}

	says("acme-tables deleted", "connector", "delete", "acme-tables")
	if _, files := jobRows(t, tables, "", ""); files == 0 {
		t.Error("the data is gone before its time")
	}
	says("acme-tables deleted", "connector", "delete", "acme-tables", "--purge")
	if _, files := jobRows(t, tables, "", ""); files != 0 {
		t.Errorf("%d files are left of what was purged", files)
	}
	receipts := 0
	err = filepath.WalkDir(filepath.Join(f.dir, "own", "operations"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			receipts++
		}
		return err
	})
	if err != nil || receipts < 5 {
		t.Errorf("%d receipts, %v; want one each of two moves, the unpublished run, the deletion and the purge", receipts, err)
	}
}
