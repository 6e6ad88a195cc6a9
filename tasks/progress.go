package tasks

import "context"

type progressKey struct{}

// WithProgress gives a task's context the function that its steps report to.
func WithProgress(ctx context.Context, report func()) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

// Progress reports that the step under way moved on: bytes were read or
// written. A step that reports nothing for long is cancelled.
func Progress(ctx context.Context) {
	if report, ok := ctx.Value(progressKey{}).(func()); ok {
		report()
	}
}
