package formats

import (
	"bytes"
	"context"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/bench/data"
)

// products are a shop's products as scraping gives them.
func products(records int) []byte { return data.Products().Records(records) }

var productSchema = data.Products().Schema

func BenchmarkConvert(b *testing.B) {
	for _, set := range data.All() {
		var input bytes.Buffer
		if _, err := io.Copy(&input, set.Reader(64<<20)); err != nil {
			b.Fatal(err)
		}
		for name, formats := range map[string][]Format{
			"parquet":           {Parquet},
			"parquet+jsonl+csv": {Parquet, JSONL, CSV},
			"jsonl+csv":         {JSONL, CSV},
		} {
			b.Run(set.Name+"/"+name, func(b *testing.B) { benchmark(b, input.Bytes(), set.Schema, formats) })
		}
	}
}

func benchmark(b *testing.B, input []byte, schema waybill.Schema, formats []Format) {
	b.SetBytes(int64(len(input)))
	b.ReportAllocs()
	records := bytes.Count(input, []byte{'\n'})
	before := usage(b)
	defer func() {
		b.ReportMetric(float64(usage(b)-before)/float64(b.N*len(input)), "cpu-ns/B") // steadier than the time on a busy machine
		b.ReportMetric(float64(b.N*records)/b.Elapsed().Seconds(), "records/s")
	}()
	for b.Loop() {
		outputs := map[Format]Output{}
		for _, f := range formats {
			outputs[f] = To(io.Discard)
		}
		c, err := Convert(context.Background(), bytes.NewReader(input), outputs, Options{Schema: schema})
		if err != nil || c.Quarantined > 0 || c.CastFailures() > 0 {
			b.Fatalf("%d quarantined, %d failed casts: %v", c.Quarantined, c.CastFailures(), err)
		}
	}
}

// usage is the CPU time that this process has taken.
func usage(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkParse is the parse worker alone, on one core.
func BenchmarkParse(b *testing.B) {
	input := products(1500)
	l := newLayout(productSchema)
	e := &emitter{parser: *newParser(l, 128), wantParquet: true, wantCSV: true, wantJSONL: true}
	pool := newBatchPool(1, len(l.columns))
	b.SetBytes(int64(len(input)))
	b.ReportAllocs()
	for b.Loop() {
		batch := <-pool.free
		for line := range bytes.Lines(input) {
			start := len(batch.text)
			batch.text = append(batch.text, line...)
			batch.records = append(batch.records, record{start: uint32(start), end: uint32(len(batch.text) - 1)})
		}
		e.batch(batch)
		batch.release()
	}
}
