package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/internal/source"
)

func (p *program) convert() *cobra.Command {
	var schema, in, out, list string
	var cpus int
	cmd := &cobra.Command{
		Use:   "convert --schema run.json --in FILE --out DIR",
		Short: "Convert a file of records, without a fleet",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			run, err := readRun(schema)
			if err != nil {
				return fmt.Errorf("--schema %s: %w", schema, err)
			}
			wanted, err := parseFormats(list)
			if err != nil {
				return err
			}
			report, err := convertFile(cmd.Context(), run, in, out, wanted, cpus)
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), report)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&schema, "schema", "", "a run's file: its schema and the format of its source are used")
	flags.StringVar(&in, "in", "", "the records; gzip and zstd are recognised")
	flags.StringVar(&out, "out", "", "the folder that data.parquet and so on go to")
	flags.StringVar(&list, "formats", "parquet,jsonl,csv", "formats, separated by commas: "+oneOf(formats.All()))
	flags.IntVar(&cpus, "cpus", 0, "cores to use; default all")
	for _, name := range []string{"schema", "in", "out"} {
		_ = cmd.MarkFlagRequired(name) // the flag exists
	}
	return cmd
}

func parseFormats(list string) ([]formats.Format, error) {
	var wanted []formats.Format
	for name := range strings.SplitSeq(list, ",") {
		f := formats.Format(strings.TrimSpace(name))
		if !slices.Contains(formats.All(), f) {
			return nil, fmt.Errorf("--formats: %q is not a format; use %s", name, oneOf(formats.All()))
		}
		wanted = append(wanted, f)
	}
	return wanted, nil
}

// convertFile converts into files that get their names only when all are whole.
func convertFile(ctx context.Context, run waybill.Run, in, out string, wanted []formats.Format, cpus int) (report waybill.Conversion, err error) {
	path, err := filepath.Abs(in)
	if err != nil {
		return report, fmt.Errorf("--in: %w", err)
	}
	records, err := source.Opener{FileRoot: filepath.Dir(path)}.Open(ctx, run.TeamID,
		waybill.Source{URI: (&url.URL{Scheme: "file", Path: path}).String(), Compression: run.Source.Compression}, "")
	if err != nil {
		return report, err
	}
	defer records.Close()
	if err := os.MkdirAll(out, 0o755); err != nil {
		return report, fmt.Errorf("--out: %w", err)
	}
	var files []*partial
	outputs := map[formats.Format]io.Writer{}
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.finish(err == nil))
		}
	}()
	for _, f := range wanted {
		file, err := newPartial(filepath.Join(out, f.FileName()))
		if err != nil {
			return report, err
		}
		files, outputs[f] = append(files, file), file
	}
	return formats.Convert(ctx, records, outputs, formats.Options{Schema: run.Schema, Framing: run.Source.Format, CPUs: cpus,
		Envelope: formats.Envelope{WorkflowID: run.WorkflowID, RunID: run.JobID, ExecutedAt: run.FinishedAt}})
}

// partial is a file under another name until it is whole.
type partial struct {
	*bufio.Writer
	file *os.File
	name string
}

func newPartial(name string) (*partial, error) {
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	if err := file.Chmod(0o644); err != nil { // like any file of the user's, not like a secret
		return nil, errors.Join(err, file.Close())
	}
	return &partial{bufio.NewWriterSize(file, 256<<10), file, name}, nil
}

func (p *partial) finish(whole bool) error {
	err := errors.Join(p.Flush(), p.file.Close())
	if whole && err == nil {
		return os.Rename(p.file.Name(), p.name)
	}
	return errors.Join(err, os.Remove(p.file.Name()))
}
