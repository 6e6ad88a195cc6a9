package formats

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func addCorpus(f *testing.F) {
	for _, record := range append(uglyRecords, uglyValues...) {
		f.Add([]byte(record))
		f.Add([]byte(`{"s":` + record + `,"u":` + record + `}`))
	}
	f.Add([]byte(`{"s":1,"n":2,"l":"x"}`))
	f.Add([]byte(`{"n":1,"s":2}`))
	f.Add([]byte(`{"s":1,"u":2,"n":3}`))
	f.Add([]byte(`{"s":[1, 2],"n":2}`))
	f.Add([]byte(`{"s":"aaaaaaa\"","s":"aaaaaaaa\\","n":[[[[]]]]}`))
	f.Add([]byte(`{"s":"` + "\x7f\u0080\uffff" + `"}`))
}

// A record is refused exactly where the standard library refuses it.
func FuzzParseRecord(f *testing.F) {
	addCorpus(f)
	p := newParser(newLayout(uglySchema), deepest)
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 && skipSpace(b[:1], 0) == 1 {
			b = b[1:]
		}
		for len(b) > 0 && skipSpace(b[len(b)-1:], 0) == 1 {
			b = b[:len(b)-1]
		}
		got := p.record(b, false)
		object := len(b) > 0 && b[0] == '{'
		if want := utf8.Valid(b) && json.Valid(b) && object; want != (got == faultNone) {
			t.Fatalf("%q: %q, want it accepted: %t", b, got, want)
		}
		if got != faultNone {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(b, &members); err != nil {
			t.Fatal(err)
		}
		if line := referenceLine(p, b); p.verbatim(b) && line != string(b) {
			t.Fatalf("%q is taken as it stands, want %q", b, line)
		}
		for i, field := range p.layout.fields {
			token := p.tokens[i]
			if raw := b[token.start:token.end]; !bytes.Equal(raw, members[field.name]) {
				t.Fatalf("%q: %s is %q, want %q", b, field.name, raw, members[field.name])
			}
		}
	})
}

// referenceLine is what JSONL has of the record that was read, put together
// field by field.
func referenceLine(p *parser, record []byte) string {
	var members []string
	for i, field := range p.layout.fields {
		if t := p.tokens[i]; t.kind != absent {
			members = append(members, string(field.jsonKey)+string(appendCompact(nil, record[t.start:t.end])))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// Whatever the input is: every format has the same number of rows, all are
// well-formed, and neither the cores nor the reader's pieces change a byte.
func FuzzConvert(f *testing.F) {
	addCorpus(f)
	f.Add([]byte("{\"s\":1}\n\n{\"s\":2}\r\n{"))
	f.Add([]byte(`[{"s":1},{"n":"2"},]`))
	f.Add([]byte(`[{"s":"12345678\\","l":"\"]},{\\"},{"n":"2"}]`))
	f.Add([]byte("{\n\"page\":1,\"data\":[{\"s\":\"a,b\"}, {\"t\":\"2018-02-07\"}]}"))
	f.Fuzz(func(t *testing.T, input []byte) {
		opts := Options{Schema: uglySchema, CPUs: 1, MaxRecordBytes: 1 << 10, MaxDepth: 20}
		o, err := run(bytes.NewReader(input), opts, All()...)
		opts.CPUs = 3
		again, err2 := run(iotest.OneByteReader(bytes.NewReader(input)), opts, All()...)
		if (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("%v, then %v", err, err2)
		}
		if err != nil {
			return
		}
		if sums(o) != sums(again) || !reflect.DeepEqual(o.Conversion, again.Conversion) {
			t.Fatal("another outcome byte by byte")
		}
		checkOutcome(t, o)
	})
}

func checkOutcome(t *testing.T, o outcome) {
	t.Helper()
	lines := bytes.Split(o.files[JSONL], []byte("\n"))
	rows := int64(len(lines) - 1)
	for _, line := range lines[:rows] {
		if !json.Valid(line) {
			t.Fatalf("JSONL line %q", line)
		}
	}
	var doc struct{ Data []json.RawMessage }
	if err := json.Unmarshal(o.files[JSON], &doc); err != nil {
		t.Fatal(err)
	}
	var cells int64
	r := csv.NewReader(bytes.NewReader(o.files[CSV]))
	for {
		if _, err := r.Read(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		cells++
	}
	parquet := int64(len(readTable(t, o.files[Parquet]).rows))
	if o.Rows != rows || o.Rows != parquet || o.Rows != cells-1 || o.Rows != int64(len(doc.Data)) {
		t.Fatalf("%d rows, %d in JSONL, %d in Parquet, %d in CSV, %d in JSON", o.Rows, rows, parquet, cells-1, len(doc.Data))
	}
	if o.Quarantined < int64(len(o.Quarantine)) || o.InvalidUTF8 > o.Quarantined {
		t.Fatalf("%+v", o.Conversion)
	}
}
