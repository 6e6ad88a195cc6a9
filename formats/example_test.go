package formats_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
)

func ExampleConvert() {
	records := strings.NewReader(`{"title":"The Land Girls","gross":146083,"released":"Jun 12 1998"}
{"title":"Slam, again","gross":"n/a","released":"10/09/1998","_sourceIndex":1}
{"title":"cut off
`)
	schema := waybill.Schema{Fields: []waybill.Field{
		{Name: "title", DataType: waybill.String},
		{Name: "gross", DataType: waybill.Number},
		{Name: "released", DataType: waybill.Date},
	}}
	var parquet, jsonl, csv bytes.Buffer
	report, err := formats.Convert(context.Background(), records, map[formats.Format]formats.Output{
		formats.Parquet: formats.To(&parquet), formats.JSONL: formats.To(&jsonl), formats.CSV: formats.To(&csv),
	}, formats.Options{Schema: schema})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(jsonl.String(), "\n", csv.String(), "\n")
	fmt.Printf("%d rows, %d quarantined, %d unknown fields\n", report.Rows, report.Quarantined, report.UnknownFields)
	for _, c := range report.FailedCasts {
		fmt.Printf("line %d, %s: %s\n", c.Line, c.Field, c.Reason)
	}
	for _, q := range report.Quarantine {
		fmt.Printf("line %d: %s\n", q.Line, q.Reason)
	}
	fmt.Println("Parquet:", bytes.HasPrefix(parquet.Bytes(), []byte("PAR1")))
	// Output:
	// {"title":"The Land Girls","gross":146083,"released":"Jun 12 1998"}
	// {"title":"Slam, again","gross":"n/a","released":"10/09/1998"}
	//
	// title,gross,released
	// The Land Girls,146083,1998-06-12
	// "Slam, again",,
	//
	// 2 rows, 1 quarantined, 1 unknown fields
	// line 2, gross: not a number
	// line 2, released: slash or dot date without dateOrder
	// line 3: ends in the middle of a value
	// Parquet: true
}

func ExampleCastTable() {
	for _, rule := range formats.CastTable()[:2] {
		fmt.Printf("%s → %s (%s)\n", rule.Type, rule.Column, rule.Policy)
	}
	// Output:
	// STRING → BYTE_ARRAY, String (exact)
	// NUMBER → DOUBLE (try_cast)
}
