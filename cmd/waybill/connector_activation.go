package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
)

func (p *program) connectorActivation() *cobra.Command {
	var rotate bool
	var overlap string
	var by requestFlags
	cmd := &cobra.Command{
		Use:   "activation ID",
		Short: "Print the one-time link at which a Databricks token recipient takes its credential file",
		Long: "Print the one-time link at which a Databricks token recipient takes its credential file. " +
			"It is fetched from the workspace at this moment and kept nowhere; that it was handed out is on record. " +
			"Send it to the connector's secure contact only.",
		Example: "  waybill connector activation acme-databricks --by jane",
		Args:    cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			c, err := f.Connectors.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.Kind == waybill.KindDeltaSharing {
				return fmt.Errorf("connector %s is of kind %s; `waybill connector profile %s` hands out its token", c.ID, c.Kind, c.ID)
			}
			if rotate {
				lasting := f.Config.Times.RotationOverlap
				if overlap != "" {
					if err := lasting.UnmarshalText([]byte(overlap)); err != nil {
						return waybill.Problems{{Field: "--overlap", Message: err.Error()}}
					}
				}
				if err := rotateToken(cmd, f, c, by, lasting); err != nil {
					return err
				}
			}
			link, token, err := f.Operations().Activation(cmd.Context(), by.request(), c)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "for %s; the token expires %s\n", c.Databricks.SecureContact, token.ExpiresAt.Format(time.RFC3339))
			_, err = fmt.Fprintln(cmd.OutOrStdout(), link.Reveal())
			return err
		}),
	}
	cmd.Flags().BoolVar(&rotate, "rotate", false, "replace the token first; the former one is valid for the overlap")
	cmd.Flags().StringVar(&overlap, "overlap", "", "how long the former token is valid after --rotate, e.g. 12h or 7d; 0s: not at all (default: times.rotationOverlap)")
	by.flags(cmd)
	return cmd
}

func rotateToken(cmd *cobra.Command, f *fleet.Fleet, c connectors.Connector, by requestFlags, overlap config.Lifetime) error {
	token, err := f.Operations().Rotate(cmd.Context(), by.request(), c, time.Duration(overlap))
	if err == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "rotated; the former token is valid for %s, the new one until %s\n", overlap, token.ExpiresAt.Format(time.RFC3339))
	}
	return err
}
