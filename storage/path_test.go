package storage_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

var (
	movies   = waybill.RunKey{TeamID: "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d", WorkflowID: "wf_movies", JobID: "job_20250115_01"}
	finished = time.Date(2025, 1, 15, 11, 30, 0, 987_654_321, time.FixedZone("CET", 3600))
)

func TestPathExpand(t *testing.T) {
	for template, want := range map[string]string{
		storage.DefaultPath("kadoa"):                        "kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/2025-01-15T10-30-00Z-job_20250115_01/",
		"{runId}":                                           "job_20250115_01/",
		"{date}/{jobId}/":                                   "2025-01-15/job_20250115_01/",
		"{runDate}/{runDatetimeSafe}/{runId}":               "2025-01-15/2025-01-15_10-30-00Z/job_20250115_01/",
		"{runDatetime}_{runId}":                             "2025-01-15T10:30:00.987Z_job_20250115_01/",
		"team={teamId}/dt={date}/run={jobId}/":              "team=a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/dt=2025-01-15/run=job_20250115_01/",
		"a b/{workflowId}{jobId}/größe/%2e%2e/...":          "a b/wf_moviesjob_20250115_01/größe/%2e%2e/.../",
		"x/{workflowId}/{workflowId}-{timestamp}/{jobId}":   "x/wf_movies/wf_movies-2025-01-15T10-30-00Z/job_20250115_01/",
		"{teamId}.{jobId}/" + strings.Repeat("a", 200) + "": "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d.job_20250115_01/" + strings.Repeat("a", 200) + "/",
	} {
		path, err := storage.ParsePath(template)
		if err != nil {
			t.Errorf("%s: %v", template, err)
			continue
		}
		if got := path.Expand(movies, finished); got != want || path.String() != template {
			t.Errorf("%s gives %s, want %s", template, got, want)
		}
	}
}

func TestParsePathRefuses(t *testing.T) {
	for template, want := range map[string]string{
		"":                             "is empty; write a template such as kadoa/{teamId}/{workflowId}/{timestamp}-{jobId}/",
		"/kadoa/{jobId}":               "begins with a slash; paths are relative to the connector's url",
		"/":                            "begins with a slash",
		"kadoa/../{jobId}":             `has the segment "..", which could leave its folder`,
		"../{jobId}":                   `has the segment ".."`,
		"./{jobId}":                    `has the segment "."`,
		"a//{jobId}":                   "has an empty segment",
		"{jobId}//":                    "has an empty segment",
		"a\\{jobId}":                   "has a backslash",
		"a\x00/{jobId}":                "has a control character",
		"a\n/{jobId}":                  "has a control character",
		"a\xff/{jobId}":                "is not UTF-8",
		"a/{date}":                     "gives several runs one folder; add {jobId} or {runId}",
		"team={teamId}/dt={date}/":     "gives several runs one folder",
		"{jobID}":                      `"jobID" is not a variable; known are {teamId}, {workflowId}, {jobId}, {runId}, {timestamp}, {date}, {runDatetimeSafe}, {runDatetime}, {runDate}`,
		"{}/{jobId}":                   `"" is not a variable`,
		"{ jobId }":                    `" jobId " is not a variable`,
		"{jobId":                       "has a { that is not closed in its segment",
		"{job/Id}":                     "has a { that is not closed in its segment",
		"jobId}/{jobId}":               "has a } without a {",
		"{{jobId}}":                    `"{jobId" is not a variable`,
		"{jobId}/.waybill":             "",
		".waybill/{jobId}":             "begins with .waybill, which is Waybill's own",
		".Waybill/{jobId}":             "begins with .waybill",
		strings.Repeat("{jobId}/", 10): "can become 1290 bytes long; shorten it to 768, counting 128 for an id",
	} {
		_, err := storage.ParsePath(template)
		if want == "" {
			if err != nil {
				t.Errorf("%q is refused: %v", template, err)
			}
			continue
		}
		problems, ok := errors.AsType[waybill.Problems](err)
		if !ok || !slices.ContainsFunc(problems, func(p waybill.Problem) bool { return p.Field == "path" && strings.Contains(p.Message, want) }) {
			t.Errorf("%q: %v; want path: %s", template, err, want)
		}
	}
}

func TestParsePathNamesAllProblems(t *testing.T) {
	_, err := storage.ParsePath("/a//{team}/{date")
	for _, want := range []string{"begins with a slash", "empty segment", `"team" is not a variable`, "not closed", "add {jobId}"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say: %s", err, want)
		}
	}
}

func TestPathUses(t *testing.T) {
	path, err := storage.ParsePath("{teamId}/x-{jobId}")
	if err != nil {
		t.Fatal(err)
	}
	if !path.Uses("jobId") || !path.Uses("teamId") || path.Uses("workflowId") || path.Uses("x-") {
		t.Errorf("%s uses something else than teamId and jobId", path)
	}
}

// Ids are checked when a run is handed in. This is the second line of defence.
func TestPathHoldsEveryID(t *testing.T) {
	path, err := storage.ParsePath("kadoa/{teamId}/{jobId}")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"..": "%2E%2E", ".": "%2E", "": "%", "a/b": "a%2Fb", "/": "%2F", `a\b`: "a%5Cb", "a\x00": "a%00", "%": "%25", "%2F": "%252F",
		"ü": "%C3%BC", "{jobId}": "%7BjobId%7D", "...": "...", "a.b": "a.b", ".waybill": "%2Ewaybill", ".WAYBILL": "%2EWAYBILL",
	} {
		if got := path.Expand(waybill.RunKey{TeamID: id, JobID: "j"}, finished); got != "kadoa/"+want+"/j/" {
			t.Errorf("id %q gives %s, want it as %s", id, got, want)
		}
	}
}

// FuzzExpand looks for ids that leave their segments, or that meet in one.
func FuzzExpand(f *testing.F) {
	for _, id := range []string{"job_1", "..", ".", "", "a/b", "/", "\x00", "%2E", ".waybill", strings.Repeat("a", 129), "\xff", "a\u0085"} {
		f.Add(id, "team")
		f.Add("job", id)
	}
	path, err := storage.ParsePath("{teamId}/x{jobId}/{runId}")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		got := path.Expand(waybill.RunKey{TeamID: a, JobID: b}, finished)
		segments := strings.Split(got, "/")
		if len(segments) != 4 || segments[3] != "" || "x"+segments[2] != segments[1] {
			t.Fatalf("ids %q and %q give %q: not three segments", a, b, got)
		}
		if err := storage.CheckKey(strings.TrimSuffix(got, "/")); err != nil && len(got) <= storage.MaxKeyBytes {
			t.Errorf("ids %q and %q: %v", a, b, err)
		}
		if strings.EqualFold(segments[0], ".waybill") {
			t.Errorf("id %q names the reserved folder", a)
		}
		if waybill.ValidID(b) && !strings.EqualFold(b, ".waybill") && segments[2] != b {
			t.Errorf("the valid id %q became %q", b, segments[2])
		}
		if (a == b) != (segments[0] == segments[2]) {
			t.Errorf("ids %q and %q became %q and %q", a, b, segments[0], segments[2])
		}
	})
}
