package monitoring

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"strconv"
)

type contextKey struct{}

// With returns a context of which every log line says these, whoever writes
// it, unless the line or its logger says the same of itself.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	kept := slices.DeleteFunc(slices.Clone(attrsOf(ctx)), func(a slog.Attr) bool {
		return slices.ContainsFunc(attrs, func(b slog.Attr) bool { return a.Key == b.Key })
	})
	return context.WithValue(ctx, contextKey{}, append(kept, attrs...))
}

func attrsOf(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(contextKey{}).([]slog.Attr)
	return attrs
}

// TraceID is the id of all that is done for one generation of a delivery, in
// whatever process and attempt: 32 hex digits, as in
// https://www.w3.org/TR/trace-context/#trace-id. It follows from the delivery,
// so that nothing has to carry it.
func TraceID(delivery string, generation int) string {
	return hex.EncodeToString(traceID(delivery, generation))
}

func traceID(delivery string, generation int) []byte {
	sum := sha256.Sum256([]byte(delivery + "/" + strconv.Itoa(generation)))
	return sum[:16]
}

// contextHandler adds what a context says to the lines that are written with it.
type contextHandler struct {
	slog.Handler
	own []string // keys that the logger has already
}

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	attrs := attrsOf(ctx)
	if len(attrs) == 0 {
		return h.Handler.Handle(ctx, r)
	}
	said := slices.Clone(h.own)
	r.Attrs(func(a slog.Attr) bool { said = append(said, a.Key); return true })
	r = r.Clone()
	for _, a := range attrs {
		if !slices.Contains(said, a.Key) {
			r.AddAttrs(a)
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	own := slices.Clone(h.own)
	for _, a := range attrs {
		own = append(own, a.Key)
	}
	return contextHandler{h.Handler.WithAttrs(attrs), own}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name), h.own}
}
