package main

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/connectors/policies"
)

func (p *program) connector() *cobra.Command {
	cmd := &cobra.Command{Use: "connector", Short: "Customers' destinations"}
	cmd.AddCommand(p.connectorApply(), p.connectorList(), p.connectorShow(), p.connectorCheck(), p.connectorSQL(), p.connectorProfile(),
		p.connectorActivation(), p.connectorLatest(),
		p.connectorPause(), p.connectorResume(), p.connectorDelete())
	return cmd
}

func (p *program) connectorApply() *cobra.Command {
	var path string
	var by requestFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR",
		Short: "Create or change connectors from YAML files",
		Args:  cobra.NoArgs,
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, _ []string) error {
			list, err := f.ConnectorRules().ReadFiles(path)
			if err != nil {
				return err
			}
			for _, c := range list {
				applied, err := f.ApplyConnector(cmd.Context(), by.request(), c)
				printOperations(cmd.OutOrStdout(), applied.Done...)
				if err != nil {
					return fmt.Errorf("connector %s: %w", c.ID, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s%s\n", c.ID, applied.Change, goesOn(applied))
			}
			return nil
		}),
	}
	cmd.Flags().StringVarP(&path, "file", "f", "", "a YAML file, or a folder of them")
	_ = cmd.MarkFlagRequired("file") // the flag exists
	by.flags(cmd)
	return cmd
}

// goesOn says what was set up, and what waited for the connector's settings.
func goesOn(a fleet.Applied) string {
	text := ""
	if a.Setup != nil {
		text += "; " + setupText(*a.Setup)
	}
	if a.Resumed {
		text += "; its pause is over"
	}
	if a.Retried > 0 {
		text += fmt.Sprintf("; %d blocked deliveries are on their way again", a.Retried)
	}
	return text
}

func (p *program) connectorList() *cobra.Command {
	var team string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List connectors",
		Args:  cobra.NoArgs,
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, _ []string) error {
			list, err := f.Connectors.List(cmd.Context(), team)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "CONNECTOR\tKIND\tTEAM\tWORKFLOWS\tDESTINATION\tWHERE\tPAUSE")
			for _, c := range list {
				workflows := "all"
				if len(c.Workflows) > 0 {
					workflows = strings.Join(c.Workflows, ",")
				}
				pause, err := f.Ledger.ConnectorPause(cmd.Context(), c.Team, c.ID)
				if err != nil {
					return err
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Kind, c.Team, workflows, fleet.Destination(c), c.Where(),
					cmp.Or(pauseText(pause), "-"))
			}
			if err := w.Flush(); err != nil {
				return err
			}
			return printDestinationPauses(cmd, f)
		}),
	}
	cmd.Flags().StringVar(&team, "team", "", "of this team")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON array")
	return cmd
}

func (p *program) connectorShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a connector as it would be written, and how far its activity log has come; secrets are references",
		Args:  cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			c, err := f.Connectors.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			text, err := shown(c)
			if err != nil {
				return err
			}
			if c.Kind == waybill.KindSnowflake {
				made, err := f.SnowflakeSetup(cmd.Context(), c.ID)
				if err != nil {
					return err
				}
				text = fmt.Sprintf("# %s\n", setupText(made)) + text
			}
			if c.LogsActivity() {
				cursor, err := f.Ledger.ActivityCursor(cmd.Context(), c.ID)
				if err != nil {
					return err
				}
				now, err := f.Ledger.Now(cmd.Context())
				if err != nil {
					return err
				}
				text = activityText(cursor, now) + text
			}
			if expiry := f.TokenExpiry(cmd.Context(), c); expiry != "" {
				text = "# token: " + expiry + "\n" + text
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		}),
	}
}

// shown is the connector as a person writes it. What nobody writes stands in
// comments, so that what is shown can be applied.
func shown(c connectors.Connector) (string, error) {
	head := fmt.Sprintf("# createdAt: %s\n# externalId: %s\n", c.CreatedAt.Format(time.RFC3339), c.ExternalID)
	c.CreatedAt, c.ExternalID = time.Time{}, ""
	text, err := yaml.MarshalWithOptions(c, yaml.OmitEmpty())
	if err != nil {
		return "", fmt.Errorf("write connector: %w", err)
	}
	return head + string(text), nil
}

func (p *program) connectorCheck() *cobra.Command {
	var policyOnly bool
	var us policies.Identity
	cmd := &cobra.Command{
		Use:   "check ID",
		Short: "Write, read back and delete a probe object, and say what is missing and how to allow it",
		Args:  cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			c, err := f.Connectors.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			check := f.NewCheck(c, cmd.OutOrStdout())
			check.Us = us
			if policyOnly && c.Storage == nil {
				return fmt.Errorf("connector %s is of kind %s: its tables lie in our own storage, and the customer allows nothing", c.ID, c.Kind)
			}
			if policyOnly {
				check.Policies(cmd.Context())
				return nil
			}
			return check.Run(cmd.Context(), f)
		}),
	}
	cmd.Flags().BoolVar(&policyOnly, "policy", false, "only print what the customer must allow, without touching the store")
	cmd.Flags().StringVar(&us.AWS, "aws-principal", "", "ARN of our role, for policies that name us")
	cmd.Flags().StringVar(&us.Google, "google-account", "", "e-mail of our service account, for bindings that name us")
	cmd.Flags().StringVar(&us.Azure, "azure-principal", "", "id of our identity, for role assignments that name us")
	return cmd
}
