package formats

import (
	"bytes"
	"fmt"
	"testing"
)

func TestTmp(t *testing.T) {
	for _, name := range []string{"movies", "earthquakes-1", "earthquakes-2", "contributions"} {
		r, data := bundledRun(t, name)
		o, err := run(bytes.NewReader(data), Options{Schema: r.Schema}, All()...)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(name, o.Rows, o.Quarantined, o.UnknownFields, o.UnknownNames, o.DroppedFields, o.DuplicateKeys)
		for _, f := range o.Fields {
			fmt.Printf("  %+v\n", f)
		}
		for i, f := range o.FailedCasts {
			if i < 10 {
				fmt.Println(f)
			}
		}
		tab := readTable(t, o.files[Parquet])
		fmt.Println(tab.names, len(tab.rows))
		fmt.Println(tab.rows[0])
		for f, b := range o.files {
			fmt.Println(f, len(b), string(b[:min(len(b), 300)]))
		}
	}
}
