package formats

import "github.com/waybillhq/waybill"

// The forms of dates that are read, all after trimming:
//
//	2018-02-07  2018-2-7  20180207           ISO 8601, calendar dates only
//	Feb 7 2018  February 7, 2018  Feb. 7th, 2018
//	7 Feb 2018  7th of February 2018  07-Feb-2018  7. February 2018
//	2018 Feb 7  2018-Feb-07
//	02/07/2018  02.07.2018  02-07-2018       only where the field has a dateOrder
//
// each with a weekday before it or not, and with a time behind it or not (see
// cast_time.go), so that RFC 3339, RFC 1123, RFC 2822, C's asctime and
// JavaScript's Date.toString are among them. Month names are English, in full
// or by their first three letters ("Sept" too), in any case. A year has four
// digits: "12-Jun-98" and "98-06-12" are not guessed.

// moment is a date with or without a time of day, as it was written.
type moment struct {
	year, month, day int
	hasTime, hasZone bool
	seconds, micros  int  // since midnight
	offset           int  // seconds east of UTC
	finer            bool // had digits beyond microseconds
	iso              bool // a time in UTC as isoMoment reads it
}

// dateReader is a cursor over one date's text.
type dateReader struct {
	s     []byte
	i     int
	order waybill.DateOrder
	moment
}

// parseMoment reads a date with or without a time.
func parseMoment(s []byte, order waybill.DateOrder) (moment, reason) {
	if m, ok := isoMoment(s); ok {
		return m, castOK
	}
	return readMoment(s, order)
}

// readMoment is parseMoment for every form there is.
func readMoment(s []byte, order waybill.DateOrder) (moment, reason) {
	p := dateReader{s: s, order: order}
	if len(s) == 0 {
		return p.moment, reasonEmpty
	}
	r := p.date()
	if r == castOK {
		r = p.timeOfDay()
	}
	if r == castOK && !validDay(p.year, p.month, p.day) {
		r = reasonNoSuchDay
		if p.year < 1 || p.year > 9999 {
			r = reasonYear
		}
	}
	return p.moment, r
}

func (p *dateReader) date() reason {
	if !isDigit(p.peek()) {
		p.weekday()
	}
	if !isDigit(p.peek()) {
		return p.monthFirst()
	}
	digits := digitsEnd(p.s, p.i) - p.i
	next := p.at(p.i + digits)
	switch {
	case digits == 8:
		p.year, p.month, p.day = p.number(4), p.number(2), p.number(2)
		return castOK
	case digits > 4 && next == '-':
		return reasonYear
	case digits == 4 && next == '-' && isDigit(p.at(p.i+5)):
		return p.iso()
	case (next == '/' || next == '.' || next == '-') && isDigit(p.at(p.i+digits+1)):
		return p.numeric(next)
	case digits == 4:
		return p.yearFirst()
	case digits <= 2:
		return p.dayFirst()
	}
	return reasonNotDate
}

// iso reads 2018-02-07.
func (p *dateReader) iso() reason {
	p.year = p.number(4)
	p.i++
	if p.month = p.shortNumber(); p.month < 0 || p.peek() != '-' {
		return reasonNotDate
	}
	p.i++
	if p.day = p.shortNumber(); p.day < 0 {
		return reasonNotDate
	}
	return castOK
}

// numeric reads three numbers with one separator between them, in the field's
// order. Without an order it only says what they are.
func (p *dateReader) numeric(separator byte) reason {
	var parts, lengths [3]int
	for n := range parts {
		if n > 0 {
			if p.peek() != separator {
				return reasonNotDate
			}
			p.i++
		}
		lengths[n] = digitsEnd(p.s, p.i) - p.i
		if lengths[n] != 1 && lengths[n] != 2 && lengths[n] != 4 {
			return reasonNotDate
		}
		parts[n] = p.number(lengths[n])
	}
	if separator == '-' && p.order == "" && lengths[2] != 4 {
		return reasonTwoDigitYear // 98-06-12, 12-06-98
	}
	var year int
	switch p.order {
	case waybill.YMD:
		p.year, p.month, p.day = parts[0], parts[1], parts[2]
	case waybill.MDY:
		p.year, p.month, p.day, year = parts[2], parts[0], parts[1], 2
	case waybill.DMY:
		p.year, p.month, p.day, year = parts[2], parts[1], parts[0], 2
	default:
		return reasonDateOrder
	}
	if lengths[year] != 4 {
		if lengths[0] == 4 || lengths[2] == 4 {
			return reasonOtherOrder
		}
		return reasonTwoDigitYear
	}
	if lengths[1] > 2 || lengths[2-year] > 2 {
		return reasonNotDate
	}
	return castOK
}

// monthFirst reads "Feb 7, 2018", and asctime's "Feb 7 15:04:05 2018".
func (p *dateReader) monthFirst() reason {
	if !p.monthName() || !p.gap() {
		return reasonNotDate
	}
	if p.day = p.shortNumber(); p.day < 0 {
		return reasonNotDate
	}
	p.ordinal()
	if !p.gap() {
		return reasonNotDate
	}
	if isDigit(p.peek()) && (p.at(p.i+2) == ':' || p.at(p.i+1) == ':') {
		return p.clockThenYear()
	}
	return p.fullYear()
}

func (p *dateReader) clockThenYear() reason {
	if r := p.clock(); r != castOK {
		return r
	}
	p.spaces()
	if !isDigit(p.peek()) {
		if r := p.zone(); r != castOK {
			return r
		}
		p.spaces()
	}
	return p.fullYear()
}

// dayFirst reads "7 Feb 2018".
func (p *dateReader) dayFirst() reason {
	p.day = p.shortNumber()
	p.ordinal()
	if !p.gap() {
		return reasonNotDate
	}
	if p.word("of") && !p.gap() {
		return reasonNotDate
	}
	if !p.monthName() || !p.gap() {
		return reasonNotDate
	}
	return p.fullYear()
}

// yearFirst reads "2018 Feb 7".
func (p *dateReader) yearFirst() reason {
	p.year = p.number(4)
	if !p.gap() || !p.monthName() || !p.gap() {
		return reasonNotDate
	}
	if p.day = p.shortNumber(); p.day < 0 {
		return reasonNotDate
	}
	p.ordinal()
	return castOK
}

func (p *dateReader) fullYear() reason {
	switch digitsEnd(p.s, p.i) - p.i {
	case 4:
		p.year = p.number(4)
		return castOK
	case 2:
		return reasonTwoDigitYear
	case 0, 1, 3:
		return reasonNotDate
	}
	return reasonYear
}

var monthNames = [...]string{"january", "february", "march", "april", "may", "june",
	"july", "august", "september", "october", "november", "december"}

var weekdayNames = [...]string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// monthName reads a month's name, in full or short.
func (p *dateReader) monthName() bool {
	for n, name := range monthNames {
		if p.word(name) || p.word(name[:3]) || n == 8 && p.word("sept") {
			p.month = n + 1
			return true
		}
	}
	return false
}

// weekday skips a weekday's name. Whether it is the right one is not checked.
func (p *dateReader) weekday() {
	for _, name := range weekdayNames {
		if p.word(name) || p.word(name[:3]) {
			p.gap()
			return
		}
	}
}

// word reads a lower-case word, in any case, if it stands here as a whole.
func (p *dateReader) word(word string) bool {
	end := p.i + len(word)
	if end > len(p.s) || !equalFold(p.s[p.i:end], word) || isLetter(p.at(end)) {
		return false
	}
	p.i = end
	return true
}

// ordinal skips the letters of 1st, 2nd, 3rd, 4th.
func (p *dateReader) ordinal() {
	_ = p.word("st") || p.word("nd") || p.word("rd") || p.word("th")
}

// gap skips what stands between the words of a date: white space and commas,
// with the dot of an abbreviation before them, or a single dash.
func (p *dateReader) gap() bool {
	start := p.i
	if p.peek() == '.' {
		p.i++
	}
	separators := p.i
	if p.peek() == '-' {
		p.i++
		return true
	}
	for p.peek() == ',' || asciiSpace(p.peek()) {
		p.i++
	}
	if p.i == separators {
		p.i = start
		return false
	}
	return true
}

// shortNumber reads one or two digits, or returns -1.
func (p *dateReader) shortNumber() int {
	n := digitsEnd(p.s, p.i) - p.i
	if n != 1 && n != 2 {
		return -1
	}
	return p.number(n)
}

// number reads exactly n digits, which stand here.
func (p *dateReader) number(n int) (v int) {
	for range n {
		v = v*10 + int(p.s[p.i]-'0')
		p.i++
	}
	return v
}

func (p *dateReader) peek() byte { return p.at(p.i) }

// at returns a byte, or 0 behind the end.
func (p *dateReader) at(i int) byte {
	if i < len(p.s) {
		return p.s[i]
	}
	return 0
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
