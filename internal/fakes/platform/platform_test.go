package platform

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

var began = time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)

func platform(t *testing.T) *Server {
	t.Helper()
	s := New(Options{})
	t.Cleanup(s.Close)
	s.AddWorkflow("wf_movies", "team", waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String}}})
	for i, id := range []string{"a", "b", "c"} {
		at := began.Add(time.Duration(i) * time.Hour)
		s.AddRuns("wf_movies", Run{ID: id, State: waybill.RunFinished, StartedAt: at, FinishedAt: at.Add(time.Minute),
			Records: []byte("{\"Title\":\"" + id + "1\"}\n{\"Title\":\"" + id + "2\"}\n")})
	}
	s.AddRuns("wf_movies", Run{ID: "d", State: waybill.RunInProgress, StartedAt: began.Add(24 * time.Hour)})
	return s
}

// ask returns the status and the text of an answer; "cut" if there is none.
func ask(t *testing.T, url, key string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "cut"
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, "cut"
	}
	return resp.StatusCode, string(text)
}

func TestTheHistoryIsPagedNewestFirst(t *testing.T) {
	s := platform(t)
	var seen []string
	for _, page := range []string{"1", "2", "3"} {
		status, text := ask(t, s.URL+"/v4/workflows/wf_movies/history?limit=2&page="+page, Key)
		var answer struct {
			WorkflowRuns []struct {
				ID, State  string
				FinishedAt *time.Time
				Records    int
			}
			TotalCount int
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK || answer.TotalCount != 4 {
			t.Fatalf("page %s: %d %s: %v", page, status, text, err)
		}
		for _, r := range answer.WorkflowRuns {
			seen = append(seen, r.ID)
			if finished := r.State == "FINISHED"; finished != (r.FinishedAt != nil) || finished && r.Records != 2 {
				t.Errorf("run %+v", r)
			}
		}
	}
	if !slices.Equal(seen, []string{"d", "c", "b", "a"}) {
		t.Errorf("saw %v", seen)
	}
}

func TestTheDataOfARunIsAnEnvelope(t *testing.T) {
	s := platform(t)
	if status, text := ask(t, s.DataURL("wf_movies", "b"), Key); status != http.StatusOK ||
		text != `{"executedAt":"2025-01-15T11:31:00Z","runId":"b","workflowId":"wf_movies","data":[{"Title":"b1"},{"Title":"b2"}],"pagination":{"page":1,"limit":0,"totalCount":2}}` {
		t.Errorf("%d %s", status, text)
	}
	if _, text := ask(t, s.URL+"/v4/workflows/wf_movies/data?runId=b&limit=1&page=2", Key); !strings.Contains(text, `"data":[{"Title":"b2"}],"pagination":{"page":2,"limit":1,"totalCount":2}}`) {
		t.Errorf("second page: %s", text)
	}
}

func TestWhatThePlatformRefuses(t *testing.T) {
	s := platform(t)
	for url, want := range map[string]int{
		"/v4/workflows/wf_movies":                   http.StatusOK,
		"/v4/workflows/wf_other":                    http.StatusNotFound,
		"/v4/workflows/wf_other/history":            http.StatusNotFound,
		"/v4/workflows/wf_movies/history?page=0":    http.StatusBadRequest,
		"/v4/workflows/wf_movies/history?limit=101": http.StatusBadRequest,
		"/v4/workflows/wf_movies/history?limit=x":   http.StatusBadRequest,
		"/v4/workflows/wf_movies/data?runId=z":      http.StatusNotFound,
		"/v4/workflows/wf_movies/data?runId=d":      http.StatusNotFound, // has not finished
	} {
		if status, text := ask(t, s.URL+url, Key); status != want {
			t.Errorf("%s: %d %s, want %d", url, status, text, want)
		}
		if status, _ := ask(t, s.URL+url, "another"); status != http.StatusUnauthorized {
			t.Errorf("%s with another key: %d", url, status)
		}
	}
	if u := s.Unexpected(); u != nil {
		t.Errorf("unexpected %v", u)
	}
	ask(t, s.URL+"/v4/nothing", Key)
	if u := s.Unexpected(); !slices.Equal(u, []string{"GET /v4/nothing"}) {
		t.Errorf("unexpected %v", u)
	}
}

func TestFaultsBefallTheCallsThatTheyName(t *testing.T) {
	s := platform(t)
	url := s.DataURL("wf_movies", "a")
	s.Inject(Fault{Path: "/history", Status: http.StatusInternalServerError})
	s.Inject(Fault{Path: "/data", Skip: 1, Status: http.StatusTooManyRequests, RetryAfter: "3"})
	s.Inject(Fault{Path: "/data", Garbage: "<html>"})
	s.Inject(Fault{Path: "/data", Cut: true, CutAfter: 20})
	added := false
	s.Inject(Fault{Path: "/data", Do: func() { added = true }})
	for i, want := range []string{"<html>", `{"message":"injected"}` + "\n", "cut"} {
		if _, text := ask(t, url, Key); text != want {
			t.Errorf("call %d: %q, want %q", i, text, want)
		}
	}
	if status, _ := ask(t, url, Key); status != http.StatusOK || !added {
		t.Errorf("healed: %d, done %t", status, added)
	}
	s.Heal()
	if status, _ := ask(t, s.URL+"/v4/workflows/wf_movies/history", Key); status != http.StatusOK {
		t.Errorf("after Heal: %d", status)
	}
}
