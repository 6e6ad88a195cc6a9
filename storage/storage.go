// Package storage is the port to object stores and its providers: a folder,
// S3, Google Cloud Storage, Azure Blob Storage. One conformance suite (package
// storagetest) holds for all of them.
package storage

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Store is one bucket, container or folder of objects.
//
// An object becomes visible whole, with its metadata, or not at all: a Put
// whose reader fails, or that is cut off, leaves what was there before. One
// case no store can exclude: where only the answer to the last request was
// lost, a Put returns a Transient failure although the object is there. Keys
// are what [CheckKey] accepts, and relative to the store's prefix.
//
// Every error is a [waybill.Failure] without a stage (the handler adds it),
// and matches [ErrNotExist] or [ErrPrecondition] with errors.Is where it
// means that, and the context's error where the context ended the call. A
// failure that a reader or a credential source returns is handed on as it is.
type Store interface {
	// URL names the store for a person, without credentials: s3://bucket/prefix/.
	URL() string
	// Put streams r to key until io.EOF and returns what the store answered:
	// the object's size, ETag and, where kept, CRC32C. It reads r in the
	// caller's goroutine, never after it returned, and does not close it.
	Put(ctx context.Context, key string, r io.Reader, opts PutOptions) (Object, error)
	// Get opens an object. The caller closes the reader. The object is the one
	// that the bytes belong to; its size is that of the whole object. A range
	// that begins at or past the end gives no bytes.
	Get(ctx context.Context, key string, opts GetOptions) (io.ReadCloser, Object, error)
	// Stat returns what the store says of an object, its CRC32C included where the store keeps one.
	Stat(ctx context.Context, key string) (Object, error)
	// List yields the objects whose keys begin with prefix (any text), in the
	// keys' byte order, with size, ETag and time only. It stops after the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// Copy copies within the store, on the server's side, metadata included.
	Copy(ctx context.Context, from, to string) (Object, error)
	// Delete removes an object. One that is not there is no error.
	Delete(ctx context.Context, key string) error
	// Presign returns a URL that reads the object without credentials for the
	// given time. Stores that cannot return a failure matching [errors.ErrUnsupported].
	Presign(ctx context.Context, key string, valid time.Duration) (string, error)
}

// PutOptions say how an object is written.
type PutOptions struct {
	ContentType string
	Metadata    map[string]string // user metadata, lower-case keys with "-"
	IfAbsent    bool              // refuse with ErrPrecondition where the object exists
	IfMatch     string            // refuse with ErrPrecondition unless the object has this ETag
}

// GetOptions say what of an object is read.
type GetOptions struct {
	Offset  int64  // first byte
	Length  int64  // bytes from there; 0: to the end
	IfMatch string // refuse with ErrPrecondition unless the object has this ETag
}

// Object is what a store says of an object.
type Object struct {
	Key         string
	Size        int64 // bytes
	ETag        string
	Modified    time.Time // zero where a Put's answer does not tell
	ContentType string
	Metadata    map[string]string
	CRC32C      string // 8 hex digits of the whole object; empty where the store does not keep one
}

var (
	// ErrNotExist is matched by failures that mean: no such object.
	ErrNotExist = errors.New("object does not exist")
	// ErrPrecondition is matched by failures that mean: the object is there
	// (IfAbsent), or is not the one that was named (IfMatch).
	ErrPrecondition = errors.New("object is not in the expected state")
)
