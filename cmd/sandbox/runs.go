package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
)

// The bundled runs: real data, see NOTICE.md beside them.
//
//go:embed testdata/runs
var bundled embed.FS

const bundledDir = "testdata/runs"

// order in which the bundled runs finished; the two of one workflow show a
// schema that changes.
var order = []string{"movies", "earthquakes-1", "earthquakes-2", "contributions"}

// unpackRuns writes the bundled records into dir and returns the runs, with
// the one of file, if any, at the end.
func unpackRuns(dir, file string) ([]waybill.Run, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("unpack runs: %w", err)
	}
	err := fs.WalkDir(bundled, bundledDir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".jsonl") {
			return err
		}
		text, err := bundled.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path.Base(name)), text, 0o644)
	})
	if err != nil {
		return nil, fmt.Errorf("unpack runs: %w", err)
	}
	var runs []waybill.Run
	for _, name := range order {
		text, err := bundled.ReadFile(path.Join(bundledDir, name+".run.json"))
		if err != nil {
			return nil, fmt.Errorf("unpack runs: %w", err)
		}
		if runs, err = appendRun(runs, text, dir); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if file == "" {
		return runs, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-f: %w", err)
	}
	if runs, err = appendRun(runs, text, filepath.Dir(file)); err != nil {
		return nil, fmt.Errorf("-f %s: %w", file, err)
	}
	if r := runs[len(runs)-1]; strings.HasPrefix(r.Source.URI, "s3:") {
		return nil, errors.New("-f: the sandbox has no S3 store; use a run whose source is a file")
	}
	return runs, nil
}

func appendRun(runs []waybill.Run, text []byte, dir string) ([]waybill.Run, error) {
	run, err := waybill.DecodeRun(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if err := fleet.ResolveSource(&run, dir); err != nil {
		return nil, err
	}
	return append(runs, run), nil
}
