package storage_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
)

// chunkServer is a bare Google Cloud Storage for one upload at a time. It
// takes everything and counts; its hook may answer in its place.
type chunkServer struct {
	refuse func(w http.ResponseWriter, operation string, nth int) bool // whether it has answered

	mu       sync.Mutex
	requests map[string]int // by operation
	sum      uint32         // CRC32C of what arrived
	size     int
	begin    *http.Request // that began the upload, or was all of it
	last     http.Header   // of the request that ended it
	wrong    bool          // it keeps something else than what arrived
	tokens   []string      // that the requests bore
}

func (s *chunkServer) operation(r *http.Request) string {
	switch {
	case r.Method == http.MethodDelete:
		return "delete"
	case r.URL.Path == "/session":
		return "chunk"
	}
	return r.URL.Query().Get("uploadType") // multipart or resumable
}

func (s *chunkServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, content := s.operation(r), content(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[op]++
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	if s.refuse != nil && s.refuse(w, op, s.requests[op]) {
		return
	}
	switch op {
	case "resumable":
		s.begin = r
		w.Header().Set("Location", "http://"+r.Host+"/session")
		return
	case "multipart":
		s.begin = r
	case "delete":
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.sum, s.size = crc32.Update(s.sum, crc32.MakeTable(crc32.Castagnoli), content), s.size+len(content)
	if op == "chunk" && strings.HasSuffix(r.Header.Get("Content-Range"), "/*") {
		w.Header().Set("X-Http-Status-Code-Override", "308")
		return
	}
	s.last = r.Header
	if s.wrong {
		s.sum++
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"name":"a","size":"%d","generation":"1700000000000001","crc32c":%q}`, s.size, base64CRC(s.sum))
}

func base64CRC(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// content is what a request brings of the object.
func content(r *http.Request) []byte {
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "multipart/related" {
		whole, _ := io.ReadAll(r.Body) // a cut request is for the client to notice
		return whole
	}
	parts := multipart.NewReader(r.Body, params["boundary"])
	_, _ = parts.NextPart() // the attributes
	media, err := parts.NextPart()
	if err != nil {
		return nil
	}
	whole, _ := io.ReadAll(media)
	return whole
}

func (s *chunkServer) open(t *testing.T, opts storage.GCSOptions) *storage.GCS {
	s.requests = map[string]int{}
	return openGoogle(t, s, opts)
}

const chunk = 8 << 20

// A condition travels with the request that makes the object, and the last
// chunk bears the checksum of the whole.
func TestGCSUpload(t *testing.T) {
	for name, tc := range map[string]struct {
		size     int64
		opts     storage.PutOptions
		requests map[string]int
		query    string
	}{
		"small":            {10, storage.PutOptions{}, map[string]int{"multipart": 1}, ""},
		"small, if absent": {10, storage.PutOptions{IfAbsent: true}, map[string]int{"multipart": 1}, "ifGenerationMatch=0"},
		"one chunk":        {chunk - 1, storage.PutOptions{IfMatch: "1700000000000000"}, map[string]int{"multipart": 1}, "ifGenerationMatch=1700000000000000"},
		"several chunks":   {2*chunk + 1, storage.PutOptions{IfAbsent: true}, map[string]int{"resumable": 1, "chunk": 3}, "ifGenerationMatch=0"},
		"another's etag":   {10, storage.PutOptions{IfMatch: `"etag"`}, map[string]int{"multipart": 1}, "ifGenerationMatch=1"},
	} {
		t.Run(name, func(t *testing.T) {
			server := &chunkServer{}
			object, err := server.open(t, storage.GCSOptions{}).Put(t.Context(), "a", io.LimitReader(zeros{}, tc.size), tc.opts)
			if err != nil || object.Size != tc.size || object.ETag != "1700000000000001" || object.CRC32C != fmt.Sprintf("%08x", server.sum) {
				t.Fatalf("%+v, %v; want %d bytes", object, err, tc.size)
			}
			if fmt.Sprint(server.requests) != fmt.Sprint(tc.requests) || !strings.Contains(server.begin.URL.RawQuery, tc.query) {
				t.Errorf("requests %v, begun by %s; want %v with %q", server.requests, server.begin.URL, tc.requests, tc.query)
			}
			if hash := server.last.Get("X-Goog-Hash"); server.requests["chunk"] > 0 && hash != "crc32c="+base64CRC(server.sum) {
				t.Errorf("the last chunk bears the checksum %q", hash)
			}
		})
	}
}

// A conditional write is sent once, whatever the answer, until Google has
// taken a chunk of it; anything else is repeated.
func TestGCSUploadAttempts(t *testing.T) {
	failing := func(operation string, first, last int) func(http.ResponseWriter, string, int) bool {
		return func(w http.ResponseWriter, op string, nth int) bool {
			if op != operation || nth < first || nth > last {
				return false
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
	}
	for name, tc := range map[string]struct {
		opts   storage.PutOptions
		size   int64
		refuse func(http.ResponseWriter, string, int) bool
		op     string
		want   int
		fails  bool
	}{
		"small":                    {storage.PutOptions{}, 10, failing("multipart", 1, 9), "multipart", 2, true},
		"small, heals":             {storage.PutOptions{}, 10, failing("multipart", 1, 1), "multipart", 2, false},
		"small, if absent":         {storage.PutOptions{IfAbsent: true}, 10, failing("multipart", 1, 9), "multipart", 1, true},
		"small, if match":          {storage.PutOptions{IfMatch: "7"}, 10, failing("multipart", 1, 9), "multipart", 1, true},
		"a later chunk, if absent": {storage.PutOptions{IfAbsent: true}, 3 * chunk, failing("chunk", 2, 2), "chunk", 5, false}, // the last one is empty
		"each chunk fails once": {storage.PutOptions{}, 3 * chunk, func(w http.ResponseWriter, op string, nth int) bool {
			return nth%2 == 1 && failing("chunk", nth, nth)(w, op, nth)
		}, "chunk", 8, false},
		"a later chunk fails for all": {storage.PutOptions{}, 3 * chunk, failing("chunk", 2, 9), "chunk", 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := &chunkServer{refuse: tc.refuse}
			_, err := server.open(t, storage.GCSOptions{Attempts: 2}).Put(t.Context(), "a", io.LimitReader(zeros{}, tc.size), tc.opts)
			if f, ok := errors.AsType[*waybill.Failure](err); tc.fails && (!ok || f.Code != "storage.throttled") || !tc.fails && err != nil {
				t.Errorf("%v; fails: %t", err, tc.fails)
			}
			if server.requests[tc.op] != tc.want {
				t.Errorf("requests %v, want %d of %s", server.requests, tc.want, tc.op)
			}
		})
	}
}

// An object that is not what was sent does not stay.
func TestGCSUploadCorrupted(t *testing.T) {
	server := &chunkServer{wrong: true}
	_, err := server.open(t, storage.GCSOptions{}).Put(t.Context(), "a", strings.NewReader("x"), storage.PutOptions{})
	wantCode(t, err, waybill.Transient, "storage.corrupted")
	if server.requests["delete"] != 1 {
		t.Errorf("requests: %v; want the object deleted", server.requests)
	}
}

// A key that is changed under way is used for what comes after: here, with
// another token for each key.
func TestGCSKeyIsReadAgain(t *testing.T) {
	var mu sync.Mutex
	asked, tokens := 0, 0
	tokenURL := tokenServerOf(t, func() string {
		mu.Lock()
		defer mu.Unlock()
		tokens++
		return fmt.Sprintf("token-%d", tokens)
	})
	first, second := []byte(testservers.ServiceAccount(t, tokenURL)), []byte(strings.Replace(testservers.ServiceAccount(t, tokenURL), `"k1"`, `"k2"`, 1))
	server := &chunkServer{}
	store := server.open(t, storage.GCSOptions{ServiceAccountKey: func(context.Context) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked <= 2 {
			return first, nil
		}
		return second, nil
	}})
	if _, err := store.Put(t.Context(), "a", io.LimitReader(zeros{}, 2*chunk+1), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if want := "[Bearer token-1 Bearer token-1 Bearer token-2 Bearer token-2]"; fmt.Sprint(server.tokens) != want {
		t.Errorf("the requests bore %v, want %s", server.tokens, want)
	}
}
