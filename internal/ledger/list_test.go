package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

func TestListing(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		const teams, jobs = 5, 7
		b.window(t, 100)
		var want []string
		for team := range teams {
			for job := range jobs {
				r := run(fmt.Sprintf("job_%d", job))
				r.TeamID = fmt.Sprintf("team-%d", team)
				want = append(want, b.plan(t, r, 4))
			}
		}
		var got []string
		f := ledger.Filter{Limit: 4}
		for {
			page, err := b.List(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page.Deliveries {
				got = append(got, d.ID)
			}
			if page.Cursor == "" {
				break
			}
			f.Cursor = page.Cursor
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("paging gave %d deliveries, want each of %d once", len(got), len(want))
		}
		count := func(f ledger.Filter) int {
			page, err := b.List(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			return len(page.Deliveries)
		}
		for _, c := range []struct {
			name string
			f    ledger.Filter
			want int
		}{
			{"team", ledger.Filter{Team: "team-1"}, jobs},
			{"team and job", ledger.Filter{Team: "team-1", Job: "job_2"}, 1},
			{"connector", ledger.Filter{Connector: "lake"}, teams * jobs},
			{"another connector", ledger.Filter{Connector: "lak"}, 0},
			{"workflow", ledger.Filter{Workflow: "wf_movies", Job: "job_3"}, teams},
			{"state", ledger.Filter{State: waybill.StateQueued}, teams * 4},
			{"state and stage", ledger.Filter{State: waybill.StateQueued, Stage: waybill.StageLoad}, 0},
			{"since now", ledger.Filter{Since: time.Now().Add(time.Hour)}, 0},
			{"until the past", ledger.Filter{Until: time.Now().Add(-time.Hour)}, 0},
			{"until the future", ledger.Filter{Until: time.Now().Add(time.Hour)}, teams * jobs},
		} {
			if got := count(c.f); got != c.want {
				t.Errorf("by %s: %d deliveries, want %d", c.name, got, c.want)
			}
		}
		if _, err := b.List(t.Context(), ledger.Filter{Cursor: "nonsense"}); err == nil {
			t.Error("a cursor that no page ended with was taken")
		}
	})
}

func TestConnectorIDsAreNeverReused(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		put := func(id, team string) error {
			was, err := b.Connector(t.Context(), id)
			if err != nil && !errors.Is(err, waybill.ErrNotFound) {
				return err
			}
			return b.PutConnector(t.Context(), id, team, was, []byte(`{"id":"`+id+`"}`))
		}
		if err := errors.Join(put("lake", "team-a"), put("lake", "team-a"), put("pond", "team-b")); err != nil {
			t.Fatal(err)
		}
		if err := put("lake", "team-b"); !errors.Is(err, waybill.ErrIDUsed) {
			t.Errorf("another team took the id: %v", err)
		}
		if err := b.PutConnector(t.Context(), "lake", "team-a", nil, []byte(`{}`)); !errors.Is(err, waybill.ErrChanged) {
			t.Errorf("who did not know of the connector replaced it: %v", err)
		}
		if docs, err := b.Connectors(t.Context(), ""); err != nil || len(docs) != 2 {
			t.Errorf("%d connectors, %v", len(docs), err)
		}
		if docs, err := b.Connectors(t.Context(), "team-b"); err != nil || len(docs) != 1 || string(docs[0]) != `{"id":"pond"}` {
			t.Errorf("team-b has %s, %v", docs, err)
		}
		if err := b.DeleteConnector(t.Context(), "lake"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Connector(t.Context(), "lake"); !errors.Is(err, waybill.ErrNotFound) {
			t.Errorf("deleted connector: %v", err)
		}
		if err := put("lake", "team-a"); !errors.Is(err, waybill.ErrIDUsed) {
			t.Errorf("a deleted id was taken again: %v", err)
		}
		if err := b.DeleteConnector(t.Context(), "none"); !errors.Is(err, waybill.ErrNotFound) {
			t.Errorf("deleting nothing: %v", err)
		}
	})
}
