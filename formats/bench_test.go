package formats

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/waybillhq/waybill"
)

// productSchema and products are a shop's products as scraping gives them:
// 16 fields, about 640 bytes a record.
var productSchema = schemaOf("sku STRING", "title STRING", "brand CLASSIFICATION", "category CLASSIFICATION",
	"url LINK", "image IMAGE", "price MONEY", "listPrice NUMBER", "rating NUMBER", "reviews NUMBER",
	"inStock BOOLEAN", "releasedOn DATE", "scrapedAt DATETIME", "description STRING", "attributes OBJECT", "tags ARRAY")

func products(records int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{"steel", "cotton", "compact", "wireless", "garden", "kitchen", "premium", "light", "über", "outdoor", "classic", "travel", "café"}
	text := func(n int) string {
		var b bytes.Buffer
		for range n {
			fmt.Fprintf(&b, "%s ", words[r.IntN(len(words))])
		}
		return b.String()
	}
	var out bytes.Buffer
	for i := range records {
		fmt.Fprintf(&out, `{"sku":"SKU-%08d","title":"%s","brand":"Brand %d","category":"Home > %s",`, i, text(5), r.IntN(40), words[r.IntN(9)])
		fmt.Fprintf(&out, `"url":"https://shop.example/p/%d?ref=%x","image":"https://img.example/%x.jpg",`, i, r.Uint32(), r.Uint64())
		fmt.Fprintf(&out, `"price":{"amount":%d,"currencyCode":"EUR"},"listPrice":%d.%02d,"rating":%d.%d,"reviews":%d,`,
			r.IntN(100000), r.IntN(900), r.IntN(100), r.IntN(5), r.IntN(10), r.IntN(5000))
		fmt.Fprintf(&out, `"inStock":%t,"releasedOn":"20%02d-%02d-%02d","scrapedAt":"2025-01-15T10:%02d:%02d.%03dZ",`,
			r.IntN(4) > 0, r.IntN(25), 1+r.IntN(12), 1+r.IntN(28), r.IntN(60), r.IntN(60), r.IntN(1000))
		fmt.Fprintf(&out, `"description":"%s","attributes":{"color":"%s","weight":%d},"tags":["%s","%s"]}`+"\n",
			text(22), words[r.IntN(6)], r.IntN(2000), words[r.IntN(9)], words[r.IntN(9)])
	}
	return out.Bytes()
}

func BenchmarkConvert(b *testing.B) {
	input := products(100_000)
	for name, formats := range map[string][]Format{
		"parquet":           {Parquet},
		"parquet+jsonl+csv": {Parquet, JSONL, CSV},
		"jsonl+csv":         {JSONL, CSV},
	} {
		b.Run(name, func(b *testing.B) { benchmark(b, input, productSchema, formats) })
	}
}

func benchmark(b *testing.B, input []byte, schema waybill.Schema, formats []Format) {
	b.SetBytes(int64(len(input)))
	b.ReportAllocs()
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
