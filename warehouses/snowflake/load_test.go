package snowflake

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
)

func result(columns string, values ...string) rows {
	out := rows{columns: strings.Fields(columns)}
	for _, line := range values {
		var row []sql.NullString
		for v := range strings.SplitSeq(line, "|") {
			row = append(row, sql.NullString{String: v, Valid: true})
		}
		out.values = append(out.values, row)
	}
	return out
}

const copyColumns = "file status rows_parsed rows_loaded error_limit errors_seen first_error first_error_line first_error_character first_error_column_name"

func TestACopyCountsOnlyIfEachFileAndRowWasLoaded(t *testing.T) {
	for name, tc := range map[string]struct {
		out  rows
		want string
	}{
		"whole":          {result(copyColumns, "a|LOADED|600|600|1|0||||", "b|LOADED|400|400|1|0||||"), ""},
		"nothing to do":  {result("status", "Copy executed with 0 files processed."), "loaded nothing"},
		"one file only":  {result(copyColumns, "a|LOADED|1000|1000|1|0||||"), "COPY of 1 files"},
		"rows missing":   {result(copyColumns, "a|LOADED|600|600|1|0||||", "b|LOADED|400|399|1|0||||"), "loaded 999"},
		"partly":         {result(copyColumns, "a|PARTIALLY_LOADED|600|600|1|0||||", "b|LOADED|400|400|1|0||||"), "PARTIALLY_LOADED"},
		"errors":         {result(copyColumns, "a|LOADED|600|600|1|3|bad|1||", "b|LOADED|400|400|1|0||||"), "3 errors"},
		"not understood": {result(copyColumns, "a|LOADED|?|600|1|0||||", "b|LOADED|400|400|1|0||||"), "stg_copy"},
	} {
		err := checkCopy(tc.out, 2, 1000)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestATypeThatBecameNullsIsFoundByItsCounts(t *testing.T) {
	r := Run{Schema: waybill.Schema{Fields: []waybill.Field{{Name: "a", DataType: waybill.Number}, {Name: "p", DataType: waybill.Money}, {Name: "d", DataType: waybill.Date}}},
		Conversion: waybill.Conversion{Rows: 10, Fields: []waybill.FieldStats{{Name: "a", NonNull: 10}, {Name: "p", NonNull: 7}, {Name: "d", NonNull: 9}}}}
	if err := checkCounts(result("n a p c d", "10|10|7|3|9"), r, "kadoa"); err != nil {
		t.Errorf("equal counts: %v", err)
	}
	err := checkCounts(result("n a p c d", "10|10|7|3|0"), r, "kadoa")
	if err == nil || !strings.Contains(err.Error(), "D has 0 values, the file 9") {
		t.Errorf("a column of NULLs: %v", err)
	}
	if err := checkCounts(result("n a p c d", "9|9|7|3|9"), r, "kadoa"); err == nil || !strings.Contains(err.Error(), "9 rows, want 10") {
		t.Errorf("a row too few: %v", err)
	}
}
