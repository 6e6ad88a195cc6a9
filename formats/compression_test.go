package formats

import (
	"bytes"
	"crypto/rand"
	"io"
	mathrand "math/rand/v2"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func compressAll(c Compression) map[Format]Compression {
	return map[Format]Compression{JSONL: c, CSV: c, JSON: c}
}

func expand(t testing.TB, c Compression, file []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(file)
	switch c {
	case Gzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		z.Multistream(false) // one member is all there is
		r = z
	case Zstd:
		z, err := zstd.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func TestCompressedFilesAreNearlyFull(t *testing.T) {
	const limit = 300_000
	opts := Options{Schema: productSchema, MaxFileBytes: limit, Compression: map[Format]Compression{CSV: Gzip, JSONL: Zstd}}
	o := mustRun(t, string(products(15_000)), opts, Parquet, CSV, JSONL)
	for f, least := range map[Format]int{CSV: limit * 94 / 100, JSONL: limit * 94 / 100, Parquet: limit * 75 / 100} {
		parts := o.parts[f]
		for i, file := range parts[:len(parts)-1] {
			if len(file) < least {
				t.Errorf("%s: part %d of %d has %d of %d bytes", f, i, len(parts), len(file), limit)
			}
		}
		if len(parts) < 3 {
			t.Errorf("%s: only %d parts", f, len(parts))
		}
	}
}

func TestWorstCaseOfCompressions(t *testing.T) {
	random := make([]byte, 3<<20)
	_, _ = rand.Read(random)
	r := mathrand.New(mathrand.NewPCG(2, 3))
	for _, c := range Compressions() {
		for range 30 {
			var out bytes.Buffer
			p := &parts{ctx: t.Context(), open: To(&out), compression: c}
			if err := p.begin(); err != nil {
				t.Fatal(err)
			}
			for left := random[:r.IntN(len(random))]; len(left) > 0; {
				n := min(len(left), 1+r.IntN([]int{10, 1000, 100_000, 2 << 20}[r.IntN(4)]))
				most := p.most(int64(n))
				if _, err := p.Write(left[:n]); err != nil {
					t.Fatal(err)
				}
				if left = left[n:]; r.IntN(3) > 0 {
					continue
				}
				if err := p.flush(); err != nil {
					t.Fatal(err)
				}
				if p.size() > most || p.most(0) > most+worst(0) {
					t.Fatalf("%s: %d bytes after a flush, at most %d reckoned", c, p.size(), most)
				}
			}
			most := p.most(0)
			if err := p.end(1); err != nil || int64(out.Len()) > most {
				t.Fatalf("%s: %d bytes, at most %d reckoned: %v", c, out.Len(), most, err)
			}
		}
	}
}

func TestHeadsOfCompressedFiles(t *testing.T) {
	o := mustRun(t, "{\"a\":1}\n", Options{Schema: schemaOf("a NUMBER"), Compression: map[Format]Compression{CSV: Gzip, JSONL: Zstd}}, CSV, JSONL)
	if head := o.files[CSV][:10]; !bytes.Equal(head, []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}) {
		t.Errorf("gzip begins with % x", head)
	}
	if head := o.files[JSONL][:4]; !bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		t.Errorf("zstd begins with % x", head)
	}
}
