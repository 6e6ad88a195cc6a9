package handlers_test

import (
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

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

func TestExportPush(t *testing.T) {
	r := setup(t, threeMovies)
	ref := r.plan(t, movies(3))
	if err := r.ExportPush(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	objects := r.objects(t)
	if got, want := slices.Sorted(maps.Keys(objects)), []string{"_manifest.json", "data.csv", "data.jsonl", "data.parquet"}; !slices.Equal(got, want) {
		t.Fatalf("objects %v, want %v", got, want)
	}
	if want := "Title,US_Gross\nThe Land Girls,146083\n\"First Love, Last Rites\",10876\n12,\n"; strings.ReplaceAll(objects["data.csv"], "\r\n", "\n") != want {
		t.Errorf("CSV\n%s\nwant\n%s", objects["data.csv"], want)
	}
	if want := `{"Title":12,"US_Gross":"n/a"}`; !strings.Contains(objects["data.jsonl"], want) {
		t.Errorf("JSONL does not keep the original values: %s", objects["data.jsonl"])
	}
	for name, text := range objects {
		if strings.Contains(text, "_sourceIndex") {
			t.Errorf("%s holds an internal field", name)
		}
	}
	for format, name := range map[string]string{"parquet": "data.parquet", "jsonl": "data.jsonl", "csv": "data.csv"} {
		o, err := r.customer.Stat(t.Context(), prefix+name)
		want := map[string]string{"x-kadoa-workflow-id": "wf_movies", "x-kadoa-job-id": "job_20250115_01", "x-kadoa-format": format}
		if err != nil || !maps.Equal(o.Metadata, want) {
			t.Errorf("%s has metadata %v, %v; want %v", name, o.Metadata, err, want)
		}
	}
	r.wantReceipt(t, ref, objects)
}

func (r *rig) wantReceipt(t *testing.T, ref tasks.DeliveryRef, objects map[string]string) {
	t.Helper()
	d, err := r.Ledger.Delivery(t.Context(), ref.Delivery)
	if err != nil || d.State != waybill.StateComplete {
		t.Fatalf("%+v, %v", d, err)
	}
	receipt, err := r.Ledger.Receipt(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	c := receipt.Conversion
	if receipt.Rows != 3 || c.CastFailures() != 1 || c.UnknownFields != 1 || len(c.FailedCasts) != 1 || c.FailedCasts[0].Line != 3 || c.FailedCasts[0].Field != "US_Gross" {
		t.Errorf("receipt %+v", receipt)
	}
	if want := []string{"_sourceIndex"}; !slices.Equal(c.DroppedFields, want) {
		t.Errorf("dropped %v, want %v", c.DroppedFields, want)
	}
	if want := r.customer.URL() + prefix; receipt.Location != want {
		t.Errorf("location %s, want %s", receipt.Location, want)
	}
	var m handlers.Manifest
	if err := json.Unmarshal([]byte(objects[handlers.ManifestName]), &m); err != nil {
		t.Fatal(err)
	}
	if m.State != "complete" || m.Rows != 3 || m.SchemaVersion != 1 || m.Generation != 1 || len(m.Files) != 3 {
		t.Errorf("manifest %+v", m)
	}
	for _, f := range m.Files {
		if f.Bytes != int64(len(objects[f.Name])) || f.Rows != 3 || len(f.SHA256) != 64 {
			t.Errorf("manifest says %+v of an object of %d bytes", f, len(objects[f.Name]))
		}
	}
}

// shapes are the ways in which a connector can have its files.
var shapes = map[string]func(*connectors.Storage){
	"one file a format": func(*connectors.Storage) {},
	"many compressed files": func(s *connectors.Storage) {
		s.MaxFileBytes, s.Compression, s.CSVFormulaGuard = 60, connectors.Compression{CSV: "gzip", JSONL: "zstd"}, true
	},
}

// The guarantee: whatever call the handler dies at, before or after it took
// effect, the next attempt ends with the same objects.
func TestAFaultAtAnyCallEndsInTheSameObjects(t *testing.T) {
	for name, shape := range shapes {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after its effect: %t", name, after), func(t *testing.T) { faultAtAnyCall(t, shape, after) })
		}
	}
}

func faultAtAnyCall(t *testing.T, shape func(*connectors.Storage), after bool) {
	reference := setup(t, threeMovies)
	shape(reference.connector.Storage)
	if err := reference.ExportPush(t.Context(), reference.plan(t, movies(3))); err != nil {
		t.Fatal(err)
	}
	want := reference.objects(t)
	faults := 0
	for n := 1; ; n++ {
		r := setup(t, threeMovies)
		shape(r.connector.Storage)
		faulty := &faultyStore{Store: r.customer, failAt: n, after: after}
		r.store = faulty
		ref := r.plan(t, movies(3))
		err := r.ExportPush(t.Context(), ref)
		if err == nil {
			if faulty.calls >= n && !after {
				t.Errorf("the fault at call %d was swallowed", n)
			}
			if faulty.calls < n {
				break // the delivery makes fewer calls
			}
			continue // this call takes no effect that could be lost
		}
		faults++
		attempt, ok := errors.AsType[*ledger.Attempt](err)
		if !ok || !errors.Is(err, errInjected) {
			t.Fatalf("call %d: %v", n, err)
		}
		if left := r.objects(t); left[handlers.ManifestName] != "" && !maps.Equal(left, want) {
			t.Errorf("call %d failed, and yet a manifest calls what is there complete", n)
		}
		if _, err := attempt.Settle(t.Context(), ledger.Decision{State: waybill.StateQueued}); err != nil {
			t.Fatal(err)
		}
		if err := r.ExportPush(t.Context(), ref); err != nil {
			t.Fatalf("second attempt after a fault at call %d: %v", n, err)
		}
		if got := r.objects(t); !maps.Equal(got, want) {
			t.Errorf("a fault at call %d left other objects", n)
		}
	}
	if faults < len(want) {
		t.Errorf("only %d faults were met", faults)
	}
}

func TestASecondAttemptLeavesWhatIsThere(t *testing.T) {
	r := setup(t, threeMovies)
	ref := r.plan(t, movies(3))
	r.store = &faultyStore{Store: r.customer, failAt: 7, after: true} // the manifest, three stats, three puts
	wantFailure(t, r.failed(t, ref), waybill.StageStage, waybill.Transient, "storage.unavailable")
	second := &faultyStore{Store: r.customer}
	r.store = second
	if err := r.ExportPush(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	// Which of the first attempt's uploads took effect is chance; the one that failed afterwards did.
	if puts := second.puts.Load(); puts > 3 {
		t.Errorf("the second attempt wrote %d objects, although one was there", puts)
	}
}

func TestBadInputFailsAtStageAndLeavesNothingBehind(t *testing.T) {
	for _, c := range []struct {
		name   string
		source func() io.Reader
		rows   int64
		code   string
		action string // a part of the sentence
	}{
		{"malformed JSON", text(`{"Title":"a"}` + "\n" + `{"Title":` + "\n"), 2, "records.malformed", "line 2: "},
		{"trailing comma", text(`{"Title":"a",}` + "\n"), 1, "records.malformed", "line 1: "},
		{"not an object", text("7\n{}\n"), 2, "records.malformed", "line 1: "},
		{"invalid UTF-8", text("{\"Title\":\"\xff\"}\n"), 1, "records.malformed", "line 1: "},
		{"a record of 200 MB", func() io.Reader { return oversized(200 << 20) }, 1, "records.malformed", "line 1: "},
		{"fewer records than announced", text(threeMovies), 4, "records.count", "announced 4 records and its source holds 3"},
		{"more records than announced", text(threeMovies), 2, "records.count", "announced 2 records and its source holds 3"},
		{"a web page", text("<!DOCTYPE html><html></html>"), 1, "", ""},
		{"nothing where there should be records", text(""), 3, "records.count", "holds 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := setup(t, "")
			r.source = c.source
			f := r.failed(t, r.plan(t, movies(c.rows)))
			if c.code != "" {
				wantFailure(t, f, waybill.StageStage, waybill.Permanent, c.code)
			} else if f.Stage != waybill.StageStage || f.Verdict != waybill.Permanent {
				t.Errorf("%v", f)
			}
			if !strings.Contains(f.Action, c.action) {
				t.Errorf("the sentence is %q, want %q in it", f.Action, c.action)
			}
			if objects := r.objects(t); len(objects) != 0 {
				t.Errorf("left %v behind", slices.Collect(maps.Keys(objects)))
			}
		})
	}
}

func text(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }

func TestAMillionUnknownFieldsAreCounted(t *testing.T) {
	r := setup(t, "")
	line := unknownFields(1000)
	r.source = func() io.Reader { return repeat(line, 1000) }
	ref := r.plan(t, movies(1000))
	if err := r.ExportPush(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	d, _ := r.Ledger.Delivery(t.Context(), ref.Delivery)
	receipt, err := r.Ledger.Receipt(t.Context(), d)
	if err != nil || receipt.Conversion.UnknownFields != 1_000_000 || len(receipt.Conversion.UnknownNames) > 100 {
		t.Errorf("%d unknown fields under %d names, %v", receipt.Conversion.UnknownFields, len(receipt.Conversion.UnknownNames), err)
	}
}

func TestToleratedMalformedRecordsAreQuarantined(t *testing.T) {
	r := setup(t, threeMovies+"oops\n")
	r.connector.MalformedTolerated = 1
	ref := r.plan(t, movies(4))
	if err := r.ExportPush(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	d, _ := r.Ledger.Delivery(t.Context(), ref.Delivery)
	receipt, err := r.Ledger.Receipt(t.Context(), d)
	if q := receipt.Conversion.Quarantine; err != nil || receipt.Rows != 3 || len(q) != 1 || q[0].Line != 4 {
		t.Errorf("%+v, %v", receipt.Conversion, err)
	}
}

func TestAReplacementReplacesTheFiles(t *testing.T) {
	r := setup(t, threeMovies)
	if err := r.ExportPush(t.Context(), r.plan(t, movies(3))); err != nil {
		t.Fatal(err)
	}
	r.source = text(`{"Title":"Only one"}` + "\n")
	r.etag = "v2"
	run := movies(1)
	run.Replace = true
	ref := r.plan(t, run)

	// While it is under way, the manifest does not call the files complete.
	faulty := &faultyStore{Store: r.customer, failAt: 6, after: false}
	r.store = faulty
	r.failed(t, ref)
	if m := r.objects(t)[handlers.ManifestName]; !strings.Contains(m, `"state": "replacing"`) {
		t.Errorf("a half-replaced folder says %s", m)
	}
	r.store = r.customer
	if err := r.ExportPush(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	objects := r.objects(t)
	if !strings.Contains(objects["data.jsonl"], "Only one") || strings.Contains(objects["data.jsonl"], "Land Girls") ||
		!strings.Contains(objects[handlers.ManifestName], `"generation": 2`) || !strings.Contains(objects[handlers.ManifestName], `"state": "complete"`) {
		t.Errorf("after the replacement: %s", objects)
	}
}

// A zombie: an attempt that goes on after its delivery was given to another.
// The destination itself must refuse it.
func TestALateAttemptCannotUndoANewerOne(t *testing.T) {
	r := setup(t, threeMovies)
	old := r.plan(t, movies(3))
	reading, goOn := make(chan struct{}), make(chan struct{})
	r.source = func() io.Reader {
		return &pausing{Reader: strings.NewReader(threeMovies), reading: reading, goOn: goOn}
	}
	zombie := make(chan error, 1)
	go func() { zombie <- r.ExportPush(context.WithoutCancel(t.Context()), old) }()
	<-reading // the old attempt has looked at the bucket and found nothing

	r.source = text(`{"Title":"newer"}` + "\n")
	r.etag = "v2"
	run := movies(1)
	run.Replace = true
	if err := r.ExportPush(t.Context(), r.plan(t, run)); err != nil {
		t.Fatal(err)
	}
	want := r.objects(t)
	close(goOn)
	if err := <-zombie; err == nil {
		t.Error("the late attempt believes that it delivered")
	}
	if got := r.objects(t); !maps.Equal(got, want) {
		t.Errorf("the late attempt changed the customer's files")
	}
}

// pausing says when it is first read, and gives its bytes when it is told to.
type pausing struct {
	io.Reader
	reading chan struct{}
	goOn    chan struct{}
	started bool
}

func (p *pausing) Read(b []byte) (int, error) {
	if !p.started {
		p.started = true
		close(p.reading)
		<-p.goOn
	}
	return p.Reader.Read(b)
}

func TestASourceThatChangesIsNotMixed(t *testing.T) {
	r := setup(t, threeMovies)
	ref := r.plan(t, movies(3))
	r.store = &faultyStore{Store: r.customer, failAt: 6, after: false}
	r.failed(t, ref)
	r.store = r.customer
	r.etag = "v2"
	wantFailure(t, r.failed(t, ref), waybill.StageStage, waybill.Permanent, "source.changed")
}

func TestFilesThatDifferWhenReadBackAreWrittenAgain(t *testing.T) {
	r := setup(t, threeMovies)
	ref := r.plan(t, movies(3))
	r.store = &tampering{Store: r.customer}
	wantFailure(t, r.failed(t, ref), waybill.StageVerify, waybill.Transient, "storage.readback")
	if _, manifest := r.objects(t)[handlers.ManifestName]; manifest {
		t.Error("a manifest stands beside files that are not what was written")
	}
	r.store = r.customer
	if err := r.ExportPush(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if csv := r.objects(t)["data.csv"]; !strings.Contains(csv, "Land Girls") {
		t.Errorf("CSV is %q", csv)
	}
}

// tampering overwrites the CSV as soon as it is written, as another program might.
type tampering struct{ storage.Store }

func (s *tampering) Put(ctx context.Context, key string, r io.Reader, opts storage.PutOptions) (storage.Object, error) {
	o, err := s.Store.Put(ctx, key, r, opts)
	if err == nil && strings.HasSuffix(key, ".csv") {
		_, err = s.Store.Put(ctx, key, strings.NewReader("tampered"), storage.PutOptions{})
	}
	return o, err
}

func TestConnectorFaults(t *testing.T) {
	r := setup(t, threeMovies)
	ref := r.plan(t, movies(3))
	r.Connector = func(context.Context, string) (connectors.Connector, error) {
		return connectors.Connector{}, waybill.ErrNotFound
	}
	wantFailure(t, r.failed(t, ref), waybill.StageStage, waybill.Blocked, "connector.deleted")
	r.Connector = func(context.Context, string) (connectors.Connector, error) {
		return connectors.Connector{ID: "lake", Team: "team-b"}, nil
	}
	wantFailure(t, r.failed(t, ref), waybill.StageStage, waybill.Permanent, "connector.foreign")
}

func TestAPanicIsAFailureOfItsStep(t *testing.T) {
	r := setup(t, threeMovies)
	ref := r.plan(t, movies(3))
	r.store = panicking{r.customer}
	wantFailure(t, r.failed(t, ref), waybill.StageStage, waybill.Permanent, "internal.panic")
}

type panicking struct{ storage.Store }

func (panicking) Stat(context.Context, string) (storage.Object, error) { panic("boom") }

func TestAMissingSource(t *testing.T) {
	r := setup(t, "")
	r.Source = func(context.Context, string, waybill.Source, string) (handlers.Records, error) {
		return nil, waybill.Failf(waybill.Permanent, "source.not_found", "Store the records and hand the run in again.", "no such file")
	}
	wantFailure(t, r.failed(t, r.plan(t, movies(3))), waybill.StageStage, waybill.Permanent, "source.not_found")
}

func TestAnAttemptThatIsCutOffLeavesNothing(t *testing.T) {
	r := setup(t, threeMovies)
	ref := r.plan(t, movies(3))
	reading, goOn := make(chan struct{}), make(chan struct{})
	defer close(goOn)
	r.source = func() io.Reader { return &waiting{reading: reading, goOn: goOn} }
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reading; cancel() }()
	err := r.ExportPush(ctx, ref)
	if attempt, ok := errors.AsType[*ledger.Attempt](err); !ok || !errors.Is(attempt, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if objects := r.objects(t); len(objects) != 0 {
		t.Errorf("left %v behind", slices.Collect(maps.Keys(objects)))
	}
}

// waiting gives one record, then nothing until it is told to, as a source that hangs.
type waiting struct {
	reading chan struct{}
	goOn    chan struct{}
	given   bool
}

func (w *waiting) Read(b []byte) (int, error) {
	if !w.given {
		w.given = true
		return copy(b, `{"Title":"a"}`+"\n"), nil
	}
	close(w.reading)
	select {
	case <-w.goOn:
	case <-time.After(300 * time.Millisecond): // sources end with the context; this one is slow to
	}
	return 0, context.Canceled
}
