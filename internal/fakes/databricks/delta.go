package databricks

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Table is what a workspace learns from a Delta table's log.
type Table struct {
	Version         int64
	Schema          string // schemaString of the newest metaData
	Description     string
	DeletionVectors bool
}

// DescribeFolder reads the log of the Delta table at a file:// URL. It knows
// the commits alone, no checkpoints: a log that was cleaned up needs an
// [Options].Describe that reads those too.
// https://github.com/delta-io/delta/blob/master/PROTOCOL.md
func DescribeFolder(location string) (Table, error) {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "file" {
		return Table{}, fmt.Errorf("%s is not a folder; give Options.Describe", location)
	}
	commits, err := filepath.Glob(filepath.Join(u.Path, "_delta_log", "*.json"))
	if err != nil || len(commits) == 0 {
		return Table{}, fmt.Errorf("there is no Delta log at %s", location)
	}
	slices.Sort(commits)
	t := Table{Version: int64(len(commits)) - 1}
	for _, file := range commits {
		text, err := os.ReadFile(file)
		if err != nil {
			return Table{}, err
		}
		if err := t.replay(text); err != nil {
			return Table{}, fmt.Errorf("%s: %w", file, err)
		}
	}
	return t, nil
}

func (t *Table) replay(commit []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(commit))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var action struct {
			MetaData *struct {
				SchemaString  string            `json:"schemaString"`
				Description   string            `json:"description"`
				Configuration map[string]string `json:"configuration"`
			} `json:"metaData"`
		}
		if err := json.Unmarshal(lines.Bytes(), &action); err != nil {
			return err
		}
		if m := action.MetaData; m != nil {
			t.Schema, t.Description = m.SchemaString, m.Description
			t.DeletionVectors = m.Configuration["delta.enableDeletionVectors"] == "true"
		}
	}
	return lines.Err()
}

// columns are the schema's, in the words of Unity Catalog, which calls long
// bigint: https://docs.databricks.com/sql/language-manual/sql-ref-datatypes.html
func (t Table) columns() []column {
	var schema struct {
		Fields []struct {
			Name     string          `json:"name"`
			Type     json.RawMessage `json:"type"`
			Nullable bool            `json:"nullable"`
		} `json:"fields"`
	}
	if err := json.Unmarshal([]byte(t.Schema), &schema); err != nil {
		return nil
	}
	var list []column
	for i, f := range schema.Fields {
		text := strings.Trim(string(f.Type), `"`)
		switch text {
		case "long":
			text = "bigint"
		case "integer":
			text = "int"
		}
		list = append(list, column{Name: f.Name, TypeText: text, Position: i, Nullable: f.Nullable})
	}
	return list
}
