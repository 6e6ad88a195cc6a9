package formats

import (
	"slices"

	"github.com/waybillhq/waybill"
)

// report is what there is to say of one batch. Counting is done here, by the
// parse workers; what is kept of it is decided by the tally, in the records'
// order.
type report struct {
	rows        int64
	quarantined int64
	invalidUTF8 int64
	duplicates  int64
	unknown     int64
	fields      []fieldCount
	failed      []failedCast
	faults      []faultAt
	names       []nameAt // of unknown fields
}

type fieldCount struct{ nonNull, failures, inexact, assumed, guarded int64 }

type failedCast struct {
	line   int64
	field  int
	reason reason
}

type faultAt struct {
	line  int64
	fault fault
}

// nameAt is where an unknown field's name stands in the batch's text.
type nameAt struct {
	start, end uint32
	escaped    bool
}

func (r *report) reset() {
	fields := r.fields
	clear(fields)
	*r = report{fields: fields, failed: r.failed[:0], faults: r.faults[:0], names: r.names[:0]}
}

func (r *report) fail(line int64, field int, why reason) {
	r.fields[field].failures++
	if len(r.failed) < maxFailedCasts {
		r.failed = append(r.failed, failedCast{line, field, why})
	}
}

func (r *report) quarantine(line int64, f fault) {
	r.quarantined++
	if f == faultUTF8 {
		r.invalidUTF8++
	}
	if len(r.faults) < maxQuarantined {
		r.faults = append(r.faults, faultAt{line, f})
	}
}

// tally adds up the reports of all batches, in the records' order.
type tally struct {
	layout *layout
	sum    waybill.Conversion
	names  map[string]int // unknown field → position in sum.UnknownNames
}

func newTally(l *layout) *tally {
	t := &tally{layout: l, names: map[string]int{}}
	t.sum.DroppedFields = l.dropped
	t.sum.Fields = make([]waybill.FieldStats, len(l.fields))
	for i, f := range l.fields {
		t.sum.Fields[i].Name = f.name
	}
	return t
}

func (t *tally) add(b *batch) {
	r := &b.report
	t.sum.Rows += r.rows
	t.sum.Quarantined += r.quarantined
	t.sum.InvalidUTF8 += r.invalidUTF8
	t.sum.DuplicateKeys += r.duplicates
	t.sum.UnknownFields += r.unknown
	for i, c := range r.fields {
		f := &t.sum.Fields[i]
		f.NonNull += c.nonNull
		f.CastFailures += c.failures
		f.Inexact += c.inexact
		f.AssumedUTC += c.assumed
		f.Guarded += c.guarded
	}
	for _, c := range r.failed[:min(len(r.failed), maxFailedCasts-len(t.sum.FailedCasts))] {
		t.sum.FailedCasts = append(t.sum.FailedCasts,
			waybill.FailedCast{Line: c.line, Field: t.layout.fields[c.field].name, Reason: c.reason.String()})
	}
	for _, f := range r.faults[:min(len(r.faults), maxQuarantined-len(t.sum.Quarantine))] {
		t.sum.Quarantine = append(t.sum.Quarantine, waybill.Quarantining{Line: f.line, Reason: f.fault.String()})
	}
	for _, n := range r.names {
		t.unknownName(b.text[n.start:n.end], n.escaped)
	}
}

// unknownName counts an unknown field under its name, cut to what is kept.
func (t *tally) unknownName(name []byte, escaped bool) {
	if escaped {
		name = appendUnescaped(nil, name)
	}
	name = cutName(name)
	if i, ok := t.names[string(name)]; ok {
		t.sum.UnknownNames[i].Count++
	} else if len(t.names) < maxUnknownNames {
		t.names[string(name)] = len(t.names)
		t.sum.UnknownNames = append(t.sum.UnknownNames, waybill.FieldCount{Name: string(name), Count: 1})
	}
}

// cutName cuts a name to maxNameBytes, between two characters.
func cutName(name []byte) []byte {
	if len(name) <= maxNameBytes {
		return name
	}
	end := maxNameBytes
	for name[end]&0xC0 == 0x80 {
		end--
	}
	return name[:end]
}

func (t *tally) conversion() waybill.Conversion {
	c := t.sum
	c.DroppedFields = slices.Clone(c.DroppedFields)
	return c
}
