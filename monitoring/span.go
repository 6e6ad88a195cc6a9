package monitoring

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybillhq/waybill"
)

// Span is a piece of work as a trace shows it: what it was about, and how it
// ended. It holds ids and codes, never an error's text, an address or a record. A
// nil one shows nothing.
type Span struct{ span trace.Span }

// spanKey is where a context has the span that further ones belong to. It is
// not OpenTelemetry's own place: there the clouds' libraries would find it, and
// send spans of their requests, with addresses that are secrets.
type spanKey struct{}

// Attempt begins the span of one attempt at a delivery, in the trace of the
// delivery's generation (see [TraceID]).
func (t *Traces) Attempt(ctx context.Context, task string, d waybill.Delivery) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	return t.start(context.WithValue(ctx, deliveryKey{}, d), task, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("waybill.delivery", d.ID), attribute.String("waybill.connector", d.Connector), attribute.String("waybill.kind", string(d.Kind)),
		attribute.String("waybill.team", d.TeamID), attribute.String("waybill.workflow", d.WorkflowID), attribute.String("waybill.job", d.JobID),
		attribute.Int("waybill.generation", d.Generation), attribute.Int("waybill.attempt", d.Attempts), attribute.Bool("waybill.historical", d.Historical)))
}

// Step begins the span of a step of the attempt that the context is of.
func (t *Traces) Step(ctx context.Context, stage waybill.Stage) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	return t.start(ctx, string(stage), trace.WithAttributes(attribute.String("waybill.stage", string(stage))))
}

// Request begins the span of a request to an HTTP server of ours. A caller who
// sends a traceparent has it in a trace of theirs.
// https://opentelemetry.io/docs/specs/semconv/http/http-spans/
func (t *Traces) Request(r *http.Request) *Span {
	if t == nil {
		return nil
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(r.Header))
	_, span := t.tracer.Start(ctx, "HTTP", trace.WithSpanKind(trace.SpanKindServer)) //nolint:spancheck // Answered ends it
	return &Span{span}                                                               //nolint:spancheck // see above
}

func (t *Traces) start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, *Span) {
	parent, _ := ctx.Value(spanKey{}).(trace.Span)
	_, span := t.tracer.Start(trace.ContextWithSpan(ctx, parent), name, options...) //nolint:spancheck // End ends it
	return context.WithValue(ctx, spanKey{}, span), &Span{span}                     //nolint:spancheck // see above
}

// Delivered says what arrived.
func (s *Span) Delivered(rows, bytes int64) {
	if s != nil {
		s.span.SetAttributes(attribute.Int64("waybill.rows", rows), attribute.Int64("waybill.bytes", bytes))
	}
}

// End ends the span. Of a failure it says the stage, the verdict and the code.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	defer s.span.End()
	if err == nil {
		return
	}
	code := "lost" // an attempt that no longer holds its delivery is no failure of it
	if f, ok := errors.AsType[*waybill.Failure](err); ok {
		code = f.Code
		s.span.SetAttributes(attribute.String("waybill.stage", string(f.Stage)), attribute.String("waybill.verdict", string(f.Verdict)))
	}
	s.span.SetAttributes(attribute.String("error.type", code))
	s.span.SetStatus(codes.Error, code)
}

// Answered ends the span of a request. The route is a pattern: addresses hold
// what others chose.
func (s *Span) Answered(method, route string, status int) {
	if s == nil {
		return
	}
	s.span.SetName(method + " " + route)
	s.span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		s.span.SetStatus(codes.Error, http.StatusText(status))
	}
	s.span.End()
}

// ids gives an attempt's trace the id that its log lines have, so that every
// attempt in every process has the same, and a sampler takes all of them or none.
type ids struct{}

var _ sdktrace.IDGenerator = ids{}

type deliveryKey struct{}

func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	var id trace.TraceID
	if d, ok := ctx.Value(deliveryKey{}).(waybill.Delivery); ok {
		copy(id[:], traceID(d.ID, d.Generation))
	} else {
		_, _ = rand.Read(id[:]) // it cannot fail
	}
	return id, spanID()
}

func (ids) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return spanID() }

func spanID() (id trace.SpanID) {
	_, _ = rand.Read(id[:]) // it cannot fail
	return id
}
