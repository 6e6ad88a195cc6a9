// Package storagetest is the conformance suite of [storage.Store]: what every
// provider does alike, against the real thing. A provider's test calls [Run].
package storagetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// Caps say what a kind of store has beyond the port, and how a test reaches
// its faults. What is nil or false, the kind of store does not have.
type Caps struct {
	// Presign: the store makes URLs that anyone can read.
	Presign bool
	// NoChecksum: the store keeps no checksum of a whole object.
	NoChecksum bool
	// Missing opens a store whose bucket does not exist.
	Missing func(t *testing.T) storage.Store
	// Stranger opens a store that exists, with credentials that are not valid there.
	Stranger func(t *testing.T) storage.Store
	// Far opens an empty store behind a network that can be broken.
	Far func(t *testing.T) Far
	// Leftovers names what failed writes left behind in a store, invisibly.
	Leftovers func(t *testing.T, s storage.Store) []string
}

// Far is a store and the network in front of it.
type Far struct {
	Store     storage.Store
	LimitData func(bytes int64) // each connection breaks after so many bytes towards the store
	Cut       func()            // connections break, new ones are refused
	Restore   func()            // all is well again
}

// Run holds a kind of store to the port's promises. open returns an empty
// store each time it is called.
func Run(t *testing.T, open func(t *testing.T) storage.Store, caps Caps) {
	s := suite{open: open, caps: caps}
	for name, test := range map[string]func(*testing.T){
		"Put":         s.put,
		"Conditions":  s.conditions,
		"Race":        s.race,
		"Read":        s.read,
		"List":        s.list,
		"CopyDelete":  s.copyDelete,
		"Presign":     s.presign,
		"Interrupted": s.interrupted,
		"Overwrite":   s.overwrite,
		"BadInput":    s.badInput,
		"Missing":     s.missing,
		"Stranger":    s.stranger,
		"Network":     s.network,
	} {
		t.Run(name, test)
	}
}

type suite struct {
	open func(t *testing.T) storage.Store
	caps Caps
}

// part is the size at which a store that uploads in parts begins to.
const part = 8 << 20

// content is a stream of bytes that depends on the seed alone, and what is to
// be known of it. It can be read once.
type content struct {
	io.Reader
	size   int64
	crc32c string
	sha256 string
}

// generate makes size bytes. The reader cannot seek and does not tell its size.
func generate(seed byte, size int64) content {
	sum, crc := sha256.New(), crc32.New(crc32.MakeTable(crc32.Castagnoli))
	_, _ = io.Copy(io.MultiWriter(sum, crc), stream(seed, size)) // neither side can fail
	return content{stream(seed, size), size, hex.EncodeToString(crc.Sum(nil)), hex.EncodeToString(sum.Sum(nil))}
}

// kept is what the store says of the content's checksum.
func (s suite) kept(c content) string {
	if s.caps.NoChecksum {
		return ""
	}
	return c.crc32c
}

func stream(seed byte, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size)
}

func mustPut(t *testing.T, s storage.Store, key, text string, opts storage.PutOptions) storage.Object {
	t.Helper()
	object, err := s.Put(t.Context(), key, bytes.NewBufferString(text), opts)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return object
}

func mustGet(t *testing.T, s storage.Store, key string, opts storage.GetOptions) (string, storage.Object) {
	t.Helper()
	r, object, err := s.Get(t.Context(), key, opts)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return string(text), object
}

// wantText checks that the object is there with this content.
func wantText(t *testing.T, s storage.Store, key, want string) {
	t.Helper()
	if text, _ := mustGet(t, s, key, storage.GetOptions{}); text != want {
		t.Errorf("%s holds %.60q (%d bytes), want %.60q (%d bytes)", key, text, len(text), want, len(want))
	}
}

// wantContent checks that the object is there with this content, and that the
// store says so.
func (s suite) wantContent(t *testing.T, store storage.Store, key string, want content) storage.Object {
	t.Helper()
	stat, err := store.Stat(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if stat.Size != want.size || stat.CRC32C != s.kept(want) {
		t.Errorf("%s is %+v; want %d bytes with CRC32C %q", key, stat, want.size, s.kept(want))
	}
	r, _, err := store.Get(t.Context(), key, storage.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sum := sha256.New()
	if n, err := io.Copy(sum, r); err != nil || n != want.size || hex.EncodeToString(sum.Sum(nil)) != want.sha256 {
		t.Errorf("read %d bytes of %s, %v; want the %d bytes that were written", n, key, err, want.size)
	}
	return stat
}

// wantAbsent checks that no object of that key is visible by any means.
func wantAbsent(t *testing.T, s storage.Store, key string) {
	t.Helper()
	_, err := s.Stat(t.Context(), key)
	wantFailure(t, err, waybill.Permanent, "storage.not_found", storage.ErrNotExist)
	_, _, err = s.Get(t.Context(), key, storage.GetOptions{})
	wantFailure(t, err, waybill.Permanent, "storage.not_found", storage.ErrNotExist)
	for object, err := range s.List(t.Context(), key) {
		t.Errorf("list shows %v, %v", object, err)
	}
}

// wantFailure checks what every failure of a store is: classified, without a
// stage, with a sentence, and matching the sentinel if one is given.
func wantFailure(t *testing.T, err error, verdict waybill.Verdict, code string, is error) {
	t.Helper()
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok {
		t.Errorf("error is %v, want a failure %s", err, code)
		return
	}
	if f.Verdict != verdict || f.Code != code || f.Stage != "" || f.Action == "" || f.Err == nil {
		t.Errorf("failure is %s %s at %q, %q: %v; want %s %s without a stage", f.Verdict, f.Code, f.Stage, f.Action, err, verdict, code)
	}
	if is != nil && !errors.Is(err, is) {
		t.Errorf("%v does not match %v", err, is)
	}
}

func wantRefused(t *testing.T, err error) {
	t.Helper()
	wantFailure(t, err, waybill.Transient, "storage.conflict", storage.ErrPrecondition)
}

func (s suite) wantNoLeftovers(t *testing.T, store storage.Store) {
	t.Helper()
	if s.caps.Leftovers == nil {
		return
	}
	if left := s.caps.Leftovers(t, store); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
