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
)

// pushed is the recorded result of the stage step.
type pushed struct {
	converted
	Files []waybill.File // in the connector's order of formats
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
	files, report, err := d.kept(ctx, there)
	if err != nil {
		return pushed{}, err
	}
	missing := slices.DeleteFunc(slices.Clone(d.formats), func(f formats.Format) bool { _, kept := files[f]; return kept })
	if len(missing) > 0 {
		var uploaded map[formats.Format]waybill.File
		uploaded, report, err = d.convert(ctx, missing, func(ctx context.Context, f formats.Format, r io.Reader) error {
			return d.upload(ctx, f, r, there[f])
		})
		if err != nil {
			return pushed{}, err
		}
		maps.Copy(files, uploaded)
	}
	result := pushed{converted: report}
	for _, f := range d.formats {
		result.Files = append(result.Files, files[f])
	}
	return result, nil
}

// existing returns the objects that stand where the formats go.
func (d *destination) existing(ctx context.Context) (map[formats.Format]storage.Object, error) {
	there := map[formats.Format]storage.Object{}
	for _, f := range d.formats {
		o, err := d.store.Stat(ctx, d.key(f.FileName()))
		switch {
		case err == nil:
			there[f] = o
		case !errors.Is(err, storage.ErrNotExist):
			return nil, err
		}
	}
	return there, nil
}

// kept tells which existing objects hold what would be written. Only a second
// attempt meets any, and then a pass without uploads is cheaper than uploads
// that change nothing but the customer's notifications.
func (d *destination) kept(ctx context.Context, there map[formats.Format]storage.Object) (map[formats.Format]waybill.File, converted, error) {
	kept := map[formats.Format]waybill.File{}
	if len(there) == 0 {
		return kept, converted{}, nil
	}
	present := slices.DeleteFunc(slices.Clone(d.formats), func(f formats.Format) bool { _, ok := there[f]; return !ok })
	files, report, err := d.convert(ctx, present, discard)
	if err != nil {
		return nil, report, err
	}
	for f, o := range there {
		same, err := d.holds(ctx, o, files[f], d.metadata(string(f)))
		if err != nil {
			return nil, report, err
		}
		if same == nil {
			kept[f] = files[f]
		}
	}
	return kept, report, nil
}

func (d *destination) upload(ctx context.Context, f formats.Format, r io.Reader, there storage.Object) error {
	_, err := d.store.Put(ctx, d.key(f.FileName()), r, storage.PutOptions{
		ContentType: f.ContentType(), Metadata: d.metadata(string(f)), IfAbsent: there.ETag == "", IfMatch: there.ETag})
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
