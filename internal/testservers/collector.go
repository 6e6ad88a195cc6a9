package testservers

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
)

// CollectorServer takes traces by OTLP over HTTP, as an OpenTelemetry collector
// does: https://opentelemetry.io/docs/specs/otlp/#otlphttp
type CollectorServer struct {
	URL string

	mu    sync.Mutex
	spans []CollectedSpan
	text  []byte
}

// CollectedSpan is a span that a collector was sent.
type CollectedSpan struct {
	TraceID, SpanID, ParentID string // hex digits
	Name, Kind                string
	Status, Message           string            // STATUS_CODE_ERROR and why
	Attributes, Resource      map[string]string // values as text
}

// Collector starts a collector.
func Collector(t testing.TB) *CollectorServer {
	t.Helper()
	c := &CollectorServer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.take(r); err != nil {
			t.Errorf("the collector was sent what is no OTLP: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf") // an empty answer is one
	}))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *CollectorServer) take(r *http.Request) error {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return fmt.Errorf("%s %s of type %q", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		plain, err := gzip.NewReader(r.Body)
		if err != nil {
			return fmt.Errorf("open body: %w", err)
		}
		body = plain
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	var sent collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(text, &sent); err != nil {
		return fmt.Errorf("decode body: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, text...)
	for _, of := range sent.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, CollectedSpan{TraceID: hex.EncodeToString(s.GetTraceId()), SpanID: hex.EncodeToString(s.GetSpanId()),
					ParentID: hex.EncodeToString(s.GetParentSpanId()), Name: s.GetName(), Kind: s.GetKind().String(),
					Status: s.GetStatus().GetCode().String(), Message: s.GetStatus().GetMessage(),
					Attributes: texts(s.GetAttributes()), Resource: texts(of.GetResource().GetAttributes())})
			}
		}
	}
	return nil
}

func texts(attributes []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			all[a.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			all[a.GetKey()] = fmt.Sprint(v.IntValue)
		case *common.AnyValue_BoolValue:
			all[a.GetKey()] = fmt.Sprint(v.BoolValue)
		default:
			all[a.GetKey()] = a.GetValue().String()
		}
	}
	return all
}

// Spans are those that arrived so far.
func (c *CollectorServer) Spans() []CollectedSpan {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]CollectedSpan(nil), c.spans...)
}

// Text is all that arrived, as it was encoded.
func (c *CollectorServer) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}

// Await returns the spans that arrived, once one is as wanted.
func (c *CollectorServer) Await(t testing.TB, wanted func(CollectedSpan) bool) []CollectedSpan {
	t.Helper()
	look, over := time.NewTicker(50*time.Millisecond), time.After(30*time.Second)
	defer look.Stop()
	for {
		spans := c.Spans()
		if slices.ContainsFunc(spans, wanted) {
			return spans
		}
		select {
		case <-look.C:
		case <-over:
			t.Fatalf("no such span arrived; there are %+v", spans)
		}
	}
}
