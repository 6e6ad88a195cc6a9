package monitoring

import (
	"fmt"
	"io"
	"log/slog"
)

// Keys of log attributes: one thing has one name everywhere.
const (
	KeyDelivery  = "delivery"
	KeyConnector = "connector"
	KeyTeam      = "team"
	KeyWorkflow  = "workflow"
	KeyJob       = "job"
	KeyStage     = "stage"
	KeyTask      = "task"
	KeyAttempt   = "attempt"
	KeyTrace     = "trace_id" // as OpenTelemetry names it
	KeyError     = "error"
)

// NewLogger returns a logger that writes to w from level (debug, info, warn,
// error) up, in format json or text. Lines say what [With] gave their context.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var from slog.Level
	if err := from.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q is not known; use debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: from}
	switch format {
	case "json":
		return slog.New(contextHandler{Handler: slog.NewJSONHandler(w, options)}), nil
	case "text":
		return slog.New(contextHandler{Handler: slog.NewTextHandler(w, options)}), nil
	}
	return nil, fmt.Errorf("log format %q is not known; use json or text", format)
}
