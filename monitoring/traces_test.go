package monitoring

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
)

// traced starts traces to a collector, as the variables of a process have it.
func traced(t *testing.T, env ...string) (*Traces, *testservers.CollectorServer) {
	t.Helper()
	c := testservers.Collector(t)
	return tracedTo(t, io.Discard, append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL)...), c
}

func tracedTo(t *testing.T, log io.Writer, env ...string) *Traces {
	t.Helper()
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	traces := OpenTraces(t.Context(), os.LookupEnv, slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(traces.Close)
	return traces
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func delivery() waybill.Delivery {
	return waybill.Delivery{ID: "d01", RunKey: waybill.RunKey{TeamID: "team-a", WorkflowID: "wf_movies", JobID: "job_1"}, Connector: "acme-lake",
		Kind: waybill.KindStorage, Generation: 2, Attempts: 3}
}

func TestAnAttemptIsInItsDeliverysTraceWithItsSteps(t *testing.T) {
	traces, c := traced(t, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test,service.name=other", "OTEL_SERVICE_NAME=waybill-eu")
	d := delivery()
	ctx, attempt := traces.Attempt(t.Context(), "export.push", d)
	if trace.SpanContextFromContext(ctx).IsValid() {
		t.Error("the libraries of the clouds would add spans of their requests, with their addresses")
	}
	stepCtx, step := traces.Step(ctx, waybill.StageStage)
	if trace.SpanContextFromContext(stepCtx).IsValid() {
		t.Error("within a step, the libraries of the clouds would add spans of their requests")
	}
	step.End(nil)
	_, step = traces.Step(ctx, waybill.StageVerify)
	secret := errors.New("GET https://bucket.example/o?X-Amz-Signature=planted-signature: 403")
	failure := waybill.At(waybill.StageVerify, waybill.Failf(waybill.Blocked, "storage.access_denied", "Allow it.", "%w", secret))
	step.End(failure)
	attempt.Delivered(3201, 512)
	attempt.End(failure)
	_, lost := traces.Attempt(t.Context(), "export.push", d)
	lost.End(secret)
	traces.Close()

	spans := c.Spans()
	if len(spans) != 4 {
		t.Fatalf("%d spans: %+v", len(spans), spans)
	}
	byName := map[string]testservers.CollectedSpan{}
	for _, s := range spans {
		if s.TraceID != TraceID("d01", 2) {
			t.Errorf("%s is in trace %s, want the delivery's, %s", s.Name, s.TraceID, TraceID("d01", 2))
		}
		if s.Resource["service.name"] != "waybill-eu" || s.Resource["deployment.environment.name"] != "test" || s.Resource["host.name"] == "" {
			t.Errorf("%s is of %v", s.Name, s.Resource)
		}
		if s.Message != "lost" {
			byName[s.Name] = s
		}
	}
	root := byName["export.push"]
	for name, want := range map[string]string{"waybill.delivery": "d01", "waybill.connector": "acme-lake", "waybill.kind": "storage", "waybill.team": "team-a",
		"waybill.workflow": "wf_movies", "waybill.job": "job_1", "waybill.generation": "2", "waybill.attempt": "3", "waybill.rows": "3201", "waybill.bytes": "512",
		"waybill.stage": "verify", "waybill.verdict": "blocked", "error.type": "storage.access_denied"} {
		if root.Attributes[name] != want {
			t.Errorf("the attempt says %s=%q, want %q", name, root.Attributes[name], want)
		}
	}
	if root.ParentID != "" || root.Kind != "SPAN_KIND_CONSUMER" || root.Status != "STATUS_CODE_ERROR" || root.Message != "storage.access_denied" {
		t.Errorf("the attempt is %+v", root)
	}
	for stage, status := range map[string]string{"stage": "STATUS_CODE_UNSET", "verify": "STATUS_CODE_ERROR"} {
		s := byName[stage]
		if s.ParentID != root.SpanID || s.Attributes["waybill.stage"] != stage || s.Status != status {
			t.Errorf("step %s is %+v, of attempt %s", stage, s, root.SpanID)
		}
	}
	if strings.Contains(c.Text(), "planted") || strings.Contains(c.Text(), "bucket.example") {
		t.Error("a span holds an error's text")
	}
}

func TestTracesAreSentOnlyWhereTheVariablesAskForThem(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"
	for _, c := range []struct {
		env  string
		want bool
		why  string
	}{
		{"", false, ""},
		{endpoint, true, ""},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://collector:4318/v1/traces", true, ""},
		{"OTEL_TRACES_EXPORTER=otlp", true, ""},
		{"OTEL_TRACES_EXPORTER=none " + endpoint, false, ""},
		{"OTEL_SDK_DISABLED=true " + endpoint, false, ""},
		{"OTEL_SDK_DISABLED=True OTEL_TRACES_EXPORTER=otlp", false, ""},
		{"OTEL_SDK_DISABLED=false " + endpoint, true, ""},
		{"OTEL_TRACES_EXPORTER=zipkin " + endpoint, false, `OTEL_TRACES_EXPORTER is "zipkin"; use otlp, or none`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf " + endpoint, true, ""},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc " + endpoint, false, `protocol "grpc"; use http/protobuf, at the collector's port 4318`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf " + endpoint, true, ""},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", false, ""}, // nothing was asked for
	} {
		env := map[string]string{}
		for pair := range strings.FieldsSeq(c.env) {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
		var log bytes.Buffer
		traces := OpenTraces(t.Context(), func(name string) (string, bool) { v, ok := env[name]; return v, ok }, slog.New(slog.NewJSONHandler(&log, nil)))
		traces.Close()
		said := strings.ReplaceAll(log.String(), `\"`, `"`)
		if (traces != nil) != c.want || !strings.Contains(said, c.why) || strings.Contains(said, "WARN") != (c.why != "") {
			t.Errorf("%s: sent: %v, and the log says %q", c.env, traces != nil, said)
		}
	}
}

func TestTracesThatAreOffShowNothing(t *testing.T) {
	var traces *Traces
	ctx, attempt := traces.Attempt(t.Context(), "export.push", delivery())
	ctx2, step := traces.Step(ctx, waybill.StageStage)
	if ctx != t.Context() || ctx2 != t.Context() {
		t.Error("a context was made")
	}
	step.End(io.EOF)
	attempt.Delivered(1, 1)
	attempt.End(nil)
	traces.Request(httptest.NewRequest(http.MethodGet, "/", nil)).Answered("GET", "/", 200)
	traces.Close()
}

// A sampler takes every attempt at a delivery, or none.
func TestTheVariablesChooseWhichTracesAreSent(t *testing.T) {
	attempts := func(env ...string) map[string]int {
		traces, c := traced(t, env...)
		for i := range 100 {
			for range 3 {
				d := delivery()
				d.ID = fmt.Sprintf("d%02d", i)
				_, span := traces.Attempt(t.Context(), "export.push", d)
				span.End(nil)
			}
		}
		traces.Close()
		by := map[string]int{}
		for _, s := range c.Spans() {
			by[s.Attributes["waybill.delivery"]]++
		}
		return by
	}
	if by := attempts("OTEL_TRACES_SAMPLER=always_off"); len(by) != 0 {
		t.Errorf("with always_off, %d deliveries were sent", len(by))
	}
	by := attempts("OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.5")
	if len(by) < 20 || len(by) > 80 {
		t.Errorf("of 100 deliveries a half is %d", len(by))
	}
	for id, n := range by {
		if n != 3 {
			t.Errorf("of three attempts at %s, %d were sent", id, n)
		}
	}
}

// Nobody waits for a collector: neither who works, nor, for long, who ends.
func TestACollectorThatDoesNotAnswerHoldsUpNobody(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer silent.Close()
	defer close(release)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere := "http://" + l.Addr().String()
	l.Close()
	for _, endpoint := range []string{silent.URL, nowhere} {
		var log lockedBuffer // what the libraries say comes from goroutines of theirs
		traces := tracedTo(t, &log, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "OTEL_BSP_SCHEDULE_DELAY=1")
		traces.flush = 1 // a nanosecond; the server answers after all of this
		for range 10_000 {
			_, span := traces.Attempt(t.Context(), "export.push", delivery())
			span.End(nil)
		}
		traces.Close()
		if !strings.Contains(log.String(), "the last traces are lost") {
			t.Errorf("%s: the log does not say what was lost:\n%s", endpoint, log.String())
		}
	}
}

func TestARequestIsCountedByItsRouteAndIsInItsCallersTrace(t *testing.T) {
	_, reg := setup(t)
	traces, c := traced(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/deliveries/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /v1/runs", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	mux.HandleFunc("GET /fails", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/", http.NotFound)
	m := NewHTTPMetrics(reg, "GET /v1/deliveries/{id}", "POST /v1/runs", "GET /fails", "/")
	text := scrape(t, reg)
	wantSamples(t, text, `waybill_http_requests_total{method="POST",route="/v1/runs",status="5xx"} 0`, `waybill_http_rate_limited_total 0`,
		`waybill_http_request_duration_seconds_count{method="GET",route="/fails"} 0`)
	server := httptest.NewServer(m.Watch(traces, mux))
	defer server.Close()
	ask := func(method, path string) {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		} else if path != "/fails" {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/v1/deliveries/d01?token=planted", "/v1/deliveries/d02", "/planted-1", "/planted-2", "/fails"} {
		ask(http.MethodGet, path)
	}
	ask(http.MethodPost, "/v1/runs")
	ask("PLANTED", "/v1/runs")
	server.Close() // which waits for its handlers
	traces.Close()

	text = scrape(t, reg)
	wantSamples(t, text,
		`waybill_http_requests_total{method="GET",route="/v1/deliveries/{id}",status="2xx"} 2`,
		`waybill_http_requests_total{method="POST",route="/v1/runs",status="4xx"} 1`,
		`waybill_http_requests_total{method="GET",route="/",status="4xx"} 2`,
		`waybill_http_requests_total{method="other",route="/",status="4xx"} 1`,
		`waybill_http_requests_total{method="GET",route="/fails",status="5xx"} 1`,
		`waybill_http_request_duration_seconds_count{method="GET",route="/v1/deliveries/{id}"} 2`,
		`waybill_http_rate_limited_total 1`)
	var names []string
	for _, s := range c.Spans() {
		names = append(names, s.Name+" "+s.Attributes["http.response.status_code"])
		if s.TraceID != "4bf92f3577b34da6a3ce929d0e0e4736" || s.ParentID != "00f067aa0ba902b7" || s.Kind != "SPAN_KIND_SERVER" {
			t.Errorf("%+v", s)
		}
	}
	slices.Sort(names)
	want := []string{"GET / 404", "GET / 404", "GET /fails 500", "GET /v1/deliveries/{id} 200", "GET /v1/deliveries/{id} 200", "POST /v1/runs 429", "other / 404"}
	if !slices.Equal(names, want) {
		t.Errorf("the spans are %v, want %v", names, want)
	}
	if strings.Contains(text+c.Text(), "planted") || strings.Contains(text, "PLANTED") {
		t.Error("an address is shown")
	}
}
