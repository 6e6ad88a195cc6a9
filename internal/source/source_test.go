package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
)

const records = `{"a":1}` + "\n" + `{"a":2}` + "\n"

func fileSource(path string) waybill.Source { return waybill.Source{URI: "file://" + path} }

// folder returns an Opener whose root holds the files.
func folder(t *testing.T, files map[string][]byte) Opener {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		writeFile(t, filepath.Join(root, name), content)
	}
	return Opener{FileRoot: root}
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, o Opener, src waybill.Source) *Reader {
	t.Helper()
	r, err := o.Open(t.Context(), "team-1", src, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// read opens and reads a source to its end.
func read(t *testing.T, o Opener, src waybill.Source, pin string) (string, error) {
	t.Helper()
	r, err := o.Open(t.Context(), "team-1", src, pin)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

// wantFailure fails unless err is a failure without a stage, of the verdict
// and code, whose sentence holds part.
func wantFailure(t *testing.T, err error, verdict waybill.Verdict, code, part string) {
	t.Helper()
	f, ok := err.(*waybill.Failure)
	if !ok {
		t.Errorf("error is %T: %v, want %s", err, err, code)
		return
	}
	if f.Verdict != verdict || f.Code != code || f.Stage != "" || !strings.Contains(f.Action, part) {
		t.Errorf("failure %+v, want %s %s with %q", f, verdict, code, part)
	}
}

func TestReadFile(t *testing.T) {
	o := folder(t, map[string][]byte{"team/run.jsonl": []byte(records)})
	src := fileSource(o.FileRoot + "/team/run.jsonl")
	r := open(t, o, src)
	text, err := io.ReadAll(r)
	if err != nil || string(text) != records {
		t.Errorf("read %q, %v", text, err)
	}
	if r.Size() != int64(len(records)) || r.BytesRead() != r.Size() || r.ETag() == "" {
		t.Errorf("size %d, read %d, tag %q", r.Size(), r.BytesRead(), r.ETag())
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after the end: %d, %v", n, err)
	}
	if text, err := read(t, o, src, r.ETag()); err != nil || text != records {
		t.Errorf("with its own tag as pin: %q, %v", text, err)
	}
}

func TestFileOutsideTheRoot(t *testing.T) {
	o := folder(t, map[string][]byte{"in/run.jsonl": []byte(records), "secret.jsonl": []byte("secret")})
	outside := o.FileRoot
	o.FileRoot += "/in"
	for link, to := range map[string]string{
		"absolute-link": outside + "/secret.jsonl", "relative-link": "../secret.jsonl", "folder-link": outside, "loop": "loop",
	} {
		if err := os.Symlink(to, filepath.Join(o.FileRoot, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, uri := range map[string]string{
		"beside it":           "file://" + outside + "/secret.jsonl",
		"by dots":             "file://" + o.FileRoot + "/../secret.jsonl",
		"by encoded dots":     "file://" + o.FileRoot + "/%2e%2e/secret.jsonl",
		"same beginning":      "file://" + o.FileRoot + "side/run.jsonl",
		"by an absolute link": "file://" + o.FileRoot + "/absolute-link",
		"by a relative link":  "file://" + o.FileRoot + "/relative-link",
		"by a linked folder":  "file://" + o.FileRoot + "/folder-link/secret.jsonl",
		"by a loop":           "file://" + o.FileRoot + "/loop",
		"the root itself":     "file://" + o.FileRoot,
		"another host":        "file://host" + o.FileRoot + "/run.jsonl",
		"a query":             "file://" + o.FileRoot + "/run.jsonl?x",
		"relative":            "run.jsonl",
		"relative with file":  "file:run.jsonl",
		"another scheme":      "https://example.com/run.jsonl",
		"no URI":              "file://%zz",
	} {
		t.Run(name, func(t *testing.T) {
			text, err := read(t, o, waybill.Source{URI: uri}, "")
			wantFailure(t, err, waybill.Permanent, "source.not_allowed", "may not be read")
			if text != "" {
				t.Errorf("read %q", text)
			}
		})
	}
	t.Run("no root", func(t *testing.T) {
		_, err := read(t, Opener{}, fileSource(o.FileRoot+"/run.jsonl"), "")
		wantFailure(t, err, waybill.Permanent, "source.not_allowed", "reads no files")
	})
	t.Run("a link that stays inside", func(t *testing.T) {
		if err := os.Symlink("run.jsonl", filepath.Join(o.FileRoot, "inside")); err != nil {
			t.Fatal(err)
		}
		if text, err := read(t, o, fileSource(o.FileRoot+"/inside"), ""); err != nil || text != records {
			t.Errorf("read %q, %v", text, err)
		}
	})
}

func TestFileNotThere(t *testing.T) {
	o := folder(t, map[string][]byte{"run.jsonl": []byte(records)})
	for _, path := range []string{"/none.jsonl", "/none/run.jsonl", "/run.jsonl/below"} {
		_, err := read(t, o, fileSource(o.FileRoot+path), "")
		wantFailure(t, err, waybill.Permanent, "source.not_found", "are not at file://"+o.FileRoot+path)
	}
	o.FileRoot += "/gone"
	_, err := read(t, o, fileSource(o.FileRoot+"/run.jsonl"), "")
	wantFailure(t, err, waybill.Blocked, "source.no_root", "sources.fileRoot")
}

func TestFileChanged(t *testing.T) {
	o := folder(t, map[string][]byte{"run.jsonl": []byte(records)})
	path := o.FileRoot + "/run.jsonl"
	r := open(t, o, fileSource(path))
	if _, err := io.ReadFull(r, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, []byte(records+records))
	_, err := io.ReadAll(r)
	wantFailure(t, err, waybill.Permanent, "source.changed", "hand the run in again with replace")
	_, err = read(t, o, fileSource(path), r.ETag())
	wantFailure(t, err, waybill.Permanent, "source.changed", "hand the run in again with replace")
}

func TestChecksum(t *testing.T) {
	for name, content := range map[string][]byte{"run.jsonl": []byte(records), "run.jsonl.gz": gz(t, records), "run.jsonl.zst": zst(t, records)} {
		o := folder(t, map[string][]byte{name: content})
		src := fileSource(o.FileRoot + "/" + name)
		src.Checksum = fmt.Sprintf("sha256:%x", sha256.Sum256(content)) // of the bytes at the URI
		if text, err := read(t, o, src, ""); err != nil || text != records {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		src.Checksum = "sha256:" + strings.Repeat("0", 64)
		text, err := read(t, o, src, "")
		wantFailure(t, err, waybill.Permanent, "source.checksum_mismatch", "checksum was announced")
		if text != records {
			t.Errorf("%s: read %q before the end", name, text)
		}
	}
}

func TestCancelledWhileReading(t *testing.T) {
	o := folder(t, map[string][]byte{"run.jsonl": []byte(records)})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := o.Open(ctx, "team-1", fileSource(o.FileRoot+"/run.jsonl"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("read on: %v", err)
	}
}
