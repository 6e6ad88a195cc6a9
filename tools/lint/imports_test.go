// Package lint pins the linter in a module of its own. Its test proves that
// the import rules in .golangci.yml refuse what they should and nothing else.
package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/waybillhq/waybill"

// A row says what happens to an import in a file of a folder.
type row struct {
	folder   string // "." is the root package; a folder ending in _test is a test file
	imported string // beginning with "/": a package of ours
	refused  bool
}

func rows() []row {
	const no, yes = true, false
	asynq, asynqmon, redis := "github.com/hibiken/asynq", "github.com/hibiken/asynqmon", "github.com/redis/go-redis/v9"
	aws, smithy, arrow := "github.com/aws/aws-sdk-go-v2/service/s3", "github.com/aws/smithy-go", "github.com/apache/arrow-go/v18/arrow"
	databricks := "github.com/databricks/databricks-sdk-go/service/sharing"
	prom, cobra, miniredis := "github.com/prometheus/client_golang/prometheus", "github.com/spf13/cobra", "github.com/alicebob/miniredis/v2"
	otel := "go.opentelemetry.io/otel/trace"
	gosnowflake, duckdb := "github.com/snowflakedb/gosnowflake", "github.com/duckdb/duckdb-go/v2"
	return []row{
		{".", "errors", yes}, {".", "/formats", no}, {".", redis, no}, {"._test", "/formats", yes},

		{"formats", "", yes}, {"formats", arrow, yes}, {"formats", asynq, no}, {"formats", "/storage", no},
		{"formats/internal/x", "/formats", yes}, {"formats", redis, no}, {"formats", "log/slog", yes}, {"formats", "log", no},
		{"formats_test", "/storage", yes}, {"formats_test", "log", yes},

		{"storage", "", yes}, {"storage", aws, yes}, {"storage", smithy, yes}, {"storage/storagetest", "/storage", yes},
		{"storage", "/formats", no}, {"storage", "/internal/netguard", no}, {"storage", arrow, no}, {"storage", prom, no},

		{"warehouses/delta", "/storage", yes}, {"warehouses/delta", "/formats", yes}, {"warehouses/delta", arrow, yes}, {"warehouses/delta", "/internal/ledger", no},
		{"warehouses/snowflake", "/storage", yes}, {"warehouses/snowflake", gosnowflake, yes}, {"warehouses/snowflake", "/internal/ledger", no}, {"handlers", gosnowflake, no},
		{"internal/fakes", gosnowflake, no}, {"internal/fakes_test", gosnowflake, yes},
		{"internal/fakes", duckdb, yes}, {"internal/ledger", duckdb, no}, {"handlers", "/internal/fakes", no}, {"cmd/sandbox", "/internal/fakes", yes}, {"cmd/waybill", "/internal/fakes", no},
		{"warehouses/databricks", "/warehouses/delta", yes}, {"warehouses/databricks", "/storage", no}, {"warehouses/databricks", databricks, yes},
		{"warehouses/sharing", "/warehouses/delta", yes}, {"warehouses/sharing", "/storage", yes}, {"warehouses/sharing", "/formats", no},

		{"monitoring", otel, yes}, {"internal/testservers", otel, yes}, {"handlers", otel, no}, {"cmd/waybill", otel, no},

		{"internal/ledger", "", yes}, {"internal/ledger", "/storage", yes}, {"internal/ledger", redis, yes}, {"internal/ledger", asynq, no}, {"internal/ledger", "/tasks", no},
		{"internal/connectors", "/internal/config", yes}, {"internal/connectors", "/internal/secrets", yes}, {"internal/connectors", redis, yes}, {"internal/connectors", "/storage", no},
		{"internal/source", "/storage", yes}, {"internal/source", "/internal/netguard", yes}, {"internal/source", "/internal/ledger", no}, {"internal/source", redis, no},
		{"internal/fakes", "/warehouses/delta", yes}, {"internal/fakes", "/handlers", no}, {"internal/fakes", databricks, no},
		{"internal/api", "/internal/ledger", yes}, {"internal/api", "/internal/connectors", yes}, {"internal/api", "/tasks", no}, {"internal/api", redis, no},
		{"internal/web", "/internal/ledger", yes}, {"internal/web", "/internal/tokens", yes}, {"internal/web", "/internal/api", no}, {"internal/web", asynqmon, no},
		{"internal/notify", "/internal/ledger", yes}, {"internal/notify", "/internal/netguard", no}, {"internal/tokens", "/internal/ledger", no},
		{"internal/config/durability", "/internal/config", yes}, {"internal/config/durability", redis, yes}, {"internal/config/durability", "/internal/ledger", no},
		{"internal/config", "", yes}, {"internal/config", redis, yes}, {"internal/config", "/internal/secrets", yes}, {"internal/config", "/storage", no}, {"internal/secrets", aws, yes}, {"internal/notify", aws, no},

		{"monitoring", "", yes}, {"monitoring", asynq, yes}, {"monitoring", asynqmon, yes}, {"monitoring", prom, yes}, {"monitoring", redis, yes},
		{"monitoring", "/tasks", no}, {"monitoring", "/worker", no},

		{"tasks", "", yes}, {"tasks", asynq, yes}, {"tasks", "/internal/ledger", yes}, {"tasks", "/handlers", no}, {"tasks", "/storage", yes}, {"tasks", "/formats", no}, {"tasks", asynqmon, no},

		{"handlers", "/tasks", yes}, {"handlers", "/formats", yes}, {"handlers", "/storage", yes}, {"handlers", "/internal/ledger", yes},
		{"handlers", "/worker", no}, {"handlers", "/scheduler", no}, {"handlers", asynq, no}, {"handlers", redis, no}, {"handlers", prom, no}, {"handlers", aws, no},
		{"handlers", "/internal/testservers", no}, {"handlers_test", "/internal/testservers", yes},
		{"formats", "/internal/testsize", no}, {"formats_test", "/internal/testsize", yes},

		{"scheduler", "/tasks", yes}, {"scheduler", asynq, yes}, {"scheduler", "/monitoring", yes}, {"scheduler", "/handlers", no}, {"scheduler", "/worker", no}, {"scheduler", prom, no},
		{"worker", "/tasks", yes}, {"worker", asynq, yes}, {"worker", "/monitoring", yes}, {"worker", "/handlers", no}, {"worker", "/scheduler", no}, {"worker", cobra, no},

		{"cmd/waybill", "/worker", yes}, {"cmd/waybill", "/handlers", yes}, {"cmd/waybill", redis, yes}, {"cmd/waybill", cobra, yes},
		{"cmd/waybill", asynq, no}, {"cmd/waybill", prom, no}, {"cmd/waybill", miniredis, no}, {"cmd/waybill", "/internal/testservers", no},
		{"cmd/internal/fleet", "/handlers", yes}, {"cmd/internal/fleet", asynq, no},
		{"cmd/sandbox", miniredis, yes}, {"cmd/sandbox", asynq, no}, {"cmd/sandbox", asynqmon, no},
	}
}

func TestImportRulesRefuseWhatTheyShouldAndNothingElse(t *testing.T) {
	root := projectRoot(t)
	dir := t.TempDir()
	copyFile(t, filepath.Join(root, ".golangci.yml"), filepath.Join(dir, ".golangci.yml"))
	want := writeModule(t, dir)
	got := lint(t, filepath.Join(root, ".tools", "bin", "golangci-lint"), dir)
	for _, file := range slices.Sorted(maps.Keys(want)) {
		switch {
		case want[file].refused && got[file] == "":
			t.Errorf("%s may import %q; it should be refused", want[file].folder, want[file].imported)
		case !want[file].refused && got[file] != "":
			t.Errorf("%s is refused %q; it should be allowed: %s", want[file].folder, want[file].imported, got[file])
		case want[file].refused && want[file].folder != "." && !strings.Contains(got[file], ": "):
			t.Errorf("%s is refused %q without a reason: %s", want[file].folder, want[file].imported, got[file])
		}
		delete(got, file)
	}
	for file, text := range got {
		t.Errorf("unexpected finding in %s: %s", file, text)
	}
}

// writeModule writes one file for each row, and a stub for each package that
// they import, so that the module loads without a network.
func writeModule(t *testing.T, dir string) map[string]row {
	t.Helper()
	files := map[string]row{}
	var requires strings.Builder
	for i, r := range rows() {
		folder, test := strings.CutSuffix(r.folder, "_test")
		name := fmt.Sprintf("row%02d.go", i)
		if test {
			name = fmt.Sprintf("row%02d_test.go", i)
		}
		if strings.HasPrefix(r.imported, "/") || r.imported == "" {
			r.imported = module + r.imported
		}
		file := filepath.Join(folder, fmt.Sprintf("row%02d", i), name) // a package of its own, so that rows make no cycle
		if folder == "." {
			file = name
		}
		files[file] = r
		write(t, filepath.Join(dir, file), "package "+packageName(filepath.Dir(file))+"\n\nimport _ \""+r.imported+"\"\n")
		if own, ok := strings.CutPrefix(r.imported, module); ok {
			write(t, filepath.Join(dir, own, "stub.go"), "package "+packageName("."+own)+"\n")
		} else if strings.Contains(r.imported, ".") {
			requires.WriteString(stub(t, dir, r.imported))
		}
	}
	write(t, filepath.Join(dir, "go.mod"), "module "+module+"\n\ngo 1.26.0\n\n"+requires.String())
	return files
}

// stub writes an empty package as a module of its own and returns the lines
// that make go.mod take it from there.
func stub(t *testing.T, dir, path string) string {
	t.Helper()
	folder := filepath.Join("stubs", strings.ReplaceAll(path, "/", "_"))
	if _, err := os.Stat(filepath.Join(dir, folder)); err == nil {
		return "" // another row imports it too
	}
	version := "v1.0.0"
	if i := strings.LastIndex(path, "/v"); i > 0 && path[i+2] >= '2' && path[i+2] <= '9' {
		version = path[i+1:] + ".0.0"
	}
	write(t, filepath.Join(dir, folder, "go.mod"), "module "+path+"\n\ngo 1.26.0\n")
	write(t, filepath.Join(dir, folder, "stub.go"), "package stub\n")
	return fmt.Sprintf("require %s %s\n\nreplace %s => ./%s\n\n", path, version, path, folder)
}

// lint runs depguard alone and returns what it says of each file.
func lint(t *testing.T, program, dir string) map[string]string {
	t.Helper()
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("golangci-lint is not built (%v); build it with: make tools", err)
	}
	report := filepath.Join(dir, "report.json")
	cmd := exec.Command(program, "run", "--enable-only", "depguard", "--output.json.path", report, "./...")
	cmd.Dir = dir
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	// Exit status 1 says that there are findings, which the report holds.
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Run()); !ok || exit.ExitCode() != 1 {
		t.Fatalf("golangci-lint: %v, want findings:\n%s", exit, &output)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Issues []struct {
			FromLinter string `json:"fromLinter"`
			Text       string `json:"text"`
			Pos        struct {
				Filename string `json:"filename"`
			} `json:"pos"`
		} `json:"issues"`
	}
	if err := json.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	findings := map[string]string{}
	for _, issue := range parsed.Issues {
		if issue.FromLinter != "depguard" {
			t.Fatalf("%s: %s: %s", issue.Pos.Filename, issue.FromLinter, issue.Text)
		}
		findings[issue.Pos.Filename] += issue.Text
	}
	return findings
}

func packageName(folder string) string {
	if folder == "." {
		return "waybill"
	}
	return filepath.Base(folder)
}

func projectRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(text))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
