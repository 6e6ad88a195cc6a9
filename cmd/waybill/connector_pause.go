package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
)

func (p *program) connectorPause() *cobra.Command {
	var destination, reason string
	cmd := &cobra.Command{
		Use:   "pause ID",
		Short: "Send nothing more to a connector, or to a whole destination; its deliveries wait",
		Long: "Send nothing more to a connector, or to a whole destination such as s3 or s3/eu-central-1. " +
			"Attempts that are under way end; everything else waits until `connector resume`.",
		Args: cobra.MaximumNArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			return p.pausing(cmd, f, args, destination, "paused", func(c connectors.Connector) (bool, error) {
				return f.Ledger.PauseConnector(cmd.Context(), c.Team, c.ID, reason)
			}, func() (bool, error) { return f.Ledger.PauseDestination(cmd.Context(), destination, reason) })
		}),
	}
	cmd.Flags().StringVar(&destination, "destination", "", "pause a destination in place of one connector; `connector list` names them")
	cmd.Flags().StringVar(&reason, "reason", "by an operator", "shown wherever the pause is")
	return cmd
}

func (p *program) connectorResume() *cobra.Command {
	var destination string
	cmd := &cobra.Command{
		Use:   "resume ID",
		Short: "Let a paused connector, or destination, go on",
		Long: "Let a paused connector, or destination, go on. At a connector of kind databricks, " +
			"a recipient or share that somebody removed is made again, and the deliveries that it blocked go on.",
		Args: cobra.MaximumNArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			return p.pausing(cmd, f, args, destination, "going on", func(c connectors.Connector) (bool, error) {
				return f.ResumeConnector(cmd.Context(), c)
			}, func() (bool, error) { return f.Ledger.ResumeDestination(cmd.Context(), destination) })
		}),
	}
	cmd.Flags().StringVar(&destination, "destination", "", "resume a destination in place of one connector")
	return cmd
}

// pausing changes one connector or one destination, and says what it did.
func (p *program) pausing(cmd *cobra.Command, f *fleet.Fleet, args []string, destination, done string,
	connector func(connectors.Connector) (bool, error), whole func() (bool, error),
) error {
	if (len(args) == 1) == (destination != "") {
		return errors.New("name one connector, or give --destination")
	}
	name, changed := destination, false
	var err error
	if destination != "" {
		changed, err = whole()
	} else {
		var c connectors.Connector
		if c, err = f.Connectors.Get(cmd.Context(), args[0]); err == nil {
			name = c.ID
			changed, err = connector(c)
		}
	}
	if err != nil {
		return err
	}
	if !changed {
		done = "was " + done + " already"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", name, done)
	return nil
}

// printDestinationPauses lists what is paused as a whole, if anything is.
func printDestinationPauses(cmd *cobra.Command, f *fleet.Fleet) error {
	pauses, err := f.Ledger.DestinationPauses(cmd.Context())
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(pauses)) {
		fmt.Fprintf(cmd.OutOrStdout(), "destination %s: %s\n", name, pauseText(pauses[name]))
	}
	return nil
}

// pauseText is a pause in a line; empty for none.
func pauseText(p *ledger.Pause) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("paused since %s: %s", p.At.Format(time.RFC3339), cmp.Or(p.Reason, "-"))
}
