package sharing_test

import (
	"encoding/json"
	"slices"
	"testing"
)

// The three files hold people 100, 200 and 300, each with a NULL; and cities
// from Aachen, Berlin and Cottbus on.
func TestHintsSkipFilesThatCannotMatch(t *testing.T) {
	r := cities(t, folder(t))
	leaf := func(op, name, value, kind string) string {
		return `{"op":"` + op + `","children":[{"op":"column","name":"` + name + `","valueType":"` + kind + `"},{"op":"literal","value":"` + value + `","valueType":"` + kind + `"}]}`
	}
	group := func(op string, children ...string) string {
		text := `{"op":"` + op + `","children":[`
		for i, c := range children {
			if i > 0 {
				text += ","
			}
			text += c
		}
		return text + "]}"
	}
	null := `{"op":"isNull","children":[{"op":"column","name":"people","valueType":"double"}]}`
	const a, b, c = "Aachen", "Berlin", "Cottbus"
	for _, test := range []struct {
		name string
		sql  []string
		json string
		want []string
	}{
		{name: "equal", sql: []string{"people = 200"}, json: leaf("equal", "people", "200", "double"), want: []string{b}},
		{name: "case of names", sql: []string{"People = 200"}, json: leaf("equal", "PEOPLE", "200", "int"), want: []string{b}},
		{name: "less", sql: []string{"people < 200"}, json: leaf("lessThan", "people", "200", "double"), want: []string{a}},
		{name: "at most", sql: []string{"people <= 200"}, json: leaf("lessThanOrEqual", "people", "200", "double"), want: []string{a, b}},
		{name: "more", sql: []string{"people>200.5"}, json: leaf("greaterThan", "people", "200.5", "double"), want: []string{c}},
		{name: "at least", sql: []string{"people >= 2e2"}, json: leaf("greaterThanOrEqual", "people", "2e2", "double"), want: []string{b, c}},
		{name: "not equal", sql: []string{"people <> 200"}, json: group("not", leaf("equal", "people", "200", "double")), want: []string{a, c}},
		{name: "text", sql: []string{"city >= 'Berlin-2'"}, json: leaf("greaterThanOrEqual", "city", "Berlin-2", "string"), want: []string{b, c}},
		{name: "text in quotes is none", sql: []string{"city = 'it''s'"}, want: []string{a, b, c}},
		{name: "two", sql: []string{"people > 100", "people < 300"}, json: group("and", leaf("greaterThan", "people", "100", "double"), leaf("lessThan", "people", "300", "double")), want: []string{b}},
		{name: "either", json: group("or", leaf("equal", "people", "100", "double"), leaf("equal", "people", "300", "double")), want: []string{a, c}},
		{name: "nothing", sql: []string{"people > 300"}, json: leaf("greaterThan", "people", "300", "double")},
		{name: "NULL", sql: []string{"people IS NULL"}, json: null, want: []string{a, b, c}},
		{name: "not NULL", sql: []string{"people is  not null"}, json: group("not", null), want: []string{a, b, c}},
		{name: "no NULL there", sql: []string{"city IS NULL"}, json: `{"op":"isNull","children":[{"op":"column","name":"city","valueType":"string"}]}`},
		{name: "the job", sql: []string{"KADOA_JOB_ID = 'job-Berlin'"}, json: leaf("equal", "kadoa_job_id", "job-Berlin", "string"), want: []string{b}},
		{name: "time", sql: []string{"KADOA_RUN_FINISHED_AT > '2025-03-01T10:30:00.001Z'"}, json: leaf("greaterThan", "kadoa_run_finished_at", "2025-03-01T10:30:00.001Z", "timestamp")},
		{name: "time without a zone", sql: []string{"KADOA_RUN_FINISHED_AT > '2999-01-01 00:00:00'"}, json: leaf("greaterThan", "kadoa_run_finished_at", "2999-01-01", "timestamp"), want: []string{a, b, c}},
		{name: "in", json: group("in", `{"op":"column","name":"people","valueType":"double"}`, `{"op":"literal","value":"100","valueType":"int"}`, `{"op":"literal","value":"200","valueType":"int"}`), want: []string{a, b}},
		{name: "sides exchanged", json: group("lessThan", `{"op":"literal","value":"200","valueType":"int"}`, `{"op":"column","name":"people","valueType":"double"}`), want: []string{c}},
		{name: "another type", sql: []string{"people = '200'"}, json: leaf("equal", "people", "200", "string"), want: []string{a, b, c}},
		{name: "unknown column", sql: []string{"size = 1"}, json: leaf("equal", "size", "1", "int"), want: []string{a, b, c}},
		{name: "not understood", sql: []string{"city LIKE 'B%'", "(people = 1)", "", "people ="}, json: `{"op":"startsWith"}`, want: []string{a, b, c}},
		{name: "not JSON", json: `{"op":`, want: []string{a, b, c}},
		{name: "half understood", sql: []string{"people = 100", "city LIKE 'B%'"}, json: group("and", leaf("equal", "people", "100", "double"), `{"op":"startsWith"}`), want: []string{a}},
		{name: "or of what is not understood", json: group("or", leaf("equal", "people", "100", "double"), `{"op":"startsWith"}`), want: []string{a, b, c}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.sql != nil {
				wantCities(t, r, map[string]any{"predicateHints": test.sql}, test.want)
			}
			if test.json != "" {
				wantCities(t, r, map[string]any{"jsonPredicateHints": test.json}, test.want)
			}
		})
	}
	wantCities(t, r, map[string]any{"limitHint": 0}, nil)
	wantCities(t, r, map[string]any{"limitHint": 1}, []string{a})
	wantCities(t, r, map[string]any{"limitHint": 3}, []string{a, b})
	wantCities(t, r, map[string]any{"limitHint": 1, "predicateHints": []string{"people >= 200"}}, []string{b, c}) // how many rows match is not known
}

func wantCities(t *testing.T, r *rig, body map[string]any, want []string) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.query(t, string(text)) {
		var stats struct {
			MinValues struct{ City string }
		}
		if err := json.Unmarshal([]byte(f["stats"].(string)), &stats); err != nil {
			t.Fatal(err)
		}
		got = append(got, stats.MinValues.City)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%s gives %v, want %v", text, got, want)
	}
}
