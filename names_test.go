package waybill

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestTableNamesComeFromTheWorkflowAlone(t *testing.T) {
	for id, want := range map[string]string{
		"wf_earthquakes": "WF_EARTHQUAKES",
		"wf_a_1":         "WF_A_1",
		"wf_wf_x":        "WF_WF_X",
		"wf_":            "WF__54426F43",
		"wf_A":           "WF_A_2E440831",
		"WF_A":           "WF_WF_A_35DA3122",
		"a":              "WF_A_CA978112",
		"Prices-2025":    "WF_PRICES_2025_DF410D95",
		"a.b":            "WF_A_B_2E7336DC",
		"a-b":            "WF_A_B_D44362D6",
	} {
		if got := WorkflowTable(id); got != want {
			t.Errorf("%s becomes %s, want %s", id, got, want)
		}
	}
	if got := VersionTable("wf_x", 12) + " " + LatestTable("wf_x"); got != "WF_X__V12 WF_X__LATEST" {
		t.Errorf("the tables of wf_x are %s", got)
	}
	if got := LatestTable(strings.Repeat("x", 128)); len(got) > MaxNameLength {
		t.Errorf("%s has %d characters", got, len(got))
	}
}

func columnNames(s Schema) (names []string) {
	for _, c := range s.Columns("kadoa") {
		names = append(names, c.Name)
	}
	return names
}

func TestColumnNamesAreFoldedAndUnique(t *testing.T) {
	long := strings.Repeat("a", 250)
	for name, tc := range map[string]struct {
		fields []Field
		want   string
	}{
		"folded":                {[]Field{{Name: "unitPrice", DataType: Number}, {Name: "_id", DataType: String}}, "UNITPRICE"},
		"equal once folded":     {[]Field{{Name: "aB", DataType: String}, {Name: "Ab", DataType: String}}, "AB_042AC5B8 AB_025B5573"},
		"like a system column":  {[]Field{{Name: "kadoa_job_id", DataType: String}}, "KADOA_JOB_ID_44BB769E"},
		"like a currency":       {[]Field{{Name: "p", DataType: Money}, {Name: "p_currency", DataType: String}}, "P P_CURRENCY_148DE9C5 P_CURRENCY_260EFFC2"},
		"two moneys that fold":  {[]Field{{Name: "p", DataType: Money}, {Name: "P", DataType: Money}}, "P_148DE9C5 P_CURRENCY_148DE9C5 P_5C62E091 P_CURRENCY_5C62E091"},
		"too long":              {[]Field{{Name: long, DataType: Money}}, strings.ToUpper(long) + " " + strings.ToUpper(long)[:246] + "_3F3E35E0"},
		"named like the suffix": {[]Field{{Name: "aB", DataType: String}, {Name: "Ab", DataType: String}, {Name: "ab_042ac5b8", DataType: String}}, "AB_042AC5B8DA405254 AB_025B5573 AB_042AC5B8_04D3E6F96EF91530"},
	} {
		got := columnNames(Schema{Fields: tc.fields})
		if want := strings.Fields(tc.want + " KADOA_JOB_ID KADOA_RUN_FINISHED_AT"); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		seen := map[string]bool{}
		for _, n := range got {
			if seen[n] || len(n) > MaxNameLength {
				t.Errorf("%s: %s is there twice, or too long", name, n)
			}
			seen[n] = true
		}
	}
}

func TestColumnsOfWarehouseTablesAreAsWritten(t *testing.T) {
	var s Schema
	for _, dataType := range DataTypes() {
		s.Fields = append(s.Fields, Field{Name: "a_" + strings.ToLower(string(dataType)), DataType: dataType, IsKey: dataType == String})
	}
	tables := append([]Table{{Name: VersionTable("wf_all", 1), Comment: VersionComment, Columns: s.Columns("kadoa")}}, MetadataTables()...)
	got, err := json.MarshalIndent(tables, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden := "testdata/columns.golden.json"
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got)+"\n" {
		t.Errorf("the columns changed; if that is wanted, run go test . -update\n%s", got)
	}
}
