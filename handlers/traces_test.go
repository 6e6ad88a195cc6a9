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
	r.store = &faultyStore{Store: r.customer, failAt: 5, after: true} // when the manifest is written
	r.failed(t, ref)
	if err := r.ExportPush(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	r.Traces.Close()

	attempts := map[string]string{}
	for _, s := range c.Spans() {
		if s.Name == "export.push" {
			attempts[s.SpanID] = s.Attributes["waybill.attempt"]
		}
		if want := monitoring.TraceID(ref.Delivery, 1); s.TraceID != want {
			t.Errorf("%s is in trace %s, want that of the log lines, %s", s.Name, s.TraceID, want)
		}
	}
	var got []string
	for _, s := range c.Spans() {
		got = append(got, fmt.Sprintf("attempt %s %s %s rows=%s", attempts[s.ParentID]+attempts[s.SpanID], s.Name, s.Message, s.Attributes["waybill.rows"]))
	}
	slices.Sort(got)
	want := []string{"attempt 1 export.push storage.unavailable rows=", "attempt 1 stage  rows=", "attempt 1 verify storage.unavailable rows=",
		"attempt 2 export.push  rows=3", "attempt 2 verify  rows="}
	if !slices.Equal(got, want) {
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
