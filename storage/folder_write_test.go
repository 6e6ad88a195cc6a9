package storage

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// Whatever a writer has done when it dies, data and metadata belong together.
func TestFolderMetadataFollowsData(t *testing.T) {
	f, err := OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := func(when, version string) {
		t.Helper()
		o, err := f.Stat(t.Context(), "a")
		if err != nil || o.Metadata["version"] != version || o.ContentType != "text/"+version || o.Size != int64(len(version)) {
			t.Errorf("%s: %+v, %v; want version %s", when, o, err, version)
		}
	}
	options := func(version string) PutOptions {
		return PutOptions{ContentType: "text/" + version, Metadata: map[string]string{"version": version}}
	}
	if _, err := f.Put(t.Context(), "a", strings.NewReader("one"), options("one")); err != nil {
		t.Fatal(err)
	}
	old, err := f.root.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()

	draft, err := f.write(t.Context(), "a", strings.NewReader("three"), options("three"))
	if err != nil {
		t.Fatal(err)
	}
	want("written, and no more", "one")
	if err := f.root.Rename(draft.tmp, "a"); err != nil {
		t.Fatal(err)
	}
	want("named, and not tidied up", "three")

	// A reader that opened the first version finds its metadata as long as
	// they are there, and looks again when they are gone.
	if o, err := f.describe("a", old); err != nil || o.Metadata["version"] != "one" {
		t.Errorf("the first version, open, is %+v, %v", o, err)
	}
	info, err := old.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.root.Remove(sidecarName(etag(info))); err != nil {
		t.Fatal(err)
	}
	if o, err := f.describe("a", old); !errors.Is(err, errReplaced) {
		t.Errorf("the first version, without its metadata, is %+v, %v", o, err)
	}
	if err := f.root.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if o, err := f.describe("a", old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the first version, removed, is %+v, %v", o, err)
	}
}
