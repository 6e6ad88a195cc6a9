package monitoring

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// A line written deep below a delivery says whose it is, and says it once.
func TestALineSaysWhatItsContextSays(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLogger(&out, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	ctx := With(t.Context(), slog.String(KeyDelivery, "d01"), slog.String(KeyStage, "stage"))
	ctx = With(ctx, slog.String(KeyStage, "load"), slog.String(KeyConnector, "acme"))
	for _, c := range []struct {
		log  *slog.Logger
		args []any
		want string
	}{
		{log, nil, "msg=x delivery=d01 stage=load connector=acme"},
		{log.With(KeyDelivery, "d01"), nil, "msg=x delivery=d01 stage=load connector=acme"},
		{log, []any{KeyStage, "verify"}, "msg=x stage=verify delivery=d01 connector=acme"},
	} {
		out.Reset()
		c.log.InfoContext(ctx, "x", c.args...)
		if !strings.HasSuffix(strings.TrimSpace(out.String()), c.want) {
			t.Errorf("%q, want %q", out.String(), c.want)
		}
	}
	out.Reset()
	log.Info("x")
	if !strings.HasSuffix(out.String(), "msg=x\n") {
		t.Errorf("without a context: %q", out.String())
	}
}

func TestATraceIsOneDeliverysGeneration(t *testing.T) {
	first := TraceID("d01", 1)
	if len(first) != 32 || first != TraceID("d01", 1) || first == TraceID("d01", 2) || first == TraceID("d02", 1) {
		t.Errorf("%s, again %s, next generation %s", first, TraceID("d01", 1), TraceID("d01", 2))
	}
}
