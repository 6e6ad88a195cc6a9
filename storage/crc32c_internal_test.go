package storage

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

func TestChecksumsOfPiecesMakeThatOfTheWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 70_000)
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	for _, cut := range []int{0, 1, 7, 256, 4096, 65_536, 69_999, 70_000} {
		first, next := content[:cut], content[cut:]
		joined := joinCRC32C(crc32.Checksum(first, castagnoli), crc32.Checksum(next, castagnoli), len(next))
		if whole := crc32.Checksum(content, castagnoli); joined != whole {
			t.Errorf("cut at %d: %08x, want %08x", cut, joined, whole)
		}
	}
}
