package platform

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/waybillhq/waybill"
)

// Run is one execution of a workflow.
type Run struct {
	ID                    string
	State                 waybill.RunState
	StartedAt, FinishedAt time.Time // not finished: zero
	Records               []byte    // JSONL, a record a line; it is not copied
	Count                 int       // records; 0: those of Records
}

type workflow struct {
	team   string
	schema waybill.Schema
	runs   []Run          // newest first, as the history shows them
	index  map[string]int // of a run by its id
}

// AddWorkflow makes a workflow of a team, or changes its present descriptor.
func (s *Server) AddWorkflow(id, team string, schema waybill.Schema) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.workflows[id]
	if w == nil {
		w = &workflow{index: map[string]int{}}
		s.workflows[id] = w
	}
	w.team, w.schema = team, schema
}

// AddRuns adds runs to the history of a workflow that is there, or changes them.
func (s *Server) AddRuns(workflowID string, runs ...Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.workflows[workflowID]
	for _, r := range runs {
		if r.Count == 0 {
			r.Count = bytes.Count(r.Records, []byte("\n"))
		}
		if i, there := w.index[r.ID]; there {
			w.runs[i] = r
		} else {
			w.index[r.ID] = len(w.runs)
			w.runs = append(w.runs, r)
		}
	}
	slices.SortStableFunc(w.runs, func(a, b Run) int { return b.StartedAt.Compare(a.StartedAt) })
	for i, r := range w.runs {
		w.index[r.ID] = i
	}
}

// DataURL is where the records of a run are read: what a producer names as
// the run's source.
func (s *Server) DataURL(workflowID, runID string) string {
	return fmt.Sprintf("%s/v4/workflows/%s/data?runId=%s&limit=0", s.URL, url.PathEscape(workflowID), url.QueryEscape(runID))
}

func (s *Server) workflow(r *http.Request) (*workflow, *failure) {
	w, ok := s.workflows[r.PathValue("workflow")]
	if !ok {
		return nil, fail(http.StatusNotFound, "Workflow not found")
	}
	return w, nil
}

// getWorkflow: https://docs.kadoa.com/api-reference/workflows/get-workflow-by-id
func (s *Server) getWorkflow(r *http.Request) (any, *failure) {
	w, refusal := s.workflow(r)
	if refusal != nil {
		return nil, refusal
	}
	return map[string]any{"id": r.PathValue("workflow"), "teamId": w.team, "name": r.PathValue("workflow"), "schema": w.schema.Fields}, nil
}

const mostPerPage = 100 // entries of the history

// history: https://docs.kadoa.com/api-reference/workflows/get-workflow-history
func (s *Server) history(r *http.Request) (any, *failure) {
	w, refusal := s.workflow(r)
	if refusal != nil {
		return nil, refusal
	}
	page, err := number(r, "page", 1)
	limit, err2 := number(r, "limit", 10)
	if err := cmp.Or(err, err2); err != nil || page < 1 || limit < 1 || limit > mostPerPage {
		return nil, fail(http.StatusBadRequest, "page must be at least 1, limit between 1 and 100")
	}
	type entry struct {
		ID         string           `json:"id"`
		State      waybill.RunState `json:"state"`
		StartedAt  time.Time        `json:"startedAt"`
		FinishedAt *time.Time       `json:"finishedAt"`
		Records    int              `json:"records"`
	}
	list := []entry{}
	for _, run := range part(w.runs, (page-1)*limit, limit) {
		e := entry{run.ID, run.State, run.StartedAt, &run.FinishedAt, run.Count}
		if run.FinishedAt.IsZero() {
			e.FinishedAt = nil
		}
		list = append(list, e)
	}
	return map[string]any{"workflowId": r.PathValue("workflow"), "workflowRuns": list, "totalCount": len(w.runs)}, nil
}

func part[T any](list []T, from, n int) []T {
	from = min(from, len(list))
	return list[from:min(from+n, len(list))]
}

func number(r *http.Request, name string, otherwise int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	return strconv.Atoi(text)
}

// data streams the records of a run; limit 0 is all of them.
// https://docs.kadoa.com/api-reference/workflows/get-workflow-data
func (s *Server) data(r *http.Request) (any, *failure) {
	w, refusal := s.workflow(r)
	if refusal != nil {
		return nil, refusal
	}
	id := r.URL.Query().Get("runId")
	i := slices.IndexFunc(w.runs, func(run Run) bool { return run.ID == id || id == "" && run.State == waybill.RunFinished })
	if i < 0 || w.runs[i].State != waybill.RunFinished {
		return nil, fail(http.StatusNotFound, "Run not found")
	}
	page, err := number(r, "page", 1)
	limit, err2 := number(r, "limit", 25)
	if err := cmp.Or(err, err2); err != nil || page < 1 || limit < 0 {
		return nil, fail(http.StatusBadRequest, "page must be at least 1, limit at least 0")
	}
	run, workflowID := w.runs[i], r.PathValue("workflow")
	return stream(func(out io.Writer) error { return run.write(out, workflowID, page, limit) }), nil
}

func (run Run) write(out io.Writer, workflowID string, page, limit int) error {
	head, err := json.Marshal(map[string]any{"workflowId": workflowID, "runId": run.ID, "executedAt": run.FinishedAt})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, `%s,"data":[`, head[:len(head)-1]); err != nil {
		return err
	}
	first, n, from := true, 0, (page-1)*limit
	for record := range bytes.Lines(run.Records) {
		if n++; limit > 0 && (n <= from || n > from+limit) {
			continue
		}
		if !first {
			record = append([]byte(","), record...)
		}
		first = false
		if _, err := out.Write(bytes.TrimSuffix(record, []byte("\n"))); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, `],"pagination":{"page":%d,"limit":%d,"totalCount":%d}}`, page, limit, run.Count)
	return err
}
