package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/tokens"
)

func (p *program) token() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Who may use the HTTP API and see the pages"}
	cmd.AddCommand(p.tokenCreate(), p.tokenRotate(), p.tokenList(), p.tokenRevoke())
	return cmd
}

func (p *program) tokenCreate() *cobra.Command {
	var g tokens.Grant
	var scope, lifetime string
	var offline bool
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a token and print it, once: only its hash is kept",
		Example: "  waybill token create platform --scope producer --teams '*'\n" +
			"  waybill token create acme-ops --scope ops --teams a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g.Name, g.Scope = args[0], tokens.Scope(scope)
			if err := g.Validate().Err(); err != nil {
				return err
			}
			if offline {
				bearer, hash := tokens.New(g.Name)
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "token  %s\nhash   %s\n", bearer, hash)
				return err
			}
			return p.with(func(cmd *cobra.Command, f *fleet.Fleet, _ []string) error {
				valid, err := duration("--lifetime", lifetime, f.Config.Times.TokenLifetime)
				if err != nil {
					return err
				}
				bearer, made, err := f.APITokens().Create(cmd.Context(), g, valid)
				return issued(cmd, f, bearer, made, err)
			})(cmd, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&scope, "scope", "", "producer: hands in runs and reads; ops: changes connectors and deliveries too")
	flags.StringSliceVar(&g.Teams, "teams", nil, "ids of the teams that it is for, or '*' for all")
	flags.StringVar(&lifetime, "lifetime", "", "how long it is valid, e.g. 30d (default: times.tokenLifetime)")
	flags.BoolVar(&offline, "offline", false, "keep nothing: print the token, and the hash that the configuration refers to")
	_ = cmd.MarkFlagRequired("scope") // the flags exist
	_ = cmd.MarkFlagRequired("teams")
	return cmd
}

func (p *program) tokenRotate() *cobra.Command {
	var lifetime, overlap string
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Make a new token of a name and print it, once; those before it are valid for the overlap",
		Args:  cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			valid, err := duration("--lifetime", lifetime, f.Config.Times.TokenLifetime)
			if err != nil {
				return err
			}
			both, err := duration("--overlap", overlap, f.Config.Times.RotationOverlap)
			if err != nil {
				return err
			}
			bearer, g, err := f.APITokens().Rotate(cmd.Context(), args[0], valid, both)
			return issued(cmd, f, bearer, g, err)
		}),
	}
	cmd.Flags().StringVar(&lifetime, "lifetime", "", "how long it is valid, e.g. 30d (default: times.tokenLifetime)")
	cmd.Flags().StringVar(&overlap, "overlap", "", "how long older ones are valid, e.g. 12h; 0s: not at all (default: times.rotationOverlap)")
	return cmd
}

// issued prints a token that was just made: the one time that anybody sees it.
func issued(cmd *cobra.Command, f *fleet.Fleet, bearer string, g tokens.Grant, err error) error {
	if err != nil {
		return err
	}
	end, _ := g.Expires(time.Now())
	f.Log.InfoContext(cmd.Context(), "token handed out", "token", g.Name, "scope", g.Scope, "expires", end)
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: scope %s, teams %s, valid until %s; it is not shown again\n", g.Name, g.Scope, strings.Join(g.Teams, ", "), end.Format(time.RFC3339))
	_, err = fmt.Fprintln(cmd.OutOrStdout(), bearer)
	return err
}

// duration is what a flag says, or the default.
func duration(flag, text string, otherwise config.Lifetime) (time.Duration, error) {
	if text == "" {
		return time.Duration(otherwise), nil
	}
	var l config.Lifetime
	if err := l.UnmarshalText([]byte(text)); err != nil {
		return 0, waybill.Problems{{Field: flag, Message: err.Error()}}
	}
	if l < 0 || l > config.MaxTokenLifetime {
		return 0, waybill.Problems{{Field: flag, Message: fmt.Sprintf("%s is out of range; use at most %s", l, config.MaxTokenLifetime)}}
	}
	return time.Duration(l), nil
}

func (p *program) tokenList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tokens by name, without what is secret of them",
		Args:  cobra.NoArgs,
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, _ []string) error {
			list, err := f.APITokens().List(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "TOKEN\tSCOPE\tTEAMS\tVALID UNTIL")
			for _, g := range list {
				until := "ended"
				if end, valid := g.Expires(time.Now()); valid {
					until = end.Format(time.RFC3339)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", g.Name, g.Scope, strings.Join(g.Teams, ","), until)
			}
			for _, t := range f.Config.Tokens {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Name, t.Scope, strings.Join(t.Teams, ","), "it leaves the configuration")
			}
			return w.Flush()
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON array")
	return cmd
}

func (p *program) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "End all tokens of a name at once, and the sessions that began with them",
		Args:  cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			n, err := f.APITokens().Revoke(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			f.Log.InfoContext(cmd.Context(), "tokens revoked", "token", args[0], "tokens", n)
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d tokens revoked\n", args[0], n)
			return nil
		}),
	}
}
