package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
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

// deliveryFilter is a filter that flags fill.
type deliveryFilter struct {
	ledger.Filter
	state, stage, since string
}

func (f *deliveryFilter) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Team, "team", "", "of this team")
	flags.StringVar(&f.Connector, "connector", "", "to this connector")
	flags.StringVar(&f.Workflow, "workflow", "", "of this workflow")
	flags.StringVar(&f.Job, "job", "", "of this job")
	flags.StringVar(&f.state, "state", "", "in this state: "+oneOf(waybill.States()))
	flags.StringVar(&f.stage, "stage", "", "at this stage: "+oneOf(waybill.Stages()))
	flags.StringVar(&f.since, "since", "", "created since: a duration such as 24h, or a time such as 2025-01-15T10:30:00Z")
}

func (f *deliveryFilter) parse() (err error) {
	if f.State, f.Stage, err = parseStates(f.state, f.stage); err != nil {
		return err
	}
	f.Since, err = parseSince(f.since, time.Now())
	return err
}
