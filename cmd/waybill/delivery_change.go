package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
)

func (p *program) deliveryRetry() *cobra.Command {
	var filter deliveryFilter
	cmd := &cobra.Command{
		Use:   "retry [ID…]",
		Short: "Send failed, blocked or unpublished deliveries on their way again: those named, or all failed or blocked ones that the flags select",
		RunE: p.withHistory(func(cmd *cobra.Command, h history, args []string) error {
			if len(args) > 0 {
				if filter != (deliveryFilter{}) {
					return errors.New("give either ids or flags that select deliveries, not both")
				}
				return each(args, func(id string) error { return h.Retry(cmd.Context(), id) }, cmd.OutOrStdout(), "is on its way again")
			}
			if err := filter.parse(); err != nil {
				return err
			}
			if filter.State != waybill.StateFailed && filter.State != waybill.StateBlocked {
				return errors.New("name deliveries, or say which: --state failed or --state blocked, and what else narrows it down")
			}
			n, err := fleet.RetryAll(cmd.Context(), h, filter.Filter)
			fmt.Fprintf(cmd.OutOrStdout(), "%d deliveries are on their way again\n", n)
			return err
		}),
	}
	filter.flags(cmd)
	p.serverFlag(cmd)
	return cmd
}

func (p *program) deliveryCancel() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID…",
		Short: "Cancel deliveries that are not complete; files that were uploaded by then stay, without a manifest",
		Args:  cobra.MinimumNArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			return each(args, func(id string) error { return f.Ledger.Cancel(cmd.Context(), id, "by an operator") }, cmd.OutOrStdout(), "is cancelled")
		}),
	}
}

func (p *program) deliveryUnpublish() *cobra.Command {
	var by requestFlags
	cmd := &cobra.Command{
		Use:   "unpublish ID…",
		Short: "Take delivered runs back from published tables; a retry, or a replacement of the run, publishes them anew",
		Args:  cobra.MinimumNArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			return each(args, func(id string) error {
				receipt, err := f.Operations().Unpublish(cmd.Context(), by.request(), id)
				if err == nil {
					printOperations(cmd.OutOrStdout(), receipt)
				}
				return err
			}, cmd.OutOrStdout(), "is unpublished")
		}),
	}
	by.flags(cmd)
	return cmd
}

// each does something to every id, whatever became of those before, and says so.
func each(ids []string, do func(id string) error, w io.Writer, done string) error {
	var errs []error
	for _, id := range ids {
		if err := do(id); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(w, "%s %s\n", id, done)
	}
	return errors.Join(errs...)
}
