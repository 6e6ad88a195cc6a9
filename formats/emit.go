package formats

import (
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/parquet"
)

// emitter turns the records of a batch into columns and output bytes. One
// parse worker owns it.
type emitter struct {
	parser
	wantParquet, wantJSONL, wantCSV bool
	guard                           bool // against formulas, in CSV
	split                           bool // files have a limit

	b    *batch
	line int64
}

// batch parses and emits every record of b.
func (e *emitter) batch(b *batch) {
	e.b = b
	if b.report.fields == nil {
		b.report.fields = make([]fieldCount, len(e.layout.fields))
	}
	if e.wantJSONL {
		b.jsonl = slices.Grow(b.jsonl, len(b.text))
	}
	if e.wantCSV {
		b.csv = slices.Grow(b.csv, len(b.text))
	}
	allUTF8 := utf8.Valid(b.text)
	for _, r := range b.records {
		f := r.fault
		if f == faultNone {
			f = e.record(b.text[r.start:r.end], allUTF8)
		}
		if f != faultNone {
			b.report.quarantine(r.line, f)
			continue
		}
		e.line = r.line
		e.account(r.start)
		e.row(b.text[r.start:r.end])
		if e.split {
			b.ends.jsonl = append(b.ends.jsonl, int64(len(b.jsonl)))
			b.ends.csv = append(b.ends.csv, int64(len(b.csv)))
			b.ends.plain = append(b.ends.plain, b.plain)
		}
	}
}

// account counts what only matters of records that come through.
func (e *emitter) account(start uint32) {
	r := &e.b.report
	r.rows++
	r.duplicates += e.duplicates
	r.unknown += e.unknown
	for _, n := range e.names {
		n.start += start
		n.end += start
		r.names = append(r.names, n)
	}
}

// row emits the record whose tokens were just read.
func (e *emitter) row(rec []byte) {
	b := e.b
	verbatim := e.verbatim(rec)
	if e.wantJSONL && verbatim {
		b.jsonl = append(append(b.jsonl, rec...), '\n')
	}
	line := len(b.jsonl)
	for i := range e.layout.fields {
		f, t := &e.layout.fields[i], &e.tokens[i]
		text := rec[t.start:t.end]
		if t.spaced {
			text = e.keep(func(arena []byte) []byte { return appendCompact(arena, text) })
		}
		if e.wantJSONL && !verbatim && t.kind != absent {
			b.jsonl = append(append(append(b.jsonl, ','), f.jsonKey...), text...)
		}
		if e.wantCSV && i > 0 {
			b.csv = append(b.csv, ',')
		}
		e.cell(i, f, *t, text)
	}
	if e.layout.run != nil {
		e.runCells(e.layout.run)
	}
	if e.wantJSONL && !verbatim {
		b.jsonl = closeObject(b.jsonl, line)
	}
	if e.wantCSV {
		b.csv = append(b.csv, '\n')
	}
}

// closeObject makes an object of the members that begin at start, each with a
// comma before it.
func closeObject(dst []byte, start int) []byte {
	if len(dst) == start {
		dst = append(dst, '{')
	}
	dst[start] = '{'
	return append(dst, '}', '\n')
}

// keep appends to the batch's arena and returns what was appended.
func (e *emitter) keep(appendTo func([]byte) []byte) []byte {
	start := len(e.b.arena)
	e.b.arena = appendTo(e.b.arena)
	return e.b.arena[start:len(e.b.arena):len(e.b.arena)]
}

// plainText is what a string stands for; of any other value, its JSON text.
func (e *emitter) plainText(t token, text []byte) []byte {
	if t.kind != jsonString {
		return text
	}
	inside := text[1 : len(text)-1]
	if !t.escaped {
		return inside
	}
	return e.keep(func(arena []byte) []byte { return appendUnescaped(arena, inside) })
}

// cell casts one value into its columns and its place in CSV.
func (e *emitter) cell(i int, f *field, t token, text []byte) {
	if t.kind <= jsonNull {
		e.null(f)
		return
	}
	var why reason
	switch f.cast {
	case castText:
		e.guardedText(i, f.column, e.plainText(t, text), appenderOf(t))
	case castJSON:
		e.text(f.column, text, appendCSVText) // JSON text is never a formula
	case castNumber:
		why = e.number(i, f, t, text)
	case castMoney:
		why = e.money(i, f, t, text)
	case castBool:
		why = e.boolean(f, t, text)
	case castDate:
		why = e.date(f, t, text)
	case castDateTime:
		why = e.dateTime(i, f, t, text)
	}
	if why != castOK {
		e.b.report.fail(e.line, i, why)
		e.null(f)
		return
	}
	e.b.report.fields[i].nonNull++
}

// null leaves a field's columns empty: absent, JSON null, or a failed cast.
func (e *emitter) null(f *field) {
	e.nullColumn(f.column)
	if f.cast == castMoney {
		e.comma()
		e.nullColumn(f.column + 1)
	}
}

func (e *emitter) nullColumn(column int) {
	if e.wantParquet {
		e.b.columns[column].null()
	}
}

func (e *emitter) comma() {
	if e.wantCSV {
		e.b.csv = append(e.b.csv, ',')
	}
}

// value opens a value in a Parquet column and says whether there is one.
func (e *emitter) value(column, size int) (*column, bool) {
	if !e.wantParquet {
		return nil, false
	}
	c := &e.b.columns[column]
	c.levels = append(c.levels, 1)
	e.b.plain += int64(size)
	return c, true
}

// appendText appends a text to CSV.
type appendText func(dst, s []byte) []byte

func appenderOf(t token) appendText {
	if t.kind == jsonString && !t.escaped {
		return appendCSVPlain
	}
	return appendCSVText
}

func (e *emitter) text(column int, s []byte, appendTo appendText) {
	if c, ok := e.value(column, 4+len(s)); ok {
		c.text = append(c.text, parquet.ByteArray(s))
	}
	if e.wantCSV {
		e.b.csv = appendTo(e.b.csv, s)
	}
}

// guardedText is the text of a text column, guarded in CSV where that is wanted.
func (e *emitter) guardedText(i, column int, s []byte, appendTo appendText) {
	if e.guard && e.wantCSV && formula(s) {
		e.b.report.fields[i].guarded++
		appendTo = appendGuarded
	}
	e.text(column, s, appendTo)
}

func (e *emitter) number(i int, f *field, t token, text []byte) reason {
	if t.kind != jsonNumber && t.kind != jsonString {
		return reasonNotNumber
	}
	if t.kind == jsonString {
		text = trim(e.plainText(t, text))
	}
	v, inexact, why := parseNumber(text)
	if why != castOK {
		return why
	}
	if inexact {
		e.b.report.fields[i].inexact++
	}
	if c, ok := e.value(f.column, 8); ok {
		c.floats = append(c.floats, v)
	}
	if e.wantCSV {
		e.b.csv = append(e.b.csv, text...)
	}
	return castOK
}

func (e *emitter) boolean(f *field, t token, text []byte) reason {
	if t.kind == jsonNumber || t.kind > jsonString {
		return reasonNotBool
	}
	v, why := parseBool(trim(e.plainText(t, text)))
	if why != castOK {
		return why
	}
	if c, ok := e.value(f.column, 1); ok {
		c.bools = append(c.bools, v)
	}
	if e.wantCSV && v {
		e.b.csv = append(e.b.csv, "true"...)
	} else if e.wantCSV {
		e.b.csv = append(e.b.csv, "false"...)
	}
	return castOK
}

func (e *emitter) date(f *field, t token, text []byte) reason {
	if t.kind != jsonString {
		return notADate(t)
	}
	text = trim(e.plainText(t, text))
	days, why := parseDate(text, f.order)
	if why != castOK {
		return why
	}
	if c, ok := e.value(f.column, 4); ok {
		c.days = append(c.days, days)
	}
	switch {
	case !e.wantCSV:
	case len(text) == len("2006-01-02") && text[4] == '-' && text[7] == '-':
		e.b.csv = append(e.b.csv, text...) // as CSV has it
	default:
		e.b.csv = appendDate(e.b.csv, int(days))
	}
	return castOK
}

func (e *emitter) dateTime(i int, f *field, t token, text []byte) reason {
	if t.kind != jsonString {
		return notADate(t)
	}
	text = trim(e.plainText(t, text))
	micros, m, why := parseDateTime(text, f.order)
	if why != castOK {
		return why
	}
	count := &e.b.report.fields[i]
	if !m.hasZone {
		count.assumed++
	}
	if m.finer {
		count.inexact++
	}
	if c, ok := e.value(f.column, 8); ok {
		c.micros = append(c.micros, micros)
	}
	switch {
	case !e.wantCSV:
	case m.iso && len(text) == dateTimeLen(micros):
		e.b.csv = append(e.b.csv, text...) // as CSV has it
	default:
		e.b.csv = appendDateTime(e.b.csv, micros)
	}
	return castOK
}

func notADate(t token) reason {
	if t.kind == jsonNumber {
		return reasonDateNumber
	}
	return reasonNotDate
}

// money casts {"amount","currencyCode"} in minor units, or a plain number in
// major units as it is written.
func (e *emitter) money(i int, f *field, t token, text []byte) reason {
	var m money
	var why reason
	switch t.kind {
	case jsonObject:
		m, why = parseMoney(text)
	case jsonNumber, jsonString:
		text = trim(e.plainText(t, text))
		m, why = plainMoney(text)
	default:
		why = reasonNotMoney
	}
	if why != castOK {
		return why
	}
	if m.inexact {
		e.b.report.fields[i].inexact++
	}
	if c, ok := e.value(f.column, 16); ok {
		start := len(c.bytes)
		c.bytes = m.amount.appendBytes(c.bytes)
		c.fixed = append(c.fixed, parquet.FixedLenByteArray(c.bytes[start:]))
	}
	switch {
	case !e.wantCSV:
	case t.kind == jsonObject:
		e.b.csv = m.amount.appendText(e.b.csv, m.decimals)
	default:
		e.b.csv = append(e.b.csv, text...)
	}
	e.comma()
	if m.currency == nil {
		e.nullColumn(f.column + 1)
	} else {
		e.text(f.column+1, m.currency, appendCSVText)
	}
	return castOK
}
