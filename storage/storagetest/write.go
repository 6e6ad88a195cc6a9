package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

func (s suite) put(t *testing.T) {
	for _, size := range []int64{0, 1, 300_000, part - 1, part, part + 1, 2 * part, 72<<20 + 7} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) { s.putSize(t, size) })
	}
	t.Run("metadata", s.putMetadata)
	t.Run("odd names", s.putOddNames)
}

func (s suite) putSize(t *testing.T, size int64) {
	store, in := s.open(t), generate(1, size)
	put, err := store.Put(t.Context(), "team/data.bin", in, storage.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stat := s.wantContent(t, store, "team/data.bin", in)
	for what, o := range map[string]storage.Object{"Put": put, "Stat": stat} {
		if o.Key != "team/data.bin" || o.Size != size || o.ETag == "" || o.ETag != stat.ETag || o.CRC32C != s.kept(in) {
			t.Errorf("%s says %+v; want %d bytes, CRC32C %q and the ETag of Stat", what, o, size, s.kept(in))
		}
	}
	s.wantNoLeftovers(t, store)
}

func (s suite) putMetadata(t *testing.T) {
	store := s.open(t)
	for _, size := range []int64{10, part + 10} {
		want := map[string]string{"x-kadoa-workflow-id": "wf_movies", "x-kadoa-job-id": "job_1", "x-kadoa-format": "csv"}
		opts := storage.PutOptions{ContentType: "text/csv; charset=utf-8", Metadata: want}
		if _, err := store.Put(t.Context(), "data.csv", generate(2, size), opts); err != nil {
			t.Fatal(err)
		}
		stat, err := store.Stat(t.Context(), "data.csv")
		if err != nil {
			t.Fatal(err)
		}
		_, got := mustGet(t, store, "data.csv", storage.GetOptions{})
		for what, o := range map[string]storage.Object{"Stat": stat, "Get": got} {
			if o.ContentType != opts.ContentType || !maps.Equal(o.Metadata, want) || o.Modified.IsZero() {
				t.Errorf("%s after %d bytes says %+v, want %+v", what, size, o, opts)
			}
		}
	}
	mustPut(t, store, "data.csv", "a,b", storage.PutOptions{ContentType: "text/plain"})
	if stat, err := store.Stat(t.Context(), "data.csv"); err != nil || len(stat.Metadata) != 0 || stat.ContentType != "text/plain" {
		t.Errorf("after it was replaced without metadata, Stat says %+v, %v", stat, err)
	}
}

func (s suite) putOddNames(t *testing.T) {
	store := s.open(t)
	for _, key := range []string{
		"team=a/dt=2025-01-15/data.csv", "2025-01-15T10:30:00.000Z/x", "a b/c+d", "%2E%2E/x", "ümläut/日本", "...", "a#b?c&d", "'quoted'",
	} {
		mustPut(t, store, key, key, storage.PutOptions{})
		wantText(t, store, key, key)
		if _, err := store.Copy(t.Context(), key, key+".copy"); err != nil {
			t.Errorf("copy %q: %v", key, err)
		} else {
			wantText(t, store, key+".copy", key)
		}
		var listed []string
		for o, err := range store.List(t.Context(), key) {
			listed = append(listed, o.Key)
			if err != nil {
				t.Error(err)
			}
		}
		if want := []string{key, key + ".copy"}; fmt.Sprint(listed) != fmt.Sprint(want) {
			t.Errorf("list shows %q, want %q", listed, want)
		}
	}
}

func (s suite) conditions(t *testing.T) {
	for _, size := range []int64{1000, part + 1000} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			store := s.open(t)
			put := func(seed byte, opts storage.PutOptions) (storage.Object, error) {
				return store.Put(t.Context(), "x/key", stream(seed, size), opts)
			}
			_, err := put(1, storage.PutOptions{IfMatch: "no-such-etag"})
			wantRefused(t, err)
			wantAbsent(t, store, "x/key")
			first, err := put(1, storage.PutOptions{IfAbsent: true})
			if err != nil {
				t.Fatal(err)
			}
			_, err = put(2, storage.PutOptions{IfAbsent: true})
			wantRefused(t, err)
			second, err := put(3, storage.PutOptions{IfMatch: first.ETag})
			if err != nil {
				t.Fatal(err)
			}
			_, err = put(4, storage.PutOptions{IfMatch: first.ETag})
			wantRefused(t, err)
			if now := s.wantContent(t, store, "x/key", generate(3, size)); now.ETag != second.ETag {
				t.Errorf("the object is %+v; want the second one, %+v", now, second)
			}
			s.wantNoLeftovers(t, store)
		})
	}
}

// race lets several writers meet: exactly one wins, and the object is its own.
func (s suite) race(t *testing.T) {
	store := s.open(t)
	for name, tc := range map[string]struct {
		size         int64
		participants int
		rounds       int
		ifMatch      bool
	}{
		"if absent, one request":   {2000, 8, 25, false},
		"if absent, several parts": {part + 2000, 2, 3, false},
		"if match, one request":    {2000, 8, 25, true},
		"if match, several parts":  {part + 2000, 2, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			for round := range tc.rounds {
				key, opts := fmt.Sprintf("%s/%d", name, round), storage.PutOptions{IfAbsent: !tc.ifMatch}
				if tc.ifMatch {
					opts.IfMatch = mustPut(t, store, key, "old", storage.PutOptions{}).ETag
				}
				s.raceOnce(t, store, key, tc.size, tc.participants, opts)
			}
			s.wantNoLeftovers(t, store)
		})
	}
}

func (s suite) raceOnce(t *testing.T, store storage.Store, key string, size int64, participants int, opts storage.PutOptions) {
	t.Helper()
	errs := make([]error, participants)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range participants {
		all.Go(func() {
			<-start
			_, errs[i] = store.Put(t.Context(), key, stream(byte(i), size), opts)
		})
	}
	close(start)
	all.Wait()
	winner := -1
	for i, err := range errs {
		f, _ := errors.AsType[*waybill.Failure](err)
		switch {
		case err == nil && winner >= 0:
			t.Errorf("writers %d and %d of %s both won", winner, i, key)
		case err == nil:
			winner = i
		case f != nil && f.Code == "storage.contended": // S3 may leave it open which of them wins, if none has yet
		default:
			wantRefused(t, err)
		}
	}
	if winner < 0 {
		t.Fatalf("nobody won %s: %v", key, errs)
	}
	s.wantContent(t, store, key, generate(byte(winner), size))
}

// overwrite replaces an object while it is read: a reader sees one version whole.
func (s suite) overwrite(t *testing.T) {
	store := s.open(t)
	versions := []string{strings.Repeat("old ", 50_000), strings.Repeat("newer ", 70_000)}
	put := func(i int) {
		opts := storage.PutOptions{Metadata: map[string]string{"size": fmt.Sprint(len(versions[i%2]))}}
		if _, err := store.Put(t.Context(), "a/b", bytes.NewBufferString(versions[i%2]), opts); err != nil {
			t.Error(err)
		}
	}
	put(0)
	stop, begun := make(chan struct{}), make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		put(1)
		close(begun)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				put(i)
			}
		}
	})
	defer writing.Wait()
	defer close(stop)
	<-begun
	for range 60 {
		text, object := mustGet(t, store, "a/b", storage.GetOptions{})
		if text != versions[0] && text != versions[1] {
			t.Fatalf("read %d bytes that are neither version", len(text))
		}
		if object.Size != int64(len(text)) || object.Metadata["size"] != fmt.Sprint(len(text)) {
			t.Fatalf("read %d bytes under %+v", len(text), object)
		}
	}
}
