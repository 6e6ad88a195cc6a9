package delta

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// mirrors is a LATEST table over two versions of a schema.
type mirrors struct {
	v1, v2, latest *Table
}

func newMirrors(t *testing.T) mirrors {
	t.Helper()
	store := folder(t)
	m := mirrors{Open(store, "v1", Options{CompactAbove: 1}), Open(store, "v2", Options{}), Open(store, "latest", Options{})}
	must[Committed](t)(m.v1.Create(t.Context(), cities()))
	must[Committed](t)(m.v2.Create(t.Context(), Definition{Name: "WF_CITIES__V2", Columns: otherSchema.Columns("kadoa")}))
	return m
}

func (m mirrors) load(t *testing.T, l Load) {
	t.Helper()
	l = l.put(t, m.v1, citySchema, cityRecords(l, 1)...)
	must[Committed](t)(m.v1.Replace(t.Context(), l))
}

func (m mirrors) of(version int, fence int64) Mirror {
	if version == 1 {
		return Mirror{Definition: cities(), Source: m.v1, SchemaVersion: 1, Fence: fence}
	}
	return Mirror{Definition: Definition{Name: "L", Columns: otherSchema.Columns("kadoa")}, Source: m.v2, SchemaVersion: 2, Fence: fence}
}

func TestLatestMirrorsItsVersionAndComesBackToIt(t *testing.T) {
	m := newMirrors(t)
	if l := must[Latest](t)(m.latest.Latest(t.Context())); l.SchemaVersion != 0 {
		t.Errorf("before there is a table it stands at %+v", l)
	}
	m.load(t, delivery("a", 1))
	must[Committed](t)(m.latest.Follow(t.Context(), m.of(1, 1)))
	id := must[*Snapshot](t)(m.latest.Snapshot(t.Context())).Metadata.ID
	wantContents(t, m.latest, "a/1/0")

	m.load(t, delivery("b", 1)) // missed by LATEST: another delivery brings it along
	m.load(t, delivery("a", 2))
	must[Committed](t)(m.latest.Follow(t.Context(), m.of(1, 2)))
	wantContents(t, m.latest, "a/2/0", "b/1/0")
	if c := must[Committed](t)(m.latest.Follow(t.Context(), m.of(1, 2))); c.Changed {
		t.Error("what was mirrored is mirrored again")
	}

	c := must[Committed](t)(m.latest.Follow(t.Context(), m.of(2, 3)))
	if len(c.Files()) != 0 || c.Metadata.ID != id || !strings.Contains(c.Metadata.SchemaString, "TOWN") {
		t.Errorf("with another schema it is %+v", c.Metadata)
	}
	if _, err := m.latest.Follow(t.Context(), m.of(1, 2)); !errors.Is(err, ErrSuperseded) {
		t.Errorf("a stale attempt is answered with %v", err)
	}
	back := m.of(1, 4)
	back.Pinned = true
	c = must[Committed](t)(m.latest.Follow(t.Context(), back))
	wantContents(t, m.latest, "a/2/0", "b/1/0")
	if l := must[Latest](t)(m.latest.Latest(t.Context())); c.Metadata.ID != id || l.SchemaVersion != 1 || !l.Pinned || l.Version != 3 {
		t.Errorf("back at the schema of before it is %+v, identity %s", l, c.Metadata.ID)
	} else if len(l.Moves) != 3 || l.Moves[0].SchemaVersion != 1 || l.Moves[1].SchemaVersion != 2 || l.Moves[2].SchemaVersion != 1 || !l.Moves[2].Pinned {
		t.Errorf("it remembers the moves %+v", l.Moves)
	}
}

func TestLatestTakesACompactionAsNoChangeOfData(t *testing.T) {
	m := newMirrors(t)
	m.load(t, delivery("a", 1))
	m.load(t, delivery("b", 1))
	must[Committed](t)(m.latest.Follow(t.Context(), m.of(1, 0)))
	must[Committed](t)(m.v1.Compact(t.Context()))
	c := must[Committed](t)(m.latest.Follow(t.Context(), m.of(1, 0)))
	wantContents(t, m.latest, "a/1/0", "b/1/0")
	for _, a := range must[[]action](t)(m.latest.commitAt(t.Context(), c.Version)) {
		if a.Add != nil && a.Add.DataChange || a.Remove != nil && a.Remove.DataChange {
			t.Errorf("a reader of changes would see %+v %+v", a.Add, a.Remove)
		}
	}
}

func TestLatestFollowsTheRunThatFinishedLast(t *testing.T) {
	at := func(minute int) time.Time { return finished.Add(time.Duration(minute) * time.Minute) }
	if _, ok := Newest(nil); ok {
		t.Error("there is a newest of no runs")
	}
	for name, tc := range map[string]struct {
		runs []PublishedRun
		want string
	}{
		"an older run after a newer one": {[]PublishedRun{{"b", 2, at(2)}, {"a", 1, at(1)}}, "b"},
		"back to an older schema":        {[]PublishedRun{{"a", 1, at(1)}, {"b", 2, at(2)}, {"c", 1, at(3)}}, "c"},
		"finished together":              {[]PublishedRun{{"b", 2, at(1)}, {"a", 1, at(1)}}, "b"},
	} {
		if got, ok := Newest(tc.runs); !ok || got.JobID != tc.want {
			t.Errorf("%s: %s, want %s", name, got.JobID, tc.want)
		}
	}
}

func TestPublishedRunsAreThoseOfTheWorkflow(t *testing.T) {
	store := folder(t)
	for _, l := range []Load{delivery("a", 1), delivery("b", 1)} {
		if err := publish(t.Context(), store, l, 1); err != nil {
			t.Fatal(err)
		}
	}
	runs := Open(store, "runs", Options{})
	must[Committed](t)(runs.Upsert(t.Context(), []string{"WORKFLOW_ID", "JOB_ID"}, []Row{
		{"WORKFLOW_ID": "wf", "JOB_ID": "b", "STATUS": "UNPUBLISHED"}, {"WORKFLOW_ID": "other", "JOB_ID": "c", "STATUS": "PUBLISHED"}}))
	got := must[[]PublishedRun](t)(runs.PublishedRuns(t.Context(), "wf"))
	if len(got) != 1 || got[0] != (PublishedRun{"a", 1, finished}) {
		t.Errorf("the published runs are %v", got)
	}
	if got, err := Open(store, "none", Options{}).PublishedRuns(t.Context(), "wf"); err != nil || got != nil {
		t.Errorf("where nothing was published there are %v, %v", got, err)
	}
}
