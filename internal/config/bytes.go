package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/waybillhq/waybill"
)

// Bytes is a number of bytes, written as 64MiB, 1 GiB, or plain digits.
type Bytes int64

var units = []struct {
	suffix string
	size   int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

// String writes the number in the largest unit that it is a multiple of.
func (b Bytes) String() string {
	for _, u := range units {
		if b != 0 && int64(b)%u.size == 0 {
			return fmt.Sprintf("%d %s", int64(b)/u.size, u.suffix)
		}
	}
	return "0 B"
}

// MarshalText writes what [Bytes.UnmarshalText] reads.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads a number of bytes.
func (b *Bytes) UnmarshalText(text []byte) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(string(text), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.size {
			break
		}
		*b = Bytes(n * u.size)
		return nil
	}
	return fmt.Errorf("%s is not a size; write e.g. 64MiB, 1GiB or a number of bytes", waybill.Quote(string(text)))
}
