package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill/cmd/internal/fleet"
)

func (p *program) connectorDelete() *cobra.Command {
	var purge bool
	var by requestFlags
	cmd := &cobra.Command{
		Use:   "delete ID",
		Short: "Forget a connector, cancel what is on its way to it, and take its tables from the customer; the id is never used again",
		Long: "Forget a connector, cancel what is on its way to it, and take its tables from the customer at once. " +
			"Their data is kept for times.keepDeleted and then erased; --purge erases it now, also that of a connector that was deleted before. " +
			"Files in a customer's own bucket stay: they are the customer's.",
		Args: cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			receipts, err := f.Operations().Delete(cmd.Context(), by.request(), args[0], purge)
			printOperations(cmd.OutOrStdout(), receipts...)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s deleted\n", args[0])
			return nil
		}),
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "erase the data now")
	by.flags(cmd)
	return cmd
}
