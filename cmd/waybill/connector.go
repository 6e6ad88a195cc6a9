package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/storage"
)

func (p *program) connector() *cobra.Command {
	cmd := &cobra.Command{Use: "connector", Short: "Customers' destinations"}
	cmd.AddCommand(p.connectorApply(), p.connectorList(), p.connectorShow(), p.connectorCheck(), p.connectorDelete())
	return cmd
}

func (p *program) connectorApply() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR",
		Short: "Create or change connectors from YAML files",
		Args:  cobra.NoArgs,
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, _ []string) error {
			list, err := fleet.ConnectorRules().ReadFiles(path)
			if err != nil {
				return err
			}
			for _, c := range list {
				change, err := f.Connectors.Apply(cmd.Context(), c)
				if err != nil {
					return fmt.Errorf("connector %s: %w", c.ID, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", c.ID, change)
			}
			return nil
		}),
	}
	cmd.Flags().StringVarP(&path, "file", "f", "", "a YAML file, or a folder of them")
	_ = cmd.MarkFlagRequired("file") // the flag exists
	return cmd
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
			fmt.Fprintln(w, "CONNECTOR\tKIND\tTEAM\tWORKFLOWS\tWHERE")
			for _, c := range list {
				workflows := "all"
				if len(c.Workflows) > 0 {
					workflows = strings.Join(c.Workflows, ",")
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.ID, c.Kind, c.Team, workflows, c.Storage.URL)
			}
			return w.Flush()
		}),
	}
	cmd.Flags().StringVar(&team, "team", "", "of this team")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON array")
	return cmd
}

func (p *program) connectorShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a connector as it would be written; secrets are references",
		Args:  cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			c, err := f.Connectors.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			text, err := yaml.MarshalWithOptions(c, yaml.OmitEmpty())
			if err != nil {
				return fmt.Errorf("write connector: %w", err)
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		}),
	}
}

func (p *program) connectorDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete ID",
		Short: "Forget a connector; what was delivered stays where it is, and the id is never used again",
		Args:  cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			if err := f.Connectors.Delete(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s deleted\n", args[0])
			return nil
		}),
	}
}

func (p *program) connectorCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check ID",
		Short: "Write, read back and delete a probe object, and say what is missing",
		Args:  cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			c, err := f.Connectors.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			store, err := f.Store(cmd.Context(), c)
			if err != nil {
				return err
			}
			return probe(cmd.Context(), cmd.OutOrStdout(), store, f.Config.Brand)
		}),
	}
}

// probe tries all that a delivery needs, and goes on after a failure: whoever
// mends the permissions should hear of all of them at once.
func probe(ctx context.Context, w io.Writer, store storage.Store, brand string) error {
	key := brand + "/_waybill_probe"
	content := []byte("Waybill was here to see whether it can deliver; this object may be deleted.\n")
	var errs []error
	try := func(what string, do func() error) {
		err := do()
		if err == nil {
			fmt.Fprintf(w, "ok      %s\n", what)
			return
		}
		fmt.Fprintf(w, "failed  %s: %s\n", what, action(err))
		errs = append(errs, fmt.Errorf("%s: %w", what, err))
	}
	fmt.Fprintf(w, "%s%s\n", store.URL(), key)
	try("write", func() error {
		_, err := store.Put(ctx, key, bytes.NewReader(content), storage.PutOptions{ContentType: "text/plain", Metadata: map[string]string{"x-" + brand + "-format": "probe"}})
		return err
	})
	try("read metadata", func() error { _, err := store.Stat(ctx, key); return err })
	try("read back", func() error {
		body, _, err := store.Get(ctx, key, storage.GetOptions{})
		if err != nil {
			return err
		}
		defer body.Close()
		got, err := io.ReadAll(body)
		if err == nil && !bytes.Equal(got, content) {
			err = errors.New("the store gave other bytes than were written")
		}
		return err
	})
	try("delete", func() error { return store.Delete(ctx, key) })
	if len(errs) > 0 {
		return fmt.Errorf("%d of 4 checks failed", len(errs))
	}
	return nil
}

// action is the sentence of a failure, or the error's own words.
func action(err error) string {
	if f, ok := errors.AsType[*waybill.Failure](err); ok {
		return f.Action
	}
	return err.Error()
}
