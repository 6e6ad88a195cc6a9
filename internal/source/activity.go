package source

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/netguard"
)

// ActivityLog reads the platform's activity log. Its events have no id, there
// is no cursor, and its pages are cut by offset from a list that changes while
// it is read: an event that comes late moves all that are older by one place,
// and the order of those of one moment is anybody's guess.
//
// So pages are not what is read. One answer is of one moment: an interval of
// which it holds everything cannot drift. An interval that has more events than
// one answer holds is halved, until its part has not.
type ActivityLog struct {
	Web      *netguard.Guard
	Platform Platform
}

// Span is a half-open interval of time, of whole seconds.
type Span struct{ From, To time.Time }

// End says which end of a span is read first.
type End bool

// The ends.
const (
	Oldest End = false
	Newest End = true
)

const (
	// activityPath and activityLimit, the most events of an answer, are the API's.
	activityPath  = "v4/activity/"
	activityLimit = 1000
	// activityPasses is how often a second that has more events than an answer
	// holds is read in hope of two readings that are alike.
	activityPasses = 5
)

// Read returns a workflow's events in a part of the span that begins, or ends,
// with the span; and which part it is. It is as long as it can be. The events
// are identified, oldest first. Errors are a [waybill.Failure] without a
// stage, or the context's error.
func (a ActivityLog) Read(ctx context.Context, workflow string, s Span, first End) (Span, []waybill.Activity, error) {
	for {
		p, err := a.page(ctx, workflow, s, 0, activityLimit)
		switch {
		case err != nil:
			return s, nil, err
		case p.whole():
			return s, identified(p.events), nil
		case s.To.Sub(s.From) <= time.Second:
			events, err := a.pages(ctx, workflow, s)
			return s, identified(events), err
		}
		s = s.half(first)
	}
}

func (s Span) half(first End) Span {
	middle := s.From.Add(s.To.Sub(s.From) / 2).Truncate(time.Second)
	if first == Newest {
		return Span{middle, s.To}
	}
	return Span{s.From, middle}
}

func identified(events []waybill.Activity) []waybill.Activity {
	waybill.IdentifyActivity(events)
	slices.SortFunc(events, func(a, b waybill.Activity) int { return strings.Compare(a.ID, b.ID) })
	return events
}

// Count returns how many events of a workflow the platform has in a span,
// which at its ends it may see a little wider than we do.
func (a ActivityLog) Count(ctx context.Context, workflow string, s Span) (int64, error) {
	p, err := a.page(ctx, workflow, s, 0, 1)
	return p.total, err
}

// pages reads what one answer does not hold. It is believed when two readings
// in a row have the same events, as many as the platform says there are.
func (a ActivityLog) pages(ctx context.Context, workflow string, s Span) ([]waybill.Activity, error) {
	var before []string
	for range activityPasses {
		events, steady, err := a.pass(ctx, workflow, s)
		if err != nil {
			return nil, err
		}
		var now []string
		for _, e := range identified(events) {
			now = append(now, e.ID)
		}
		if steady && before != nil && slices.Equal(now, before) {
			return events, nil
		}
		if before = nil; steady {
			before = now
		}
	}
	return nil, waybill.Failf(waybill.Transient, "platform.activity_drifts",
		"The platform's activity log changes while it is read; it is read again by itself.", "%s of %s: %d readings, no two in a row alike", s.From, workflow, activityPasses)
}

// pass reads all pages of a span; steady says that the count stayed the same.
func (a ActivityLog) pass(ctx context.Context, workflow string, s Span) (events []waybill.Activity, steady bool, err error) {
	for read, total := int64(0), int64(-1); ; {
		p, err := a.page(ctx, workflow, s, read, activityLimit)
		if err != nil {
			return nil, false, err
		}
		if total >= 0 && p.total != total {
			return nil, false, nil
		}
		total, read, events = p.total, read+p.read, append(events, p.events...)
		if !p.more || p.read == 0 {
			return events, read == total, nil
		}
	}
}

// page is one answer.
type page struct {
	events []waybill.Activity // of the workflow, within the span
	offset int64
	read   int64 // events in the answer
	total  int64 // that the platform says there are
	more   bool
}

// whole reports whether the answer holds all that there is.
func (p page) whole() bool { return p.offset == 0 && !p.more && p.read == p.total }

// answered is what is looked at of an answer: of an event, what customers see
// of it and nothing else.
type answered struct {
	Data *struct {
		Events     []answeredEvent `json:"events"`
		Pagination *struct {
			Total   *int64 `json:"total"`
			HasMore bool   `json:"hasMore"`
		} `json:"pagination"`
	} `json:"data"`
}

type answeredEvent struct {
	Title    loose     `json:"title"`
	DateTime time.Time `json:"dateTime"`
	Source   struct {
		RequestSource loose `json:"requestSource"`
		UserID        loose `json:"userId"`
		UserEmail     loose `json:"userEmail"`
	} `json:"source"`
	Resource struct {
		Type       loose `json:"type"`
		WorkflowID loose `json:"workflowId"`
		ResourceID loose `json:"resourceId"`
		Name       loose `json:"name"`
	} `json:"resource"`
	Details json.RawMessage `json:"details"`
}

// loose is a text, or a number or boolean as it is written; null is empty.
type loose string

func (l *loose) UnmarshalJSON(text []byte) error {
	switch text[0] {
	case '"':
		return json.Unmarshal(text, (*string)(l))
	case '{', '[':
		return fmt.Errorf("%.20s… stands where a text belongs", text)
	case 'n':
		return nil
	}
	*l = loose(text)
	return nil
}

// page asks for a page. The platform is asked for a second more on each side,
// so that nothing depends on whether its ends belong to it.
func (a ActivityLog) page(ctx context.Context, workflow string, s Span, offset, limit int64) (page, error) {
	const format = "2006-01-02T15:04:05.000Z"
	query := url.Values{"workflowId": {workflow}, "startDate": {s.From.Add(-time.Second).UTC().Format(format)}, "endDate": {s.To.UTC().Format(format)},
		"limit": {strconv.FormatInt(limit, 10)}, "offset": {strconv.FormatInt(offset, 10)}}
	var answer answered
	if err := a.Platform.getJSON(ctx, a.Web, activityPath, query, &answer); err != nil {
		return page{}, err
	}
	if answer.Data == nil || answer.Data.Pagination == nil || answer.Data.Pagination.Total == nil {
		return page{}, waybill.Failf(waybill.Transient, "platform.unreadable", askAgainAction, "the answer has no events or does not say how many there are")
	}
	p := page{offset: offset, read: int64(len(answer.Data.Events)), total: *answer.Data.Pagination.Total, more: answer.Data.Pagination.HasMore}
	for i, e := range answer.Data.Events {
		event, err := e.event()
		if err != nil {
			return page{}, waybill.Failf(waybill.Transient, "platform.unreadable", askAgainAction, "event %d: %w", i, err)
		}
		if event.WorkflowID == workflow && !event.OccurredAt.Before(s.From) && event.OccurredAt.Before(s.To) {
			p.events = append(p.events, event)
		}
	}
	return p, nil
}

// event is what customers see of an event.
func (e answeredEvent) event() (waybill.Activity, error) {
	details, err := publicDetails(e.Details)
	if err == nil && e.DateTime.IsZero() {
		err = fmt.Errorf("it has no dateTime")
	}
	return waybill.Activity{OccurredAt: e.DateTime.UTC().Truncate(time.Microsecond), Title: string(e.Title),
		RequestSource: string(e.Source.RequestSource), UserID: string(e.Source.UserID), UserEmail: string(e.Source.UserEmail),
		ResourceType: string(e.Resource.Type), WorkflowID: string(e.Resource.WorkflowID), ResourceID: string(e.Resource.ResourceID),
		ResourceName: string(e.Resource.Name), Details: details}, err
}

// publicDetails writes details in the one form that the same details always
// have: keys in order, numbers as they were written. Keys that begin with "_"
// are internal, as everywhere on the platform, and left out.
func publicDetails(text json.RawMessage) (string, error) {
	if len(text) == 0 {
		return "", nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil || v == nil {
		return "", err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(public(v))
	return strings.TrimSuffix(out.String(), "\n"), err
}

func public(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if strings.HasPrefix(key, "_") {
				delete(v, key)
			} else {
				v[key] = public(value)
			}
		}
	case []any:
		for i := range v {
			v[i] = public(v[i])
		}
	}
	return v
}
