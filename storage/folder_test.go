package storage_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/waybillhq/waybill"
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

// A link inside the folder may lead to a place inside it, and nowhere else.
func TestFolderSymlinks(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "secret"), "secret")
	f := openFolder(t, dir)
	put(t, f, "inside/a", "a")
	for name, target := range map[string]string{
		"file": filepath.Join(outside, "secret"), "dir": outside, "up": "../" + filepath.Base(outside), "loop": "loop", "own": "inside",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"file", "dir/secret", "up/secret", "loop", "loop/x"} {
		_, err := f.Stat(t.Context(), key)
		wantCode(t, err, waybill.Blocked, "storage.symlink")
		_, _, err = f.Get(t.Context(), key, storage.GetOptions{})
		wantCode(t, err, waybill.Blocked, "storage.symlink")
	}
	for _, key := range []string{"dir/new", "up/new", "dir/secret", "dir/deep/new"} {
		_, err := f.Put(t.Context(), key, strings.NewReader("x"), storage.PutOptions{})
		wantCode(t, err, waybill.Blocked, "storage.symlink")
		err = f.Delete(t.Context(), key)
		wantCode(t, err, waybill.Blocked, "storage.symlink")
	}
	put(t, f, "file", "takes the link's place")
	put(t, f, "own/b", "b")
	if text := read(t, filepath.Join(outside, "secret")); text != "secret" {
		t.Errorf("the file outside holds %q now", text)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside there are %v now, %v", entries, err)
	}
	if got := listed(t, f); !slices.Equal(got, []string{"file", "inside/a", "inside/b"}) {
		t.Errorf("listed are %q", got)
	}
}

func TestFolderReserved(t *testing.T) {
	f := openFolder(t, t.TempDir())
	put(t, f, "a", "a")
	for _, key := range []string{".waybill", ".waybill/lock", ".waybill/meta/x.json", ".WayBill/x"} {
		_, err := f.Put(t.Context(), key, strings.NewReader("x"), storage.PutOptions{})
		wantCode(t, err, waybill.Permanent, "storage.bad_key")
		_, err = f.Stat(t.Context(), key)
		wantCode(t, err, waybill.Permanent, "storage.bad_key")
		wantCode(t, f.Delete(t.Context(), key), waybill.Permanent, "storage.bad_key")
	}
	put(t, f, "a.waybill/.waybill", "elsewhere it is a name like others")
	if got := listed(t, f); !slices.Equal(got, []string{"a", "a.waybill/.waybill"}) {
		t.Errorf("listed are %q", got)
	}
}

// Files that other programs put there are objects too.
func TestFolderForeignFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "foreign.csv"), "a,b")
	write(t, filepath.Join(dir, `back\slash`), "no key can name it")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := openFolder(t, dir)
	if err := f.Delete(t.Context(), "nothing"); err != nil {
		t.Error(err)
	}
	object, err := f.Stat(t.Context(), "foreign.csv")
	if err != nil || object.Size != 3 || object.CRC32C != "" || object.Metadata != nil {
		t.Errorf("%+v, %v; want 3 bytes and nothing that nobody knows", object, err)
	}
	_, err = f.Stat(t.Context(), "pipe")
	wantCode(t, err, waybill.Permanent, "storage.not_found")
	if got := listed(t, f); !slices.Equal(got, []string{"foreign.csv"}) {
		t.Errorf("listed are %q", got)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("reading alone left %v, %v", entries, err)
	}
	if _, err := f.Put(t.Context(), "foreign.csv", strings.NewReader("mine"), storage.PutOptions{IfMatch: object.ETag}); err != nil {
		t.Error(err)
	}
}

func TestFolderNamesInTheWay(t *testing.T) {
	f := openFolder(t, t.TempDir())
	put(t, f, "file", "x")
	put(t, f, "dir/x", "x")
	for _, opts := range []storage.PutOptions{{}, {IfAbsent: true}} {
		for _, key := range []string{"file/x", "file/x/y", "dir"} {
			_, err := f.Put(t.Context(), key, strings.NewReader("x"), opts)
			wantCode(t, err, waybill.Blocked, "storage.key_taken")
		}
	}
	_, err := f.Put(t.Context(), strings.Repeat("n", 300), strings.NewReader("x"), storage.PutOptions{})
	wantCode(t, err, waybill.Blocked, "storage.key_too_long")
	if left := folderLeftovers(t, f); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// Versions that follow each other at once, and have one size, differ.
func TestFolderETagsDiffer(t *testing.T) {
	f := openFolder(t, t.TempDir())
	seen := map[string]bool{}
	for range 300 {
		seen[put(t, f, "a", "x").ETag] = true
	}
	if len(seen) != 300 {
		t.Errorf("300 versions have %d ETags", len(seen))
	}
}

func TestFolderDeleteRemovesEmptyFolders(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	put(t, f, "a/b/c/d", "x")
	put(t, f, "a/e", "x")
	if err := f.Delete(t.Context(), "a/b/c/d"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a", "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a/b is still there: %v", err)
	}
	if got := listed(t, f); !slices.Equal(got, []string{"a/e"}) {
		t.Errorf("listed are %q", got)
	}
}

// What is damaged is told, not guessed.
func TestFolderDamagedMetadata(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	object := put(t, f, "a", "x")
	write(t, filepath.Join(dir, ".waybill", "meta", object.ETag+".json"), "{")
	_, err := f.Stat(t.Context(), "a")
	wantCode(t, err, waybill.Transient, "storage.io")
}

func TestOpenFolderRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "x")
	_, err := storage.OpenFolder(filepath.Join(dir, "nothing"))
	wantCode(t, err, waybill.Blocked, "storage.no_bucket")
	_, err = storage.OpenFolder(filepath.Join(dir, "file"))
	wantCode(t, err, waybill.Blocked, "storage.no_bucket")
}

func wantCode(t *testing.T, err error, verdict waybill.Verdict, code string) {
	t.Helper()
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok || f.Verdict != verdict || f.Code != code || f.Action == "" {
		t.Errorf("%v; want %s %s", err, verdict, code)
	}
}

func put(t testing.TB, s storage.Store, key, text string) storage.Object {
	t.Helper()
	object, err := s.Put(t.Context(), key, strings.NewReader(text), storage.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func listed(t *testing.T, s storage.Store) []string {
	t.Helper()
	var keys []string
	for object, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, object.Key)
	}
	return keys
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFolderDeletesWhatAnotherProgramPutThere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "theirs"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	store, err := storage.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Delete(t.Context(), "theirs"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Stat(t.Context(), "theirs"); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("it is answered with %v", err)
	}
}
