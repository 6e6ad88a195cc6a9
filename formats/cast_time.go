package formats

import "github.com/waybillhq/waybill"

// Behind a date, after "T", a space, a comma or " at ", may stand a time:
//
//	15:04  15:04:05  15:04:05.123456  3:04 PM  150405
//
// and behind it, or not, a zone: Z, UTC, GMT, ±15:04, ±1504, ±15, GMT±15:04,
// with JavaScript's comment in brackets. Zones by name (EST, CET) are not
// guessed. 24:00 and leap seconds are no time of day here.

// timeOfDay reads a time and its zone, if there is one, to the end.
func (p *dateReader) timeOfDay() reason {
	if p.i == len(p.s) {
		return castOK
	}
	if !p.hasTime {
		if !p.beforeTime() || !isDigit(p.peek()) {
			return reasonNotDate
		}
		if r := p.clock(); r != castOK {
			return r
		}
	}
	p.spaces()
	if p.i < len(p.s) && !p.hasZone {
		if r := p.zone(); r != castOK {
			return r
		}
	}
	if p.i < len(p.s) {
		return reasonNotDate
	}
	return castOK
}

func (p *dateReader) beforeTime() bool {
	if p.peek()|0x20 == 't' {
		p.i++
		return true
	}
	start := p.i
	for p.peek() == ',' || asciiSpace(p.peek()) {
		p.i++
	}
	if p.word("at") {
		p.spaces()
	}
	return p.i > start
}

// clock reads 15:04:05.000 or 150405, and AM or PM behind it.
func (p *dateReader) clock() reason {
	p.hasTime = true
	digits := digitsEnd(p.s, p.i) - p.i
	var hour, minute, second int
	switch {
	case digits == 6:
		hour, minute, second = p.number(2), p.number(2), p.number(2)
	case digits == 4:
		hour, minute = p.number(2), p.number(2)
	case digits > 2 || p.at(p.i+digits) != ':':
		return reasonNotDate
	default:
		hour = p.number(digits)
		p.i++
		if minute = p.twoDigits(); minute < 0 {
			return reasonNotDate
		}
		if p.peek() == ':' {
			p.i++
			if second = p.twoDigits(); second < 0 {
				return reasonNotDate
			}
		}
	}
	if !p.fraction() {
		return reasonNotDate
	}
	hour, ok := p.half(hour)
	if !ok || hour > 23 || minute > 59 || second > 59 {
		return reasonNoSuchTime
	}
	p.seconds = hour*3600 + minute*60 + second
	return castOK
}

func (p *dateReader) twoDigits() int {
	if digitsEnd(p.s, p.i)-p.i != 2 {
		return -1
	}
	return p.number(2)
}

// fraction reads a fraction of a second, down to microseconds.
func (p *dateReader) fraction() bool {
	if c := p.peek(); c != '.' && c != ',' {
		return true
	}
	if !isDigit(p.at(p.i + 1)) {
		return p.peek() == ',' // not a fraction: what stands here is not for us
	}
	p.i++
	for unit := 100_000; isDigit(p.peek()); unit /= 10 {
		digit := int(p.s[p.i] - '0')
		p.micros += digit * unit
		p.finer = p.finer || unit == 0 && digit != 0
		p.i++
	}
	return true
}

// half applies AM or PM to the hour, if it stands here.
func (p *dateReader) half(hour int) (int, bool) {
	start := p.i
	p.spaces()
	am, pm := p.word("am"), p.word("pm")
	switch {
	case !am && !pm:
		p.i = start
		return hour, true
	case hour < 1 || hour > 12:
		return 0, false
	}
	hour %= 12
	if pm {
		hour += 12
	}
	return hour, true
}

// zone reads a zone and JavaScript's comment behind it.
func (p *dateReader) zone() reason {
	p.hasZone = true
	named := p.word("z") || p.word("utc") || p.word("gmt")
	if c := p.peek(); c == '+' || c == '-' {
		if !p.zoneOffset() {
			return reasonZone
		}
	} else if !named {
		return p.notAZone()
	}
	p.spaces()
	if p.peek() == '(' && p.s[len(p.s)-1] == ')' {
		p.i = len(p.s)
	}
	return castOK
}

// notAZone tells a zone's name from what is no zone at all.
func (p *dateReader) notAZone() reason {
	if isLetter(p.peek()) {
		return reasonZone
	}
	return reasonNotDate
}

// zoneOffset reads ±15:04, ±1504 or ±15.
func (p *dateReader) zoneOffset() bool {
	west := p.peek() == '-'
	p.i++
	var hours, minutes int
	switch digitsEnd(p.s, p.i) - p.i {
	case 4:
		hours, minutes = p.number(2), p.number(2)
	case 2:
		hours = p.number(2)
		if p.peek() == ':' {
			p.i++
			minutes = p.twoDigits()
		}
	default:
		return false
	}
	if hours > 23 || minutes < 0 || minutes > 59 {
		return false
	}
	p.offset = hours*3600 + minutes*60
	if west {
		p.offset = -p.offset
	}
	return true
}

func (p *dateReader) spaces() {
	for asciiSpace(p.peek()) {
		p.i++
	}
}

// isoMoment reads the forms in which nearly all dates and times are written,
// without a look at any other: 2018-02-07, and 2018-02-07T15:04:05Z with no, three
// or six decimals.
func isoMoment(s []byte) (m moment, ok bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return m, false
	}
	century, year, month, day := pair(s), pair(s[2:]), pair(s[5:]), pair(s[8:])
	m.year, m.month, m.day = century*100+year, month, day
	if century|year|month|day < 0 || !validDay(m.year, m.month, m.day) {
		return m, false
	}
	if len(s) == 10 {
		return m, true
	}
	if len(s) < 20 || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[len(s)-1] != 'Z' {
		return m, false
	}
	hour, minute, second := pair(s[11:]), pair(s[14:]), pair(s[17:])
	if hour|minute|second < 0 || hour > 23 || minute > 59 || second > 59 {
		return m, false
	}
	m.hasTime, m.hasZone, m.iso, m.seconds = true, true, true, hour*3600+minute*60+second
	switch {
	case len(s) == 20:
		return m, true
	case len(s) != 24 && len(s) != 27 || s[19] != '.':
		return m, false
	}
	for _, c := range s[20 : len(s)-1] {
		if !isDigit(c) {
			return m, false
		}
		m.micros = m.micros*10 + int(c-'0')
	}
	if len(s) == 24 {
		m.micros *= 1000
	}
	return m, true
}

// pair is the number that two digits are, or negative.
func pair(s []byte) int {
	if !isDigit(s[0]) || !isDigit(s[1]) {
		return -1
	}
	return int(s[0]-'0')*10 + int(s[1]-'0')
}

// parseDate reads a date as days since 1970-01-01. Of a date with a time it
// takes the day as written, whatever the zone: that is the day the source showed.
func parseDate(s []byte, order waybill.DateOrder) (days int32, r reason) {
	m, r := parseMoment(s, order)
	if r != castOK {
		return 0, r
	}
	return int32(daysOf(m.year, m.month, m.day)), castOK
}

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86_400 * microsPerSecond
)

// parseDateTime reads a time as microseconds since 1970-01-01T00:00:00Z.
func parseDateTime(s []byte, order waybill.DateOrder) (micros int64, m moment, r reason) {
	if m, r = parseMoment(s, order); r != castOK {
		return 0, m, r
	}
	days := int64(daysOf(m.year, m.month, m.day))
	micros = days*microsPerDay + int64(m.seconds-m.offset)*microsPerSecond + int64(m.micros)
	if micros < firstMicro || micros > lastMicro {
		return 0, m, reasonYear // the zone moved it out
	}
	return micros, m, castOK
}

var (
	firstMicro = int64(daysOf(1, 1, 1)) * microsPerDay
	lastMicro  = int64(daysOf(9999, 12, 31)+1)*microsPerDay - 1
)

// daysOf counts days since 1970-01-01 in the proleptic Gregorian calendar, by
// years that begin in March, so that the leap day is the last of its year.
func daysOf(year, month, day int) int {
	if month <= 2 {
		year--
		month += 12
	}
	const toEpoch = 719_468 // days from 0000-03-01 to 1970-01-01
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - toEpoch
}

// civil is the inverse of daysOf.
func civil(days int) (year, month, day int) {
	days += 719_468
	era := days / 146_097
	inEra := days % 146_097
	inYears := (inEra - inEra/1460 + inEra/36_524 - inEra/146_096) / 365
	inYear := inEra - (365*inYears + inYears/4 - inYears/100)
	shifted := (5*inYear + 2) / 153
	year, month, day = era*400+inYears, shifted+3, inYear-(153*shifted+2)/5+1
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, day
}

func validDay(year, month, day int) bool {
	if year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 {
		return false
	}
	lengths := [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	last := lengths[month-1]
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		last = 29
	}
	return day <= last
}

// appendDate appends 2006-01-02.
func appendDate(dst []byte, days int) []byte {
	year, month, day := civil(days)
	dst = appendPadded(dst, year, 4)
	dst = appendPadded(append(dst, '-'), month, 2)
	return appendPadded(append(dst, '-'), day, 2)
}

// appendDateTime appends 2006-01-02T15:04:05Z, with three or six decimals
// where the time has them.
func appendDateTime(dst []byte, micros int64) []byte {
	days := micros / microsPerDay
	rest := int(micros % microsPerDay)
	if rest < 0 {
		days, rest = days-1, rest+microsPerDay
	}
	dst = appendDate(dst, int(days))
	seconds, micro := rest/microsPerSecond, rest%microsPerSecond
	dst = appendPadded(append(dst, 'T'), seconds/3600, 2)
	dst = appendPadded(append(dst, ':'), seconds/60%60, 2)
	dst = appendPadded(append(dst, ':'), seconds%60, 2)
	switch {
	case micro%1000 != 0:
		dst = appendPadded(append(dst, '.'), micro, 6)
	case micro != 0:
		dst = appendPadded(append(dst, '.'), micro/1000, 3)
	}
	return append(dst, 'Z')
}

// dateTimeLen is how many bytes appendDateTime appends.
func dateTimeLen(micros int64) int {
	switch {
	case micros%microsPerSecond == 0:
		return len("2006-01-02T15:04:05Z")
	case micros%1000 == 0:
		return len("2006-01-02T15:04:05.000Z")
	}
	return len("2006-01-02T15:04:05.000000Z")
}

// appendPadded appends a number in so many digits, which it does not exceed.
func appendPadded(dst []byte, v, width int) []byte {
	dst = append(dst, "000000"[:width]...)
	for i := len(dst) - 1; v > 0; i-- {
		dst[i] = '0' + byte(v%10)
		v /= 10
	}
	return dst
}
