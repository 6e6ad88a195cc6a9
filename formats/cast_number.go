package formats

import (
	"math"
	"strconv"
	"unsafe"
)

const exactLimit = 1 << 53 // beyond it, doubles no longer hold every integer

// powers of ten that a double holds exactly.
var exactPowers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
	1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// parseNumber reads a JSON number's text. Inexact is set beyond 2^53.
func parseNumber(s []byte) (f float64, inexact bool, r reason) {
	if f, ok := shortNumber(s); ok {
		return f, false, castOK
	}
	switch {
	case len(s) == 0:
		return 0, false, reasonEmpty
	case !isNumber(s):
		return 0, false, reasonNotNumber
	}
	f, err := strconv.ParseFloat(unsafe.String(&s[0], len(s)), 64) //nolint:gosec // the string does not outlive the call
	if err != nil {
		return 0, false, reasonNumberRange
	}
	abs := math.Abs(f)
	return f, abs > exactLimit || abs == exactLimit && !plainDigits(s, "9007199254740992"), castOK
}

// plainDigits reports whether s is a sign and these digits.
func plainDigits(s []byte, digits string) bool {
	if s[0] == '-' {
		s = s[1:]
	}
	return string(s) == digits
}

// shortNumber reads numbers of at most 15 digits without an exponent, which
// are nearly all: both the digits and the power of ten are exact in a double,
// so that their quotient is rounded correctly (W. Clinger, 1990).
func shortNumber(s []byte) (f float64, ok bool) {
	if len(s) == 0 || len(s) > 17 {
		return 0, false
	}
	i, negative := 0, s[0] == '-'
	if negative {
		i++
	}
	var digits uint64
	count, point := 0, -1
	for first := i; i < len(s); i++ {
		switch c := s[i]; {
		case isDigit(c):
			if count == 1 && digits == 0 && point < 0 {
				return 0, false // a leading zero is no JSON
			}
			digits = digits*10 + uint64(c-'0')
			count++
		case c == '.' && point < 0 && i > first && i+1 < len(s):
			point = i
		default:
			return 0, false
		}
	}
	if count == 0 || count > 15 {
		return 0, false
	}
	f = float64(digits)
	if point >= 0 {
		f /= exactPowers[len(s)-1-point]
	}
	if negative {
		f = -f
	}
	return f, true
}
