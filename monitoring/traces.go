package monitoring

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Traces sends what is done for deliveries, and what the API is asked, to an
// OpenTelemetry collector. Spans are sent behind the work's back, and dropped
// where the collector does not keep up: it never delays a delivery. A nil one
// sends nothing and costs nothing.
type Traces struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	flush    time.Duration // how long Close waits for the last spans
	log      *slog.Logger
}

// OpenTraces starts sending if the standard variables ask for it; otherwise, or
// if they ask for what there is not, it returns nil: what tells of the work is
// no reason not to do it. Sending is by OTLP over HTTP; the exporter, its
// batches and the sampler read their own variables.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
func OpenTraces(ctx context.Context, lookup func(name string) (string, bool), log *slog.Logger) *Traces {
	log = log.With("component", "traces")
	wanted, err := tracesWanted(lookup)
	if err != nil {
		log.WarnContext(ctx, "no traces are sent", KeyError, err)
	}
	if !wanted {
		return nil
	}
	// What the libraries meet later they tell their one handler.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces were not sent, or not as asked for", KeyError, err) }))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		log.WarnContext(ctx, "no traces are sent", KeyError, err)
		return nil
	}
	source, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "waybill")),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		otel.Handle(err) // what could be read of it is there
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(source), sdktrace.WithIDGenerator(ids{}))
	log.InfoContext(ctx, "traces are sent")
	return &Traces{provider, provider.Tracer("github.com/waybillhq/waybill"), 5 * time.Second, log}
}

// tracesWanted says whether the variables ask for traces. An error says that
// they ask for some that there are not.
func tracesWanted(lookup func(name string) (string, bool)) (bool, error) {
	get := func(name string) string {
		value, _ := lookup(name)
		return strings.ToLower(strings.TrimSpace(value))
	}
	endpoint := cmp.Or(get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), get("OTEL_EXPORTER_OTLP_ENDPOINT"))
	exporter := get("OTEL_TRACES_EXPORTER")
	if get("OTEL_SDK_DISABLED") == "true" || exporter == "none" || exporter == "" && endpoint == "" {
		return false, nil
	}
	if exporter != "" && exporter != "otlp" {
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q; use otlp, or none", exporter)
	}
	const spoken = "http/protobuf"
	if asked := cmp.Or(get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), get("OTEL_EXPORTER_OTLP_PROTOCOL"), spoken); asked != spoken {
		return false, fmt.Errorf("the variables ask for the protocol %q; use %s, at the collector's port 4318", asked, spoken)
	}
	return true, nil
}

// Close sends what was not sent yet, as far as five seconds allow.
func (t *Traces) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.flush)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.WarnContext(ctx, "the last traces are lost", KeyError, err)
	}
}
