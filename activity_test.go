package waybill_test

import (
	"slices"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

func activity(title, details string) waybill.Activity {
	return waybill.Activity{OccurredAt: time.Date(2025, 1, 15, 10, 30, 0, 123456000, time.UTC), Title: title, WorkflowID: "wf_movies", Details: details}
}

// Ids are in customers' tables: they stay what they are for ever.
func TestAnEventHasTheSameIDForEver(t *testing.T) {
	events := []waybill.Activity{activity("Run finished", `{"records":3201}`), activity("Run finished", `{"records":3201}`)}
	waybill.IdentifyActivity(events)
	want := []string{"20250115T103000.123456Z-ac39be79793d39fa8d41fd1a0639699e-1", "20250115T103000.123456Z-ac39be79793d39fa8d41fd1a0639699e-2"}
	if events[0].ID != want[0] || events[1].ID != want[1] {
		t.Errorf("ids are %s and %s, want %s", events[0].ID, events[1].ID, want)
	}
}

func TestTheOrderOfReadingDoesNotMatterForIDs(t *testing.T) {
	a := []waybill.Activity{activity("a", ""), activity("b", ""), activity("a", ""), activity("", "ab")}
	b := slices.Clone(a)
	slices.Reverse(b)
	ids := func(events []waybill.Activity) (list []string) {
		waybill.IdentifyActivity(events)
		for _, e := range events {
			list = append(list, e.ID)
		}
		slices.Sort(list)
		return list
	}
	got, want := ids(b), ids(a)
	if !slices.Equal(got, want) || len(slices.Compact(slices.Clone(got))) != len(a) {
		t.Errorf("%q and %q", got, want)
	}
}

func TestEventsThatDifferAnywhereHaveOtherIDs(t *testing.T) {
	base := waybill.Activity{OccurredAt: time.Unix(1, 0), Title: "ab", RequestSource: "c"}
	others := []waybill.Activity{base, base, base, base, base, base, base, base, base, base, base}
	others[1].OccurredAt = time.Unix(1, 1000)
	others[2].Title, others[2].RequestSource = "a", "bc" // the same letters, elsewhere
	for i, field := range []*string{&others[3].UserID, &others[4].UserEmail, &others[5].ResourceType, &others[6].WorkflowID,
		&others[7].ResourceID, &others[8].ResourceName, &others[9].Details, &others[10].RequestSource} {
		*field = string(rune('p' + i))
	}
	seen := map[string]bool{}
	for i := range others {
		waybill.IdentifyActivity(others[i : i+1])
		seen[others[i].ID] = true
	}
	if len(seen) != len(others) {
		t.Errorf("%d ids of %d events", len(seen), len(others))
	}
}
