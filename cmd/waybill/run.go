package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
)

func (p *program) run() *cobra.Command {
	cmd := &cobra.Command{Use: "run", Short: "Hand in finished runs"}
	cmd.AddCommand(p.runSubmit())
	return cmd
}

func (p *program) runSubmit() *cobra.Command {
	var files []string
	var replace bool
	cmd := &cobra.Command{
		Use:   "submit -f run.json",
		Short: "Hand in finished runs; handing the same run in twice is a success",
		Args:  cobra.NoArgs,
		RunE: p.withSubmitter(func(cmd *cobra.Command, submit submitter) error {
			for _, file := range files {
				run, err := readRun(file)
				if err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
				run.Replace = run.Replace || replace
				in, err := submit(cmd.Context(), run)
				if err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s: generation %d, schema version V%d\n", run.RunKey, strings.ToLower(in.Outcome), in.Generation, in.SchemaVersion)
				for _, d := range in.Deliveries {
					fmt.Fprintf(cmd.OutOrStdout(), "  delivery %s to %s\n", d.ID, d.Connector)
				}
			}
			return nil
		}),
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "the run's file; may be given more than once")
	cmd.Flags().BoolVar(&replace, "replace", false, "deliver the run anew if its job was handed in with other content before")
	p.serverFlag(cmd)
	_ = cmd.MarkFlagRequired("file") // the flag exists
	return cmd
}

// readRun reads a run's file. A relative source is relative to the file.
func readRun(file string) (waybill.Run, error) {
	text, err := os.Open(file)
	if err != nil {
		return waybill.Run{}, err
	}
	defer text.Close()
	run, err := waybill.DecodeRun(text)
	if err != nil {
		return run, err
	}
	return run, fleet.ResolveSource(&run, filepath.Dir(file))
}
