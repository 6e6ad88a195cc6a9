package formats

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/waybillhq/waybill/internal/testsize"
)

// Every input is one a, b record list; a and b are numbers.
func TestFraming(t *testing.T) {
	two := "{\"a\":1}\n{\"a\":2}\n"
	for _, c := range []struct {
		name, framing, input string
		want                 string // JSONL out
		quarantine           string
	}{
		{"lines", "", two, two, ""},
		{"lines, last without newline", "", "{\"a\":1}\n{\"a\":2}", two, ""},
		{"lines, CRLF and blank ones", "", "\r\n{\"a\":1}\r\n\r\n  \n{\"a\":2}\r\n\n", two, ""},
		{"lines, blanks within", "", " { \"a\" : 1 } \n\t{\"a\":2}\t\n", two, ""},
		{"lines, byte order mark", "", "\ufeff" + two, two, ""},
		{"lines, first is bad", "", "oops\n" + two, two, "1 is not JSON"},
		{"lines, first is cut off", "", "{\"a\":\n" + two, two, "1 ends in the middle of a value"},
		{"lines, cut off", "", two + `{"a":3`, two, "3 ends in the middle of a value"},
		{"lines, line numbers count blank lines", "", "\n\n{\"a\":1}\n\nx\n{\"a\":2}\n", two, "5 is not JSON"},
		{"lines, two on one", "", "{\"a\":1}{\"a\":2}\n" + two, two, "1 has text behind its end"},
		{"lines, data is a field of each", "", `{"a":1,"data":[{"x":1}]}` + "\n" + `{"a":2,"data":[]}` + "\n", two, ""},
		{"lines, data is no list of objects", "", `{"a":1,"data":[1]}`, "{\"a\":1}\n", ""},
		{"lines said, begins with a bracket", "jsonl", "[]\n" + two, two, "1 is not a JSON object"},
		{"empty", "", "", "", ""},
		{"blank", "", " \n\t\r\n", "", ""},
		{"array", "", `[{"a":1},{"a":2}]`, two, ""},
		{"array, byte order mark, spread out", "", "\ufeff [\n  {\n \"a\" : 1\n },\r\n {\"a\":2}\n]\n", two, ""},
		{"array, empty", "", " [ ] ", "", ""},
		{"array, brackets in strings", "", `[{"a":1,"s":"]},{\""},{"a":2,"s":"\\"}]`, two, ""},
		{"array, bad record", "", `[{"a":1},{"a":01},5,{"a":2}]`, two, "2 is not JSON: a malformed number; 3 is not a JSON object"},
		{"array, comma too many", "", `[{"a":1},,{"a":2},]`, two, "2 nothing stands between two commas of the list; 4 nothing stands between two commas of the list"},
		{"array, garbage record", "", `[{"a":1},{"a":3}x,{"a":2}]`, two, "2 has text behind its end"},
		{"array, brackets crossed", "", `[{"a":1},{"a":[3}],{"a":2}]`, two, "2 is not JSON"},
		{"envelope", "", `{"data":[{"a":1},{"a":2}]}`, two, ""},
		{"envelope, spread out", "", "{\n \"data\": [\n  {\"a\":1},\n  {\"a\":2}\n ]\n}\n", two, ""},
		{"envelope, data not first", "", `{"workflowId":"w","n":{"data":[{"a":9}]},"data":[{"a":1},{"a":2}],"pagination":{"page":1}}`, two, ""},
		{"envelope, key with escapes", "", `{"d\u0061ta":[{"a":1},{"a":2}]}`, two, ""},
		{"envelope, data in a string", "", `{"s":"\"data\":[","data":[{"a":1},{"a":2}]}`, two, ""},
		{"envelope, empty", "", `{"data":[]}`, "", ""},
		{"envelope, bad record", "", `{"data":[{"a":1},{"a":.5},{"a":2}]}`, two, "2 is not JSON"},
		{"envelope said, data of numbers", "envelope", `{"data":[1,{"a":1},{"a":2}]}`, two, "1 is not a JSON object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, reader := range map[string]func(io.Reader) io.Reader{
				"whole":        func(r io.Reader) io.Reader { return r },
				"byte by byte": iotest.OneByteReader,
				"data and EOF": iotest.DataErrReader,
			} {
				o, err := run(reader(strings.NewReader(c.input)), Options{Schema: schemaOf("a NUMBER"), Framing: c.framing}, JSONL)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if o.text(JSONL) != c.want || quarantined(o.Conversion) != c.quarantine {
					t.Errorf("%s: %q, quarantined %q; want %q, %q", name, o.text(JSONL), quarantined(o.Conversion), c.want, c.quarantine)
				}
			}
		})
	}
}

func TestDataFieldOfTheDescriptor(t *testing.T) {
	opts := Options{Schema: schemaOf("data ARRAY")}
	for input, want := range map[string]string{
		`{"data":[{"x":1}]}`:                       "{\"data\":[{\"x\":1}]}\n", // one record
		"{\n\"data\":[{\"data\":[2]}]\n}":          "{\"data\":[2]}\n",         // several lines: an envelope
		`{"data":[{"x":1}]}` + "\n{\"data\":null}": "{\"data\":[{\"x\":1}]}\n{\"data\":null}\n",
		`[{"data":[{"x":1}]}]`:                     "{\"data\":[{\"x\":1}]}\n",
	} {
		if o := mustRun(t, input, opts, JSONL); o.text(JSONL) != want {
			t.Errorf("%s: %q, want %q", input, o.text(JSONL), want)
		}
	}
	opts.Framing = "envelope"
	if o := mustRun(t, `{"data":[{"data":[2]}]}`, opts, JSONL); o.text(JSONL) != "{\"data\":[2]}\n" {
		t.Errorf("%q", o.text(JSONL))
	}
}

func TestInputThatIsNoListOfRecords(t *testing.T) {
	for _, c := range []struct{ name, framing, input, want string }{
		{"a web page", "", "<!DOCTYPE html>\n<html>{\"a\":1}</html>", "web page"},
		{"a web page, lines said", "jsonl", "<html>\n</html>", "web page"},
		{"text", "", "Not found", `begins with "N"`},
		{"a number", "", "42", `begins with "4"`},
		{"gzip", "", "\x1f\x8b\x08\x00", "compressed"},
		{"zstd", "", "\x28\xb5\x2f\xfd", "compressed"},
		{"UTF-16", "", "\xff\xfe{\x00", "UTF-16"},
		{"bytes", "", "\x80\x81", "does not begin with text"},
		{"array cut off", "", `[{"a":1},{"a":2}`, "cut off"},
		{"array cut off within a record", "", `[{"a":1},{"a"`, "cut off"},
		{"array cut off within a string", "", `[{"a":"x]`, "cut off"},
		{"array cut off behind a comma", "", `[{"a":1},`, "cut off"},
		{"array cut off at once", "", `[`, "cut off"},
		{"array and more", "", `[{"a":1}] {"a":2}`, "behind the end"},
		{"array said, object", "array", `{"a":1}`, "not an array"},
		{"array said, nothing", "array", ` `, "not an array"},
		{"envelope cut off in the list", "", `{"data":[{"a":1},`, "cut off"},
		{"envelope cut off behind the list", "", `{"data":[{"a":1}]`, "cut off"},
		{"envelope cut off in a string", "envelope", `{"data":[{"a":1}],"s":"x`, "cut off"},
		{"envelope and more", "envelope", `{"data":[{"a":1}]} {"a":2}`, "behind the end"},
		{"envelope said, array", "envelope", `[{"a":1}]`, "not an envelope"},
		{"envelope said, nothing", "envelope", ``, "not an envelope"},
		{"envelope without data", "envelope", `{"rows":[{"a":1}]}`, `no "data"`},
		{"envelope with data null", "envelope", `{"data":null}`, "not a list"},
		{"envelope with data twice", "envelope", `{"data":[{"a":1}],"data":[]}`, "twice"},
		{"envelope that is not JSON", "envelope", `{"n":01,"data":[{"a":1}]}`, "not JSON"},
		{"envelope with a trailing comma", "envelope", `{"data":[{"a":1}],}`, "not JSON"},
		{"envelope without a comma", "envelope", `{"n":1 "data":[{"a":1}]}`, "not JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := run(strings.NewReader(c.input), Options{Schema: schemaOf("a NUMBER"), Framing: c.framing}, All()...)
			if _, ok := errors.AsType[*InputError](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want an InputError with %q", err, c.want)
			}
		})
	}
}

func TestMalformedRecords(t *testing.T) {
	deep := func(n int) string { return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}` }
	for _, c := range []struct {
		record string
		want   fault
	}{
		{`{"a":01}`, faultNumber},
		{`{"a":-01}`, faultNumber},
		{`{"a":+1}`, faultSyntax},
		{`{"a":.5}`, faultSyntax},
		{`{"a":5.}`, faultNumber},
		{`{"a":1e}`, faultNumber},
		{`{"a":1e+}`, faultNumber},
		{`{"a":-}`, faultNumber},
		{`{"a":0x1}`, faultSyntax},
		{`{"a":NaN}`, faultSyntax},
		{`{"a":Infinity}`, faultSyntax},
		{`{"a":-Infinity}`, faultNumber},
		{`{"a":True}`, faultSyntax},
		{`{"a":nul}`, faultSyntax},
		{`{"a":'x'}`, faultSyntax},
		{`{"a":"\x41"}`, faultEscape},
		{`{"a":"\u12g4"}`, faultEscape},
		{`{"a":"\u12`, faultTruncated},
		{"{\"a\":\"tab\there\"}", faultControl},
		{"{\"a\":\"0123456789\x00\"}", faultControl},
		{`{"a":1,}`, faultSyntax},
		{`{,"a":1}`, faultSyntax},
		{`{"a":1,,"b":2}`, faultSyntax},
		{`{"a" 1}`, faultSyntax},
		{`{"a"::1}`, faultSyntax},
		{`{a:1}`, faultSyntax},
		{`{"a":}`, faultSyntax},
		{`{"a":1 "b":2}`, faultSyntax},
		{`{"a":[1,]}`, faultSyntax},
		{`{"a":[1 2]}`, faultSyntax},
		{`{"a":[1}}`, faultSyntax},
		{`{"a":{"b":01}}`, faultNumber},
		{`{"a":{"b":1,}}`, faultSyntax},
		{`{"a":{"b"}}`, faultSyntax},
		{`{"a":{1:2}}`, faultSyntax},
		{`{"unknown":{"x":[tru]}}`, faultSyntax},
		{`{"a":1 /* no */}`, faultSyntax},
		{`{"a":1}}`, faultTrailing},
		{`{"a":1} x`, faultTrailing},
		{`{"a":1`, faultTruncated},
		{`{"a":[1`, faultTruncated},
		{`{"a":"x`, faultTruncated},
		{`{"a":tr`, faultTruncated},
		{`{"a`, faultTruncated},
		{`{`, faultTruncated},
		{`[1]`, faultNotObject},
		{`"text"`, faultNotObject},
		{`12`, faultNotObject},
		{`null`, faultNotObject},
		{deep(129), faultDepth},
		{`{"unknown":` + strings.Repeat(`{"x":`, 200) + `1` + strings.Repeat("}", 200) + `}`, faultDepth},
		{"{\"a\":\"\xff\"}", faultUTF8},
		{"{\"a\":\"\xc0\x80\"}", faultUTF8},
		{"{\"a\":\"\xed\xa0\x80\"}", faultUTF8}, // a surrogate
		{"{\"\xffunknown\":1}", faultUTF8},
		{`{"a":"` + strings.Repeat("x", 2000) + `"}`, faultTooLarge},
	} {
		input := "{\"a\":1}\n" + c.record + "\n" + deep(128) + "\n"
		o := mustRun(t, input, Options{Schema: schemaOf("a ARRAY"), MaxRecordBytes: 2000}, All()...)
		if len(o.Quarantine) != 1 || o.Quarantine[0].Line != 2 || o.Quarantine[0].Reason != c.want.String() || o.Rows != 2 {
			t.Errorf("%.80q: quarantined %q, %d rows; want %q", c.record, quarantined(o.Conversion), o.Rows, c.want)
		}
		if utf8 := o.InvalidUTF8 == 1; utf8 != (c.want == faultUTF8) {
			t.Errorf("%q: %d with invalid UTF-8", c.record, o.InvalidUTF8)
		}
		if n := len(readTable(t, o.files[Parquet]).rows); n != 2 {
			t.Errorf("%.80q: %d rows in Parquet", c.record, n)
		}
	}
}

func TestRecordAtTheLimitComesThrough(t *testing.T) {
	for _, ending := range []string{"\n", "\r\n", "   \n"} {
		record := `{"a":"` + strings.Repeat("x", 992) + `"}` // 1,000 bytes
		o := mustRun(t, record+ending+record[:10]+"x"+record[10:]+ending, Options{Schema: schemaOf("a STRING"), MaxRecordBytes: 1000}, JSONL)
		if o.Rows != 1 || quarantined(o.Conversion) != "2 larger than the limit for a record" {
			t.Errorf("%q: %d rows, %s", ending, o.Rows, quarantined(o.Conversion))
		}
	}
}

func TestDuplicateKeysTakeTheLast(t *testing.T) {
	o := mustRun(t, `{"a":1,"b":2,"a":3,"\u0061":4,"x":1,"x":2}`, Options{Schema: schemaOf("a NUMBER", "b NUMBER")}, JSONL, CSV)
	if o.text(JSONL) != "{\"a\":4,\"b\":2}\n" || o.text(CSV) != "a,b\n4,2\n" || o.DuplicateKeys != 2 || o.UnknownFields != 2 {
		t.Errorf("%s%s%d duplicates, %d unknown", o.text(JSONL), o.text(CSV), o.DuplicateKeys, o.UnknownFields)
	}
}

// repeat is a reader that gives head, then n times part, then tail.
type repeat struct {
	head, part, tail string
	n                int64
}

func (r *repeat) Read(p []byte) (n int, err error) {
	for n < len(p) {
		switch {
		case r.head != "":
			m := copy(p[n:], r.head)
			r.head, n = r.head[m:], n+m
		case r.n > 0:
			r.head = r.part
			r.n--
		case r.tail != "":
			r.head, r.tail = r.tail, ""
		default:
			return n, io.EOF
		}
	}
	return n, nil
}

// heapWatch is a reader that notes the largest heap in use between its reads.
type heapWatch struct {
	io.Reader
	peak  atomic.Uint64
	reads int
}

func (w *heapWatch) Read(p []byte) (int, error) {
	if w.reads++; w.reads%16 == 1 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.peak.Store(max(w.peak.Load(), m.HeapInuse))
	}
	return w.Reader.Read(p)
}

func TestHugeRecordIsSkippedInBoundedMemory(t *testing.T) {
	chunk, n := strings.Repeat("x", 1<<20), int64(testsize.Of(200, 30))
	for name, in := range map[string]*repeat{
		"lines":    {head: "{\"a\":1}\n{\"a\":\"", part: chunk, n: n, tail: "\"}\n{\"a\":2}\n"},
		"array":    {head: "[{\"a\":1},{\"a\":\"", part: chunk, n: n, tail: "\"},{\"a\":2}]"},
		"envelope": {head: "{\"data\":[{\"a\":1},{\"a\":\"", part: chunk, n: n, tail: "\"},{\"a\":2}]}"},
	} {
		t.Run(name, func(t *testing.T) {
			runtime.GC()
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			w := &heapWatch{Reader: in}
			o, err := run(w, Options{Schema: schemaOf("a STRING"), MaxRecordBytes: 8 << 20, Framing: name2framing(name)}, All()...)
			if err != nil {
				t.Fatal(err)
			}
			if o.text(JSONL) != "{\"a\":1}\n{\"a\":2}\n" || quarantined(o.Conversion) != "2 larger than the limit for a record" {
				t.Errorf("%q, %s", o.text(JSONL), quarantined(o.Conversion))
			}
			if rose := int64(w.peak.Load()) - int64(before.HeapInuse); rose > 100<<20 {
				t.Errorf("the heap rose by %d MiB for a record limit of 8 MiB", rose>>20)
			}
		})
	}
}

func name2framing(name string) string {
	if name == "lines" {
		return framingLines
	}
	return name
}

// Records up to the limit come through, one large batch at a time.
func TestLargeRecordsComeThrough(t *testing.T) {
	body := strings.Repeat("long ", testsize.Of(1<<20, 1<<17)) // 5 MiB
	record := `{"id":"r","body":"` + body + `"}` + "\n"
	o, err := run(&repeat{part: record + "{\"id\":\"small\"}\n", n: 6}, Options{Schema: schemaOf("id STRING", "body STRING"), CPUs: 4}, All()...)
	if err != nil {
		t.Fatal(err)
	}
	rows := readTable(t, o.files[Parquet]).rows
	if o.Rows != 12 || len(rows) != 12 || rows[0][1] != body || rows[1][1] != nil || rows[10][1] != body {
		t.Fatalf("%d rows", o.Rows)
	}
	if want := strings.Repeat(record+"{\"id\":\"small\"}\n", 6); o.text(JSONL) != want {
		t.Error("JSONL differs from the input")
	}
}

func TestUnknownFields(t *testing.T) {
	var record strings.Builder
	record.WriteString(`{"a":1`)
	for i := range 1_000_000 {
		fmt.Fprintf(&record, `,"u%d":%d`, i, i%10)
	}
	record.WriteString("}\n")
	long := strings.Repeat("ü", 100) // 200 bytes
	input := `{"u7":0,"` + long + `":0,"_internal":1}` + "\n" + record.String() + `{"u\u0037":0,"last":1}` + "\n"
	o := mustRun(t, input, Options{Schema: schemaOf("a NUMBER")}, JSONL)
	if o.Rows != 3 || o.UnknownFields != 1_000_005 || len(o.UnknownNames) != maxUnknownNames {
		t.Fatalf("%d rows, %d unknown, %d names", o.Rows, o.UnknownFields, len(o.UnknownNames))
	}
	for i, want := range []string{"u7 3", long[:128] + " 1", "_internal 1", "u0 1", "u1 1"} {
		if got := fmt.Sprint(o.UnknownNames[i].Name, " ", o.UnknownNames[i].Count); got != want {
			t.Errorf("name %d is %q, want %q", i, got, want)
		}
	}
}

func TestInternalFieldsOfTheDescriptorAreDropped(t *testing.T) {
	schema := schemaOf("_sourceIndex NUMBER", "a NUMBER", "_x STRING")
	o := mustRun(t, `{"_sourceIndex":1,"a":2,"_x":"secret","_y":3}`, Options{Schema: schema}, All()...)
	if strings.Join(o.DroppedFields, " ") != "_sourceIndex _x" || o.UnknownFields != 1 || o.UnknownNames[0].Name != "_y" {
		t.Errorf("dropped %v, %d unknown %v", o.DroppedFields, o.UnknownFields, o.UnknownNames)
	}
	for f, data := range o.files {
		if strings.Contains(string(data), "_sourceIndex") || strings.Contains(string(data), "secret") {
			t.Errorf("%s holds an internal field", f)
		}
	}
}

func TestReaderThatMakesNoProgress(t *testing.T) {
	_, err := run(stuck{}, Options{Schema: schemaOf("a NUMBER")}, JSONL)
	if _, ok := errors.AsType[*InputError](err); !ok || !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }
