package connectors

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
)

// ReadFiles reads the connectors of a file, or of the *.yaml and *.yml files
// of a folder in the order of their names. A file may hold several documents.
// The error is a [waybill.Problems] with everything wrong in all of them, each
// with its file and line.
func (r Rules) ReadFiles(path string) ([]Connector, error) {
	files, err := list(path)
	if err != nil {
		return nil, fmt.Errorf("read connectors: %w", err)
	}
	reading := reading{rules: r, places: map[string]string{}}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read connectors: %w", err)
		}
		reading.file(filepath.Base(file), text)
	}
	if len(reading.connectors) == 0 && len(reading.problems) == 0 {
		reading.problems.Addf(path, "holds no connector")
	}
	return reading.connectors, reading.problems.Err()
}

// Parse reads the connectors of one YAML text; name stands for it in problems.
func (r Rules) Parse(name string, text []byte) ([]Connector, error) {
	reading := reading{rules: r, places: map[string]string{}}
	reading.file(name, text)
	return reading.connectors, reading.problems.Err()
}

func list(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		ext := filepath.Ext(e.Name())
		return e.IsDir() || (ext != ".yaml" && ext != ".yml")
	})
	files := make([]string, len(entries))
	for i, e := range entries {
		files[i] = filepath.Join(path, e.Name())
	}
	return files, err
}

// reading collects the connectors and the problems of several files.
type reading struct {
	rules      Rules
	connectors []Connector
	problems   waybill.Problems
	places     map[string]string // where an id was first given
}

func (r *reading) file(name string, text []byte) {
	docs, err := config.ParseYAML(name, text)
	if problems, ok := errors.AsType[waybill.Problems](err); ok {
		r.problems = append(r.problems, problems...)
	}
	for _, doc := range docs {
		r.document(doc)
	}
}

func (r *reading) document(doc *config.Document) {
	var c Connector
	decoding := doc.Decode(&c)
	problems := r.rules.Validate(c)
	if first, taken := r.places[c.ID]; taken && c.ID != "" {
		problems.Addf("id", "%s is also the id of the connector at %s; ids are unique", waybill.Quote(c.ID), first)
	} else {
		r.places[c.ID] = doc.Place()
	}
	r.problems = append(r.problems, config.Merge(decoding, doc.Locate(problems))...)
	r.connectors = append(r.connectors, c)
}
