package source_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/internal/netguard"
	"github.com/waybillhq/waybill/internal/source"
)

var (
	day      = time.Date(2025, 1, 15, 0, 0, 0, 0, time.UTC)
	wholeDay = source.Span{From: day, To: day.Add(24 * time.Hour)}
)

func playPlatform(t *testing.T) (*platform.Server, source.ActivityLog) {
	t.Helper()
	s := platform.New(platform.Options{})
	t.Cleanup(s.Close)
	guard, err := netguard.New(netguard.Options{Allow: []string{s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Close() })
	return s, source.ActivityLog{Web: guard, Platform: source.Platform{URL: s.URL, Key: func(context.Context) (string, error) { return platform.Key, nil }}}
}

func happened(after time.Duration, title string) platform.Event {
	return platform.Event{Title: title, DateTime: day.Add(after),
		Source:   platform.EventSource{RequestSource: "UI", UserID: "u1", UserEmail: "ann@acme.example"},
		Resource: platform.EventResource{Type: "workflow", WorkflowID: "wf_movies", ResourceID: "wf_movies", Name: "Movies"}}
}

// readAll reads a span part by part and holds the parts against each other.
func readAll(t *testing.T, a source.ActivityLog, s source.Span, first source.End) (titles []string, parts int) {
	t.Helper()
	for s.From.Before(s.To) {
		part, events, err := a.Read(t.Context(), "wf_movies", s, first)
		if err != nil {
			t.Fatal(err)
		}
		if first == source.Oldest && !part.From.Equal(s.From) || first == source.Newest && !part.To.Equal(s.To) || !part.From.Before(part.To) {
			t.Fatalf("of %v the part %v was read", s, part)
		}
		for _, e := range events {
			if e.OccurredAt.Before(part.From) || !e.OccurredAt.Before(part.To) {
				t.Errorf("%s of %s is not in %v", e.Title, e.OccurredAt, part)
			}
			titles = append(titles, e.Title)
		}
		parts++
		if first == source.Oldest {
			s.From = part.To
		} else {
			s.To = part.From
		}
	}
	slices.Sort(titles)
	return titles, parts
}

func TestEventsAreReadOnceThoughPagesAreShortAndOrderedAnyhow(t *testing.T) {
	s, a := playPlatform(t)
	var want []string
	for i := range 200 {
		e := happened(time.Duration(i/7)*50*time.Minute, fmt.Sprintf("%03d", i)) // seven of each moment
		s.AddEvents(e)
		want = append(want, e.Title)
	}
	for _, size := range []int{0, 100, 7} {
		s.ClampPages(size)
		for _, first := range []source.End{source.Oldest, source.Newest} {
			got, parts := readAll(t, a, wholeDay, first)
			if !slices.Equal(got, want) {
				t.Errorf("pages of %d: read %d events: %v", size, len(got), got)
			}
			if size == 0 && parts != 1 {
				t.Errorf("what one answer holds was read in %d parts", parts)
			}
		}
	}
	if u := s.Unexpected(); len(u) > 0 {
		t.Errorf("the platform was asked for %v", u)
	}
}

func TestEventsThatComeWhilePagesAreReadMoveNoOther(t *testing.T) {
	s, a := playPlatform(t)
	s.ClampPages(5)
	var want []string
	for i := range 40 {
		e := happened(time.Duration(i)*time.Minute, fmt.Sprintf("%03d", i))
		s.AddEvents(e)
		want = append(want, e.Title)
	}
	for i := range 60 { // before every call: an event of a minute that may be read already
		s.Inject(platform.Fault{Skip: i, Do: func() { s.AddEvents(happened(time.Duration(i%40)*time.Minute+time.Second, "late")) }})
	}
	got, _ := readAll(t, a, wholeDay, source.Oldest)
	got = slices.DeleteFunc(got, func(title string) bool { return title == "late" })
	if !slices.Equal(got, want) {
		t.Errorf("read %v", got)
	}
}

func TestASecondWithMoreEventsThanAnAnswerHoldsIsReadUntilTwoReadingsAreAlike(t *testing.T) {
	s, a := playPlatform(t)
	s.ClampPages(4)
	for i := range 10 {
		s.AddEvents(happened(time.Duration(i)*time.Millisecond, fmt.Sprintf("%03d", i)))
	}
	added := 0
	s.Inject(platform.Fault{Query: "offset=4", Times: 2, Do: func() {
		added++
		s.AddEvents(happened(time.Duration(added)*time.Microsecond, fmt.Sprintf("late %d", added)))
	}})
	got, _ := readAll(t, a, source.Span{From: day, To: day.Add(time.Second)}, source.Oldest)
	if len(got) != 12 || len(slices.Compact(got)) != 12 {
		t.Errorf("read %v", got)
	}
	s.Inject(platform.Fault{Query: "offset=4", Times: -1, Do: func() { s.AddEvents(happened(0, "again")) }})
	_, _, err := a.Read(t.Context(), "wf_movies", source.Span{From: day, To: day.Add(time.Second)}, source.Oldest)
	wantCode(t, err, waybill.Transient, "platform.activity_drifts")
}

// The table of an event's fields: what customers see, and that nothing else is known.
func TestOfAnEventOnlyWhatCustomersSeeIsRead(t *testing.T) {
	s, a := playPlatform(t)
	e := happened(1500*time.Millisecond+123456*time.Nanosecond, "Run finished")
	e.Details = json.RawMessage(`{"z":1.50,"a":{"_internal":1,"b":[{"_x":2,"y":"<&>"}]},"_cost":12}`)
	e.Extra = map[string]any{"internalCost": 12, "teamId": "team-b", "_id": "x", "ip": "10.0.0.1"}
	foreign := happened(time.Second, "of another workflow")
	foreign.Resource.WorkflowID = "wf_other"
	s.AddEvents(e, foreign)
	_, events, err := a.Read(t.Context(), "wf_movies", wholeDay, source.Oldest)
	if err != nil || len(events) != 1 {
		t.Fatalf("%+v, %v", events, err)
	}
	got := events[0]
	if !strings.HasPrefix(got.ID, "20250115T000001.500123Z-") {
		t.Errorf("its id is %s", got.ID)
	}
	got.ID = ""
	want := waybill.Activity{OccurredAt: day.Add(1500123 * time.Microsecond), Title: "Run finished", RequestSource: "UI", UserID: "u1", UserEmail: "ann@acme.example",
		ResourceType: "workflow", WorkflowID: "wf_movies", ResourceID: "wf_movies", ResourceName: "Movies", Details: `{"a":{"b":[{"y":"<&>"}]},"z":1.50}`}
	if got != want {
		t.Errorf("read %+v\nwant %+v", got, want)
	}
}

func wantCode(t *testing.T, err error, verdict waybill.Verdict, code string) *waybill.Failure {
	t.Helper()
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok || f.Code != code || f.Verdict != verdict || f.Action == "" {
		t.Fatalf("failed with %v, want %s %s", err, verdict, code)
	}
	return f
}

func TestWhatThePlatformAnswersInPlaceOfEventsIsToldApart(t *testing.T) {
	s, a := playPlatform(t)
	s.AddEvents(happened(0, "a"))
	envelope := func(events, pagination string) string {
		return `{"data":{"events":` + events + `,"pagination":` + pagination + `}}`
	}
	for name, c := range map[string]struct {
		fault   platform.Fault
		verdict waybill.Verdict
		code    string
	}{
		"a web page":          {platform.Fault{Garbage: "<html>"}, waybill.Transient, "platform.unreadable"},
		"nothing":             {platform.Fault{Garbage: " "}, waybill.Transient, "platform.unreadable"},
		"another document":    {platform.Fault{Garbage: `{"error":"x"}`}, waybill.Transient, "platform.unreadable"},
		"no count":            {platform.Fault{Garbage: envelope(`[]`, `{}`)}, waybill.Transient, "platform.unreadable"},
		"two documents":       {platform.Fault{Garbage: envelope(`[]`, `{"total":0}`) + "{}"}, waybill.Transient, "platform.unreadable"},
		"an event of no time": {platform.Fault{Garbage: envelope(`[{"title":"x"}]`, `{"total":1}`)}, waybill.Transient, "platform.unreadable"},
		"an object as title":  {platform.Fault{Garbage: envelope(`[{"title":{},"dateTime":"2025-01-15T00:00:00Z"}]`, `{"total":1}`)}, waybill.Transient, "platform.unreadable"},
		"half an answer":      {platform.Fault{Cut: true, CutAfter: 40}, waybill.Transient, "platform.unreadable"},
		"500":                 {platform.Fault{Status: http.StatusInternalServerError}, waybill.Transient, "platform.unavailable"},
		"401":                 {platform.Fault{Status: http.StatusUnauthorized}, waybill.Blocked, "platform.access_denied"},
		"404":                 {platform.Fault{Status: http.StatusNotFound}, waybill.Blocked, "platform.not_found"},
		"429":                 {platform.Fault{Status: http.StatusTooManyRequests, RetryAfter: "7"}, waybill.Throttled, "platform.throttled"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Inject(c.fault)
			_, _, err := a.Read(t.Context(), "wf_movies", wholeDay, source.Oldest)
			f := wantCode(t, err, c.verdict, c.code)
			if c.verdict == waybill.Throttled && f.After != 7*time.Second {
				t.Errorf("it waits %s", f.After)
			}
			if strings.Contains(err.Error(), platform.Key) {
				t.Errorf("the key is in %v", err)
			}
			if _, events, err := a.Read(t.Context(), "wf_movies", wholeDay, source.Oldest); err != nil || len(events) != 1 {
				t.Errorf("afterwards: %v, %v", events, err)
			}
		})
	}
}

func TestThePlatformIsAskedAtItsOwnAddressAlone(t *testing.T) {
	_, a := playPlatform(t)
	other, _ := playPlatform(t)
	a.Platform.URL = "http://127.0.0.1:1/" // the guard lets nothing out but to the first platform
	_, _, err := a.Read(t.Context(), "wf_movies", wholeDay, source.Oldest)
	if f, ok := errors.AsType[*waybill.Failure](err); !ok || !strings.HasPrefix(f.Code, "platform.") {
		t.Errorf("another address: %v", err)
	}
	if n := len(other.Log()); n > 0 {
		t.Errorf("another platform was asked %d times", n)
	}
	a.Platform.URL = ""
	_, _, err = a.Read(t.Context(), "wf_movies", wholeDay, source.Oldest)
	wantCode(t, err, waybill.Blocked, "platform.settings")
}

func TestAWorkflowsIDStaysOneValueOfTheQuery(t *testing.T) {
	s, a := playPlatform(t)
	if _, err := a.Count(t.Context(), "wf_a&workflowId=wf_b", wholeDay); err != nil {
		t.Fatal(err)
	}
	query, err := url.ParseQuery(s.Log()[0].Query)
	if err != nil || !slices.Equal(query["workflowId"], []string{"wf_a&workflowId=wf_b"}) {
		t.Errorf("the query was %v, %v", query, err)
	}
}
