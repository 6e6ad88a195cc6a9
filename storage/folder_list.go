package storage

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// List walks the folder. Symbolic links and special files are no objects.
func (f *Folder) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := f.missing(); err != nil {
			yield(Object{}, f.fail(ctx, err))
			return
		}
		w := walk{f: f, ctx: ctx, prefix: prefix, yield: yield}
		w.dir(".")
	}
}

type walk struct {
	f      *Folder
	ctx    context.Context
	prefix string
	yield  func(Object, error) bool
}

// dir yields what is below dir and reports whether to go on.
func (w *walk) dir(dir string) bool {
	names, err := w.names(dir)
	if err != nil {
		w.yield(Object{}, w.f.fail(w.ctx, err))
		return false
	}
	for _, name := range names {
		key := path.Join(dir, name)
		folder := strings.HasSuffix(name, "/")
		switch {
		case folder && (strings.HasPrefix(key+"/", w.prefix) || strings.HasPrefix(w.prefix, key+"/")):
			if !w.dir(key) {
				return false
			}
		case !folder && strings.HasPrefix(key, w.prefix):
			if !w.file(key) {
				return false
			}
		}
	}
	return true
}

// names are the files and folders in dir. Folders end in a slash, which puts
// them where the keys below them belong: "a-b" comes before "a/b".
func (w *walk) names(dir string) ([]string, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	d, err := w.f.root.Open(filepath.FromSlash(dir))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // removed meanwhile
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case dir == "." && strings.EqualFold(name, reserved):
		case segmentFault(name) != nil: // no key can name it
		case entry.IsDir():
			names = append(names, name+"/")
		case entry.Type().IsRegular():
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

func (w *walk) file(key string) bool {
	info, err := w.f.lstat(key)
	if err != nil {
		w.yield(Object{}, w.f.fail(w.ctx, err))
		return false
	}
	if info == nil { // removed meanwhile
		return true
	}
	return w.yield(Object{Key: key, Size: info.Size(), ETag: etag(info), Modified: info.ModTime()}, nil)
}
