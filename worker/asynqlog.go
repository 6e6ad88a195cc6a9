package worker

import (
	"fmt"
	"log/slog"
	"strings"
)

// asynqLogger lets asynq write into our log. That it deletes tasks whose
// deliveries have ended is our own doing, and no news.
type asynqLogger struct{ log *slog.Logger }

func (l asynqLogger) Debug(args ...any) { l.log.Debug(fmt.Sprint(args...)) }
func (l asynqLogger) Info(args ...any)  { l.log.Info(fmt.Sprint(args...)) }
func (l asynqLogger) Error(args ...any) { l.log.Error(fmt.Sprint(args...)) }
func (l asynqLogger) Fatal(args ...any) { l.log.Error(fmt.Sprint(args...)) }

func (l asynqLogger) Warn(args ...any) {
	if text := fmt.Sprint(args...); !strings.HasPrefix(text, "revoke task") {
		l.log.Warn(text)
	}
}
