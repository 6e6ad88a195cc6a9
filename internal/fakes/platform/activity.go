package platform

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// Event is one event of the activity log, as the API tells it.
type Event struct {
	Title    string        `json:"title"`
	DateTime time.Time     `json:"dateTime"`
	Source   EventSource   `json:"source"`
	Resource EventResource `json:"resource"`
	Details  any           `json:"details"`

	// Extra are fields of the answer that are documented nowhere.
	Extra map[string]any `json:"-"`
}

// EventSource says who did something, and how.
type EventSource struct {
	RequestSource string `json:"requestSource"`
	UserID        string `json:"userId"`
	UserEmail     string `json:"userEmail"`
}

// EventResource says to what it was done.
type EventResource struct {
	Type       string `json:"type"`
	WorkflowID string `json:"workflowId"`
	ResourceID string `json:"resourceId"`
	Name       string `json:"name"`
}

// MarshalJSON writes the event with its extra fields.
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event
	text, err := json.Marshal(plain(e))
	if err != nil || len(e.Extra) == 0 {
		return text, err
	}
	all := map[string]json.RawMessage{} // as they are written
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	for name, value := range e.Extra {
		if all[name], err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	return json.Marshal(all)
}

// AddEvents adds events to the activity log, whenever they happened: an event
// of an earlier time than others is one that comes late.
func (s *Server) AddEvents(events ...Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, events...)
}

// Events are those of a workflow, in the order in which they were added.
func (s *Server) Events(workflowID string) (events []Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Resource.WorkflowID == workflowID {
			events = append(events, e)
		}
	}
	return events
}

const mostEvents = 1000 // of a page

// activity answers with a page of the log, newest first. Those of one moment
// are in another order each time: nothing says in which they are.
//
// https://docs.kadoa.com/api-reference/activity
func (s *Server) activity(r *http.Request) (any, *failure) {
	limit, err := number(r, "limit", 25)
	offset, err2 := number(r, "offset", 0)
	if err := cmp.Or(err, err2); err != nil || limit < 1 || limit > mostEvents || offset < 0 {
		return nil, fail(http.StatusBadRequest, "limit must be between 1 and 1000, offset at least 0")
	}
	from, err := date(r, "startDate", time.Time{})
	to, err2 := date(r, "endDate", s.now())
	if err := cmp.Or(err, err2); err != nil {
		return nil, fail(http.StatusBadRequest, "startDate and endDate must be dates")
	}
	workflowID := r.URL.Query().Get("workflowId")
	list := []Event{}
	for i, e := range s.events {
		if (workflowID == "" || e.Resource.WorkflowID == workflowID) && !e.DateTime.Before(from) && !e.DateTime.After(to) && !s.told[i] {
			list = append(list, e)
			if s.told != nil {
				s.told[i] = true
			}
		}
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortStableFunc(list, func(a, b Event) int { return b.DateTime.Compare(a.DateTime) })
	page := part(list, offset, min(limit, cmp.Or(s.pageSize, limit)))
	return map[string]any{"data": map[string]any{"events": page, "pagination": map[string]any{
		"total": len(list), "limit": limit, "offset": offset, "hasMore": offset+len(page) < len(list)}}}, nil
}

// TellOnce makes the activity log tell of each event once only: unlike the
// real one, it takes what it answered for read. It is for tests of what
// reading again is good for.
func (s *Server) TellOnce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = map[int]bool{}
}

// ClampPages makes pages of the activity log hold n events at most, whatever
// limit is asked for; 0: as many as are asked for.
func (s *Server) ClampPages(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pageSize = n
}

func date(r *http.Request, name string, otherwise time.Time) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	return time.Parse(time.RFC3339, text)
}
