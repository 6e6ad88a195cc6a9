package waybill

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// Activity is one event of the activity log, as customers see it. Nothing else of
// what the platform says of an event is known here.
type Activity struct {
	ID            string    // see [IdentifyActivity]
	OccurredAt    time.Time // microseconds, UTC
	Title         string
	RequestSource string
	UserID        string
	UserEmail     string
	ResourceType  string
	WorkflowID    string
	ResourceID    string
	ResourceName  string
	Details       string // JSON text in its canonical form, or empty
}

// Texts are what an event says, in the order of ACTIVITY_LOG's columns after
// EVENT_ID and OCCURRED_AT.
func (a Activity) Texts() []string {
	return []string{a.Title, a.RequestSource, a.UserID, a.UserEmail, a.ResourceType, a.WorkflowID, a.ResourceID, a.ResourceName, a.Details}
}

// IdentifyActivity gives events their ids, for the platform has none: the time,
// a hash of all that the event says, and which of several that say the same it
// is, counted from 1. So the same events have the same ids whenever they are
// read, and of two that are alike both are kept. The list must hold all events
// of each moment that it has one of. An id begins with its time, so that ids
// that are near each other are of events that are.
func IdentifyActivity(events []Activity) {
	seen := map[string]int{}
	for i, e := range events {
		h := sha256.New()
		for _, text := range e.Texts() {
			fmt.Fprintf(h, "%d:%s", len(text), text)
		}
		id := fmt.Sprintf("%s-%x", e.OccurredAt.UTC().Format("20060102T150405.000000Z"), h.Sum(nil)[:16])
		seen[id]++
		events[i].ID = fmt.Sprintf("%s-%d", id, seen[id])
	}
}
