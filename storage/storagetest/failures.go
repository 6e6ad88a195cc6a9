package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// trap calls spring when so many bytes were read, and then returns what spring
// returned; if that is nil, reading goes on.
type trap struct {
	io.Reader
	after  int64
	spring func() error
}

func (r *trap) Read(b []byte) (int, error) {
	if r.spring != nil && r.after <= 0 {
		spring := r.spring
		r.spring = nil
		if err := spring(); err != nil {
			return 0, err
		}
	}
	if r.spring != nil && int64(len(b)) > r.after {
		b = b[:r.after]
	}
	n, err := r.Reader.Read(b)
	r.after -= int64(n)
	return n, err
}

// Bytes after which an upload is disturbed: before anything of it was sent,
// and while parts of it are under way.
var disturbedAfter = []int64{10, 3*part + 10}

// size is of uploads that are disturbed on the way.
const size = 6 * part

// interrupted ends uploads from our side.
func (s suite) interrupted(t *testing.T) {
	broken := errors.New("the source broke")
	own := waybill.Failf(waybill.Permanent, "source.changed", "Hand the run in again.", "changed")
	for _, after := range disturbedAfter {
		for name, err := range map[string]error{
			"reader fails": broken, "reader fails with a failure": fmt.Errorf("pipe: %w", own),
			"reader is cut off": io.ErrUnexpectedEOF, "reader wraps the end": fmt.Errorf("gzip: %w", io.EOF),
		} {
			t.Run(fmt.Sprintf("%s after %d", name, after), func(t *testing.T) {
				s.disturbed(t, func(store storage.Store) {
					_, got := store.Put(t.Context(), "x/data", &trap{stream(5, size), after, func() error { return err }}, storage.PutOptions{})
					if !errors.Is(got, err) {
						t.Errorf("the error is %v, want the reader's: %v", got, err)
					}
					if errors.Is(err, own) {
						wantFailure(t, got, waybill.Permanent, "source.changed", own)
					} else {
						wantFailure(t, got, waybill.Transient, "storage.reader", err)
					}
				})
			})
		}
		t.Run(fmt.Sprintf("cancelled after %d", after), func(t *testing.T) {
			s.disturbed(t, func(store storage.Store) {
				ctx, cancel := context.WithCancelCause(t.Context())
				cause := errors.New("the lease is lost")
				_, err := store.Put(ctx, "x/data", &trap{stream(5, size), after, func() error { cancel(cause); return nil }}, storage.PutOptions{})
				wantFailure(t, err, waybill.Transient, "storage.cancelled", context.Canceled)
				if !errors.Is(err, cause) {
					t.Errorf("%v does not say why it was cancelled", err)
				}
			})
		})
	}
	t.Run("cancelled before", s.cancelledBefore)
}

// disturbed runs an upload that fails, once where there is no object of that
// key, and once where there is.
func (s suite) disturbed(t *testing.T, upload func(store storage.Store)) {
	t.Helper()
	store := s.open(t)
	upload(store)
	wantAbsent(t, store, "x/data")
	s.wantNoLeftovers(t, store)
	mustPut(t, store, "x/data", "what was there", storage.PutOptions{})
	upload(store)
	wantText(t, store, "x/data", "what was there")
	s.wantNoLeftovers(t, store)
}

func (s suite) cancelledBefore(t *testing.T) {
	store := s.open(t)
	mustPut(t, store, "there", "text", storage.PutOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	r, _, err := store.Get(ctx, "there", storage.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	_, err = io.ReadAll(r)
	wantFailure(t, err, waybill.Transient, "storage.cancelled", context.Canceled)
	_, err = store.Put(ctx, "new", strings.NewReader("text"), storage.PutOptions{})
	wantFailure(t, err, waybill.Transient, "storage.cancelled", context.Canceled)
	wantAbsent(t, store, "new")
	for _, err := range store.List(ctx, "") {
		wantFailure(t, err, waybill.Transient, "storage.cancelled", context.Canceled)
	}
}

func (s suite) badInput(t *testing.T) {
	store := s.open(t)
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a/..", `a\b`, "a\x00b", "a\nb", "a\x7fb", "a\u0085b", "a\xffb",
		strings.Repeat("a", storage.MaxKeyBytes+1),
	} {
		for op, err := range keyed(t, store, key) {
			if err == nil {
				t.Errorf("%s takes the key %q", op, key)
				continue
			}
			wantFailure(t, err, waybill.Permanent, "storage.bad_key", nil)
		}
	}
	for name, opts := range map[string]storage.PutOptions{
		"upper-case name":    {Metadata: map[string]string{"X-Format": "csv"}},
		"empty name":         {Metadata: map[string]string{"": "csv"}},
		"underscore":         {Metadata: map[string]string{"x_format": "csv"}},
		"line break":         {Metadata: map[string]string{"x": "a\r\nb"}},
		"not ASCII":          {Metadata: map[string]string{"x": "ü"}},
		"blank at the end":   {Metadata: map[string]string{"x": "a "}},
		"too large":          {Metadata: map[string]string{"x": strings.Repeat("a", 2048)}},
		"content type break": {ContentType: "text/csv\nX: y"},
	} {
		_, err := store.Put(t.Context(), "a", strings.NewReader("x"), opts)
		if err == nil {
			t.Errorf("%s is taken", name)
			continue
		}
		wantFailure(t, err, waybill.Permanent, "storage.bad_metadata", nil)
	}
	if got := keys(t, store, ""); len(got) != 0 {
		t.Errorf("there are %q now", got)
	}
}

// keyed calls every operation that takes a key.
func keyed(t *testing.T, store storage.Store, key string) map[string]error {
	errs := map[string]error{}
	_, errs["Put"] = store.Put(t.Context(), key, strings.NewReader("x"), storage.PutOptions{})
	_, errs["Stat"] = store.Stat(t.Context(), key)
	_, errs["Copy from"] = store.Copy(t.Context(), key, "to")
	_, errs["Copy to"] = store.Copy(t.Context(), "from", key)
	errs["Delete"] = store.Delete(t.Context(), key)
	r, _, err := store.Get(t.Context(), key, storage.GetOptions{})
	if errs["Get"] = err; err == nil {
		_ = r.Close() // nothing was read
	}
	return errs
}

// missing asks for everything where there is no bucket.
func (s suite) missing(t *testing.T) {
	store := s.caps.Missing(t)
	errs := keyed(t, store, "a/b")
	_, errs["large Put"] = store.Put(t.Context(), "a/b", stream(1, 2*part), storage.PutOptions{})
	_, errs["conditional Put"] = store.Put(t.Context(), "a/b", stream(1, 10), storage.PutOptions{IfMatch: "etag"})
	for _, err := range store.List(t.Context(), "a/") {
		errs["List"] = err
	}
	delete(errs, "Copy to") // some stores look for the source first
	for _, op := range []string{"Put", "large Put", "conditional Put", "Get", "Stat", "List", "Delete", "Copy from"} {
		t.Run(op, func(t *testing.T) { wantFailure(t, errs[op], waybill.Blocked, "storage.no_bucket", nil) })
		if errors.Is(errs[op], storage.ErrNotExist) || errors.Is(errs[op], storage.ErrPrecondition) {
			t.Errorf("%s takes a missing bucket for a missing object: %v", op, errs[op])
		}
	}
}

// stranger asks with credentials that are not valid.
func (s suite) stranger(t *testing.T) {
	if s.caps.Stranger == nil {
		return
	}
	store := s.caps.Stranger(t)
	errs := keyed(t, store, "a/b")
	_, errs["large Put"] = store.Put(t.Context(), "a/b", stream(1, 2*part), storage.PutOptions{})
	for _, err := range store.List(t.Context(), "a/") {
		errs["List"] = err
	}
	for op, err := range errs {
		f, ok := errors.AsType[*waybill.Failure](err)
		if !ok || f.Verdict != waybill.Blocked || f.Action == "" {
			t.Errorf("%s: %v; want a blocked delivery", op, err)
		}
	}
}

// network breaks the connection under an upload.
func (s suite) network(t *testing.T) {
	if s.caps.Far == nil {
		return
	}
	for name, tc := range map[string]struct {
		disturb   func(Far)
		reachable bool // so that the store can tidy up
	}{
		"each connection breaks within a part": {func(far Far) { far.LimitData(part / 3) }, true},
		"the connection is cut":                {func(far Far) { far.Cut() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			far := s.caps.Far(t)
			for i, after := range disturbedAfter {
				key := fmt.Sprintf("x/%d", i)
				disturb := func() error { tc.disturb(far); return nil }
				_, err := far.Store.Put(t.Context(), key, &trap{stream(9, size), after, disturb}, storage.PutOptions{})
				far.Restore()
				wantFailure(t, err, waybill.Transient, "storage.unreachable", nil)
				wantAbsent(t, far.Store, key)
				if tc.reachable {
					s.wantNoLeftovers(t, far.Store)
				}
				if _, err := far.Store.Put(t.Context(), key, bytes.NewBufferString("again"), storage.PutOptions{IfAbsent: true}); err != nil {
					t.Error(err)
				}
				wantText(t, far.Store, key, "again")
			}
		})
	}
}
