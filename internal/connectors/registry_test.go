package connectors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

// memory is a Backend for tests, with the rules that the port asks for.
type memory struct {
	docs   map[string][]byte
	owners map[string]string // also of deleted ids
	fail   error
	before func(context.Context) // once, before a put takes effect
}

var _ Backend = (*memory)(nil)

func (m *memory) PutConnector(ctx context.Context, id, team string, was, doc []byte) error {
	if m.before != nil { // another process applies in between
		before := m.before
		m.before = nil
		before(ctx)
	}
	if owner, used := m.owners[id]; used && (owner != team || m.docs[id] == nil) {
		return ErrIDUsed
	}
	if !bytes.Equal(m.docs[id], was) {
		return waybill.ErrChanged
	}
	m.docs[id], m.owners[id] = doc, team
	return m.fail
}

func (m *memory) Connector(_ context.Context, id string) ([]byte, error) {
	if m.docs[id] == nil {
		return nil, ErrNotFound
	}
	return m.docs[id], m.fail
}

func (m *memory) Connectors(_ context.Context, team string) (docs [][]byte, _ error) {
	for id, doc := range m.docs {
		if team == "" || m.owners[id] == team {
			docs = append(docs, doc)
		}
	}
	return docs, m.fail
}

func (m *memory) DeleteConnector(_ context.Context, id string) error {
	if m.docs[id] == nil {
		return ErrNotFound
	}
	delete(m.docs, id)
	return nil
}

func TestTwoFirstAppliesAgreeOnOneExternalID(t *testing.T) {
	r, backend := setup(t)
	c := Connector{ID: "lake", Team: "acme", Kind: waybill.KindStorage, Storage: &Storage{URL: "s3://acme", Region: "eu-central-1", Formats: []string{"csv"}}}
	backend.before = func(ctx context.Context) {
		if _, err := r.Apply(ctx, c); err != nil {
			t.Error(err)
		}
		first, err := r.Get(ctx, "lake")
		if err != nil || first.ExternalID == "" {
			t.Fatalf("%+v, %v", first, err)
		}
		t.Cleanup(func() {
			if last, err := r.Get(context.Background(), "lake"); err != nil || last.ExternalID != first.ExternalID {
				t.Errorf("the external id changed from %s to %s, %v", first.ExternalID, last.ExternalID, err)
			}
		})
	}
	if change, err := r.Apply(t.Context(), c); err != nil || change != Unchanged {
		t.Errorf("the slower of two applies: %s, %v", change, err)
	}
}

func setup(t *testing.T) (*Registry, *memory) {
	t.Helper()
	backend := &memory{docs: map[string][]byte{}, owners: map[string]string{}}
	r := NewRegistry(backend, rules)
	clock := time.Date(2025, 1, 15, 10, 30, 0, 999, time.UTC)
	r.now = func() time.Time { clock = clock.Add(time.Hour); return clock }
	return r, backend
}

func apply(t *testing.T, r *Registry, c Connector, want Change) {
	t.Helper()
	if got, err := r.Apply(t.Context(), c); err != nil || got != want {
		t.Errorf("Apply = %q, %v, want %q", got, err, want)
	}
}

func TestApply(t *testing.T) {
	r, _ := setup(t)
	c := lake(t)
	apply(t, r, c, Created)
	first, err := r.Get(t.Context(), c.ID)
	if err != nil || first.CreatedAt != time.Date(2025, 1, 15, 11, 30, 0, 0, time.UTC) {
		t.Errorf("created at %s, %v", first.CreatedAt, err)
	}
	apply(t, r, c, Unchanged)
	c.CreatedAt = time.Now() // not for the caller to say
	apply(t, r, c, Unchanged)
	c.Workflows, c.MaxInFlight = nil, 7
	apply(t, r, c, Changed)
	got, err := r.Get(t.Context(), c.ID)
	if err != nil || got.MaxInFlight != 7 || got.Workflows != nil || got.CreatedAt != first.CreatedAt {
		t.Errorf("changed to %+v, %v", got, err)
	}
}

// An external id is made once and never again: a role that trusts it would
// refuse us.
func TestExternalID(t *testing.T) {
	r, _ := setup(t)
	c := lake(t)
	c.ExternalID = "not-for-a-person-to-say"
	apply(t, r, c, Created)
	first, err := r.Get(t.Context(), c.ID)
	if err != nil || !regexp.MustCompile(`^waybill-[A-Z2-7]{26}$`).MatchString(first.ExternalID) {
		t.Fatalf("the external id is %q, %v", first.ExternalID, err)
	}
	role := Access{RoleARN: "arn:aws:iam::123456789012:role/waybill"}
	for _, access := range []Access{role, {}, role} {
		c.Storage.Access = access
		apply(t, r, c, Changed)
		if got, err := r.Get(t.Context(), c.ID); err != nil || got.ExternalID != first.ExternalID {
			t.Errorf("the external id became %q, %v", got.ExternalID, err)
		}
	}
	c.ExternalID = ""
	apply(t, r, c, Unchanged)

	other := lake(t)
	other.ID = "other"
	apply(t, r, other, Created)
	if got, err := r.Get(t.Context(), "other"); err != nil || got.ExternalID == first.ExternalID || got.ExternalID == "" {
		t.Errorf("another connector has the external id %q, %v", got.ExternalID, err)
	}

	// A connector from before there were external ids gets one, and keeps it.
	old, err := os.ReadFile("testdata/connector.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	r, backend := setup(t)
	backend.docs["acme-lake"], backend.owners["acme-lake"] = old, lake(t).Team
	apply(t, r, lake(t), Changed)
	apply(t, r, lake(t), Unchanged)
	if got, err := r.Get(t.Context(), "acme-lake"); err != nil || got.ExternalID == "" {
		t.Errorf("an old connector has the external id %q, %v", got.ExternalID, err)
	}
}

func TestApplyRefuses(t *testing.T) {
	r, backend := setup(t)
	c := lake(t)
	apply(t, r, c, Created)

	wrong := c
	wrong.Team, wrong.MaxInFlight = "another", -1
	if _, err := r.Apply(t.Context(), wrong); !slices.Equal(texts(err), []string{"maxInFlight: -1 is out of range; use 1 to 1000, or leave it out for the fleet's default"}) {
		t.Errorf("a wrong connector gave %v", err)
	}
	wrong.MaxInFlight = 0
	if _, err := r.Apply(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "team: cannot change") {
		t.Errorf("another team gave %v", err)
	}
	if p := fixed(c, Connector{Team: c.Team, Kind: "snowflake"}); len(p) != 1 || p[0].Message != "cannot change from storage to snowflake; use another id" {
		t.Errorf("another kind gave %v", p)
	}

	if err := r.Delete(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Apply(t.Context(), c); !errors.Is(err, ErrIDUsed) || !strings.Contains(err.Error(), `connector "acme-lake"`) {
		t.Errorf("a deleted id gave %v", err)
	}
	if err := r.Delete(t.Context(), c.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleting twice gave %v", err)
	}

	c.ID, backend.fail = "unlucky", errors.New("no Redis")
	if _, err := r.Apply(t.Context(), c); !errors.Is(err, backend.fail) {
		t.Errorf("a backend's fault gave %v", err)
	}
}

func TestList(t *testing.T) {
	r, backend := setup(t)
	for i, team := range []string{"b", "a", "b"} {
		c := lake(t)
		c.ID, c.Team = fmt.Sprintf("c-%d", 9-i), team
		apply(t, r, c, Created)
	}
	for team, want := range map[string][]string{"": {"c-7", "c-8", "c-9"}, "b": {"c-7", "c-9"}, "x": nil} {
		list, err := r.List(t.Context(), team)
		var got []string
		for _, c := range list {
			got = append(got, c.ID)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("List(%q) = %v, %v", team, got, err)
		}
	}
	backend.docs["c-8"] = []byte(`{"newer":1}`)
	if _, err := r.List(t.Context(), ""); err == nil {
		t.Error("a document of a newer version was read")
	}
}
