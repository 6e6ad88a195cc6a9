package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every command that a runbook has somebody type at night exists, with its
// flags; and every runbook leads to a delivery, and to its retry.
func TestTheCommandsOfTheRunbooksExist(t *testing.T) {
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("runbooks are %v, %v", pages, err)
	}
	typed := regexp.MustCompile("(?m)^ *\\$ (waybill .*)$|`(waybill [a-z][^`]*)`")
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range typed.FindAllStringSubmatch(string(text), -1) {
			line, _, _ := strings.Cut(found[1]+found[2], " >") // where its output goes
			args := strings.Fields(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(line, "text"))[1:]
			// What is unknown is refused before the help is shown.
			if out, err := exec.CommandContext(t.Context(), program, append(args, "--help")...).CombinedOutput(); err != nil || !strings.Contains(string(out), "Usage:\n  waybill "+args[0]) {
				t.Errorf("%s: %s: %v\n%s", filepath.Base(page), line, err, out)
			}
		}
		if filepath.Base(page) == "README.md" {
			continue
		}
		for _, step := range []string{"waybill delivery show ", "waybill delivery retry "} {
			if !strings.Contains(string(text), step) {
				t.Errorf("%s does not come to %q", filepath.Base(page), step)
			}
		}
	}
}
