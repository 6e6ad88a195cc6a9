package handlers_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/monitoring"
)

// traceTo has the handlers send traces to a collector.
func (r *rig) traceTo(t *testing.T, url string) {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	r.Traces = monitoring.OpenTraces(t.Context(), os.LookupEnv, r.Log)
	t.Cleanup(r.Traces.Close)
}

func TestEveryAttemptIsInTheDeliverysTraceWithTheStepsItDid(t *testing.T) {
	r := setup(t, threeMovies)
	c := testservers.Collector(t)
	r.traceTo(t, c.URL)
	ref := r.plan(t, movies(3))
	r.store = &faultyStore{Store: r.customer, failAt: 9} // when it is read back
	r.failed(t, ref)
	if err := r.ExportPush(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	r.Traces.Close()

	attempts := map[string]string{}
	for _, s := range c.Spans() {
		if s.Name == "export.push" {
			attempts[s.SpanID] = fmt.Sprintf("attempt with %s rows, failed by %q", s.Attributes["waybill.rows"], s.Message)
		}
		if want := monitoring.TraceID(ref.Delivery, 1); s.TraceID != want {
			t.Errorf("%s is in trace %s, want that of the log lines, %s", s.Name, s.TraceID, want)
		}
	}
	var got []string
	for _, s := range c.Spans() {
		if s.Name != "export.push" {
			got = append(got, fmt.Sprintf("%s: %s, failed by %q", attempts[s.ParentID], s.Name, s.Message))
		}
	}
	slices.Sort(got)
	want := []string{
		`attempt with  rows, failed by "storage.unavailable": stage, failed by ""`,
		`attempt with  rows, failed by "storage.unavailable": verify, failed by "storage.unavailable"`,
		`attempt with 3 rows, failed by "": verify, failed by ""`}
	if !slices.Equal(got, want) || len(attempts) != 2 {
		t.Errorf("the spans are\n%q\nwant\n%q", got, want)
	}
}

func TestADeliveryIsDoneThoughNobodyTakesItsTraces(t *testing.T) {
	r := setup(t, threeMovies)
	r.traceTo(t, "http://127.0.0.1:1")
	ref := r.plan(t, movies(3))
	if err := r.ExportPush(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if d, err := r.Ledger.Delivery(t.Context(), ref.Delivery); err != nil || d.State != waybill.StateComplete {
		t.Errorf("it is %s, %v", d.State, err)
	}
}
