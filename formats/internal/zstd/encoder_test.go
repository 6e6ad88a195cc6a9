package zstd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// readers are decoders that are not ours; a build tag adds the C library's.
var readers = map[string]func(frame []byte) ([]byte, error){"go": readInGo}

// strict refuses a frame that would have it remember more than a window.
var strict = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<26), zstd.WithDecoderMaxWindow(window))
})

func readInGo(frame []byte) ([]byte, error) {
	d, err := strict()
	if err != nil {
		return nil, err
	}
	return d.DecodeAll(frame, nil)
}

// roundTrip holds that readers get what was given, after what stood there before.
func roundTrip(t *testing.T, e *Encoder, page []byte) (size int) {
	t.Helper()
	for minMatch := 5; minMatch <= 8; minMatch++ {
		before := []byte("before")
		frame, had := bytes.CutPrefix(e.EncodeAll(page, before, minMatch), before)
		if !had {
			t.Fatal("what stood before is gone")
		}
		for name, read := range readers {
			if got, err := read(frame); err != nil || !bytes.Equal(got, page) {
				t.Fatalf("%s, matches from %d: %d bytes come back as %d: %v", name, minMatch, len(page), len(got), err)
			}
		}
		if most := len(page) + 10 + 3*(len(page)/maxBlock+1); len(frame) > most {
			t.Errorf("%d bytes in %d, more than %d", len(page), len(frame), most)
		}
		size = len(frame)
	}
	return size
}

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// words is text of a vocabulary of so many words.
func words(r *rand.Rand, n, vocabulary int) []byte {
	var b []byte
	for len(b) < n {
		b = fmt.Appendf(b, "w%x ", (r.IntN(vocabulary)+1)*2654435761>>7)
	}
	return b[:n]
}

func TestReadersGetWhatWasGiven(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	e := NewEncoder()
	var rows []byte
	for i := range 20_000 {
		rows = fmt.Appendf(rows, "https://shop.example/p/%d?ref=%x\n", i, r.Uint32())
	}
	skewed := make([]byte, 200_000) // almost all literals the same, and a few of each
	for i := range skewed {
		if r.IntN(9) == 0 {
			skewed[i] = byte(r.ExpFloat64() * 20)
		}
	}
	var farBack []byte // what is repeated stands a window and more before
	for range 3 {
		for _, part := range []int{window - 7, window, 3*window/2 + 1} {
			farBack = append(farBack, random(rand.New(rand.NewPCG(7, 7)), part)...)
		}
	}
	pages := map[string][]byte{
		"one byte": bytes.Repeat([]byte{7}, 500_000), "two in turns": bytes.Repeat([]byte("ab"), 300_000), "random": random(r, 300_000),
		"rows": rows, "skewed": skewed, "far back": farBack, "few words": words(r, 700_000, 20), "many words": words(r, 700_000, 20_000),
		"a long literal, a long match": append(append(random(r, 70_000), bytes.Repeat([]byte{1}, 65_600)...), random(r, 90_000)...),
		"literals alike":               literalsAlike(),
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) { t.Logf("%d bytes in %d", len(page), roundTrip(t, e, page)) })
	}
	t.Run("every short one", func(t *testing.T) {
		for n := range 600 {
			roundTrip(t, e, rows[:n])
			roundTrip(t, e, words(r, n, 5))
			roundTrip(t, e, bytes.Repeat([]byte{9}, n))
		}
	})
	t.Run("around a block and a window", func(t *testing.T) {
		for _, n := range []int{1 << 8, 1<<16 + 1<<8, maxBlock, 2 * maxBlock, window, 2 * window} {
			for around := -2; around <= 2; around++ {
				roundTrip(t, e, words(r, n+around, 300))
			}
		}
	})
}

// literalsAlike has matches between literals that are all one byte.
func literalsAlike() []byte {
	var b []byte
	phrase := []byte("0123456789abcdef")
	b = append(b, bytes.Repeat([]byte{'0'}, 40)...)
	for i := range 4000 {
		b = append(b, phrase[i%3:12+i%4]...)
		b = append(b, '0')
	}
	return b
}

// An encoder has nothing of a page left that another one could refer to.
func TestAPageIsCompressedAloneTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	used := NewEncoder()
	for _, n := range []int{100, 40_000, 600_000, 7, 130_000} {
		page := words(r, n, 500)
		used.EncodeAll(random(r, 1+r.IntN(700_000)), nil, 6)
		if !bytes.Equal(used.EncodeAll(page, nil, 6), NewEncoder().EncodeAll(page, nil, 6)) {
			t.Errorf("%d bytes depend on the page before", n)
		}
	}
}

func TestPagesAreAsSmallAsTheLibrarysFastest(t *testing.T) {
	e := NewEncoder()
	library, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	for vocabulary := 30; vocabulary < 100_000; vocabulary *= 10 {
		text := words(rand.New(rand.NewPCG(5, 6)), 384<<10, vocabulary)
		six, eight, fastest := len(e.EncodeAll(text, nil, 6)), len(e.EncodeAll(text, nil, 8)), len(library.EncodeAll(text, nil))
		t.Logf("%d words: %d bytes with matches from 6 bytes, %d from 8; the library's fastest level makes %d", vocabulary, six, eight, fastest)
		if min(six, eight) > fastest*102/100 {
			t.Errorf("%d words: from 6: %d, from 8: %d, the library: %d", vocabulary, six, eight, fastest)
		}
	}
}

func FuzzEncoder(f *testing.F) {
	f.Add([]byte(""), uint8(0))
	f.Add([]byte(strings.Repeat("the same again, ", 9)), uint8(3))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 1}, 99), uint8(1))
	e := NewEncoder()
	f.Fuzz(func(t *testing.T, page []byte, times uint8) {
		// Pieces of it in another order, so that matches and their ends are of all kinds.
		var long []byte
		r := rand.New(rand.NewPCG(uint64(len(page)), uint64(times)))
		for range times {
			if len(page) > 0 {
				from := r.IntN(len(page))
				long = append(long, page[from:from+r.IntN(len(page)-from)]...)
			}
		}
		roundTrip(t, e, page)
		roundTrip(t, e, append(slices.Clip(page), long...))
	})
}

func BenchmarkEncoder(b *testing.B) {
	page := words(rand.New(rand.NewPCG(5, 6)), 384<<10, 3000)
	e := NewEncoder()
	var dst []byte
	for _, minMatch := range []int{6, 8} {
		b.Run(fmt.Sprint("from ", minMatch), func(b *testing.B) {
			b.SetBytes(int64(len(page)))
			for b.Loop() {
				dst = e.EncodeAll(page, dst[:0], minMatch)
			}
		})
	}
}
