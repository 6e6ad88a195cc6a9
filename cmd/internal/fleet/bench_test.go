package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/ledger"
)

// BenchmarkALargeList shows pages of a fleet with five hundred deliveries on a
// page and three hundred connectors, and what the API and the pages add to what
// the ledger takes for the same list in the same run. How the ledger's page
// grows with the history is BenchmarkPageOfAMillionDeliveries.
func BenchmarkALargeList(b *testing.B) {
	w := start(b, func(c *config.Config) { c.Limits.APIRequests = 1_000_000 })
	for i := range 300 {
		c := w.connector(fmt.Sprintf("acme-%03d", i), "team-a")
		c.Workflows = []string{"wf_none"}
		if i == 0 {
			c.Workflows = nil
		}
		w.apply(c)
	}
	for i := range 500 {
		_, err := w.Producer().Submit(b.Context(), runOf("wf_movies", fmt.Sprintf("job_%04d", i)))
		must(b, err)
	}
	w.plan()
	cookie := w.login(w.ops)
	show := func(path, token, cookie string) func() {
		return func() {
			if a := w.ask("GET", path, token, "", "Cookie", cookie); a.status != 200 || len(a.body) < 10_000 {
				b.Fatalf("%s: %d, %d bytes", path, a.status, len(a.body))
			}
		}
	}
	list := func(limit int) func() {
		return func() {
			if page, err := w.Ledger.List(b.Context(), ledger.Filter{Limit: limit}); err != nil || len(page.Deliveries) != limit {
				b.Fatalf("%d deliveries, %v", len(page.Deliveries), err)
			}
		}
	}
	for _, c := range []struct {
		name       string
		peer, page func()
	}{
		{"API/deliveries=500", list(500), show("/v1/deliveries?limit=500", w.ops, "")},
		{"page/deliveries", list(50), show("/", "", cookie)},
		{"API/connectors=300", func() { _, err := w.Connectors.List(b.Context(), ""); must(b, err) }, show("/v1/connectors?limit=300", w.ops, "")},
		{"page/connectors", func() { _, err := w.Connectors.List(b.Context(), ""); must(b, err) }, show("/connectors", "", cookie)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var ours, peer time.Duration
			for b.Loop() { // in turns, so that both meet the same machine
				started := time.Now()
				c.peer()
				peer += time.Since(started)
				started = time.Now()
				c.page()
				ours += time.Since(started)
			}
			b.ReportMetric(ours.Seconds()/peer.Seconds(), "x-ledger")
			b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "ms/page")
		})
	}
}
