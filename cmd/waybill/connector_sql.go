package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/connectors/sqltext"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/storage"
)

func (p *program) connectorSQL() *cobra.Command {
	var warehouse, workflow string
	cmd := &cobra.Command{
		Use:   "sql ID",
		Short: "Print the customer's side: the SQL that reads what arrives",
		Args:  cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			wanted, err := parseWarehouse(warehouse)
			if err != nil {
				return err
			}
			c, err := f.Connectors.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.Kind == waybill.KindSnowflake {
				made, err := f.SnowflakeSetup(cmd.Context(), c.ID)
				if err != nil {
					return err
				}
				return snowflakeText(cmd.OutOrStdout(), c, made, f.Config.Brand)
			}
			if c.Storage == nil {
				return tablesText(cmd.OutOrStdout(), c, f.Config.Brand)
			}
			inputs, err := sqlInputs(cmd.Context(), f, c, workflow)
			if err != nil {
				return err
			}
			text, err := sqlTexts(wanted, inputs)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		}),
	}
	cmd.Flags().StringVar(&warehouse, "for", "", "the warehouse: "+oneOf(sqltext.Warehouses())+"; left out: all that can read the store")
	cmd.Flags().StringVar(&workflow, "workflow", "", "of this workflow; left out: of those that the connector names or has been delivered")
	return cmd
}

func parseWarehouse(text string) ([]sqltext.Warehouse, error) {
	switch w := sqltext.Warehouse(text); {
	case text == "":
		return sqltext.Warehouses(), nil
	case slices.Contains(sqltext.Warehouses(), w):
		return []sqltext.Warehouse{w}, nil
	}
	return nil, waybill.Problems{{Field: "--for", Message: fmt.Sprintf("%q is not a warehouse; use one of %s", text, oneOf(sqltext.Warehouses()))}}
}

// sqlInputs collects what the SQL of each of the connector's workflows is made of.
func sqlInputs(ctx context.Context, f *fleet.Fleet, c connectors.Connector, workflow string) ([]sqltext.Input, error) {
	newest, err := newestVersions(ctx, f.Ledger, c)
	if err != nil {
		return nil, err
	}
	workflows, err := sqlWorkflows(c, workflow, newest)
	if err != nil {
		return nil, err
	}
	var inputs []sqltext.Input
	for _, w := range workflows {
		in := sqltext.Input{Connector: c, Brand: f.Config.Brand, Path: cmp.Or(c.Storage.Path, storage.DefaultPath(f.Config.Brand)), Workflow: w}
		schemas, err := f.Ledger.Schemas(ctx, c.Team, w)
		if err != nil {
			return nil, err
		}
		// Where nothing was delivered yet, the schema that was seen last.
		if in.Version = newest[w]; in.Version == 0 && len(schemas) > 0 {
			in.Version = slices.Max(slices.Collect(maps.Keys(schemas)))
		}
		in.Schema = schemas[in.Version]
		inputs = append(inputs, in)
	}
	return inputs, nil
}

// recent is how many deliveries are looked at for the newest schema versions.
const recent = 1000

// newestVersions are, by workflow, the schema versions of the runs that
// finished last of those that the connector was delivered.
func newestVersions(ctx context.Context, l *ledger.Ledger, c connectors.Connector) (map[string]int, error) {
	page, err := l.List(ctx, ledger.Filter{Team: c.Team, Connector: c.ID, State: waybill.StateComplete, Limit: recent})
	if err != nil {
		return nil, err
	}
	newest, versions := map[string]waybill.Delivery{}, map[string]int{}
	for _, d := range page.Deliveries {
		if old, ok := newest[d.WorkflowID]; !ok || cmp.Or(d.RunFinishedAt.Compare(old.RunFinishedAt), cmp.Compare(d.JobID, old.JobID)) > 0 {
			newest[d.WorkflowID], versions[d.WorkflowID] = d, d.SchemaVersion
		}
	}
	return versions, nil
}

func sqlWorkflows(c connectors.Connector, workflow string, delivered map[string]int) ([]string, error) {
	var p waybill.Problems
	switch {
	case workflow == "" && len(c.Workflows) > 0:
		return c.Workflows, nil
	case workflow == "" && len(delivered) > 0:
		return slices.Sorted(maps.Keys(delivered)), nil
	case workflow == "":
		p.Addf("--workflow", "is missing; the connector serves all workflows and has been delivered none yet: name one")
	case !waybill.ValidID(workflow):
		p.Addf("--workflow", "%q is not a workflow's id", workflow)
	case !c.Subscribes(workflow):
		p.Addf("--workflow", "%q is not delivered to this connector; use one of %s", workflow, strings.Join(c.Workflows, ", "))
	}
	return []string{workflow}, p.Err()
}

// sqlTexts is the SQL for each wanted warehouse. Of several, those that cannot
// read the store are named in a comment; one alone is an error.
func sqlTexts(wanted []sqltext.Warehouse, inputs []sqltext.Input) (string, error) {
	var b strings.Builder
	var errs []error
	for _, w := range wanted {
		for _, in := range inputs {
			text, err := sqltext.Text(w, in)
			if err != nil {
				errs = append(errs, err)
				fmt.Fprintf(&b, "-- %s: %v\n\n", w, err)
				break // it is the connector's fault, and of all its workflows
			}
			if len(wanted) > 1 {
				fmt.Fprintf(&b, "-- %s\n", w)
			}
			b.WriteString(text + "\n")
		}
	}
	if len(errs) == len(wanted) {
		return "", errors.Join(errs[:1]...)
	}
	return b.String(), nil
}
