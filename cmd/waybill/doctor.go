package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/config/durability"
)

func (p *program) doctor() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything a fleet needs, and tell all problems at once",
		Long: "Look at everything a fleet needs, and tell all problems at once: the configuration and its secrets, our own bucket, " +
			"Redis and its settings, the clocks, every connector's credentials, the queues and their workers.\n\n" +
			"It writes, reads and deletes a probe object in our bucket and in each connector's store. It exits with 1 if anything is BAD.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &doctor{}
			if err := d.examine(cmd.Context(), p); err != nil {
				return err
			}
			return d.report(cmd.OutOrStdout(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON array")
	return cmd
}

// doctor collects findings. A check that fails ends only what depends on it.
type doctor struct {
	findings []durability.Finding
}

func (d *doctor) tellf(level durability.Level, check, format string, args ...any) {
	d.findings = append(d.findings, durability.Finding{Level: level, Check: check, Text: fmt.Sprintf(format, args...)})
}

func (d *doctor) examine(ctx context.Context, p *program) (err error) {
	cfg, log, err := p.load(config.NeedBucket)
	switch problems, ok := errors.AsType[waybill.Problems](err); {
	case ok:
		for _, problem := range problems {
			d.tellf(durability.Bad, "configuration", "%s: %s", problem.Field, problem.Message)
		}
	case err != nil:
		return err
	default:
		d.tellf(durability.OK, "configuration", "is valid")
	}
	f, err := fleet.New(cfg, log)
	if err != nil {
		d.tellf(durability.Bad, "configuration", "%v", err)
		return nil
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	d.secrets(ctx, cfg)
	bucket := d.bucket(ctx, f)
	if err := f.Connect(ctx, bucket, poolSize); err != nil {
		d.tellf(durability.Bad, "redis", "%v", err)
		return nil
	}
	d.redis(ctx, f)
	d.connectors(ctx, f)
	d.schedulers(ctx, f)
	d.queues(f)
	return nil
}

// report prints the findings: a table for a person, lines for everything else.
func (d *doctor) report(w io.Writer, asJSON bool) error {
	if err := d.print(w, asJSON); err != nil {
		return err
	}
	counts := map[durability.Level]int{}
	for _, f := range d.findings {
		counts[f.Level]++
	}
	if counts[durability.Bad] > 0 {
		return fmt.Errorf("%d of %d checks are bad", counts[durability.Bad], len(d.findings))
	}
	return nil
}

func (d *doctor) print(w io.Writer, asJSON bool) error {
	switch {
	case asJSON:
		return printJSON(w, d.findings)
	case !isTerminal(w):
		for _, f := range d.findings {
			fmt.Fprintf(w, "%s %s: %s\n", f.Level, f.Check, f.Text)
		}
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range d.findings {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", f.Level, f.Check, f.Text)
	}
	return tw.Flush()
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
