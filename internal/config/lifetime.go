package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
)

// Lifetime is a long time, written in days as 90d, or like other times as 12h.
type Lifetime time.Duration

const day = 24 * time.Hour

// String writes whole days as such.
func (l Lifetime) String() string {
	if d := time.Duration(l); d%day == 0 && d != 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return time.Duration(l).String()
}

// MarshalText writes what [Lifetime.UnmarshalText] reads.
func (l Lifetime) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a number of days, or a duration.
func (l *Lifetime) UnmarshalText(text []byte) error {
	if digits, ok := strings.CutSuffix(string(text), "d"); ok {
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n >= 0 && n <= math.MaxInt64/int64(day) {
			*l = Lifetime(n * int64(day))
			return nil
		}
	} else if d, err := time.ParseDuration(string(text)); err == nil {
		*l = Lifetime(d)
		return nil
	}
	return fmt.Errorf("%s is not a lifetime; write e.g. 90d or 12h", waybill.Quote(string(text)))
}
