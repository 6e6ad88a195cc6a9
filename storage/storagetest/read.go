package storagetest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

func (s suite) read(t *testing.T) {
	store := s.open(t)
	const text = "0123456789"
	object := mustPut(t, store, "a/digits", text, storage.PutOptions{ContentType: "text/plain"})
	for name, tc := range map[string]struct {
		opts storage.GetOptions
		want string
	}{
		"whole":                      {storage.GetOptions{}, text},
		"from the start":             {storage.GetOptions{Length: 3}, "012"},
		"from the middle":            {storage.GetOptions{Offset: 4, Length: 3}, "456"},
		"to the end":                 {storage.GetOptions{Offset: 7}, "789"},
		"past the end":               {storage.GetOptions{Offset: 7, Length: 100}, "789"},
		"at the end":                 {storage.GetOptions{Offset: 10}, ""},
		"beyond the end":             {storage.GetOptions{Offset: 11, Length: 5}, ""},
		"if it is the one":           {storage.GetOptions{IfMatch: object.ETag}, text},
		"a range, if it is the one":  {storage.GetOptions{IfMatch: object.ETag, Offset: 1, Length: 1}, "1"},
		"beyond, of the one it is":   {storage.GetOptions{IfMatch: object.ETag, Offset: 11}, ""},
		"one byte at the very start": {storage.GetOptions{Length: 1}, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			got, o := mustGet(t, store, "a/digits", tc.opts)
			if got != tc.want || o.Size != 10 || o.ETag != object.ETag || o.ContentType != "text/plain" {
				t.Errorf("got %q of %+v, want %q of 10 bytes", got, o, tc.want)
			}
		})
	}
	mustPut(t, store, "a/digits", "9876543210", storage.PutOptions{})
	for _, opts := range []storage.GetOptions{{}, {Offset: 2, Length: 2}, {Offset: 50}} {
		opts.IfMatch = object.ETag
		_, _, err := store.Get(t.Context(), "a/digits", opts)
		wantRefused(t, err)
	}
	mustPut(t, store, "a/empty", "", storage.PutOptions{})
	if got, o := mustGet(t, store, "a/empty", storage.GetOptions{Length: 5}); got != "" || o.Size != 0 {
		t.Errorf("a range of an empty object is %q, %+v", got, o)
	}
	for _, key := range []string{"nothing", "a", "a/digit", "a/digits/x"} {
		_, err := store.Stat(t.Context(), key)
		wantFailure(t, err, waybill.Permanent, "storage.not_found", storage.ErrNotExist)
		_, _, err = store.Get(t.Context(), key, storage.GetOptions{})
		wantFailure(t, err, waybill.Permanent, "storage.not_found", storage.ErrNotExist)
	}
}

func (s suite) list(t *testing.T) {
	store := s.open(t)
	if got := keys(t, store, ""); len(got) != 0 {
		t.Fatalf("an empty store lists %q", got)
	}
	all := []string{"WF_1/data.csv", "WF_10/data.csv", "WF_1/a/b", "a-b", "a.b", "a/b", "a/b-c", "a/b0", "ab", "B", "z/1/2/3"}
	for _, key := range all {
		mustPut(t, store, key, key, storage.PutOptions{})
	}
	slices.Sort(all)
	for prefix, want := range map[string][]string{
		"":       all,
		"WF_1/":  {"WF_1/a/b", "WF_1/data.csv"},
		"WF_1":   {"WF_1/a/b", "WF_1/data.csv", "WF_10/data.csv"},
		"a":      {"a-b", "a.b", "a/b", "a/b-c", "a/b0", "ab"},
		"a/b":    {"a/b", "a/b-c", "a/b0"},
		"z/1/":   {"z/1/2/3"},
		"z/2":    nil,
		"none/":  nil,
		"../":    nil,
		"WF_1//": nil,
	} {
		if got := keys(t, store, prefix); !slices.Equal(got, want) {
			t.Errorf("list %q: %q, want %q", prefix, got, want)
		}
	}
	for object, err := range store.List(t.Context(), "a/b") {
		stat, serr := store.Stat(t.Context(), "a/b")
		if err != nil || serr != nil || object.Size != 3 || object.ETag != stat.ETag || !object.Modified.Equal(stat.Modified) {
			t.Errorf("list says %+v, %v; stat says %+v, %v", object, err, stat, serr)
		}
		break
	}
	s.listMany(t)
}

// listMany needs more than one of S3's pages.
func (s suite) listMany(t *testing.T) {
	store := s.open(t)
	want := make([]string, 1005)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := w; i < len(want); i += 8 {
				want[i] = fmt.Sprintf("many/%05d", i)
				if _, err := store.Put(t.Context(), want[i], strings.NewReader("x"), storage.PutOptions{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	if got := keys(t, store, "many/"); !slices.Equal(got, want) {
		t.Errorf("list shows %d keys, want %d in order", len(got), len(want))
	}
}

func keys(t *testing.T, store storage.Store, prefix string) []string {
	t.Helper()
	var all []string
	for object, err := range store.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		all = append(all, object.Key)
	}
	return all
}

func (s suite) copyDelete(t *testing.T) {
	store := s.open(t)
	for _, size := range []int64{100, part + 100} {
		in := generate(7, size)
		opts := storage.PutOptions{ContentType: "text/csv", Metadata: map[string]string{"x-kadoa-format": "csv"}}
		if _, err := store.Put(t.Context(), "from", in, opts); err != nil {
			t.Fatal(err)
		}
		copied, err := store.Copy(t.Context(), "from", "to/deep/copy")
		if err != nil {
			t.Fatal(err)
		}
		if copied.Key != "to/deep/copy" || copied.Size != size || copied.CRC32C != s.kept(in) ||
			copied.ContentType != "text/csv" || copied.Metadata["x-kadoa-format"] != "csv" {
			t.Errorf("the copy is %+v, want %d bytes with CRC32C %q and the metadata", copied, size, s.kept(in))
		}
	}
	_, err := store.Copy(t.Context(), "nothing", "to/nothing")
	wantFailure(t, err, waybill.Permanent, "storage.not_found", storage.ErrNotExist)

	mustPut(t, store, "to/deep/other", "other", storage.PutOptions{})
	for range 2 { // the second time there is nothing to delete
		if err := store.Delete(t.Context(), "to/deep/copy"); err != nil {
			t.Error(err)
		}
		wantAbsent(t, store, "to/deep/copy")
	}
	if err := store.Delete(t.Context(), "to"); err != nil {
		t.Errorf("delete a key that only others begin with: %v", err)
	}
	wantText(t, store, "to/deep/other", "other")
	if err := store.Delete(t.Context(), "to/deep/other"); err != nil {
		t.Error(err)
	}
	mustPut(t, store, "to", "a file where a folder was", storage.PutOptions{IfAbsent: true})
	if got := keys(t, store, ""); !slices.Equal(got, []string{"from", "to"}) {
		t.Errorf("left are %q", got)
	}
}

func (s suite) presign(t *testing.T) {
	store := s.open(t)
	mustPut(t, store, "a/shared file", "0123456789", storage.PutOptions{})
	url, err := store.Presign(t.Context(), "a/shared file", time.Minute)
	if !s.caps.Presign {
		wantFailure(t, err, waybill.Permanent, "storage.unsupported", errors.ErrUnsupported)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for rng, want := range map[string]struct {
		status int
		text   string
	}{
		"":          {http.StatusOK, "0123456789"},
		"bytes=3-5": {http.StatusPartialContent, "345"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if rng != "" {
			req.Header.Set("Range", rng)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // read to its end
		if err != nil || resp.StatusCode != want.status || string(text) != want.text {
			t.Errorf("range %q: %s %q, %v; want %d %q", rng, resp.Status, text, err, want.status, want.text)
		}
	}
}
