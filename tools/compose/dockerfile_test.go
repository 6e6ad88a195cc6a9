package compose

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func TestDockerfile(t *testing.T) {
	stages := stages(t)
	build, final := stages[0], stages[len(stages)-1]

	if want := "golang:" + goVersion(t) + "."; !strings.HasPrefix(build.BaseName, want) || !pinned.MatchString(build.BaseName) {
		t.Errorf("builds with %q, want a tag that begins with %s and names the patch release", build.BaseName, want)
	}
	if final.BaseName != "scratch" {
		t.Errorf("the image stands on %q, want scratch", final.BaseName)
	}
	if runs := commands[*instructions.RunCommand](build); !slices.ContainsFunc(runs, buildsStatically) {
		t.Error("does not build ./cmd/waybill with CGO_ENABLED=0, which an empty image needs")
	}
	if len(commands[*instructions.RunCommand](final)) != 0 {
		t.Error("runs a command in an image that has no shell")
	}
	users := commands[*instructions.UserCommand](final)
	if len(users) == 0 || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(users[len(users)-1].User) {
		t.Errorf("runs as %v, want the numbers of a user and group that are not root", users)
	}
	entry := commands[*instructions.EntrypointCommand](final)
	if len(entry) != 1 || entry[0].PrependShell || !slices.Equal(entry[0].CmdLine, []string{"/waybill"}) {
		t.Errorf("entry point is %v, want /waybill without a shell", entry)
	}
	if !slices.ContainsFunc(commands[*instructions.CopyCommand](final), func(c *instructions.CopyCommand) bool {
		return c.From == build.Name && strings.HasSuffix(c.DestPath, "/ca-certificates.crt")
	}) {
		t.Error("has no CA certificates")
	}
}

func TestHealthChecksRunTheEntryPoint(t *testing.T) {
	final := stages(t)[1]
	program := commands[*instructions.EntrypointCommand](final)[0].CmdLine[0]
	for _, name := range []string{"scheduler", "worker"} {
		if got := load(t, secret...).Services[name].HealthCheck.Test; got[0] != "CMD" || got[1] != program {
			t.Errorf("the health check of %s is %q, want CMD and %s: the image has no other program", name, got, program)
		}
	}
}

func TestFoldersOfTheConfigurationAreThere(t *testing.T) {
	folder := regexp.MustCompile(`(?m)(?:file://|fileRoot: )(/\S+)$`)
	var there []string // by the image, or by a mount
	for _, c := range commands[*instructions.RunCommand](stages(t)[0]) {
		for word := range strings.FieldsSeq(strings.Join(c.CmdLine, " ")) {
			there = append(there, strings.TrimPrefix(word, "/rootfs"))
		}
	}
	for _, v := range load(t, secret...).Services["worker"].Volumes {
		there = append(there, v.Target)
	}
	for _, name := range []string{"waybill.yaml", "connector.yaml"} {
		text, err := os.ReadFile(filepath.Join(projectRoot(t), "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		named := folder.FindAllStringSubmatch(string(text), -1)
		if len(named) == 0 {
			t.Errorf("%s names no folder; this test looks for the wrong words", name)
		}
		for _, match := range named {
			if !slices.Contains(there, match[1]) {
				t.Errorf("%s names the folder %s, which neither the image nor a mount has", name, match[1])
			}
		}
	}
}

func buildsStatically(c *instructions.RunCommand) bool {
	line := strings.Join(c.CmdLine, " ")
	return strings.Contains(line, "CGO_ENABLED=0 go build") && strings.HasSuffix(line, " ./cmd/waybill")
}

// stages parses the Dockerfile as the builder does.
func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	file, err := os.Open(filepath.Join(projectRoot(t), "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(stages) != 2 {
		t.Fatalf("has %d stages, want one that builds and one that runs", len(stages))
	}
	return stages
}

func commands[C instructions.Command](s instructions.Stage) (found []C) {
	for _, c := range s.Commands {
		if c, ok := c.(C); ok {
			found = append(found, c)
		}
	}
	return found
}

// goVersion is the release that go.mod asks for, without its patch number.
func goVersion(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(projectRoot(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(text)
	if match == nil {
		t.Fatal("go.mod names no Go release")
	}
	return string(match[1])
}
