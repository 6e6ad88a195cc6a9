// Package data makes the records that benchmarks convert: as scraping gives
// them, with a fixed seed, so that the same size is always the same bytes.
package data

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/waybillhq/waybill"
)

// Seed makes every run of the same size the same run.
const Seed = 1

// Set is one shape of records.
type Set struct {
	Name   string
	Schema waybill.Schema
	append func(dst []byte, r *rand.Rand, i int64) []byte
}

// All lists the sets.
func All() []Set { return []Set{Products(), Wide(), Articles()} }

// Products are of a shop: 16 fields of every type, about 640 bytes a record.
func Products() Set {
	return Set{"products", schemaOf("sku STRING,title STRING,brand CLASSIFICATION,category CLASSIFICATION,url LINK,image IMAGE,price MONEY," +
		"listPrice NUMBER,rating NUMBER,reviews NUMBER,inStock BOOLEAN,releasedOn DATE,scrapedAt DATETIME,description STRING,attributes OBJECT,tags ARRAY"), product}
}

// Wide are records of 60 columns, half of them numbers and dates.
func Wide() Set {
	var fields []string
	for i := range 60 {
		fields = append(fields, fmt.Sprintf("column_%02d %s", i, wideTypes[i%len(wideTypes)]))
	}
	return Set{"wide", schemaOf(strings.Join(fields, ",")), wide}
}

var wideTypes = [...]waybill.DataType{waybill.Number, waybill.String, waybill.Date, waybill.Number, waybill.Classification, waybill.Boolean,
	waybill.Number, waybill.String, waybill.DateTime, waybill.Link}

// Articles have a body of about 8 KB.
func Articles() Set {
	return Set{"articles", schemaOf("url LINK,title STRING,author STRING,publishedAt DATETIME,section CLASSIFICATION,words NUMBER,body STRING"), article}
}

func schemaOf(fields string) waybill.Schema {
	var s waybill.Schema
	for f := range strings.SplitSeq(fields, ",") {
		name, dataType, _ := strings.Cut(f, " ")
		s.Fields = append(s.Fields, waybill.Field{Name: name, DataType: waybill.DataType(dataType)})
	}
	return s
}

// Records are the first n records, as JSON Lines.
func (s Set) Records(n int) []byte {
	var out []byte
	r := rand.New(rand.NewPCG(Seed, Seed)) //nolint:gosec // the same records every time
	for i := range n {
		out = append(s.append(out, r, int64(i)), '\n')
	}
	return out
}

// Reader gives records, as JSON Lines, until there are at least so many bytes.
func (s Set) Reader(bytes int64) io.Reader {
	return &reader{set: s, rand: rand.New(rand.NewPCG(Seed, Seed)), left: bytes} //nolint:gosec // see above
}

type reader struct {
	set    Set
	rand   *rand.Rand
	record int64
	left   int64
	ready  []byte
	rest   []byte // of what is ready
}

func (r *reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.left <= 0 {
			return 0, io.EOF
		}
		r.ready = r.ready[:0]
		for len(r.ready) < 256<<10 && int64(len(r.ready)) < r.left {
			r.ready = append(r.set.append(r.ready, r.rand, r.record), '\n')
			r.record++
		}
		r.left -= int64(len(r.ready))
		r.rest = r.ready
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Write writes a file of at least so many bytes and says how many records and
// bytes it has.
func (s Set) Write(path string, bytes int64) (rows, written int64, err error) {
	file, err := os.Create(path)
	if err != nil {
		return 0, 0, err
	}
	r := s.Reader(bytes).(*reader) //nolint:forcetypeassert // it is
	out := bufio.NewWriterSize(file, 1<<20)
	written, err = io.Copy(out, r)
	return r.record, written, errors.Join(err, out.Flush(), file.Close())
}

// Cached is a file of at least so many bytes that is kept between runs.
func (s Set) Cached(bytes int64) (path string, err error) {
	path = filepath.Join(os.TempDir(), "waybill-bench", fmt.Sprintf("%s-%d.jsonl", s.Name, bytes))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	half := path + ".part"
	if _, _, err := s.Write(half, bytes); err != nil {
		return "", err
	}
	return path, os.Rename(half, path)
}

// ParseSize reads 1GB, 100MB and the like.
func ParseSize(text string) (int64, error) {
	for suffix, unit := range map[string]int64{"GB": 1e9, "MB": 1e6} {
		if digits, ok := strings.CutSuffix(text, suffix); ok {
			n, err := strconv.ParseInt(digits, 10, 64)
			return n * unit, err
		}
	}
	return 0, fmt.Errorf("%q is no size; give one such as 1GB or 100MB", text)
}

var words = strings.Fields(`steel cotton compact wireless garden kitchen premium light über outdoor classic travel café
	the of and to in with for from this that which was are has been more than about after their into over only when
	market report company people year first government city world week announced according percent million national system
	service product quality design water power energy research growth price customer delivery season summer winter large small
	battery screen leather wooden portable waterproof adjustable organic handmade vintage modern professional everyday lightweight`)

// text appends some words, the frequent ones more often.
func text(dst []byte, r *rand.Rand, n int) []byte {
	for i := range n {
		if i > 0 {
			dst = append(dst, ' ')
		}
		k := r.Uint64()
		at := min(k%uint64(len(words)), (k>>32)%uint64(len(words)))
		dst = append(dst, words[at]...)
		if k>>60 == 0 {
			dst = strconv.AppendUint(append(dst, ' '), (k>>20)%10_000, 10)
		}
	}
	return dst
}

func word(r *rand.Rand, of int) string { return words[r.IntN(of)] }

func number(dst []byte, v int) []byte { return strconv.AppendInt(dst, int64(v), 10) }

// padded appends a number in so many digits.
func padded(dst []byte, v, digits int) []byte {
	for ; digits > 1 && v < pow10(digits-1); digits-- {
		dst = append(dst, '0')
	}
	return number(dst, v)
}

func pow10(n int) int {
	v := 1
	for range n {
		v *= 10
	}
	return v
}

func decimals(dst []byte, r *rand.Rand, whole, digits int) []byte {
	dst = append(number(dst, r.IntN(whole)), '.')
	return padded(dst, r.IntN(pow10(digits)), digits)
}

func date(dst []byte, r *rand.Rand) []byte {
	dst = padded(append(dst, "20"...), r.IntN(25), 2)
	dst = padded(append(dst, '-'), 1+r.IntN(12), 2)
	return padded(append(dst, '-'), 1+r.IntN(28), 2)
}

func clock(dst []byte, r *rand.Rand) []byte {
	dst = padded(append(dst, "T1"...), r.IntN(10), 1)
	dst = padded(append(dst, ':'), r.IntN(60), 2)
	dst = padded(append(dst, ':'), r.IntN(60), 2)
	return append(padded(append(dst, '.'), r.IntN(1000), 3), 'Z')
}

func hexText(dst []byte, r *rand.Rand, bytes int) []byte {
	v := r.Uint64()
	var b [8]byte
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return hex.AppendEncode(dst, b[:bytes])
}

func product(b []byte, r *rand.Rand, i int64) []byte {
	b = padded(append(b, `{"sku":"SKU-`...), int(i), 8)
	b = text(append(b, `","title":"`...), r, 6)
	b = number(append(b, `","brand":"Brand `...), r.IntN(40))
	b = append(append(b, `","category":"Home > `...), word(r, 9)...)
	b = hexText(number(append(b, `","url":"https://shop.example/p/`...), int(i)), r, 4)
	b = hexText(append(b, `","image":"https://img.example/`...), r, 8)
	b = number(append(b, `.jpg","price":{"amount":`...), r.IntN(100_000))
	b = decimals(append(b, `,"currencyCode":"EUR"},"listPrice":`...), r, 900, 2)
	b = decimals(append(b, `,"rating":`...), r, 5, 1)
	b = number(append(b, `,"reviews":`...), r.IntN(5000))
	b = strconv.AppendBool(append(b, `,"inStock":`...), r.IntN(4) > 0)
	b = date(append(b, `,"releasedOn":"`...), r)
	b = clock(append(b, `","scrapedAt":"2025-01-15`...), r)
	b = text(append(b, `","description":"`...), r, 27)
	b = append(append(b, `","attributes":{"color":"`...), word(r, 6)...)
	b = number(append(b, `","weight":`...), r.IntN(2000))
	b = append(append(b, `},"tags":["`...), word(r, 20)...)
	return append(append(append(b, `","`...), word(r, 20)...), `"]}`...)
}

func wide(b []byte, r *rand.Rand, i int64) []byte {
	b = append(b, '{')
	for c := range 60 {
		if c > 0 {
			b = append(b, ',')
		}
		b = append(padded(append(b, `"column_`...), c, 2), `":`...)
		switch t := wideTypes[c%len(wideTypes)]; {
		case r.IntN(20) == 0:
			b = append(b, "null"...)
		case t == waybill.Number && c%3 == 0:
			b = number(b, r.IntN(10_000))
		case t == waybill.Number:
			b = decimals(b, r, 1000, 2)
		case t == waybill.Boolean:
			b = strconv.AppendBool(b, r.IntN(3) > 0)
		case t == waybill.Date:
			b = append(date(append(b, '"'), r), '"')
		case t == waybill.DateTime:
			b = append(clock(date(append(b, '"'), r), r), '"')
		case t == waybill.Classification:
			b = append(append(append(b, '"'), word(r, 20)...), '"')
		case t == waybill.Link:
			b = append(hexText(number(append(b, `"https://shop.example/`...), int(i)), r, 2), '"')
		default:
			b = append(text(append(b, '"'), r, 3), '"')
		}
	}
	return append(b, '}')
}

func article(b []byte, r *rand.Rand, i int64) []byte {
	b = number(append(b, `{"url":"https://news.example/`...), int(i))
	b = text(append(b, `","title":"`...), r, 8)
	b = text(append(b, `","author":"`...), r, 2)
	b = clock(date(append(b, `","publishedAt":"`...), r), r)
	b = append(append(b, `","section":"`...), word(r, 12)...)
	n := 800 + r.IntN(1000)
	b = number(append(b, `","words":`...), n)
	b = append(b, `,"body":"`...)
	for left := n; left > 0; left -= 120 {
		b = append(text(b, r, min(left, 120)), `.\n\n`...)
	}
	return append(b, `"}`...)
}
