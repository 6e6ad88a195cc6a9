package waybill_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

func validRun() waybill.Run {
	return waybill.Run{
		RunKey:     waybill.RunKey{TeamID: "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d", WorkflowID: "wf_movies", JobID: "job_20250115_01"},
		State:      waybill.RunFinished,
		FinishedAt: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC),
		RowCount:   3201,
		Source:     waybill.Source{URI: "s3://runs/a1b2/job_20250115_01.jsonl.gz"},
		Schema:     waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String, IsKey: true}}},
	}
}

func TestRunProblemsNameTheirFieldAllAtOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*waybill.Run)
		want   []string // of each problem: field and a part of what is said
	}{
		{"valid", func(*waybill.Run) {}, nil},
		{"not finished", func(r *waybill.Run) { r.State = waybill.RunInProgress }, []string{"state: is IN_PROGRESS; only FINISHED runs"}},
		{"held for validation", func(r *waybill.Run) { r.State = waybill.RunValidating }, []string{"state: is VALIDATING"}},
		{"unknown state", func(r *waybill.Run) { r.State = "DONE" }, []string{`state: "DONE" is not a run state`}},
		{"ids that climb", func(r *waybill.Run) { r.TeamID, r.WorkflowID, r.JobID = "..", "a/b", "" },
			[]string{`teamId: ".." is not an id`, `workflowId: "a/b"`, `jobId: "" is not an id`}},
		{"id with control characters", func(r *waybill.Run) { r.JobID = "job\n1" }, []string{`jobId: "job\n1"`}},
		{"id that is too long", func(r *waybill.Run) { r.JobID = strings.Repeat("j", 129) }, []string{"jobId: "}},
		{"no time", func(r *waybill.Run) { r.FinishedAt = time.Time{} }, []string{"finishedAt: is missing"}},
		{"negative count", func(r *waybill.Run) { r.RowCount = -1 }, []string{"rowCount: -1 is negative"}},
		{"no source", func(r *waybill.Run) { r.Source = waybill.Source{} }, []string{"source.uri: is missing"}},
		{"credentials in the source", func(r *waybill.Run) { r.Source.URI = "https://user:hunter2@example.com/x" }, []string{"source.uri: holds credentials"}},
		{"unknown source format", func(r *waybill.Run) {
			r.Source.Format, r.Source.Compression, r.Source.Checksum = "csv", "bzip2", "md5:1"
		},
			[]string{`source.format: "csv"`, `source.compression: "bzip2"`, `source.checksum: "md5:1"`}},
		{"no fields", func(r *waybill.Run) { r.Schema.Fields = nil }, []string{"schema.fields: is empty"}},
		{"internal fields only", func(r *waybill.Run) { r.Schema.Fields = []waybill.Field{{Name: "_a", DataType: waybill.Number}} }, []string{"schema.fields: has internal fields only"}},
		{"illegal field names", func(r *waybill.Run) {
			r.Schema.Fields = append(r.Schema.Fields, waybill.Field{Name: "a b", DataType: waybill.String}, waybill.Field{Name: "1a", DataType: waybill.String}, waybill.Field{Name: "", DataType: waybill.String})
		}, []string{`schema.fields[1].name: "a b"`, `schema.fields[2].name: "1a"`, `schema.fields[3].name: ""`}},
		{"duplicate field", func(r *waybill.Run) {
			r.Schema.Fields = append(r.Schema.Fields, waybill.Field{Name: "Title", DataType: waybill.String})
		}, []string{`schema.fields[1].name: "Title" is also the name of fields[0]`}},
		{"names that differ in case", func(r *waybill.Run) {
			r.Schema.Fields = append(r.Schema.Fields, waybill.Field{Name: "title", DataType: waybill.String})
		}, nil},
		{"unknown types", func(r *waybill.Run) {
			r.Schema.Fields[0] = waybill.Field{Name: "Title", DataType: "TEXT", FieldType: "RAW", DateOrder: "DYM"}
		}, []string{`schema.fields[0].dataType: "TEXT"`, `schema.fields[0].fieldType: "RAW"`, `schema.fields[0].dateOrder: "DYM"`}},
		{"date order of a text", func(r *waybill.Run) { r.Schema.Fields[0].DateOrder = waybill.MDY }, []string{"schema.fields[0].dateOrder: belongs to DATE"}},
		{"too many fields", func(r *waybill.Run) { r.Schema.Fields = make([]waybill.Field, waybill.MaxFields+1) }, []string{"schema.fields: has 2001 fields"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := validRun()
			c.change(&r)
			wantProblems(t, r.Validate(), c.want)
		})
	}
}

func wantProblems(t *testing.T, err error, want []string) {
	t.Helper()
	var problems waybill.Problems
	if err != nil {
		problems = err.(waybill.Problems)
	}
	if len(problems) != len(want) {
		t.Fatalf("%d problems, want %d: %v", len(problems), len(want), err)
	}
	for i, p := range problems {
		if text := p.Field + ": " + p.Message; !strings.HasPrefix(text, want[i]) {
			t.Errorf("problem %d is %q, want %q…", i, text, want[i])
		}
	}
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Error("the error repeats a secret")
	}
}

func TestDecodeRunIsStrict(t *testing.T) {
	const fields = `"schema":{"fields":[{"name":"Title","dataType":"STRING"}]}`
	for _, c := range []struct{ name, text, want string }{
		{"unknown keys, at every level", `{"teamid":"t","source":{"url":"x"},"schema":{"fields":[{"Name":"a"}],"version":1},"rowCount":1}`, `"teamid": is not a key here`},
		{"no row count", `{"teamId":"t","workflowId":"w","jobId":"j","state":"FINISHED","finishedAt":"2025-01-15T10:30:00Z","source":{"uri":"x"},` + fields + `}`, "rowCount: is missing"},
		{"null row count", `{"rowCount":null,` + fields + `}`, "rowCount: is missing"},
		{"text for a number", `{"rowCount":"3",` + fields + `}`, "rowCount: is a JSON string where int64 is wanted"},
		{"not JSON", `{"rowCount":3`, "run: is not JSON at byte"},
		{"an array", `[]`, "run: is a JSON array"},
		{"too large", `{"x":"` + strings.Repeat("x", waybill.MaxRunBytes) + `"}`, "run: is larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := waybill.DecodeRun(strings.NewReader(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s…", err, c.want)
			}
		})
	}
	_, err := waybill.DecodeRun(strings.NewReader(`{"teamid":"t","source":{"url":"x"},"schema":{"fields":[{"Name":"a"}],"version":1},"rowCount":1}`))
	for _, field := range []string{`"teamid"`, `source."url"`, `schema."version"`, `schema.fields[0]."Name"`} {
		if !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}

func TestTheBundledRunsDecode(t *testing.T) {
	files, err := filepath.Glob("cmd/sandbox/testdata/runs/*.run.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("%d bundled runs, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		run, err := waybill.DecodeRun(text)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		again, err := json.Marshal(run)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := waybill.DecodeRun(strings.NewReader(string(again))); err != nil || back.Revision() != run.Revision() {
			t.Errorf("%s: what Go writes reads as another run: %v", file, err)
		}
		text.Close()
	}
}

func TestRevision(t *testing.T) {
	base := validRun()
	for _, c := range []struct {
		name   string
		change func(*waybill.Run)
		want   []string // differing fields
	}{
		{"itself", func(*waybill.Run) {}, nil},
		{"another zone of the same time", func(r *waybill.Run) { r.FinishedAt = r.FinishedAt.In(time.FixedZone("", 3600)) }, nil},
		{"replace", func(r *waybill.Run) { r.Replace = true }, nil},
		{"a description", func(r *waybill.Run) { r.Schema.Fields[0].Description = "x" }, nil},
		{"the default field type", func(r *waybill.Run) { r.Schema.Fields[0].FieldType = waybill.FieldSchema }, nil},
		{"another signature", func(r *waybill.Run) { r.Source.URI += "?sig=1" }, nil},
		{"another time", func(r *waybill.Run) { r.FinishedAt = r.FinishedAt.Add(time.Millisecond) }, []string{"finishedAt"}},
		{"another count", func(r *waybill.Run) { r.RowCount++ }, []string{"rowCount"}},
		{"another object", func(r *waybill.Run) { r.Source.URI += "x" }, []string{"source.uri"}},
		{"a checksum", func(r *waybill.Run) { r.Source.Checksum = "sha256:" + strings.Repeat("0", 64) }, []string{"source.checksum"}},
		{"a key less", func(r *waybill.Run) { r.Schema.Fields[0].IsKey = false }, []string{"schema"}},
		{"a date order", func(r *waybill.Run) {
			r.Schema.Fields = append(r.Schema.Fields, waybill.Field{Name: "D", DataType: waybill.Date, DateOrder: waybill.MDY})
		}, []string{"schema"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			other := validRun()
			c.change(&other)
			if same := other.Revision() == base.Revision(); same != (c.want == nil) {
				t.Errorf("same revision: %t", same)
			}
			if got := other.Differing(base); !slices.Equal(got, c.want) {
				t.Errorf("differing %v, want %v", got, c.want)
			}
		})
	}
}

func TestADateOrderIsAnotherRevisionButNotAnotherSchemaVersion(t *testing.T) {
	a, b := validRun(), validRun()
	a.Schema.Fields = []waybill.Field{{Name: "D", DataType: waybill.Date}}
	b.Schema.Fields = []waybill.Field{{Name: "D", DataType: waybill.Date, DateOrder: waybill.DMY}}
	if a.Revision() == b.Revision() {
		t.Error("a run handed in again with a date order would not be delivered anew")
	}
	if a.Schema.Fingerprint() != b.Schema.Fingerprint() {
		t.Error("how dates are read is no part of the customer's schema")
	}
}

func TestDeliveryID(t *testing.T) {
	if waybill.Slots != 64 {
		t.Error("the number of slots is part of every key in Redis and cannot change")
	}
	r := validRun().RunKey
	id := waybill.DeliveryID(r, "acme-lake")
	if id != waybill.DeliveryID(r, "acme-lake") {
		t.Error("the id is not derived")
	}
	if id == waybill.DeliveryID(r, "acme-lake2") || id == waybill.DeliveryID(waybill.RunKey{TeamID: r.TeamID, WorkflowID: r.WorkflowID, JobID: "other"}, "acme-lake") {
		t.Error("two deliveries share an id")
	}
	if slot, err := waybill.DeliverySlot(id); err != nil || slot != waybill.Slot(r.TeamID) {
		t.Errorf("slot %d, %v; want %d", slot, err, waybill.Slot(r.TeamID))
	}
	for _, bad := range []string{"", "d9900000000000000000000", "x0500000000000000000000", "d05", "d0x00000000000000000000", "d05-00000000000000000000"} {
		if _, err := waybill.DeliverySlot(bad); err == nil {
			t.Errorf("%q is no delivery id", bad)
		}
	}
}

func ExampleDecodeRun() {
	_, err := waybill.DecodeRun(strings.NewReader(`{
		"teamId": "team-a", "workflowId": "wf_movies", "jobId": "../1",
		"state": "VALIDATING", "finishedAt": "2025-01-15T10:30:00Z", "rowCount": 3,
		"source": {"uri": "movies.jsonl"},
		"schema": {"fields": [{"name": "Title", "dataType": "TEXT"}]}}`))
	for _, p := range err.(waybill.Problems) {
		fmt.Println(p.Field)
	}
	// Output:
	// jobId
	// state
	// schema.fields[0].dataType
}
