package formats

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/waybillhq/waybill/internal/testsize"
)

// sums are the checksums of everything a conversion made.
func sums(o outcome) string {
	var b strings.Builder
	for _, f := range All() {
		fmt.Fprintf(&b, "%s %x\n", f, sha256.Sum256(o.files[f]))
	}
	return b.String()
}

// uglyInput is long enough for several batches and row groups.
func uglyInput(records int) string {
	r := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	for range records {
		b.WriteString(uglyRecord(r) + "\n")
	}
	return b.String()
}

// randomReader gives pieces of random length.
type randomReader struct {
	r   io.Reader
	rnd *rand.Rand
}

func (r randomReader) Read(p []byte) (int, error) {
	return r.r.Read(p[:1+r.rnd.IntN(min(len(p), 70_000))])
}

func TestSameBytesWhateverTheCoresAndTheReader(t *testing.T) {
	n := testsize.Of(20_000, 4000)
	input := uglyInput(n)
	opts := Options{Schema: uglySchema, rowGroupRows: int64(n) * 9 / 20}
	opts.CPUs = 1
	want := mustRun(t, input, opts, All()...)
	check := func(name string, r io.Reader, opts Options) {
		t.Helper()
		o, err := run(r, opts, All()...)
		if err != nil {
			t.Fatal(err)
		}
		if sums(o) != sums(want) || !reflect.DeepEqual(o.Conversion, want.Conversion) {
			t.Errorf("%s: other bytes or another report", name)
		}
	}
	for cpus := 1; cpus <= 8; cpus++ {
		opts.CPUs = cpus
		check(fmt.Sprint(cpus, " cores, pieces"), randomReader{strings.NewReader(input), rand.New(rand.NewPCG(1, uint64(cpus)))}, opts)
	}
	check("whole", strings.NewReader(input), opts)

	small := uglyInput(300)
	want = mustRun(t, small, opts, All()...)
	check("data with the end", iotest.DataErrReader(strings.NewReader(small)), opts)
	check("halves", iotest.HalfReader(strings.NewReader(small)), opts)
	check("byte by byte", iotest.OneByteReader(strings.NewReader(small)), opts)
}

// One list of records in all three framings gives the same files.
func TestSameBytesWhateverTheFraming(t *testing.T) {
	lines := string(products(3000))
	list := "[" + strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", ",\n") + "]"
	opts := Options{Schema: productSchema}
	want := sums(mustRun(t, lines, opts, All()...))
	for name, input := range map[string]string{"array": list, "envelope": `{"n":1,"data":` + list + `,"more":{"a":[1]}}`} {
		if got := sums(mustRun(t, input, opts, All()...)); got != want {
			t.Errorf("%s:\n%s, want\n%s", name, got, want)
		}
	}
}

// What one format's file holds does not depend on which others are wanted.
func TestFormatsAreIndependent(t *testing.T) {
	input := uglyInput(2000)
	opts := Options{Schema: uglySchema}
	all := mustRun(t, input, opts, All()...)
	for _, f := range All() {
		o := mustRun(t, input, opts, f)
		if !bytes.Equal(o.files[f], all.files[f]) || !reflect.DeepEqual(o.Conversion, all.Conversion) {
			t.Errorf("%s alone differs", f)
		}
	}
	if o := mustRun(t, input, opts); !reflect.DeepEqual(o.Conversion, all.Conversion) {
		t.Error("the report without outputs differs")
	}
}

func TestNoRecords(t *testing.T) {
	opts := Options{Schema: schemaOf("a NUMBER", "m MONEY"), Envelope: Envelope{WorkflowID: "wf", RunID: "job"}}
	for _, input := range []string{"", "\n\n", "[]", `{"data":[]}`, "{bad}\n"} {
		o := mustRun(t, input, opts, All()...)
		tab := readTable(t, o.files[Parquet])
		if o.Rows != 0 || len(tab.rows) != 0 || strings.Join(tab.names, ",") != "a,m,m_currency" {
			t.Errorf("%q: %d rows, columns %v", input, o.Rows, tab.names)
		}
		if o.text(JSONL) != "" || o.text(CSV) != "a,m,m_currency\n" {
			t.Errorf("%q: JSONL %q, CSV %q", input, o.text(JSONL), o.text(CSV))
		}
		if want := `{"workflowId":"wf","runId":"job","executedAt":null,"data":[` + "\n]}\n"; o.text(JSON) != want {
			t.Errorf("%q: JSON %q", input, o.text(JSON))
		}
	}
}

func TestCurrencyColumnsAvoidTheDescriptorsFields(t *testing.T) {
	schema := schemaOf("price MONEY", "price_currency STRING", "fee MONEY")
	o := mustRun(t, `{"price":{"amount":1,"currencyCode":"EUR"},"price_currency":"mine","fee":2}`, Options{Schema: schema}, Parquet, CSV)
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("price")))[:8]
	want := "price,price_currency_" + sum + ",price_currency,fee,fee_currency\n0.01,EUR,mine,2,\n"
	if o.text(CSV) != want {
		t.Errorf("%s, want %s", o.text(CSV), want)
	}
	if got := fmt.Sprint(readTable(t, o.files[Parquet]).rows); got != "[[0.01 EUR mine 2 <nil>]]" {
		t.Error(got)
	}
}

var errFull = errors.New("disk full")

// failingWriter takes some bytes and then fails, once or for ever.
type failingWriter struct {
	left int
	once bool
	done bool
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.done {
		return len(p), nil
	}
	if len(p) > w.left {
		w.done = w.once
		return w.left, errFull
	}
	w.left -= len(p)
	return len(p), nil
}

func TestFailingWriter(t *testing.T) {
	input := string(products(3000))
	opts := Options{Schema: productSchema, rowGroupRows: 1600} // two batches, two row groups
	whole := mustRun(t, input, opts, All()...)
	for _, f := range All() {
		size := len(whole.files[f])
		places := []int{0, 4, size / 10, size / 2, size * 9 / 10, size - 1000, size - 1}
		rand.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
		for _, at := range places[:testsize.Of(len(places), 2)] {
			for _, once := range []bool{false, true} {
				if once && f != Parquet {
					continue // only there does a layer between have its own memory of faults
				}
				outputs := map[Format]io.Writer{Parquet: io.Discard, JSONL: io.Discard, CSV: io.Discard, JSON: io.Discard}
				outputs[f] = &failingWriter{left: at, once: once}
				_, err := Convert(context.Background(), strings.NewReader(input), to(outputs), opts)
				o, ok := errors.AsType[*OutputError](err)
				if !ok || o.Format != f || !errors.Is(err, errFull) {
					t.Errorf("%s failing at %d of %d (once: %t): %v", f, at, size, once, err)
				}
			}
		}
	}
	goleak.VerifyNone(t)
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

func TestShortWriteIsAFault(t *testing.T) {
	for _, f := range All() {
		_, err := Convert(context.Background(), bytes.NewReader(products(10)), to(map[Format]io.Writer{f: shortWriter{}}), Options{Schema: productSchema})
		if o, ok := errors.AsType[*OutputError](err); !ok || o.Format != f || !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestFailingReader(t *testing.T) {
	input := products(3000)
	cut := errors.New("connection reset")
	for _, at := range []int{0, 1, 1000, len(input) / 3, len(input) - 1, len(input)} {
		r := io.MultiReader(bytes.NewReader(input[:at]), iotest.ErrReader(cut))
		_, err := run(r, Options{Schema: productSchema}, All()...)
		if _, ok := errors.AsType[*InputError](err); !ok || !errors.Is(err, cut) {
			t.Errorf("failing at %d: %v", at, err)
		}
	}
	goleak.VerifyNone(t)
}

// cancelAfter cancels once some bytes were read.
type cancelAfter struct {
	io.Reader
	left   int
	cancel func()
}

func (r *cancelAfter) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.left -= n; r.left <= 0 {
		r.cancel()
	}
	return n, err
}

type panickingReader struct{}

func (panickingReader) Read([]byte) (int, error) { panic("boom") }

// A panic in one of the pipeline's goroutines would take the process with it.
func TestPanicIsAnError(t *testing.T) {
	_, err := run(panickingReader{}, Options{Schema: productSchema}, All()...)
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Error(err)
	}
	goleak.VerifyNone(t)
}

func TestCancel(t *testing.T) {
	input := products(3000)
	for _, at := range []int{0, 1, len(input) / 2, len(input)} {
		ctx, cancel := context.WithCancel(context.Background())
		r := &cancelAfter{bytes.NewReader(input), at, cancel}
		outputs := map[Format]io.Writer{Parquet: io.Discard, JSONL: io.Discard, CSV: io.Discard}
		if _, err := Convert(ctx, r, to(outputs), Options{Schema: productSchema}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at %d: %v", at, err)
		}
		cancel()
	}
	goleak.VerifyNone(t)
}

// A reader and writers that block for ever do not keep a cancelled conversion.
func TestCancelWhileBlocked(t *testing.T) {
	for name, head := range map[string][]byte{"reading": nil, "writing": products(20_000)} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			in, feed := io.Pipe()
			blocked := make(chan struct{})
			out := &blockingWriter{blocked: blocked, release: make(chan struct{})}
			if head == nil {
				close(blocked)
			}
			ended := make(chan error)
			go func() {
				r := io.MultiReader(bytes.NewReader(head), in)
				_, err := Convert(ctx, r, to(map[Format]io.Writer{JSONL: out, Parquet: io.Discard}), Options{Schema: productSchema})
				ended <- err
			}()
			<-blocked
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			close(out.release)
			feed.Close()
			goleak.VerifyNone(t)
		})
	}
}

// blockingWriter blocks in its first Write until it is released.
type blockingWriter struct {
	once    sync.Once
	blocked chan struct{}
	release chan struct{}
}

func (w *blockingWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.blocked) })
	<-w.release
	return len(p), nil
}

// Outputs read through pipes at very different speeds: one waits until another
// has all of its data, as far as the pool allows.
func TestPipesAtDifferentSpeeds(t *testing.T) {
	input := products(12_000)
	opts := Options{Schema: productSchema, rowGroupRows: 4000}
	want := mustRun(t, string(input), opts, All()...)
	outputs := map[Format]io.Writer{}
	got := map[Format]*bytes.Buffer{}
	var readers sync.WaitGroup
	for i, f := range All() {
		r, w := io.Pipe()
		into := &bytes.Buffer{}
		outputs[f], got[f] = w, into
		readers.Go(func() {
			buf := make([]byte, []int{100, 1 << 20, 7000, 1000}[i])
			if _, err := io.CopyBuffer(struct{ io.Writer }{into}, r, buf); err != nil {
				t.Error(err)
			}
		})
	}
	_, err := Convert(context.Background(), bytes.NewReader(input), to(outputs), opts)
	for _, w := range outputs {
		w.(*io.PipeWriter).CloseWithError(err)
	}
	readers.Wait()
	for _, f := range All() {
		if err != nil || !bytes.Equal(got[f].Bytes(), want.files[f]) {
			t.Errorf("%s through a pipe differs: %v", f, err)
		}
	}
}

// A consumer that stops with an error ends the conversion, though the other
// pipes are read on.
func TestPipeClosedByItsReader(t *testing.T) {
	gone := errors.New("upload failed")
	for _, failing := range All() {
		outputs := map[Format]io.Writer{}
		var readers sync.WaitGroup
		for _, f := range All() {
			r, w := io.Pipe()
			outputs[f] = w
			readers.Go(func() {
				if f == failing {
					_, _ = io.CopyN(io.Discard, r, 50)
					r.CloseWithError(gone)
					return
				}
				_, _ = io.Copy(io.Discard, r)
			})
		}
		_, err := Convert(context.Background(), bytes.NewReader(products(2000)), to(outputs), Options{Schema: productSchema})
		for _, w := range outputs {
			w.(*io.PipeWriter).CloseWithError(err)
		}
		readers.Wait()
		if o, ok := errors.AsType[*OutputError](err); !ok || o.Format != failing || !errors.Is(err, gone) {
			t.Errorf("%s: %v", failing, err)
		}
	}
	goleak.VerifyNone(t)
}

func TestFormatNames(t *testing.T) {
	for f, want := range map[Format]string{
		Parquet: "data.parquet application/vnd.apache.parquet", JSONL: "data.jsonl application/x-ndjson",
		CSV: "data.csv text/csv; charset=utf-8", JSON: "data.json application/json",
	} {
		if got := f.FileName() + " " + f.ContentType(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	good := schemaOf("a NUMBER")
	for want, c := range map[string]struct {
		opts    Options
		outputs map[Format]Output
	}{
		`"xml" is not a framing`:         {Options{Schema: good, Framing: "xml"}, nil},
		`schema: fields: is empty`:       {Options{}, nil},
		`"xlsx" is not an output`:        {Options{Schema: good}, map[Format]Output{"xlsx": To(io.Discard)}},
		`write csv: it has no output`:    {Options{Schema: good}, map[Format]Output{CSV: nil}},
		`fields[0].name: "a b" is not a`: {Options{Schema: schemaOf("x NUMBER")}, nil},
	} {
		if strings.HasPrefix(want, "fields[0]") {
			c.opts.Schema.Fields[0].Name = "a b"
		}
		_, err := Convert(context.Background(), strings.NewReader(""), c.outputs, c.opts)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestWideSchemas(t *testing.T) {
	var fields []string
	var record strings.Builder
	for i := range 2000 {
		fields = append(fields, fmt.Sprintf("f%d %s", i, []string{"STRING", "NUMBER", "MONEY", "DATE"}[i%4]))
		fmt.Fprintf(&record, `,"f%d":%d`, i, i)
	}
	line := "{" + record.String()[1:] + "}\n"
	o := mustRun(t, strings.Repeat(line, 150), Options{Schema: schemaOf(fields...), CPUs: 2, rowGroupRows: 100}, All()...)
	tab := readTable(t, o.files[Parquet])
	if len(tab.names) != 2500 || len(tab.rows) != 150 || tab.rows[149][0] != "0" || tab.rows[149][1] != 1.0 || tab.rows[149][2] != "2" {
		t.Errorf("%d columns, %d rows", len(tab.names), len(tab.rows))
	}
	if o.text(JSONL) != strings.Repeat(line, 150) {
		t.Error("JSONL differs")
	}
}
