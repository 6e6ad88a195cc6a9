package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/warehouses/sharing"
)

// profileFlags say what becomes of a connector's tokens.
type profileFlags struct {
	rotate, revoke bool
	overlap        config.Lifetime
}

func (p *program) connectorProfile() *cobra.Command {
	var flags profileFlags
	var overlap string
	cmd := &cobra.Command{
		Use:   "profile ID",
		Short: "Make a customer's token for a connector of kind deltasharing and print its .share profile, once",
		Long: "Make a customer's token for a connector of kind deltasharing and print its .share profile, once: " +
			"only a hash of the token is kept, so that nobody can print it again.",
		Example: "  waybill connector profile acme-lake > acme-lake.share",
		Args:    cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			c, err := f.Connectors.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if flags.overlap = f.Config.Times.RotationOverlap; overlap != "" {
				if err := flags.overlap.UnmarshalText([]byte(overlap)); err != nil {
					return waybill.Problems{{Field: "--overlap", Message: err.Error()}}
				}
			}
			return flags.run(cmd, f, c)
		}),
	}
	cmd.Flags().BoolVar(&flags.rotate, "rotate", false, "make a new token; those before it are valid for the overlap")
	cmd.Flags().StringVar(&overlap, "overlap", "", "how long older tokens are valid after --rotate, e.g. 12h or 7d; 0s: not at all (default: times.rotationOverlap)")
	cmd.Flags().BoolVar(&flags.revoke, "revoke", false, "end all tokens at once, and make none")
	cmd.MarkFlagsMutuallyExclusive("rotate", "revoke")
	return cmd
}

func (o profileFlags) run(cmd *cobra.Command, f *fleet.Fleet, c connectors.Connector) error {
	if c.Kind != waybill.KindDeltaSharing {
		return fmt.Errorf("connector %s is of kind %s; profiles are for kind %s", c.ID, c.Kind, waybill.KindDeltaSharing)
	}
	ctx, book := cmd.Context(), f.Tokens()
	if o.revoke {
		n, err := book.Revoke(ctx, c.ID)
		if err != nil {
			return err
		}
		f.Log.InfoContext(ctx, "tokens revoked", "connector", c.ID, "team", c.Team, "tokens", n)
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %d tokens revoked\n", c.ID, n)
		return nil
	}
	issue := func() (string, sharing.Token, error) { return book.Issue(ctx, c.ID, f.TokenLifetime(c)) }
	if o.rotate {
		issue = func() (string, sharing.Token, error) {
			return book.Rotate(ctx, c.ID, f.TokenLifetime(c), time.Duration(o.overlap))
		}
	}
	bearer, token, err := issue()
	if errors.Is(err, sharing.ErrHandedOut) {
		return fmt.Errorf("connector %s: its profile was handed out already and cannot be shown again; make a new one with --rotate", c.ID)
	}
	if err != nil {
		return err
	}
	f.Log.InfoContext(ctx, "profile handed out", "connector", c.ID, "team", c.Team, "rotated", o.rotate, "expires", token.ExpiresAt)
	text, err := json.MarshalIndent(sharing.NewProfile(f.Config.Sharing.URL, bearer, token), "", "  ") //nolint:gosec // a profile is the token
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
	return err
}
