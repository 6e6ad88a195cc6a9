package storage

import (
	"fmt"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// hexCRC32C is the form in which checksums are given: 8 hex digits.
func hexCRC32C(sum uint32) string { return fmt.Sprintf("%08x", sum) }

// joinCRC32C is the CRC32C of one piece and the next, of n bytes, from those of
// each. A CRC is the rest of a polynomial divided by another; bytes that follow
// multiply the first piece's by x^8 each.
func joinCRC32C(first, next uint32, n int) uint32 {
	factor, power := uint32(1)<<31, uint32(1)<<(31-8) // x^0, x^8: the highest power is the lowest bit
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			factor = multiplyCRC32C(factor, power)
		}
		power = multiplyCRC32C(power, power)
	}
	return multiplyCRC32C(first, factor) ^ next
}

// multiplyCRC32C multiplies two polynomials, modulo the checksum's own.
func multiplyCRC32C(a, b uint32) (product uint32) {
	for ; b != 0; b <<= 1 {
		if b>>31 == 1 {
			product ^= a
		}
		times := a >> 1 // x
		if a&1 == 1 {
			times ^= crc32.Castagnoli
		}
		a = times
	}
	return product
}
