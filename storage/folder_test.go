package storage_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/storage/storagetest"
)

func TestFolderConformance(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return openFolder(t, t.TempDir()) }, storagetest.Caps{
		Missing: func(t *testing.T) storage.Store {
			dir := filepath.Join(t.TempDir(), "unmounted")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			f := openFolder(t, dir)
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
			return f
		},
		Leftovers: func(t *testing.T, s storage.Store) []string { return folderLeftovers(t, s.(*storage.Folder)) },
	})
}

func openFolder(t testing.TB, dir string) *storage.Folder {
	t.Helper()
	f, err := storage.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// folderLeftovers names the hidden files that no object needs: all that are
// being written, and metadata beyond one for each object.
func folderLeftovers(t testing.TB, f *storage.Folder) []string {
	t.Helper()
	dir := filepath.Join(f.URL()[len("file://"):], ".waybill")
	left, err := filepath.Glob(filepath.Join(dir, "tmp", "*"))
	if err != nil {
		t.Fatal(err)
	}
	metadata, err := filepath.Glob(filepath.Join(dir, "meta", "*"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for object, err := range f.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		known[filepath.Join(dir, "meta", object.ETag+".json")] = true
	}
	for _, name := range metadata {
		if !known[name] {
			left = append(left, name)
		}
	}
	return left
}

func put(t testing.TB, s storage.Store, key, text string) storage.Object {
	t.Helper()
	object, err := s.Put(t.Context(), key, strings.NewReader(text), storage.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return object
}
