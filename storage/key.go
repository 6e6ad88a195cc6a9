package storage

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waybillhq/waybill"
)

// MaxKeyBytes is the longest key, prefix included, that every provider takes:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
const MaxKeyBytes = 1024

// CheckKey returns a Permanent failure, storage.bad_key, unless key can name
// an object in every store: 1 to 1024 bytes of UTF-8, segments between single
// slashes, none of them "." or "..", no leading or trailing slash, no
// backslash and no control character.
func CheckKey(key string) error {
	if err := keyFault(key); err != nil {
		return waybill.Failf(waybill.Permanent, "storage.bad_key",
			"Waybill formed an object key that stores do not take; mend the connector's path or the file's name.",
			"key %.200q: %w", key, err)
	}
	return nil
}

// checkKeys checks a key and what the store makes of it: together with the
// prefix it may be too long.
func checkKeys(prefix, key string) error {
	return cmp.Or(CheckKey(key), CheckKey(prefix+key))
}

// checkBucket is what the options of every bucket must fulfil. The field is
// what the vendor calls one.
func checkBucket(field, name, prefix string) (p waybill.Problems) {
	if name == "" {
		p.Addf(field, "is missing; name the %s", field)
	}
	if prefix = strings.TrimSuffix(prefix, "/"); prefix != "" {
		if err := keyFault(prefix); err != nil {
			p.Addf("prefix", "%v; give folders separated by single slashes", err)
		}
	}
	return p
}

func keyFault(key string) error {
	switch {
	case len(key) > MaxKeyBytes:
		return fmt.Errorf("is %d bytes long; at most %d are taken", len(key), MaxKeyBytes)
	case strings.HasPrefix(key, "/"):
		return errors.New("begins with a slash; keys are relative")
	}
	for segment := range strings.SplitSeq(key, "/") {
		if err := segmentFault(segment); err != nil {
			return err
		}
	}
	return nil
}

func segmentFault(segment string) error {
	switch {
	case !utf8.ValidString(segment):
		return errors.New("is not UTF-8")
	case segment == "":
		return errors.New("has an empty segment")
	case segment == "." || segment == "..":
		return fmt.Errorf("has the segment %q, which could leave its folder", segment)
	case strings.Contains(segment, `\`):
		return errors.New("has a backslash; segments are separated by /")
	case strings.ContainsFunc(segment, unicode.IsControl):
		return errors.New("has a control character")
	}
	return nil
}

// maxMetadataBytes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
const maxMetadataBytes = 2048

// checkOptions refuses what stores would drop, change or not transport:
// metadata travels in HTTP headers.
func checkOptions(opts PutOptions) error {
	size := 0
	for name, value := range opts.Metadata {
		size += len(name) + len(value)
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return badMetadata("the name %.100q is not of lower-case letters, digits and dashes", name)
		}
		if !headerText(value) || strings.TrimSpace(value) != value {
			return badMetadata("the value of %s is not printable ASCII without blanks at its ends", name)
		}
	}
	if size > maxMetadataBytes {
		return badMetadata("%d bytes are more than the %d that stores keep", size, maxMetadataBytes)
	}
	if !headerText(opts.ContentType) {
		return badMetadata("the content type is not printable ASCII")
	}
	return nil
}

func headerText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func badMetadata(format string, args ...any) error {
	return waybill.Failf(waybill.Permanent, "storage.bad_metadata",
		"Waybill formed metadata that stores do not take; this is a fault of Waybill.", format, args...)
}
