package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
)

func oneOf[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}

func parseStates(state, stage string) (waybill.State, waybill.Stage, error) {
	var p waybill.Problems
	if state != "" && !slices.Contains(waybill.States(), waybill.State(state)) {
		p.Addf("--state", "%q is not a state; use one of %s", state, oneOf(waybill.States()))
	}
	if stage != "" && !slices.Contains(waybill.Stages(), waybill.Stage(stage)) {
		p.Addf("--stage", "%q is not a stage; use one of %s", stage, oneOf(waybill.Stages()))
	}
	return waybill.State(state), waybill.Stage(stage), p.Err()
}

func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--since %q: write a duration such as 24h, or a time such as 2025-01-15T10:30:00Z", text)
	}
	return t, nil
}
