package delta

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// unstable are times and sizes that the machine decides.
var unstable = regexp.MustCompile(`"(modificationTime|size)":\d+`)

var update = flag.Bool("update", false, "write the golden files anew")

// The log of a table's life, as it is written: readers that none of us wrote
// depend on every byte of it.
func TestTheLogIsAsWritten(t *testing.T) {
	ticking := &clock{}
	options := Options{Now: ticking.now, NewID: numbered(), CompactAbove: 1}
	store := folder(t)
	table, latest := Open(store, "v1", options), Open(store, "latest", options)
	must[Committed](t)(table.Create(t.Context(), cities()))
	for _, l := range []Load{delivery("a", 1), delivery("b", 1), delivery("a", 2)} {
		l = l.put(t, table, citySchema, cityRecords(l, 2)...)
		l.Files[0].Modified = finished.UnixMilli() // the store's own clock
		must[Committed](t)(table.Replace(t.Context(), l))
	}
	must[Committed](t)(table.Compact(t.Context()))
	must[Committed](t)(table.Remove(t.Context(), Load{Delivery: "d-b", Generation: 2, Fence: 3, JobID: "b"}))
	must[Committed](t)(latest.Follow(t.Context(), Mirror{Definition: cities(), Source: table, SchemaVersion: 1, Fence: 3}))
	must[Committed](t)(latest.Overwrite(t.Context(), Definition{Name: "WF_CITIES__LATEST", Columns: otherSchema.Columns("kadoa")}, Load{Delivery: "d", Generation: 1}))

	var got bytes.Buffer
	for _, key := range names(t, store) {
		if filepath.Ext(key) == ".json" {
			text := must[[]byte](t)(readObject(t.Context(), store, key, storage.GetOptions{}))
			fmt.Fprintf(&got, "%s\n%s\n", key, text)
		}
	}
	text := unstable.ReplaceAllString(got.String(), `"$1":0`)
	golden := filepath.Join("testdata", "log.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(must[[]byte](t)(os.ReadFile(golden))); text != want {
		t.Errorf("the log changed; if that is wanted, run go test ./warehouses/delta -update\n%s", text)
	}
}

func TestAnotherWritersCommitInBetweenIsSeen(t *testing.T) {
	store := folder(t)
	table := Open(store, "v1", Options{})
	must[Committed](t)(table.Create(t.Context(), cities()))
	a := delivery("a", 1)
	a = a.put(t, table, citySchema, cityRecords(a, 1)...)
	// The other writer commits the very delivery, while ours is on its way.
	between := &interposed{Store: store, before: func() {
		must[Committed](t)(Open(store, "v1", Options{}).Replace(t.Context(), a))
	}}
	c := must[Committed](t)(Open(between, "v1", Options{}).Replace(t.Context(), a))
	if c.Changed || c.Version != 1 {
		t.Errorf("the delivery was committed again: %+v", c)
	}
	wantContents(t, table, "a/1/0")

	// A newer attempt commits another generation while an old one is on its way.
	b1, b2 := delivery("b", 1), delivery("b", 2)
	b1, b2 = b1.put(t, table, citySchema, cityRecords(b1, 1)...), b2.put(t, table, citySchema, cityRecords(b2, 1)...)
	between = &interposed{Store: store, before: func() {
		must[Committed](t)(Open(store, "v1", Options{}).Replace(t.Context(), b2))
	}}
	if _, err := Open(between, "v1", Options{}).Replace(t.Context(), b1); !errors.Is(err, ErrSuperseded) {
		t.Errorf("the stale attempt is answered with %v", err)
	}
	wantContents(t, table, "a/1/0", "b/2/0")
}

// interposed does something right before the first commit is put.
type interposed struct {
	storage.Store
	before func()
}

func (i *interposed) Put(ctx context.Context, key string, r io.Reader, opts storage.PutOptions) (storage.Object, error) {
	if do := i.before; do != nil && opts.IfAbsent {
		i.before = nil
		do()
	}
	return i.Store.Put(ctx, key, r, opts)
}

func TestTablesWithFeaturesThatAreNotKnownAreRefused(t *testing.T) {
	for name, line := range map[string]string{
		"a newer protocol":  `{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors"]}}`,
		"a newer writer":    `{"protocol":{"minReaderVersion":1,"minWriterVersion":4}}`,
		"append-only":       `{"metaData":{"id":"x","format":{"provider":"parquet"},"schemaString":%q,"configuration":{"delta.appendOnly":"true"}}}`,
		"change data feed":  `{"metaData":{"id":"x","format":{"provider":"parquet"},"schemaString":%q,"configuration":{"delta.enableChangeDataFeed":"true"}}}`,
		"an invariant":      `{"metaData":{"id":"x","format":{"provider":"parquet"},"schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"CITY\",\"type\":\"string\",\"nullable\":true,\"metadata\":{\"delta.invariants\":\"{}\"}}]}"}}`,
		"partitions":        `{"metaData":{"id":"x","format":{"provider":"parquet"},"schemaString":%q,"partitionColumns":["CITY"]}}`,
		"files of ORC":      `{"metaData":{"id":"x","format":{"provider":"orc"},"schemaString":%q}}`,
		"renamed columns":   `{"metaData":{"id":"x","format":{"provider":"parquet"},"schemaString":%q,"configuration":{"delta.columnMapping.mode":"name"}}}`,
		"a CHECK condition": `{"metaData":{"id":"x","format":{"provider":"parquet"},"schemaString":%q,"configuration":{"delta.constraints.c":"CITY > ''"}}}`,
	} {
		store := folder(t)
		table := Open(store, "v1", Options{})
		must[Committed](t)(table.Create(t.Context(), cities()))
		a := delivery("a", 1)
		a = a.put(t, table, citySchema, cityRecords(a, 1)...)
		if strings.Contains(line, "%q") {
			line = fmt.Sprintf(line, schemaString(cities().Columns))
		}
		must[storage.Object](t)(store.Put(t.Context(), "v1/"+commitName(1), strings.NewReader(line), storage.PutOptions{}))
		_, err := table.Replace(t.Context(), a)
		f, ok := errors.AsType[*waybill.Failure](err)
		if !ok || f.Code != "delta.unsupported_table" || f.Verdict != waybill.Blocked || f.Action == "" {
			t.Errorf("%s is answered with %v", name, err)
		}
		if got := names(t, store); len(got) != 3 {
			t.Errorf("%s: the table was changed: %q", name, got)
		}
	}
}

func TestALogThatCannotBeReadIsNamed(t *testing.T) {
	store := folder(t)
	if _, err := Open(store, "v1", Options{}).Snapshot(t.Context()); !errors.Is(err, ErrNoTable) {
		t.Errorf("no table is answered with %v", err)
	}
	for _, text := range []string{"", "{", `{"commitInfo":{}}`, `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}`, `{"metaData":{"id":"x","schemaString":"no"}}`} {
		must[storage.Object](t)(store.Put(t.Context(), "v1/"+commitName(0), strings.NewReader(text), storage.PutOptions{}))
		_, err := Open(store, "v1", Options{}).Snapshot(t.Context())
		if f, ok := errors.AsType[*waybill.Failure](err); !ok || f.Code != "delta.corrupt_log" {
			t.Errorf("%q is answered with %v", text, err)
		}
	}
}

// life is a table of twelve versions with a checkpoint every five.
func life(t *testing.T, options Options) (*Table, storage.Store) {
	t.Helper()
	options.CheckpointEvery = 5
	store := folder(t)
	table := Open(store, "v1", options)
	must[Committed](t)(table.Create(t.Context(), cities()))
	for i := range 11 {
		l := delivery(fmt.Sprintf("job%02d", i), 1)
		l.Fence = 0
		l = l.put(t, table, citySchema, cityRecords(l, 1)...)
		must[Committed](t)(table.Replace(t.Context(), l))
	}
	return table, store
}

func TestEveryVersionCanBeReadAsLongAsTheLogHasIt(t *testing.T) {
	table, store := life(t, Options{})
	for version := range int64(12) {
		s := must[*Snapshot](t)(Open(store, "v1", Options{}).SnapshotAt(t.Context(), version))
		if s.Version != version || len(s.Files()) != int(version) {
			t.Errorf("version %d is %d with %d files", version, s.Version, len(s.Files()))
		}
	}
	for _, version := range []int64{-1, 12} {
		if _, err := table.SnapshotAt(t.Context(), version); !errors.Is(err, ErrNoVersion) {
			t.Errorf("version %d is answered with %v", version, err)
		}
	}
	versions := must[[]Version](t)(table.Versions(t.Context()))
	for i, v := range versions {
		if got := must[int64](t)(table.VersionAt(t.Context(), v.At)); got != int64(i) {
			t.Errorf("at the time of version %d the version was %d", i, got)
		}
	}
	if _, err := table.VersionAt(t.Context(), versions[0].At.Add(-time.Second)); !errors.Is(err, ErrNoVersion) {
		t.Errorf("a time before the table is answered with %v", err)
	}
	history := must[[]Commit](t)(table.History(t.Context(), 100))
	if len(history) != 12 || history[11].Operation != "CREATE TABLE" || history[0].Operation != "WRITE" || history[0].Version.Version != 11 {
		t.Errorf("the history is %+v", history)
	}
}

func TestOldCommitsAndFilesAreSweptAndTheTableStays(t *testing.T) {
	table, store := life(t, Options{})
	must[Committed](t)(table.Remove(t.Context(), Load{Delivery: "d-job03", Generation: 1, JobID: "job03"}))
	want := contents(t, table)
	must[storage.Object](t)(store.Put(t.Context(), "v1/left-over.parquet", strings.NewReader("x"), storage.PutOptions{}))
	if n := must[int](t)(table.CleanLog(t.Context())) + must[int](t)(table.Vacuum(t.Context())); n != 0 {
		t.Errorf("%d objects that are wanted were deleted", n)
	}
	later := Open(store, "v1", Options{Now: func() time.Time { return time.Now().Add(60 * 24 * time.Hour) }})
	if err := later.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := must[int](t)(later.CleanLog(t.Context())); n != 14 { // commits 0 to 11 and two checkpoints
		t.Errorf("%d objects of the log were deleted", n)
	}
	if n := must[int](t)(later.Vacuum(t.Context())); n != 2 { // the removed file and the left-over
		t.Errorf("%d data files were deleted", n)
	}
	wantContents(t, table, want...)
	if _, err := Open(store, "v1", Options{}).SnapshotAt(t.Context(), 3); !errors.Is(err, ErrNoVersion) {
		t.Errorf("a version that was cleaned up is answered with %v", err)
	}
	if err := store.Delete(t.Context(), "v1/"+lastCheckpoint); err != nil {
		t.Fatal(err)
	}
	wantContents(t, table, want...) // found by listing
	if got := names(t, store); slices.Contains(got, "v1/left-over.parquet") || !slices.Contains(got, "v1/"+commitName(12)) {
		t.Errorf("there are %q", got)
	}
}

// A delivery is remembered as long as its txn; then the rows tell.
func TestADeliveryThatTheLogForgotIsKnownByItsRows(t *testing.T) {
	table, store := life(t, Options{})
	later := Open(store, "v1", Options{Now: func() time.Time { return time.Now().Add(365 * 24 * time.Hour) }})
	if err := later.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh := Open(store, "v1", Options{})
	if s := must[*Snapshot](t)(fresh.Snapshot(t.Context())); len(s.txns) != 0 {
		t.Errorf("the checkpoint still has %v", s.txns)
	}
	want := contents(t, table)
	again := delivery("job03", 1)
	again.Fence = 77
	again = again.put(t, fresh, citySchema, cityRecords(again, 1)...)
	if c := must[Committed](t)(fresh.Replace(t.Context(), again)); c.Changed {
		t.Error("the delivery was made again")
	}
	wantContents(t, fresh, want...)
}
