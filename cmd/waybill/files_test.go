package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/storage"
)

// The files of a connector with a limit, with compression and with the guard:
// a run arrives, is replaced by one with another finish time, and outlives its
// connector.
func TestFilesOfAConnector(t *testing.T) {
	f := newFleet(t)
	settings := "  maxFileBytes: 64KiB\n  compression: {csv: gzip, jsonl: zstd}\n  csvFormulaGuard: true\n"
	f.ok(t, "connector", "apply", "-f", f.write(t, "lake.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")+settings))
	f.start(t, "scheduler")
	f.start(t, "worker", "--queues", "export=2")
	text, err := os.ReadFile("../sandbox/testdata/runs/movies.run.json")
	if err != nil {
		t.Fatal(err)
	}
	records, err := filepath.Abs("../sandbox/testdata/runs/movies.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var run waybill.Run
	submit := func() waybill.Delivery {
		doc, err := json.Marshal(run)
		if err != nil {
			t.Fatal(err)
		}
		f.ok(t, "run", "submit", "-f", f.write(t, "run.json", string(doc)))
		id := waybill.DeliveryID(run.RunKey, "acme-lake")
		f.ok(t, "delivery", "watch", id)
		return f.await(t, waybill.StateComplete, 1, time.Minute)[0]
	}
	if err := json.Unmarshal(text, &run); err != nil {
		t.Fatal(err)
	}
	run.TeamID, run.Source.URI = team, "file://"+records
	submit()
	bucket := f.bucket(t)
	first := manifests(t, bucket)
	if len(first) != 1 {
		t.Fatalf("%d manifests", len(first))
	}

	run.FinishedAt, run.Replace = run.FinishedAt.Add(time.Hour), true
	if d := submit(); d.Generation != 2 {
		t.Errorf("%+v", d)
	}
	both := manifests(t, bucket)
	for key, m := range both {
		if _, old := first[key]; old != (m.Generation == 1) || m.Replaces != "" && m.Replaces != bucket.URL()+strings.TrimSuffix(only(t, first), handlers.ManifestName) || (m.Replaces == "") != old {
			t.Errorf("%s is of generation %d and replaces %q", key, m.Generation, m.Replaces)
		}
		wantFiles(t, bucket, key, m, run.RowCount)
	}
	if len(both) != 2 {
		t.Errorf("%d manifests", len(both))
	}

	before := sums(t, bucket)
	f.ok(t, "connector", "delete", "acme-lake")
	if after := sums(t, bucket); !slices.Equal(after, before) {
		t.Errorf("deleting the connector changed the customer's files: %v, were %v", after, before)
	}
}

// wantFiles holds a manifest against the objects beside it: all within the
// limit, each as it is described, and with all rows of each format.
func wantFiles(t *testing.T, bucket storage.Store, key string, m handlers.Manifest, rows int64) {
	t.Helper()
	folder := strings.TrimSuffix(key, handlers.ManifestName)
	count := map[string]int64{}
	files := map[string]int{}
	for _, file := range m.Files {
		content := read(t, bucket, folder+file.Name)
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != file.SHA256 || int64(len(content)) != file.Bytes || len(content) > 64<<10 {
			t.Errorf("%s, of %d bytes, is not what its manifest says: %+v", file.Name, len(content), file)
		}
		count[file.Format] += file.Rows
		files[file.Format]++
	}
	for _, format := range []string{"parquet", "jsonl", "csv"} {
		if count[format] != rows || files[format] < 2 {
			t.Errorf("%s has %d rows in %d files, want %d rows in several", format, count[format], files[format], rows)
		}
	}
}

func manifests(t *testing.T, bucket storage.Store) map[string]handlers.Manifest {
	t.Helper()
	found := map[string]handlers.Manifest{}
	for o, err := range bucket.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(o.Key, handlers.ManifestName) {
			var m handlers.Manifest
			if err := json.Unmarshal(read(t, bucket, o.Key), &m); err != nil {
				t.Fatal(err)
			}
			found[o.Key] = m
		}
	}
	return found
}

func only(t *testing.T, m map[string]handlers.Manifest) string {
	t.Helper()
	for key := range m {
		return key
	}
	t.Fatal("there is none")
	return ""
}

func sums(t *testing.T, bucket storage.Store) (list []string) {
	t.Helper()
	for o, err := range bucket.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(read(t, bucket, o.Key))
		list = append(list, o.Key+" "+o.ETag+" "+hex.EncodeToString(sum[:]))
	}
	return list
}

func TestConvertIntoSeveralCompressedFiles(t *testing.T) {
	f := &fleet{dir: t.TempDir(), env: os.Environ()}
	const runs = "../sandbox/testdata/runs/"
	out := filepath.Join(f.dir, "out")
	convert := func(more ...string) []string {
		return append([]string{"convert", "--schema", runs + "movies.run.json", "--in", runs + "movies.jsonl", "--out", out}, more...)
	}
	var report struct {
		Rows  int64 `json:"rows"`
		Files []struct {
			Name  string `json:"name"`
			Rows  int64  `json:"rows"`
			Bytes int64  `json:"bytes"`
		} `json:"files"`
	}
	text := f.ok(t, convert("--max-file-bytes", "100KiB", "--compression", "csv=gzip,jsonl=zstd", "--csv-formula-guard")...)
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatal(err)
	}
	rows := map[string]int64{}
	for _, file := range report.Files {
		info, err := os.Stat(filepath.Join(out, file.Name))
		if err != nil || info.Size() != file.Bytes || info.Size() > 100<<10 {
			t.Errorf("%+v: %v", file, err)
		}
		rows[strings.SplitN(file.Name, ".", 2)[1]] += file.Rows
	}
	entries, err := os.ReadDir(out)
	if err != nil || len(entries) != len(report.Files) || report.Files[0].Name != "data-00000.parquet" {
		t.Errorf("%d files, %d are reported, %v", len(entries), len(report.Files), err)
	}
	for _, format := range []string{"parquet", "jsonl.zst", "csv.gz"} {
		if rows[format] != report.Rows || report.Rows == 0 {
			t.Errorf("%s has %d of %d rows", format, rows[format], report.Rows)
		}
	}
	for flag, want := range map[string]string{
		"--compression=csv=brotli":   `"brotli" is not a compression; use gzip, zstd`,
		"--compression=parquet=gzip": `"parquet" is not a text format; use csv, jsonl or json`,
		"--max-file-bytes=lots":      `"lots" is not a size`,
		"--max-file-bytes=-1":        `"-1" is not a size`,
	} {
		if _, stderr, err := f.cli(t, convert(flag)...); err == nil || !strings.Contains(stderr, want) {
			t.Errorf("%s: %v, %s; want %s", flag, err, stderr, want)
		}
	}
}
