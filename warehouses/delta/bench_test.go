package delta

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waybillhq/waybill/storage"
)

// oldTable is a table of so many commits, each of one file that is not there:
// what its log costs is looked at, not its rows.
func oldTable(b *testing.B, commits int) (storage.Store, *Table) {
	b.Helper()
	dir := b.TempDir()
	store, err := storage.OpenFolder(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	table := Open(store, "v1", Options{})
	must[Committed](b)(table.Create(b.Context(), cities()))
	stats := `{\"numRecords\":100,\"minValues\":{\"CITY\":\"a\",\"KADOA_JOB_ID\":\"j\"},\"maxValues\":{\"CITY\":\"z\",\"KADOA_JOB_ID\":\"j\"}}`
	for version := 1; version <= commits; version++ {
		text := fmt.Sprintf(`{"commitInfo":{"timestamp":0,"operation":"WRITE","operationParameters":{}}}`+"\n"+
			`{"txn":{"appId":"d%d","version":1,"lastUpdated":%d}}`+"\n"+
			`{"add":{"path":"d%d.parquet","partitionValues":{},"size":1,"modificationTime":0,"dataChange":true,"stats":"%s"}}`+"\n",
			version, finished.UnixMilli(), version, stats)
		if err := os.WriteFile(filepath.Join(dir, "v1", commitName(int64(version))), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
		if version == commits-10 { // the newest checkpoint, with a tail behind it
			if err := Open(store, "v1", Options{Now: func() time.Time { return finished }}).Checkpoint(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	return store, table
}

// BenchmarkOpen reads a table of 10,000 commits and files from its checkpoint and tail.
func BenchmarkOpen(b *testing.B) {
	store, _ := oldTable(b, 10_000)
	for b.Loop() {
		s, err := Open(store, "v1", Options{}).Snapshot(b.Context())
		if err != nil || s.Version != 10_000 || len(s.files) != 10_000 {
			b.Fatal(s, err)
		}
	}
}

// BenchmarkCommit appends a file that is there already: the commit alone, its
// checkpoints among them, on a folder.
func BenchmarkCommit(b *testing.B) {
	store, err := storage.OpenFolder(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	table := Open(store, "v1", Options{})
	must[Committed](b)(table.Create(b.Context(), cities()))
	n := 0
	for b.Loop() {
		n++
		must[Committed](b)(table.AppendRows(b.Context(), "bench", int64(n), nil))
	}
}
