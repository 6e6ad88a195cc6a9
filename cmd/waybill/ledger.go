package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/ledger"
)

func (p *program) ledger() *cobra.Command {
	cmd := &cobra.Command{Use: "ledger", Short: "The whole history: read it, or make it anew after Redis was lost"}
	cmd.AddCommand(p.ledgerExport(), p.ledgerRebuild())
	return cmd
}

func (p *program) ledgerExport() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the whole ledger as JSON lines: connectors, schema versions, runs, deliveries with their history",
		Args:  cobra.NoArgs,
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, _ []string) (err error) {
			w := cmd.OutOrStdout()
			if out != "" {
				file, failed := os.Create(out)
				if failed != nil {
					return fmt.Errorf("--out: %w", failed)
				}
				defer func() { err = errors.Join(err, file.Close()) }()
				w = file
			}
			buffered := bufio.NewWriterSize(w, 256<<10)
			return errors.Join(f.Ledger.Export(cmd.Context(), buffered), buffered.Flush())
		}),
	}
	cmd.Flags().StringVar(&out, "out", "", "write to this file instead of the standard output")
	return cmd
}

func (p *program) ledgerRebuild() *cobra.Command {
	var since string
	var yes, merge bool
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make the ledger anew from our bucket, after Redis was lost; nothing is delivered twice",
		Long: "Make the ledger anew from our bucket, in an empty Redis: connectors, pauses, schema versions, runs and their complete\n" +
			"deliveries. Stop schedulers and workers first. Runs that were not delivered everywhere are planned again when a\n" +
			"scheduler starts; a run that Redis had accepted, but no scheduler had planned yet, is handed in again by its producer.",
		Args: cobra.NoArgs,
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, _ []string) error {
			opts := ledger.RebuildOptions{Merge: merge, Since: time.Now().Add(-f.Config.Times.Retention), Progress: progress(cmd.ErrOrStderr())}
			if since != "" {
				var err error
				if opts.Since, err = parseSince(since, time.Now()); err != nil {
					return err
				}
			}
			if !yes && !confirmed(cmd, "Rebuild the ledger of this fleet from its bucket?") {
				return errors.New("nothing was done; say yes, or give --yes")
			}
			done, err := f.Ledger.Rebuild(cmd.Context(), opts)
			if errors.Is(err, ledger.ErrNotEmpty) {
				return fmt.Errorf("%w; with --merge what it has stays, and what it lacks is added", err)
			}
			if err != nil {
				return fmt.Errorf("rebuild was cut short; repeat it with --merge: %w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), counted(done))
			return nil
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&merge, "merge", false, "into a Redis that holds a ledger already")
	cmd.Flags().StringVar(&since, "since", "", "only runs that something happened to since: a duration such as 720h, or a time (default: the retention); older ones are looked up when they are handed in again")
	return cmd
}

// confirmed asks a person.
func confirmed(cmd *cobra.Command, question string) bool {
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [yes/no] ", question)
	answer, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n') // without an answer it is no
	return strings.TrimSpace(answer) == "yes"
}

// progress prints a line every few seconds.
func progress(w io.Writer) func(ledger.Rebuilt) {
	last := time.Now()
	return func(r ledger.Rebuilt) {
		if time.Since(last) >= 2*time.Second {
			last = time.Now()
			fmt.Fprintln(w, counted(r))
		}
	}
}

func counted(r ledger.Rebuilt) string {
	return fmt.Sprintf("%d documents, %d schema versions, %d runs (%d to be planned again), %d complete deliveries; %d runs older than asked for",
		r.Documents, r.Schemas, r.Runs, r.Unfinished, r.Deliveries, r.Skipped)
}
