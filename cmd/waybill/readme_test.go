package main_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/tasks"
)

var update = flag.Bool("update", false, "rewrite the generated tables of the README")

const readme = "../../README.md"

// The README's tables follow from the code. To write them anew:
// go test ./cmd/waybill -run Readme -update.
func TestReadmeTables(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for name, table := range map[string]string{"tasks": taskTable(), "settings": settingTable(), "metrics": metricTable(), "casts": castTable()} {
		begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		head, rest, ok := strings.Cut(want, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("the README has no place for the table %s", name)
		}
		want = head + begin + table + end + after
	}
	if *update {
		if err := os.WriteFile(readme, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Error("the README's tables are not what the code says; run: go test ./cmd/waybill -run Readme -update")
	}
}

func TestTheReadmeSaysWhatEachDependencyIsFor(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	direct, _, _ := strings.Cut(strings.SplitN(string(mod), "require (", 2)[1], ")")
	for line := range strings.Lines(direct) {
		module, _, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		if strings.HasPrefix(module, "github.com/aws/aws-sdk-go-v2/") {
			continue // parts of one SDK share a line
		}
		if !strings.Contains(string(text), module+" ") {
			t.Errorf("%s has no line in the README's table of dependencies", module)
		}
	}
}

func TestTheReadmeNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	err = filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		tests.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(string(text), -1)
	if len(names) < 10 {
		t.Errorf("the README names only %d tests", len(names))
	}
	for _, name := range names {
		if !strings.Contains(tests.String(), "func "+name) {
			t.Errorf("the README names %s, which is no test", name)
		}
	}
}

func table(header string, rows ...[]string) string {
	var b strings.Builder
	columns := strings.Split(header, "|")
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", escape(strings.Join(row, " | ")))
	}
	return b.String()
}

func taskTable() string {
	var rows [][]string
	for _, d := range tasks.All() {
		rows = append(rows, []string{"`" + d.Name + "`", d.Summary, d.Queue, d.Timeout.String(),
			fmt.Sprintf("after %v; then replays after %v", d.Retry.Delays, d.Retry.Replays)})
	}
	return table("Task|Steps (stage)|Queue|Cap|Retries", rows...)
}

func settingTable() string {
	var rows [][]string
	for _, s := range config.Settings() {
		rows = append(rows, []string{"`" + s.Path + "`", "`" + s.Env + "`", s.Default, s.Help})
	}
	return table("Setting|Variable|Default|What it is", rows...)
}

func metricTable() string {
	var rows [][]string
	for _, m := range monitoring.Catalog() {
		rows = append(rows, []string{"`" + m.Name + "`", m.Type, strings.Join(m.Labels, ", "), m.Help})
	}
	return table("Metric|Type|Labels|What it says", rows...)
}

func castTable() string {
	var rows [][]string
	for _, c := range formats.CastTable() {
		rows = append(rows, []string{string(c.Type), c.Column, string(c.Policy), c.Accepts, c.CSV})
	}
	return table("Type|Parquet|Policy|Accepts|CSV", rows...)
}

// escape keeps what looks like HTML from being taken for it.
func escape(text string) string { return strings.ReplaceAll(text, "<", "&lt;") }
