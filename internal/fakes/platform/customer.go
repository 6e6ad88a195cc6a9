package platform

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Shown is what a customer is to read of an event in ACTIVITY_LOG: its columns
// by name, but for EVENT_ID, which is not the platform's. What is empty is
// missing, and so is all that is internal.
func (e Event) Shown() map[string]any {
	row := map[string]any{"OCCURRED_AT": e.DateTime.UTC().Truncate(time.Microsecond)}
	for column, text := range map[string]string{"TITLE": e.Title, "REQUEST_SOURCE": e.Source.RequestSource, "USER_ID": e.Source.UserID,
		"USER_EMAIL": e.Source.UserEmail, "RESOURCE_TYPE": e.Resource.Type, "WORKFLOW_ID": e.Resource.WorkflowID,
		"RESOURCE_ID": e.Resource.ResourceID, "RESOURCE_NAME": e.Resource.Name, "DETAILS": details(e.Details)} {
		if text != "" {
			row[column] = text
		}
	}
	return row
}

// details are an event's details without their internal keys, as JSON text.
func details(v any) string {
	all, ok := v.(map[string]any)
	if !ok {
		return encoded(v)
	}
	public := map[string]any{}
	for key, value := range all {
		if !strings.HasPrefix(key, "_") {
			public[key] = value
		}
	}
	return encoded(public)
}

func encoded(v any) string {
	if v == nil {
		return ""
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // an event that no test can mean
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// Lines are rows of ACTIVITY_LOG, as whoever reads them finds them, without
// their ids: one line of text each, sorted, so that those of tables of any kind
// can be held against what the platform told.
func Lines(rows []map[string]any) []string {
	lines := make([]string, len(rows))
	for i, row := range rows {
		plain := map[string]any{}
		for column, value := range row {
			switch v := value.(type) {
			case nil:
				continue
			case time.Time:
				value = v.UTC()
			}
			plain[column] = value
		}
		delete(plain, "EVENT_ID")
		if text, ok := plain["DETAILS"].(string); ok { // a VARIANT comes back with white space
			var compact bytes.Buffer
			if json.Compact(&compact, []byte(text)) == nil {
				plain["DETAILS"] = compact.String()
			}
		}
		lines[i] = encoded(plain)
	}
	slices.Sort(lines)
	return lines
}

// Lines are the events of workflows since a time, as [Lines] has them.
func (s *Server) Lines(since time.Time, workflows ...string) []string {
	return s.LinesUntil(since, time.Unix(1<<40, 0), workflows...)
}

// LinesUntil are those that happened before another time.
func (s *Server) LinesUntil(since, until time.Time, workflows ...string) []string {
	var rows []map[string]any
	for _, id := range workflows {
		for _, e := range s.Events(id) {
			if !e.DateTime.Before(since) && e.DateTime.Before(until) {
				rows = append(rows, e.Shown())
			}
		}
	}
	return Lines(rows)
}

// Without are the lines of a that b has not, each as often as it has not.
func Without(a, b []string) (more []string) {
	count := map[string]int{}
	for _, line := range b {
		count[line]++
	}
	for _, line := range a {
		if count[line]--; count[line] < 0 {
			more = append(more, line)
		}
	}
	return more
}
