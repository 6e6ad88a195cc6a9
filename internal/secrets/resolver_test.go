package secrets

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
)

func mustRef(t *testing.T, text string) Ref {
	t.Helper()
	r, err := ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestResolveEnvironment(t *testing.T) {
	t.Setenv("WB_TEST_SECRET", value)
	s, err := NewResolver().Resolve(t.Context(), mustRef(t, "env:WB_TEST_SECRET"))
	if err != nil || s.Reveal() != value {
		t.Errorf("Resolve = %q, %v", s.Reveal(), err)
	}
}

func TestResolveFile(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"as it is":             {value, value},
		"newline cut":          {value + "\n", value},
		"CRLF cut":             {value + "\r\n", value},
		"one newline cut":      {value + "\n\n", value + "\n"},
		"inner lines kept":     {"a\nb\n", "a\nb"},
		"spaces kept":          {" " + value + " ", " " + value + " "},
		"carriage return kept": {value + "\r", value + "\r"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			write(t, path, c.text)
			s, err := NewResolver().Resolve(t.Context(), mustRef(t, "file:"+path))
			if err != nil || s.Reveal() != c.want {
				t.Errorf("Resolve = %q, %v, want %q", s.Reveal(), err, c.want)
			}
		})
	}
}

// A rotated secret is the new one at the next call, even where neither the
// file's size nor its time tells.
func TestResolveFileAgainAfterRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, "first-one")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	r, ref := NewResolver(), mustRef(t, "file:"+path)
	for _, want := range []string{"first-one", "other-one"} {
		write(t, path, want)
		if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		if s, err := r.Resolve(t.Context(), ref); err != nil || s.Reveal() != want {
			t.Errorf("Resolve = %q, %v, want %q", s.Reveal(), err, want)
		}
	}
}

func TestResolveFails(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "empty"), "\n")
	write(t, filepath.Join(dir, "large"), strings.Repeat("x", maxSecretBytes+1))
	t.Setenv("WB_TEST_EMPTY", "")
	for text, cause := range map[string]string{
		"env:WB_TEST_NOT_SET":    "is not set",
		"env:WB_TEST_EMPTY":      "is empty",
		"file:" + dir + "/none":  "no such file",
		"file:" + dir + "/empty": "is empty",
		"file:" + dir + "/large": "larger than",
		"file:" + dir:            "not a regular file",
	} {
		_, err := NewResolver().Resolve(t.Context(), mustRef(t, text))
		f, ok := errors.AsType[*waybill.Failure](err)
		if !ok || f.Verdict != waybill.Blocked || f.Code != "secret.unavailable" {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !strings.Contains(err.Error(), cause) || !strings.Contains(f.Action, text) {
			t.Errorf("%s: error %q with action %q, want %q", text, err, f.Action, cause)
		}
	}
	if _, err := NewResolver().Resolve(t.Context(), Ref{}); err == nil {
		t.Error("a reference to nowhere was resolved")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
