package formats

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// decimalScale is the number of decimals of a MONEY column, Decimal(38,9).
const decimalScale = 9

// decimal is an amount in billionths: a sign and a 128-bit magnitude below 10^38.
type decimal struct {
	hi, lo   uint64
	negative bool
}

// parseDecimal reads a JSON number's text, divided by 10^shift. What does not
// fit nine decimals is rounded half away from zero, as TRY_CAST does in
// warehouses, and makes the amount inexact.
func parseDecimal(s []byte, shift int) (d decimal, inexact bool, r reason) {
	mantissa, exponent := cutExponent(s)
	if d.negative = mantissa[0] == '-'; d.negative {
		mantissa = mantissa[1:]
	}
	whole, fraction, _ := bytes.Cut(mantissa, []byte{'.'})
	scale := len(fraction)
	whole = bytes.TrimLeft(whole, "0")
	significant := len(whole) + len(fraction)
	if len(whole) == 0 {
		fraction = bytes.TrimLeft(fraction, "0")
		significant = len(fraction)
	}
	if significant == 0 {
		return decimal{}, false, castOK
	}
	// Of the digits, keep stand before the tenth decimal; the rest is rounded.
	keep := significant + exponent - scale - shift + decimalScale
	if keep > 38 {
		return decimal{}, false, reasonAmountRange
	}
	if inexact = d.take(whole, fraction, keep); d.tooLarge() {
		return decimal{}, false, reasonAmountRange
	}
	d.negative = d.negative && d.hi|d.lo != 0
	return d, inexact, castOK
}

// take sets the magnitude to the first digits, as many as there are to keep,
// rounded by the next one. It reports whether it dropped anything but zeros.
func (d *decimal) take(whole, fraction []byte, keep int) (inexact bool) {
	i, up := 0, false
	for _, part := range [...][]byte{whole, fraction} {
		for _, c := range part {
			digit := uint64(c - '0')
			if i < keep {
				d.push(digit)
			} else {
				inexact = inexact || digit != 0
				up = up || i == keep && digit >= 5
			}
			i++
		}
	}
	for ; i < keep; i++ {
		d.push(0)
	}
	if up {
		d.increment()
	}
	return inexact
}

// cutExponent splits a number at its exponent, which it bounds: beyond the
// bound every amount but zero is out of range or nothing.
func cutExponent(s []byte) (mantissa []byte, exponent int) {
	i := bytes.IndexAny(s, "eE")
	if i < 0 {
		return s, 0
	}
	mantissa, s = s[:i], s[i+1:]
	negative := s[0] == '-'
	for _, c := range s {
		if isDigit(c) {
			exponent = min(exponent*10+int(c-'0'), 1<<40)
		}
	}
	if negative {
		exponent = -exponent
	}
	return mantissa, exponent
}

// push appends a digit. At most 38 are pushed: they fit 128 bits.
func (d *decimal) push(digit uint64) {
	carry, lo := bits.Mul64(d.lo, 10)
	lo, c := bits.Add64(lo, digit, 0)
	d.hi, d.lo = d.hi*10+carry+c, lo
}

func (d *decimal) increment() {
	var carry uint64
	d.lo, carry = bits.Add64(d.lo, 1, 0)
	d.hi += carry
}

// tooLarge reports whether the magnitude has reached 10^38.
func (d decimal) tooLarge() bool {
	const hi, lo = 0x4b3b4ca85a86c47a, 0x098a224000000000
	return d.hi > hi || d.hi == hi && d.lo >= lo
}

// appendBytes appends the 16 bytes of the column: two's complement, big-endian.
func (d decimal) appendBytes(dst []byte) []byte {
	hi, lo := d.hi, d.lo
	if d.negative {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	dst = binary.BigEndian.AppendUint64(dst, hi)
	return binary.BigEndian.AppendUint64(dst, lo)
}

// appendText appends the amount with at least the given number of decimals.
func (d decimal) appendText(dst []byte, decimals int) []byte {
	var digits [40]byte
	i, hi, lo, n := len(digits), d.hi, d.lo, 0
	for ; hi == 0 && n < decimalScale-decimals && lo%10 == 0; n++ { // decimals that are cut again
		lo /= 10
		i--
		digits[i] = '0'
	}
	for ; n <= decimalScale || hi|lo != 0; n++ {
		if n == decimalScale {
			i--
			digits[i] = '.'
		}
		var rest uint64
		hi, rest = hi/10, hi%10
		lo, rest = bits.Div64(rest, lo, 10)
		i--
		digits[i] = '0' + byte(rest)
	}
	text := digits[i:]
	for cut := decimalScale - decimals; cut > 0 && text[len(text)-1] == '0'; cut-- {
		text = text[:len(text)-1]
	}
	text = bytes.TrimSuffix(text, []byte{'.'})
	if d.negative {
		dst = append(dst, '-')
	}
	return append(dst, text...)
}

// money is a MONEY object's content.
type money struct {
	amount   decimal
	currency []byte
	decimals int // of the currency
	inexact  bool
}

// moneyParts finds the amount and the currency's code in a valid JSON object.
// Of a key given twice the last value counts.
func moneyParts(object []byte) (amount, code token) {
	s := scanner{maxDepth: deepest} // was checked with the record
	i := skipSpace(object, 1)
	for object[i] == '"' {
		name := i
		i, _, _ = stringEnd(object, i+1)
		key := object[name:i]
		i = skipSpace(object, skipSpace(object, i)+1)
		value, _ := s.value(object, i, 0)
		switch {
		case keyIs(key, "amount"):
			amount = value
		case keyIs(key, "currencyCode"):
			code = value
		}
		if i = skipSpace(object, int(value.end)); object[i] == ',' {
			i = skipSpace(object, i+1)
		}
	}
	return amount, code
}

// keyIs compares a quoted key, which may hold escapes, with a name.
func keyIs(quoted []byte, name string) bool {
	inside := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inside, '\\') >= 0 {
		inside = appendUnescaped(nil, inside)
	}
	return string(inside) == name
}

// shortMoney reads a MONEY object in the form in which nearly all are written:
// no white space, the amount before the currency, and at most 15 digits.
func shortMoney(object []byte) (m money, ok bool) {
	const before, between, behind = `{"amount":`, `,"currencyCode":"`, `"}`
	s, ok := bytes.CutPrefix(object, []byte(before))
	if !ok {
		return m, false
	}
	end := digitsEnd(s, 0)
	if end == 0 || end > 15 || s[0] == '0' && end > 1 || len(s) != end+len(between)+3+len(behind) {
		return m, false
	}
	code := s[end+len(between) : len(s)-len(behind)]
	if string(s[end:end+len(between)]) != between || string(s[len(s)-len(behind):]) != behind {
		return m, false
	}
	if m.currency, m.decimals = currencyOf(code); m.currency == nil {
		return m, false
	}
	var minor uint64
	for _, c := range s[:end] {
		minor = minor*10 + uint64(c-'0')
	}
	m.amount.hi, m.amount.lo = bits.Mul64(minor, billionths[m.decimals])
	return m, true
}

// billionths are those of a minor unit, by the decimals that it is.
var billionths = [...]uint64{1e9, 1e8, 1e7, 1e6, 1e5}

// parseMoney reads a MONEY object: an amount in minor units and a currency.
func parseMoney(object []byte) (m money, r reason) {
	if m, ok := shortMoney(object); ok {
		return m, castOK
	}
	return readMoney(object)
}

// readMoney is parseMoney for every form there is.
func readMoney(object []byte) (m money, r reason) {
	amount, code := moneyParts(object)
	digits := object[amount.start:amount.end]
	switch amount.kind {
	case absent, jsonNull:
		return m, reasonNoAmount
	case jsonNumber:
	case jsonString:
		if digits = trim(plainString(object, amount)); !isNumber(digits) {
			return m, reasonNotMoney
		}
	default:
		return m, reasonNotMoney
	}
	if code.kind == jsonString {
		m.currency, m.decimals = currencyOf(plainString(object, code))
	}
	if m.currency == nil {
		return m, reasonCurrency
	}
	m.amount, m.inexact, r = parseDecimal(digits, m.decimals)
	return m, r
}

// plainString is the text of a string token.
func plainString(b []byte, t token) []byte {
	inside := b[t.start+1 : t.end-1]
	if t.escaped {
		return appendUnescaped(nil, inside)
	}
	return inside
}

// plainMoney reads a number's text as major units, without a currency.
func plainMoney(s []byte) (m money, r reason) {
	switch {
	case len(s) == 0:
		return m, reasonEmpty
	case !isNumber(s):
		return m, reasonNotMoney
	}
	m.amount, m.inexact, r = parseDecimal(s, 0)
	return m, r
}
