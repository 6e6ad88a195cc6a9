package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

// split is a rig whose connector has a file for each record, CSV in gzip and
// JSONL in zstd.
func split(t *testing.T, text string) *rig {
	t.Helper()
	r := setup(t, text)
	shapes["many compressed files"](r.connector.Storage)
	return r
}

func (r *rig) manifest(t *testing.T) handlers.Manifest {
	t.Helper()
	var m handlers.Manifest
	if err := json.Unmarshal([]byte(r.objects(t)[handlers.ManifestName]), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (r *rig) receipt(t *testing.T, ref tasks.DeliveryRef) waybill.Receipt {
	t.Helper()
	d, err := r.Ledger.Delivery(t.Context(), ref.Delivery)
	if err != nil || d.State != waybill.StateComplete {
		t.Fatalf("%+v, %v", d, err)
	}
	receipt, err := r.Ledger.Receipt(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func TestFilesWithALimitAndCompression(t *testing.T) {
	r := split(t, strings.Replace(threeMovies, "The Land Girls", "=SUM(A1)", 1))
	ref := r.plan(t, movies(3))
	if err := r.ExportPush(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	objects := r.objects(t)
	want := []string{"_manifest.json", "data-00000.csv.gz", "data-00000.jsonl.zst", "data-00000.parquet", "data-00001.csv.gz",
		"data-00001.jsonl.zst", "data-00001.parquet", "data-00002.csv.gz", "data-00002.jsonl.zst", "data-00002.parquet"}
	if got := slices.Sorted(maps.Keys(objects)); !slices.Equal(got, want) {
		t.Fatalf("objects %v, want %v", got, want)
	}
	if got := gunzip(t, objects["data-00000.csv.gz"]) + gunzip(t, objects["data-00002.csv.gz"]); got != "Title,US_Gross\n\"'=SUM(A1)\",146083\nTitle,US_Gross\n12,\n" {
		t.Errorf("CSV %q", got)
	}
	if got := unzstd(t, objects["data-00001.jsonl.zst"]); got != `{"Title":"First Love, Last Rites","US_Gross":"10876"}`+"\n" {
		t.Errorf("JSONL %q", got)
	}
	for name, contentType := range map[string]string{"data-00000.csv.gz": "application/gzip", "data-00001.jsonl.zst": "application/zstd", "data-00002.parquet": "application/vnd.apache.parquet"} {
		o, err := r.customer.Stat(t.Context(), prefix+name)
		if format := strings.Split(name, ".")[1]; err != nil || o.ContentType != contentType || o.Metadata["x-kadoa-format"] != format {
			t.Errorf("%s is %s with metadata %v, %v", name, o.ContentType, o.Metadata, err)
		}
	}
	m, receipt := r.manifest(t), r.receipt(t, ref)
	if len(m.Files) != 9 || !slices.Equal(m.Files, receipt.Files) || m.Rows != 3 || receipt.Conversion.Fields[0].Guarded != 1 || m.Fields[0].Guarded != 1 {
		t.Errorf("manifest %+v\nreceipt %+v", m, receipt)
	}
	var bytes int64
	for i, f := range m.Files {
		if f.Rows != 1 || f.Bytes != int64(len(objects[f.Name])) || f.Name != fmt.Sprintf("data-%05d.%s", i%3, strings.SplitN(f.Name, ".", 2)[1]) {
			t.Errorf("manifest says %+v of %d bytes", f, len(objects[f.Name]))
		}
		bytes += f.Bytes
	}
	if receipt.Bytes != bytes {
		t.Errorf("the receipt says %d bytes, the files have %d", receipt.Bytes, bytes)
	}
}

func gunzip(t *testing.T, s string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, r)
}

func unzstd(t *testing.T, s string) string {
	t.Helper()
	r, err := zstd.NewReader(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return readAll(t, r)
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What fails at the end leaves no object of a format that is one file, and of
// one that is several neither the last file nor a manifest.
func TestARunThatFailsAtItsEndHasNoManifest(t *testing.T) {
	r := split(t, threeMovies)
	wantFailure(t, r.failed(t, r.plan(t, movies(4))), waybill.StageStage, waybill.Permanent, "records.count")
	for name := range r.objects(t) {
		if !strings.HasPrefix(name, "data-00000.") && !strings.HasPrefix(name, "data-00001.") {
			t.Errorf("left %s behind", name)
		}
	}
	r = split(t, threeMovies)
	r.connector.Storage.MaxFileBytes = 1 << 20
	wantFailure(t, r.failed(t, r.plan(t, movies(4))), waybill.StageStage, waybill.Permanent, "records.count")
	if objects := r.objects(t); len(objects) != 0 {
		t.Errorf("left %v behind", slices.Collect(maps.Keys(objects)))
	}
}

// Of what an earlier attempt wrote, each file is looked at on its own.
func TestASecondAttemptWritesTheFilesThatAreMissing(t *testing.T) {
	r := split(t, threeMovies)
	r.connector.Storage.Formats = []string{"jsonl"}
	ref := r.plan(t, movies(3))
	r.store = &faultyStore{Store: r.customer, failAt: 5} // the manifest, a stat, three puts
	r.failed(t, ref)
	if _, err := r.customer.Put(t.Context(), prefix+"data-00000.jsonl.zst", strings.NewReader("another program's"), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	second := &faultyStore{Store: r.customer}
	r.store = second
	if err := r.ExportPush(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if puts := second.puts.Load(); puts != 3 {
		t.Errorf("the second attempt wrote %d objects, want the first file, the last and the manifest", puts)
	}
	if m := r.manifest(t); len(m.Files) != 3 {
		t.Errorf("manifest %+v", m)
	}
}

// Files that an older generation has more of stay, and nothing names them.
func TestFilesOfAnOlderGenerationAreNotNamed(t *testing.T) {
	r := split(t, threeMovies)
	if err := r.ExportPush(t.Context(), r.plan(t, movies(3))); err != nil {
		t.Fatal(err)
	}
	before := r.objects(t)
	r.source, r.etag = text(`{"Title":"Only one"}`+"\n"), "v2"
	run := movies(1)
	run.Replace = true
	if err := r.ExportPush(t.Context(), r.plan(t, run)); err != nil {
		t.Fatal(err)
	}
	after, m := r.objects(t), r.manifest(t)
	if len(m.Files) != 3 || m.State != "complete" || m.Generation != 2 || m.Replaces != "" {
		t.Errorf("manifest %+v", m)
	}
	for name := range before {
		if named := slices.ContainsFunc(m.Files, func(f waybill.File) bool { return f.Name == name }); !named && name != handlers.ManifestName && before[name] != after[name] {
			t.Errorf("%s, which is not a file of the new generation, was touched", name)
		}
	}
}

// A replacement with another finish time goes to another folder, which names
// the one whose place it takes. That one stays as it was.
func TestAReplacementElsewhereNamesWhatItReplaces(t *testing.T) {
	r := setup(t, threeMovies)
	if err := r.ExportPush(t.Context(), r.plan(t, movies(3))); err != nil {
		t.Fatal(err)
	}
	before := r.objects(t)
	run := movies(3)
	run.Replace = true
	deliver := func(finished time.Time, after *faultyStore) waybill.Receipt {
		run.FinishedAt = finished
		ref := r.plan(t, run)
		if after != nil {
			r.store = after
			r.failed(t, ref)
			r.store = r.customer
		}
		if err := r.ExportPush(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		return r.receipt(t, ref)
	}
	first := movies(3).FinishedAt
	elsewhere := deliver(first.Add(time.Hour), &faultyStore{Store: r.customer, failAt: 12, after: true}) // the manifest is written, and nobody heard of it
	if elsewhere.Replaces != r.customer.URL()+prefix || elsewhere.Location == elsewhere.Replaces {
		t.Errorf("%s replaces %q", elsewhere.Location, elsewhere.Replaces)
	}
	objects := r.objects(t)
	for name, text := range before {
		if objects[name] != text {
			t.Errorf("%s of the folder that was replaced was touched", name)
		}
	}
	moved := strings.Replace(prefix, "T10-30-00Z", "T11-30-00Z", 1) + handlers.ManifestName
	if !strings.Contains(objects[moved], `"replaces": "`+elsewhere.Replaces+`"`) {
		t.Errorf("the new manifest: %s", objects[moved])
	}
	if back := deliver(first, nil); back.Location != elsewhere.Replaces || back.Replaces != elsewhere.Location {
		t.Errorf("back at %s it replaces %q", back.Location, back.Replaces)
	}
	if m := r.manifest(t); m.Generation != 3 || m.State != "complete" || m.Replaces != elsewhere.Location {
		t.Errorf("manifest %+v", m)
	}
}

func TestTooManyFiles(t *testing.T) {
	r := setup(t, "")
	r.source = func() io.Reader { return repeat(`{"Title":"a"}`+"\n", 10_001) }
	r.store = swallowing{r.customer}
	r.connector.Storage = &connectors.Storage{Formats: []string{"jsonl"}, MaxFileBytes: 1}
	f := r.failed(t, r.plan(t, movies(10_001)))
	wantFailure(t, f, waybill.StageStage, waybill.Blocked, "storage.too_many_files")
	if !strings.Contains(f.Action, "10000 files") || !strings.Contains(f.Action, "storage.maxFileBytes") {
		t.Errorf("the sentence is %q", f.Action)
	}
}

// swallowing takes objects and keeps none.
type swallowing struct{ storage.Store }

func (swallowing) Put(_ context.Context, key string, r io.Reader, _ storage.PutOptions) (storage.Object, error) {
	_, err := io.Copy(io.Discard, r)
	return storage.Object{Key: key}, err
}

// An upload that fails in the middle ends the others, and its own words are
// what is told, whichever file it was.
func TestAnUploadThatFailsInTheMiddle(t *testing.T) {
	r := split(t, "")
	r.source = func() io.Reader { return repeat(`{"Title":"a"}`+"\n", 500) }
	r.store = &refusing{Store: r.customer, name: "data-00007.csv.gz"}
	f := r.failed(t, r.plan(t, movies(500)))
	wantFailure(t, f, waybill.StageStage, waybill.Blocked, "storage.denied")
	if !errors.Is(f, errInjected) {
		t.Errorf("%v", f)
	}
	if _, there := r.objects(t)["data-00008.csv.gz"]; there {
		t.Error("the file behind the one that failed was written")
	}
}

// refusing refuses one object, before it has read it.
type refusing struct {
	storage.Store
	name string
}

func (s *refusing) Put(ctx context.Context, key string, r io.Reader, opts storage.PutOptions) (storage.Object, error) {
	if strings.HasSuffix(key, s.name) {
		return storage.Object{}, waybill.Failf(waybill.Blocked, "storage.denied", "Let us write.", "%w", errInjected)
	}
	return s.Store.Put(ctx, key, r, opts)
}
