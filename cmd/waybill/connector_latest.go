package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/handlers"
)

func (p *program) connectorLatest() *cobra.Command {
	var to string
	var follow, asJSON bool
	var by requestFlags
	cmd := &cobra.Command{
		Use:   "latest ID WORKFLOW",
		Short: "Say where a workflow's LATEST points at a connector, and why; or move and pin it",
		Long: "Say where a workflow's LATEST points at a connector, and why. " +
			"--to V2 moves it there and pins it, whatever is published next; --follow lets it follow the newest published run again.",
		Example: "  waybill connector latest acme-lake wf_movies\n  waybill connector latest acme-lake wf_movies --to V2",
		Args:    cobra.ExactArgs(2),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			c, err := f.Connectors.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			version := 0
			if to != "" {
				if version, err = parseVersion(to); err != nil {
					return waybill.Problems{{Field: "--to", Message: err.Error()}}
				}
			}
			o := f.Operations()
			if to != "" || follow {
				receipt, err := o.PointLatest(cmd.Context(), by.request(), c, args[1], version)
				if err != nil {
					return err
				}
				printOperations(cmd.OutOrStdout(), receipt)
			}
			latest, err := o.Latest(cmd.Context(), c, args[1])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), latest)
			}
			printLatest(cmd.OutOrStdout(), latest)
			return nil
		}),
	}
	cmd.Flags().StringVar(&to, "to", "", "schema version to point to and pin, e.g. V2")
	cmd.Flags().BoolVar(&follow, "follow", false, "follow the newest published run again")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.MarkFlagsMutuallyExclusive("to", "follow")
	by.flags(cmd)
	return cmd
}

// parseVersion reads V2, v2 or 2.
func parseVersion(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimLeft(text, "Vv"))
	if err != nil || n < 1 {
		return 0, errors.New(waybill.Quote(text) + " is not a schema version; write e.g. V2")
	}
	return n, nil
}

func printLatest(w io.Writer, l handlers.Latest) {
	switch {
	case l.Version == 0:
		fmt.Fprintf(w, "%s has no LATEST here: nothing was published yet\n", l.Workflow)
		return
	case l.Pinned:
		fmt.Fprintf(w, "%s points to V%d, where it is pinned\n", waybill.LatestTable(l.Workflow), l.Version)
	default:
		fmt.Fprintf(w, "%s points to V%d and follows the newest published run\n", waybill.LatestTable(l.Workflow), l.Version)
	}
	if l.Newest != 0 {
		fmt.Fprintf(w, "newest published run: %s of V%d, finished %s\n", l.NewestJob, l.Newest, l.NewestAt.Format(time.RFC3339))
	} else {
		fmt.Fprintln(w, "no run is published")
	}
	for i, m := range l.Moves {
		pinned, now := "", ""
		if m.Pinned {
			pinned = ", pinned"
		}
		if i == 0 {
			now = " (now)"
		}
		fmt.Fprintf(w, "%s  V%d%s%s\n", m.At.Format(time.RFC3339), m.Version, pinned, now)
	}
}
