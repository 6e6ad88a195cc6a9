package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/ledger"
)

func (p *program) delivery() *cobra.Command {
	cmd := &cobra.Command{Use: "delivery", Short: "The history of deliveries, and what to do about them"}
	cmd.AddCommand(p.deliveryList(), p.deliveryShow(), p.deliveryRetry(), p.deliveryCancel(), p.deliveryUnpublish(), p.deliveryWatch())
	return cmd
}

func (p *program) deliveryList() *cobra.Command {
	var filter deliveryFilter
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List deliveries, newest first",
		Args:  cobra.NoArgs,
		RunE: p.withHistory(func(cmd *cobra.Command, h history, _ []string) (err error) {
			if err := filter.parse(); err != nil {
				return err
			}
			if asJSON && !cmd.Flags().Changed("limit") {
				limit = 0 // a program wants them all
			}
			list, more, err := collect(cmd, h, filter.Filter, limit)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			return printTable(cmd.OutOrStdout(), list, more)
		}),
	}
	filter.flags(cmd)
	p.serverFlag(cmd)
	flags := cmd.Flags()
	flags.IntVar(&limit, "limit", 50, "at most so many; 0: all (the default with --json)")
	flags.BoolVar(&asJSON, "json", false, "as a JSON array")
	return cmd
}

// collect reads pages until the limit.
func collect(cmd *cobra.Command, h history, filter ledger.Filter, limit int) (list []waybill.Delivery, more bool, err error) {
	list = []waybill.Delivery{}
	for {
		filter.Limit = 500
		if limit > 0 {
			filter.Limit = min(filter.Limit, limit-len(list))
		}
		page, err := h.List(cmd.Context(), filter)
		if err != nil {
			return nil, false, err
		}
		list = append(list, page.Deliveries...)
		filter.Cursor = page.Cursor
		if page.Cursor == "" || limit > 0 && len(list) >= limit {
			return list, page.Cursor != "", nil
		}
	}
}

func (p *program) deliveryShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one delivery: where it stands, what happened, and its receipt",
		Args:  cobra.ExactArgs(1),
		RunE: p.withHistory(func(cmd *cobra.Command, h history, args []string) error {
			s, err := h.Story(cmd.Context(), args[0])
			if err != nil {
				if s.Delivery.ID == "" {
					return err
				}
				fmt.Fprintln(cmd.ErrOrStderr(), "the receipt cannot be read:", err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			printDelivery(cmd.OutOrStdout(), s.Delivery, s.History, s.Receipt)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	p.serverFlag(cmd)
	return cmd
}

// story is a delivery and what happened to it.
func story(cmd *cobra.Command, f *fleet.Fleet, id string) (waybill.Delivery, []waybill.Event, error) {
	d, err := f.Ledger.Delivery(cmd.Context(), id)
	if err != nil {
		return d, nil, err
	}
	history, err := f.Ledger.History(cmd.Context(), id)
	return d, history, err
}

func (p *program) deliveryWatch() *cobra.Command {
	return &cobra.Command{
		Use:   "watch ID",
		Short: "Follow a delivery until it ends; exits with 1 unless it is complete",
		Args:  cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			printed := 0
			for {
				d, history, err := story(cmd, f, args[0])
				if err != nil {
					return err
				}
				for _, e := range history[min(printed, len(history)):] {
					printEvent(cmd.OutOrStdout(), e)
				}
				printed = len(history)
				switch d.State {
				case waybill.StateComplete:
					return nil
				case waybill.StateFailed, waybill.StateBlocked, waybill.StateCancelled, waybill.StateUnpublished:
					return fmt.Errorf("delivery %s is %s: %s", d.ID, d.State, d.Action)
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(500 * time.Millisecond):
				}
			}
		}),
	}
}

func printTable(w io.Writer, list []waybill.Delivery, more bool) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "DELIVERY\tSTATE\tSTAGE\tCONNECTOR\tWORKFLOW\tJOB\tROWS\tCREATED\tWHAT TO DO")
	for _, d := range list {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", d.ID, d.State, cmp.Or(string(d.Stage), "-"), d.Connector, d.WorkflowID, d.JobID,
			d.Rows, d.CreatedAt.Format(time.RFC3339), cmp.Or(d.Action, "-"))
	}
	if more {
		fmt.Fprintln(tw, "… and more; see --limit")
	}
	return tw.Flush()
}

func printDelivery(w io.Writer, d waybill.Delivery, history []waybill.Event, r *waybill.Receipt) {
	fmt.Fprintf(w, "delivery   %s (generation %d)\nrun        %s, finished %s\nconnector  %s (%s)\nschema     V%d\nstate      %s",
		d.ID, d.Generation, d.RunKey, d.RunFinishedAt.Format(time.RFC3339), d.Connector, d.Kind, d.SchemaVersion, d.State)
	if d.Stage != "" {
		fmt.Fprintf(w, " at stage %s", d.Stage)
	}
	fmt.Fprintln(w)
	if d.Action != "" {
		fmt.Fprintf(w, "failure    %s (%s)\nto do      %s\n", d.Code, d.Verdict, d.Action)
	}
	if !d.NextAt.IsZero() {
		fmt.Fprintf(w, "next       %s\n", d.NextAt.Format(time.RFC3339))
	}
	fmt.Fprintln(w, "\nhistory")
	for _, e := range history {
		fmt.Fprint(w, "  ")
		printEvent(w, e)
	}
	if r == nil {
		return
	}
	fmt.Fprintf(w, "\nreceipt    %s\n  rows %d, bytes %d, quarantined %d, failed casts %d, unknown fields %d\n", r.Location, r.Rows, r.Bytes,
		r.Conversion.Quarantined, r.Conversion.CastFailures(), r.Conversion.UnknownFields)
	for _, f := range r.Files {
		fmt.Fprintf(w, "  %-14s %10d bytes  sha256 %s\n", f.Name, f.Bytes, f.SHA256)
	}
	for _, c := range r.Conversion.FailedCasts[:min(10, len(r.Conversion.FailedCasts))] {
		fmt.Fprintf(w, "  failed cast: line %d, %s: %s\n", c.Line, c.Field, c.Reason)
	}
}

func printEvent(w io.Writer, e waybill.Event) {
	fmt.Fprintf(w, "%s  %s", e.At.Format("2006-01-02T15:04:05.000Z"), e.What)
	if e.Stage != "" {
		fmt.Fprintf(w, " %s", e.Stage)
	}
	if e.Attempt > 0 {
		fmt.Fprintf(w, " (attempt %d)", e.Attempt)
	}
	if e.Duration > 0 {
		fmt.Fprintf(w, " took %s", e.Duration)
	}
	if e.Code != "" {
		fmt.Fprintf(w, ": %s: %s", e.Code, e.Action)
	}
	if !e.Next.IsZero() {
		fmt.Fprintf(w, " Next try at %s.", e.Next.Format(time.TimeOnly))
	}
	fmt.Fprintln(w)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
