package testservers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// systemProgram finds a program that the operating system's packages bring.
func systemProgram(name, mend string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed; install it with: %s", name, mend)
	}
	return path, nil
}

// pinnedProgram finds a program that `make tools` builds from the module below
// tools/ into .tools/bin at the project's root.
func pinnedProgram(name string) (string, error) {
	root, err := projectRoot()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, ".tools", "bin", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not built (%w); build it with: make tools", name, err)
	}
	return path, nil
}

// nodeScript finds a program that `make tools` installs with npm into .tools,
// below tools/ pinned by a lock file, and the Node.js that runs it.
func nodeScript(folder, script string) (node, path string, err error) {
	if node, err = systemProgram("node", "your system's packages of Node.js 20 or later and npm, then: make tools"); err != nil {
		return "", "", err
	}
	root, err := projectRoot()
	if err != nil {
		return "", "", err
	}
	path = filepath.Join(root, ".tools", folder, "node_modules", script)
	if _, err := os.Stat(path); err != nil {
		return "", "", fmt.Errorf("%s is not installed (%w); install it, where npm is there, with: make tools", folder, err)
	}
	return node, path, nil
}

// projectRoot walks up from the working directory, which for a test is its
// package's folder, to the folder that holds go.mod.
func projectRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		switch {
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		case dir == filepath.Dir(dir):
			return "", fmt.Errorf("no go.mod in %s or above it; run the tests inside the project", start)
		}
	}
}
