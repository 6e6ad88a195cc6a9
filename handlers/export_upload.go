package handlers

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

// pushed is the recorded result of the stage step.
type pushed struct {
	converted
	Files []waybill.File // in the connector's order of formats, each format's in theirs
}

// push converts and uploads. An object that an earlier attempt left is kept
// if its bytes are what this one would write; another is replaced only if it
// is still the one that was seen, so that a late attempt cannot undo a newer.
func (d *destination) push(ctx context.Context) (pushed, error) {
	if err := d.markReplacing(ctx); err != nil {
		return pushed{}, err
	}
	there, err := d.existing(ctx)
	if err != nil {
		return pushed{}, err
	}
	kept, err := d.kept(ctx, there)
	if err != nil {
		return pushed{}, err
	}
	missing := slices.DeleteFunc(slices.Clone(d.formats), kept.whole)
	if len(missing) > 0 {
		uploaded, report, err := d.convert(ctx, d.options, missing, func(ctx context.Context, f formats.Format, part int, r io.Reader) error {
			name := d.options.FileName(f, part)
			if kept.names[name] {
				return discard(ctx, f, part, r)
			}
			return d.upload(ctx, name, f, r, there[name])
		})
		if err != nil {
			return pushed{}, err
		}
		kept.report = report
		maps.Copy(kept.files, uploaded)
	}
	result := pushed{converted: kept.report}
	for _, f := range d.formats {
		result.Files = append(result.Files, kept.files[f]...)
	}
	return result, nil
}

// existing returns the objects that stand where the files go, by their names.
// A format's files were written one after the other: behind the first that is
// not there, none is looked for.
func (d *destination) existing(ctx context.Context) (map[string]storage.Object, error) {
	there := map[string]storage.Object{}
	for _, f := range d.formats {
		for part := range maxFiles {
			name := d.options.FileName(f, part)
			o, err := d.store.Stat(ctx, d.key(name))
			if errors.Is(err, storage.ErrNotExist) {
				break
			}
			if err != nil {
				return nil, err
			}
			there[name] = o
			tasks.Progress(ctx)
			if d.options.MaxFileBytes == 0 {
				break
			}
		}
	}
	return there, nil
}

// keeping is what of an earlier attempt is what this one would write.
type keeping struct {
	names  map[string]bool // of the files that are kept
	files  map[formats.Format][]waybill.File
	report converted
}

// whole reports whether every file of a format is kept.
func (k keeping) whole(f formats.Format) bool {
	files := k.files[f]
	return len(files) > 0 && !slices.ContainsFunc(files, func(file waybill.File) bool { return !k.names[file.Name] })
}

// kept tells which existing objects hold what would be written. Only a second
// attempt meets any, and then a pass without uploads is cheaper than uploads
// that change nothing but the customer's notifications.
func (d *destination) kept(ctx context.Context, there map[string]storage.Object) (keeping, error) {
	kept := keeping{names: map[string]bool{}, files: map[formats.Format][]waybill.File{}}
	present := slices.DeleteFunc(slices.Clone(d.formats), func(f formats.Format) bool {
		_, begun := there[d.options.FileName(f, 0)]
		return !begun
	})
	if len(present) == 0 {
		return kept, nil
	}
	var err error
	if kept.files, kept.report, err = d.convert(ctx, d.options, present, discard); err != nil {
		return kept, err
	}
	for f, files := range kept.files {
		for _, file := range files {
			o, ok := there[file.Name]
			if !ok {
				continue
			}
			difference, err := d.holds(ctx, o, file, d.metadata(string(f)))
			if err != nil {
				return kept, err
			}
			kept.names[file.Name] = difference == nil
		}
	}
	return kept, nil
}

func (d *destination) upload(ctx context.Context, name string, f formats.Format, r io.Reader, there storage.Object) error {
	_, err := d.store.Put(ctx, d.key(name), r, storage.PutOptions{
		ContentType: d.options.ContentType(f), Metadata: d.metadata(string(f)), IfAbsent: there.ETag == "", IfMatch: there.ETag})
	return err
}

// holds says how an object differs from the file it should be, nil for not at
// all. Where the store keeps no checksum, the object is read back.
func (d *destination) holds(ctx context.Context, o storage.Object, want waybill.File, metadata map[string]string) (difference, err error) {
	if o.Size != want.Bytes {
		return fmt.Errorf("%s has %d bytes, want %d", o.Key, o.Size, want.Bytes), nil
	}
	for k, v := range metadata {
		if o.Metadata[k] != v {
			return fmt.Errorf("%s has metadata %s=%q, want %q", o.Key, k, o.Metadata[k], v), nil
		}
	}
	if o.CRC32C != "" {
		if o.CRC32C != want.CRC32C {
			return fmt.Errorf("%s has CRC32C %s, want %s", o.Key, o.CRC32C, want.CRC32C), nil
		}
		return nil, nil
	}
	body, _, err := d.store.Get(ctx, o.Key, storage.GetOptions{IfMatch: o.ETag})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	sum := newDigest()
	if _, err := io.Copy(sum, progressReader{ctx, body}); err != nil {
		return nil, err
	}
	if got := hex.EncodeToString(sum.sha256.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%s has SHA-256 %s, want %s", o.Key, got, want.SHA256), nil
	}
	return nil, nil
}
