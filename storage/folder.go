package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/waybillhq/waybill"
)

// Folder is a folder of the file system as a store. Keys are file names below
// it. What is not the objects' own bytes is under ".waybill" in it, which no
// key can name:
//
//	.waybill/tmp/    files being written
//	.waybill/meta/   content type, user metadata and CRC32C, one file for each object
//	.waybill/lock    held while an object changes, so that processes agree
//
// Several processes of one machine may use one folder. No name and no symbolic
// link leads out of it. It needs a file system with hard links and flock.
type Folder struct {
	dir  string
	root *os.Root
}

var _ Store = (*Folder)(nil)

// OpenFolder opens the folder dir as a store. A folder that does not exist is
// not made: it may be a mount that is missing.
func OpenFolder(dir string) (*Folder, error) {
	name := "folder " + dir
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, failure(context.Background(), name, err)
	}
	root, err := openRoot(dir)
	if err != nil {
		return nil, failure(context.Background(), name, fmt.Errorf("%w: %w", errFolder, err))
	}
	f := &Folder{dir: dir, root: root}
	f.sweep(time.Now().Add(-abandonedAfter))
	return f, nil
}

func openRoot(dir string) (*os.Root, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		err = fmt.Errorf("%w: %w", errNoBucket, err)
	}
	if err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

// Close releases the folder. The store is of no use after it.
func (f *Folder) Close() error { return f.root.Close() }

// URL is file:// and the folder's absolute path.
func (f *Folder) URL() string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(f.dir) + "/"}
	return u.String()
}

// Put writes a hidden file and its metadata, makes both durable, and then
// gives the file its name in one step.
func (f *Folder) Put(ctx context.Context, key string, r io.Reader, opts PutOptions) (Object, error) {
	if err := cmp.Or(f.check(key), checkOptions(opts)); err != nil {
		return Object{}, err
	}
	draft, err := f.write(ctx, key, r, opts)
	if err != nil {
		return Object{}, f.fail(ctx, err)
	}
	defer draft.discard()
	if err := ctx.Err(); err != nil {
		return Object{}, f.fail(ctx, err)
	}
	if err := f.locked(func() error { return draft.publish(opts) }); err != nil {
		return Object{}, f.fail(ctx, err)
	}
	return draft.object, nil
}

// Get opens an object. An object that is replaced meanwhile is read on as it was.
func (f *Folder) Get(ctx context.Context, key string, opts GetOptions) (io.ReadCloser, Object, error) {
	if err := f.check(key); err != nil {
		return nil, Object{}, err
	}
	file, object, err := f.open(key)
	if err != nil {
		return nil, Object{}, f.fail(ctx, err)
	}
	if opts.IfMatch != "" && opts.IfMatch != object.ETag {
		_ = file.Close() // nothing was written to it
		return nil, Object{}, f.fail(ctx, fmt.Errorf("%w: %s has ETag %s, not %s", ErrPrecondition, key, object.ETag, opts.IfMatch))
	}
	length := object.Size - opts.Offset
	if opts.Length > 0 {
		length = min(length, opts.Length)
	}
	part := io.NewSectionReader(file, opts.Offset, max(length, 0))
	return &body{r: part, Closer: file, fail: func(err error) error { return f.fail(ctx, err) }, ctx: ctx}, object, nil
}

// Stat returns the object, with what was given when it was put.
func (f *Folder) Stat(ctx context.Context, key string) (Object, error) {
	if err := f.check(key); err != nil {
		return Object{}, err
	}
	file, object, err := f.open(key)
	if err != nil {
		return Object{}, f.fail(ctx, err)
	}
	_ = file.Close() // nothing was written to it
	return object, nil
}

// Copy copies the bytes and the metadata.
func (f *Folder) Copy(ctx context.Context, from, to string) (Object, error) {
	if err := cmp.Or(f.check(from), f.check(to)); err != nil {
		return Object{}, err
	}
	r, object, err := f.Get(ctx, from, GetOptions{})
	if err != nil {
		return Object{}, err
	}
	defer r.Close()
	return f.Put(ctx, to, r, PutOptions{ContentType: object.ContentType, Metadata: object.Metadata})
}

// Delete removes an object, and the folders that are empty without it.
func (f *Folder) Delete(ctx context.Context, key string) error {
	if err := f.check(key); err != nil {
		return err
	}
	info, err := f.lstat(key)
	if err != nil || info == nil { // the lock would make .waybill in a folder that holds nothing
		return f.fail(ctx, cmp.Or(err, f.missing()))
	}
	return f.fail(ctx, f.locked(func() error { return f.remove(key) }))
}

// Presign is not possible: a folder has nobody who would answer the URL.
func (f *Folder) Presign(ctx context.Context, _ string, _ time.Duration) (string, error) {
	return "", f.fail(ctx, fmt.Errorf("presign: %w", errors.ErrUnsupported))
}

// remove removes an object; the lock is held.
func (f *Folder) remove(key string) error {
	info, err := f.lstat(key)
	if err != nil || info == nil {
		return err
	}
	if err := f.root.Remove(key); err != nil {
		return err
	}
	if err := f.syncDir(path.Dir(key)); err != nil {
		return err
	}
	_ = f.root.Remove(sidecarName(etag(info))) // without its object it is never looked at
	dir := path.Dir(key)
	for dir != "." && f.root.Remove(dir) == nil { // until one is not empty, or not ours to remove
		dir = path.Dir(dir)
	}
	return nil
}

// open opens the file of an object, and reads its metadata.
func (f *Folder) open(key string) (*os.File, Object, error) {
	for {
		// A named pipe would block without O_NONBLOCK.
		file, err := f.root.OpenFile(filepath.FromSlash(key), os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if errors.Is(err, syscall.ENOTDIR) {
			err = fmt.Errorf("%w: a file stands above %s", fs.ErrNotExist, key)
		}
		if err != nil {
			return nil, Object{}, err
		}
		object, err := f.describe(key, file)
		if err == nil {
			return file, object, nil
		}
		_ = file.Close() // nothing was written to it
		if !errors.Is(err, errReplaced) {
			return nil, Object{}, err
		}
	}
}

// errReplaced says that the object was replaced between its opening and the
// reading of its metadata. Each time it is met, another Put has succeeded.
var errReplaced = errors.New("replaced meanwhile")

func (f *Folder) describe(key string, file *os.File) (Object, error) {
	info, err := file.Stat()
	if err != nil {
		return Object{}, err
	}
	if !info.Mode().IsRegular() {
		return Object{}, fmt.Errorf("%s is no regular file: %w", key, fs.ErrNotExist)
	}
	object := Object{Key: key, Size: info.Size(), ETag: etag(info), Modified: info.ModTime()}
	about, err := f.readSidecar(object.ETag)
	if errors.Is(err, fs.ErrNotExist) { // put there by other means; or replaced, and the metadata removed
		now, err := f.root.Stat(filepath.FromSlash(key))
		if err == nil && etag(now) != object.ETag {
			err = errReplaced
		}
		return object, err
	}
	object.ContentType, object.Metadata, object.CRC32C = about.ContentType, about.Metadata, about.CRC32C
	return object, err
}

// lstat returns the regular file of key, or nil if there is none.
func (f *Folder) lstat(key string) (fs.FileInfo, error) {
	info, err := f.root.Lstat(filepath.FromSlash(key))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, nil //nolint:nilnil // that there is none is an answer here
	case err != nil || !info.Mode().IsRegular():
		return nil, err
	}
	return info, nil
}

// reserved is the folder that no key can name.
const reserved = ".waybill"

func (f *Folder) check(key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if first, _, _ := strings.Cut(key, "/"); strings.EqualFold(first, reserved) { // some file systems ignore case
		return waybill.Failf(waybill.Permanent, "storage.bad_key",
			"A path that begins with .waybill is Waybill's own; change the connector's path.", "key %.200q is reserved", key)
	}
	return nil
}

// fail classifies err. It knows two causes that the error itself does not tell.
func (f *Folder) fail(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if gone := f.missing(); gone != nil {
		err = fmt.Errorf("%w: %w", gone, err)
	}
	// os.Root has no exported error to compare this one with.
	if strings.HasSuffix(err.Error(), "path escapes from parent") {
		err = fmt.Errorf("%w: %w", errEscapes, err)
	}
	return failure(ctx, "folder "+f.dir, fmt.Errorf("%w: %w", errFolder, err))
}

// missing returns an error if the folder was removed, or unmounted, since it was opened.
func (f *Folder) missing() error {
	if _, err := os.Stat(f.dir); errors.Is(err, fs.ErrNotExist) {
		return errNoBucket
	}
	return nil
}
