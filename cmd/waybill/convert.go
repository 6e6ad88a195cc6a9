package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/source"
)

func (p *program) convert() *cobra.Command {
	var c conversion
	var schema, list string
	var largest config.Bytes
	var compression map[string]string
	cmd := &cobra.Command{
		Use:   "convert --schema run.json --in FILE --out DIR",
		Short: "Convert a file of records, without a fleet",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if c.run, err = readRun(schema); err != nil {
				return fmt.Errorf("--schema %s: %w", schema, err)
			}
			if c.wanted, err = parseFormats(list); err != nil {
				return err
			}
			if c.opts.Compression, err = parseCompression(compression); err != nil {
				return err
			}
			c.opts.MaxFileBytes = int64(largest)
			if c.opts.CPUs > 0 {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(c.opts.CPUs)) // all else of a conversion keeps to them as well
			}
			report, err := c.do(cmd.Context())
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), report)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&schema, "schema", "", "a run's file: its schema and the format of its source are used")
	flags.StringVar(&c.in, "in", "", "the records; gzip and zstd are recognised")
	flags.StringVar(&c.out, "out", "", "the folder that data.parquet and so on go to")
	flags.StringVar(&list, "formats", "parquet,jsonl,csv", "formats, separated by commas: "+oneOf(formats.All()))
	flags.TextVar(&largest, "max-file-bytes", config.Bytes(0), "a format's next file, data-00001 and so on, begins before one becomes larger, e.g. 256MiB; default one file a format")
	flags.StringToStringVar(&compression, "compression", nil, "compression of text formats, e.g. csv=gzip,jsonl=zstd; "+oneOf(formats.Compressions()))
	flags.BoolVar(&c.opts.CSVFormulaGuard, "csv-formula-guard", false, "in CSV, put an apostrophe before text that a spreadsheet would run as a formula")
	flags.IntVar(&c.opts.CPUs, "cpus", 0, "cores to use; default all")
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

func parseCompression(given map[string]string) (map[formats.Format]formats.Compression, error) {
	compression := map[formats.Format]formats.Compression{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		f, c := formats.Format(name), formats.Compression(given[name])
		switch {
		case f == formats.Parquet || !slices.Contains(formats.All(), f):
			return nil, fmt.Errorf("--compression: %q is not a text format; use csv, jsonl or json", name)
		case !slices.Contains(formats.Compressions(), c):
			return nil, fmt.Errorf("--compression: %q is not a compression; use %s", given[name], oneOf(formats.Compressions()))
		}
		compression[f] = c
	}
	return compression, nil
}

// conversion is one file of records on its way to files.
type conversion struct {
	run     waybill.Run
	in, out string
	wanted  []formats.Format
	opts    formats.Options

	mu    sync.Mutex // formats open their files side by side
	files []*partial
}

// converted is what the command prints.
type converted struct {
	waybill.Conversion
	Files []convertedFile `json:"files"`
}

type convertedFile struct {
	Name string `json:"name"`
	formats.Part
}

// do converts into files that get their names only when all are whole.
func (c *conversion) do(ctx context.Context) (report converted, err error) {
	path, err := filepath.Abs(c.in)
	if err != nil {
		return report, fmt.Errorf("--in: %w", err)
	}
	records, err := source.Opener{FileRoot: filepath.Dir(path)}.Open(ctx, c.run.TeamID,
		waybill.Source{URI: (&url.URL{Scheme: "file", Path: path}).String(), Compression: c.run.Source.Compression}, "")
	if err != nil {
		return report, err
	}
	defer records.Close()
	if err := os.MkdirAll(c.out, 0o755); err != nil {
		return report, fmt.Errorf("--out: %w", err)
	}
	defer func() { err = errors.Join(err, c.finish(err == nil)) }()
	c.opts.Schema, c.opts.Framing = c.run.Schema, c.run.Source.Format
	c.opts.Envelope = formats.Envelope{WorkflowID: c.run.WorkflowID, RunID: c.run.JobID, ExecutedAt: c.run.FinishedAt}
	outputs := map[formats.Format]formats.Output{}
	for _, f := range c.wanted {
		outputs[f] = func(part int) (io.WriteCloser, error) { return c.create(c.opts.FileName(f, part)) }
	}
	result, err := formats.Convert(ctx, records, outputs, c.opts)
	report.Conversion = result.Conversion
	for _, f := range c.wanted {
		for i, part := range result.Parts[f] {
			report.Files = append(report.Files, convertedFile{c.opts.FileName(f, i), part})
		}
	}
	return report, err
}

func (c *conversion) create(name string) (*partial, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	file, err := newPartial(filepath.Join(c.out, name))
	if err == nil {
		c.files = append(c.files, file)
	}
	return file, err
}

func (c *conversion) finish(whole bool) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.files {
		err = errors.Join(err, f.finish(whole))
	}
	return err
}

// partial is a file under another name until all are whole.
type partial struct {
	*bufio.Writer
	file   *os.File
	name   string
	closed bool
}

func newPartial(name string) (*partial, error) {
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	if err := file.Chmod(0o644); err != nil { // like any file of the user's, not like a secret
		return nil, errors.Join(err, file.Close())
	}
	return &partial{Writer: bufio.NewWriterSize(file, 256<<10), file: file, name: name}, nil
}

// Close writes what is left of the file.
func (p *partial) Close() error {
	p.closed = true
	err := errors.Join(p.Flush(), p.file.Close())
	p.Writer = nil // its memory; there may be many files
	return err
}

func (p *partial) finish(whole bool) error {
	if whole {
		return os.Rename(p.file.Name(), p.name)
	}
	var err error
	if !p.closed {
		err = p.file.Close()
	}
	return errors.Join(err, os.Remove(p.file.Name()))
}
