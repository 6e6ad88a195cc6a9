package storage

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"
)

// Names of what is not an object.
const (
	tmpDir   = reserved + "/tmp"
	metaDir  = reserved + "/meta"
	lockName = reserved + "/lock"
)

// abandonedAfter is the age at which a file that is being written has lost its
// writer: well above the hard cap of any task.
const abandonedAfter = 24 * time.Hour

// draft is an object that is written but has no name yet.
type draft struct {
	f         *Folder
	tmp       string // name of its hidden file
	object    Object
	published bool
}

// write writes r to a hidden file, with its metadata beside it, both durable.
func (f *Folder) write(ctx context.Context, key string, r io.Reader, opts PutOptions) (_ *draft, err error) {
	for _, dir := range []string{tmpDir, metaDir} {
		if err := f.root.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	d := &draft{f: f, tmp: tmpDir + "/" + rand.Text()}
	file, err := f.root.OpenFile(d.tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			d.discard()
		}
	}()
	sum := crc32.New(castagnoli)
	if _, err := io.CopyBuffer(io.MultiWriter(file, sum), source{ctx, r}, make([]byte, 256<<10)); err != nil {
		return nil, err
	}
	about := sidecar{Key: key, ContentType: opts.ContentType, Metadata: opts.Metadata, CRC32C: hexCRC32C(sum.Sum32())}
	return d, d.finish(file, about)
}

// finish makes the file durable and writes the metadata for what the file is
// known by. Only a published file is ever looked up by that, so that data and
// metadata appear together.
func (d *draft) finish(file *os.File, about sidecar) error {
	// The kernel's own clock for files ticks every few milliseconds: too
	// coarse to tell two versions apart that follow each other at once.
	now := time.Now()
	if err := d.f.root.Chtimes(d.tmp, now, now); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	d.object = Object{Key: about.Key, Size: info.Size(), ETag: etag(info), Modified: info.ModTime(),
		ContentType: about.ContentType, Metadata: about.Metadata, CRC32C: about.CRC32C}
	return d.f.writeSidecar(d.object.ETag, about)
}

// publish gives the object its name; the lock is held.
func (d *draft) publish(opts PutOptions) error {
	key := d.object.Key
	old, err := d.f.lstat(key)
	if err != nil {
		return err
	}
	if opts.IfMatch != "" && (old == nil || etag(old) != opts.IfMatch) {
		return fmt.Errorf("%w: %s does not have ETag %s", ErrPrecondition, key, opts.IfMatch)
	}
	if err := d.f.mkdirs(path.Dir(key)); err != nil {
		return err
	}
	if err := d.name(key, opts.IfAbsent); err != nil {
		return err
	}
	d.published = true
	if old != nil {
		_ = d.f.root.Remove(sidecarName(etag(old))) // without its object it is never looked at
	}
	return d.f.syncDir(path.Dir(key))
}

// name puts the file where its key is. A link refuses a name that is taken
// even by a program that knows nothing of the lock.
func (d *draft) name(key string, ifAbsent bool) error {
	give := d.f.root.Rename
	if ifAbsent {
		give = d.f.root.Link
	}
	err := give(d.tmp, filepath.FromSlash(key))
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, failed := d.f.lstat(key); failed == nil && info == nil {
		return fmt.Errorf("%w: %w", errKeyTaken, err)
	}
	return fmt.Errorf("%w: %w", ErrPrecondition, err)
}

// discard removes the hidden file, and the metadata unless the file got its name.
func (d *draft) discard() {
	_ = d.f.root.Remove(d.tmp) // it is gone if it was renamed; sweep tries again
	if !d.published && d.object.ETag != "" {
		_ = d.f.root.Remove(sidecarName(d.object.ETag))
	}
}

// mkdirs makes the folders for a key, durably.
func (f *Folder) mkdirs(dir string) error {
	if info, err := f.root.Stat(filepath.FromSlash(dir)); err == nil && info.IsDir() {
		return nil
	}
	err := f.root.MkdirAll(filepath.FromSlash(dir), 0o755)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%w: %w", errKeyTaken, err)
	}
	for err == nil && dir != "." {
		dir = path.Dir(dir)
		err = f.syncDir(dir)
	}
	return err
}

// syncDir makes the names in a folder durable.
func (f *Folder) syncDir(dir string) error {
	d, err := f.root.Open(filepath.FromSlash(dir))
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); !errors.Is(err, syscall.EINVAL) { // some network file systems know no such thing
		return err
	}
	return nil
}

// locked calls change while no other process or goroutine changes the folder.
func (f *Folder) locked(change func() error) error {
	if err := f.root.MkdirAll(reserved, 0o755); err != nil { // the objects may be another program's
		return err
	}
	file, err := f.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer file.Close() // gives the lock back
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return change()
}

// etag names one version of a file: no two have the same inode and time.
func etag(info fs.FileInfo) string {
	return fmt.Sprintf("%x-%x-%x", stat(info).Ino, info.ModTime().UnixNano(), info.Size())
}

func stat(info fs.FileInfo) *syscall.Stat_t {
	return info.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // os gives nothing else on the systems that have flock
}

// sidecar is what a file system cannot keep of an object. It stands under the
// ETag of the file that it belongs to, and not under the key, so that neither
// a crash nor a reader can ever meet the data of one version with the metadata
// of another.
type sidecar struct {
	Key         string            `json:"key"`
	ContentType string            `json:"contentType,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	CRC32C      string            `json:"crc32c"`
}

func sidecarName(etag string) string { return metaDir + "/" + etag + ".json" }

func (f *Folder) readSidecar(etag string) (about sidecar, err error) {
	text, err := f.root.ReadFile(sidecarName(etag))
	if err == nil {
		err = json.Unmarshal(text, &about)
	}
	if err != nil {
		return sidecar{}, fmt.Errorf("metadata: %w", err)
	}
	return about, nil
}

func (f *Folder) writeSidecar(etag string, about sidecar) error {
	text, err := json.Marshal(about)
	if err != nil {
		return err
	}
	file, err := f.root.OpenFile(sidecarName(etag), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return f.syncDir(metaDir)
}

// sweep removes files whose writer died before the given time. What cannot be
// removed is in nobody's way and stays.
func (f *Folder) sweep(before time.Time) {
	entries, err := fs.ReadDir(f.root.FS(), tmpDir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.ModTime().Before(before) {
			continue
		}
		_ = f.root.Remove(tmpDir + "/" + entry.Name())
		if stat(info).Nlink == 1 { // else it has its name, and only its hidden one was left
			_ = f.root.Remove(sidecarName(etag(info)))
		}
	}
}
