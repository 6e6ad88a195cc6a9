package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// openFile opens a file below the root. Symbolic links that lead out of it are
// refused by [os.Root], which resolves them as it opens.
func (o Opener) openFile(u *url.URL, pin string) (rawObject, error) {
	rel, err := o.belowRoot(u)
	if err != nil {
		return rawObject{}, err
	}
	root, err := os.OpenRoot(o.FileRoot)
	if err != nil {
		return rawObject{}, waybill.Failf(waybill.Blocked, "source.no_root",
			"Make the folder of sources.fileRoot readable for the workers.", "open the root of file sources: %w", err)
	}
	defer root.Close()
	info, err := root.Stat(rel)
	if err != nil {
		return rawObject{}, classifyFile(err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would block
		return rawObject{}, notAllowed("name a regular file", "source %q is not a regular file", rel)
	}
	f, err := root.Open(rel)
	if err != nil {
		return rawObject{}, classifyFile(err)
	}
	return pinnedFile(f, pin)
}

// belowRoot returns the path of u relative to the root.
func (o Opener) belowRoot(u *url.URL) (string, error) {
	if o.FileRoot == "" {
		return "", notAllowed("this fleet reads no files; hand in records as an object", "no sources.fileRoot is configured")
	}
	if u.Host != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !filepath.IsAbs(u.Path) {
		return "", notAllowed("name the records as file:///absolute/path", "source is no plain file URI")
	}
	rel, err := filepath.Rel(o.FileRoot, u.Path)
	if err != nil || !filepath.IsLocal(rel) || strings.ContainsRune(rel, 0) {
		return "", notAllowed("put the records under the folder of sources.fileRoot", "source is outside the root of file sources")
	}
	return rel, nil
}

func classifyFile(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %w", storage.ErrNotExist, err)
	case errors.Is(err, fs.ErrPermission):
		return waybill.Failf(waybill.Blocked, "source.no_permission", "Let the workers read the run's file.", "open source: %w", err)
	case strings.Contains(err.Error(), "path escapes from parent"), errors.Is(err, syscall.ELOOP): // os.Root has no typed error for the first
		return notAllowed("put the records under the folder of sources.fileRoot; the link that the source is leads out of it", "open source: %w", err)
	}
	return classifyRead(err)
}

func pinnedFile(f *os.File, pin string) (rawObject, error) {
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return rawObject{}, classifyFile(err)
	}
	etag := fileETag(info)
	if pin != "" && pin != etag {
		_ = f.Close()
		return rawObject{}, changed(fmt.Errorf("file has tag %s, the first read saw %s", etag, pin))
	}
	return rawObject{ReadCloser: &file{f, etag}, etag: etag, size: info.Size()}, nil
}

// fileETag stands for a file's content: its size and the time of its last change.
func fileETag(info fs.FileInfo) string {
	return fmt.Sprintf("%x-%x", info.Size(), info.ModTime().UnixNano())
}

// file notices at its end that it was written to while it was read.
type file struct {
	*os.File
	etag string
}

func (f *file) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		if info, e := f.Stat(); e == nil && fileETag(info) != f.etag {
			return n, changed(errors.New("the file changed while it was read"))
		}
	case err != nil:
		err = classifyFile(err)
	}
	return n, err
}
