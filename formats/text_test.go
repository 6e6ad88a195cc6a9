package formats

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestFormulaGuard(t *testing.T) {
	schema := schemaOf("s STRING", "n NUMBER", "m MONEY", "o OBJECT", "l LINK", "d DATE")
	input := `{"s":"=1+2\";=1+2","n":-5,"m":-3,"o":-7,"l":"@x","d":"2020-01-02"}
{"s":"+1","n":"+1","m":{"amount":-100,"currencyCode":"EUR"},"o":"=x","l":"-2"}
{"s":"\tx","l":"\rx"}
{"s":"\nx","l":"a=1"}
{"s":-5,"l":""}
{"s":"'=1","l":"'"}
{"s":null}
`
	o := mustRun(t, input, Options{Schema: schema, CSVFormulaGuard: true}, All()...)
	want := "s,n,m,m_currency,o,l,d\n" +
		`"'=1+2"";=1+2",-5,-3,,-7,"'@x",2020-01-02` + "\n" +
		`"'+1",,-1.00,EUR,"""=x""","'-2",` + "\n" +
		"\"'\tx\",,,,,\"'\rx\",\n" +
		"\"'\nx\",,,,,a=1,\n" +
		`"'-5",,,,,"",` + "\n" +
		`'=1,,,,,',` + "\n" +
		",,,,,,\n"
	if o.text(CSV) != want {
		t.Errorf("%s\nwant\n%s", o.text(CSV), want)
	}
	guarded := map[string]int64{}
	for _, f := range o.Fields {
		guarded[f.Name] = f.Guarded
	}
	if !reflect.DeepEqual(guarded, map[string]int64{"s": 5, "n": 0, "m": 0, "o": 0, "l": 3, "d": 0}) {
		t.Errorf("guarded %v", guarded)
	}
	plain := mustRun(t, input, Options{Schema: schema}, All()...)
	for _, f := range []Format{Parquet, JSONL, JSON} {
		if !bytes.Equal(o.files[f], plain.files[f]) {
			t.Errorf("the guard changed %s", f)
		}
	}
	if strings.Contains(plain.text(CSV), "'+1") {
		t.Error("CSV is guarded without being asked to")
	}
}
