//go:build !libzstd

package formats

import (
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
)

// The C library has one level for texts and words.
func TestTheLevelOfAColumnIsThatOfItsFirstValues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 80)
	for i := range words {
		for range 2 + r.IntN(8) {
			words[i] += string(rune('a' + r.IntN(26)))
		}
	}
	text := func(n int) parquet.ByteArray {
		var b []byte
		for range n {
			b = append(append(b, words[min(r.IntN(len(words)), r.IntN(len(words)))]...), ' ')
		}
		return b
	}
	first := &batch{columns: make([]column, 3)}
	for range 800 {
		first.columns[0].text = append(first.columns[0].text, text(60))
		first.columns[1].text = append(first.columns[1].text, text(4))
		first.columns[2].micros = append(first.columns[2].micros, r.Int64N(1<<50))
	}
	for i, want := range []int{wordsLevel, textsLevel, valuesLevel} {
		if got := levelOf(first, i); got != want {
			t.Errorf("column %d has level %d, want %d", i, got, want)
		}
	}
	if levelOf(nil, 0) != valuesLevel {
		t.Error("a column without values has a level for text")
	}
}
