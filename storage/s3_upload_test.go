package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/waybillhq/waybill"
)

// partsServer is a bare S3 server for one upload at a time. It takes
// everything and counts; its hooks may answer in its place.
type partsServer struct {
	refuse func(w http.ResponseWriter, operation string, r *http.Request) bool // whether it has answered
	onPart func()                                                              // while a part is under way

	mu       sync.Mutex
	requests map[string]int // by operation
	complete string         // the body that completed the upload
	header   http.Header    // of the request that made the object
}

func operation(r *http.Request) string {
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && query.Has("uploads"):
		return "create"
	case r.Method == http.MethodPost:
		return "complete"
	case r.Method == http.MethodPut && query.Has("partNumber"):
		return "part"
	case r.Method == http.MethodDelete:
		return "abort"
	}
	return "put"
}

func (s *partsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op := operation(r)
	body, _ := io.ReadAll(r.Body) // a cut request is for the client to notice
	s.mu.Lock()
	s.requests[op]++
	s.mu.Unlock()
	if s.refuse != nil && s.refuse(w, op, r) {
		return
	}
	switch op {
	case "create":
		fmt.Fprint(w, `<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>`)
	case "part":
		if s.onPart != nil {
			s.onPart()
		}
		w.Header().Set("ETag", `"part"`)
	case "complete":
		s.mu.Lock()
		s.complete, s.header = string(body), r.Header
		s.mu.Unlock()
		fmt.Fprint(w, `<CompleteMultipartUploadResult><ETag>"whole"</ETag></CompleteMultipartUploadResult>`)
	case "abort":
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *partsServer) open(t *testing.T, opts S3Options) *S3 {
	t.Helper()
	s.requests = map[string]int{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	opts.Bucket, opts.Endpoint, opts.PathStyle, opts.Client = "acme", server.URL, true, server.Client()
	opts.Keys = func(context.Context) (Keys, error) {
		return Keys{AccessKeyID: "AKIATEST", SecretAccessKey: "secret"}, nil
	}
	store, err := NewS3(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func refuseWith(w http.ResponseWriter, status int, code string) bool {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
	return true
}

// Four parts are under way at a time, no more.
func TestUploadInParallel(t *testing.T) {
	var mu sync.Mutex
	under, most := 0, 0
	full, reached := make(chan struct{}), sync.Once{}
	server := &partsServer{onPart: func() {
		mu.Lock()
		under++
		if most = max(most, under); under == partsInFlight {
			reached.Do(func() { close(full) })
		}
		mu.Unlock()
		<-full // the first ones wait until there are four
		mu.Lock()
		under--
		mu.Unlock()
	}}
	store := server.open(t, S3Options{})
	object, err := store.Put(t.Context(), "a", io.LimitReader(endless{}, 9*partSize+1), PutOptions{IfAbsent: true})
	if err != nil || object.Size != 9*partSize+1 {
		t.Fatalf("%+v, %v", object, err)
	}
	if most != partsInFlight || server.requests["part"] != 10 {
		t.Errorf("up to %d of %d parts were under way at a time", most, server.requests["part"])
	}
	if server.header.Get("If-None-Match") != "*" || server.header.Get("X-Amz-Checksum-Crc32c") == "" ||
		server.header.Get("X-Amz-Mp-Object-Size") != fmt.Sprint(object.Size) || strings.Count(server.complete, "ChecksumCRC32C>") != 20 {
		t.Errorf("completed by %v and %s", server.header, server.complete)
	}
}

// A conditional write is sent once, whatever the answer; any other is repeated.
func TestUploadAttempts(t *testing.T) {
	for name, tc := range map[string]struct {
		opts PutOptions
		size int64
		op   string
		want int
	}{
		"put":                  {PutOptions{}, 10, "put", 2},
		"put, if absent":       {PutOptions{IfAbsent: true}, 10, "put", 1},
		"put, if match":        {PutOptions{IfMatch: "x"}, 10, "put", 1},
		"multipart":            {PutOptions{}, 2 * partSize, "complete", 2},
		"multipart, if absent": {PutOptions{IfAbsent: true}, 2 * partSize, "complete", 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := &partsServer{refuse: func(w http.ResponseWriter, op string, _ *http.Request) bool {
				return op == tc.op && refuseWith(w, http.StatusInternalServerError, "InternalError")
			}}
			_, err := server.open(t, S3Options{Attempts: 2}).Put(t.Context(), "a", io.LimitReader(endless{}, tc.size), tc.opts)
			if f, ok := errors.AsType[*waybill.Failure](err); !ok || f.Code != "storage.unavailable" {
				t.Error(err)
			}
			if server.requests[tc.op] != tc.want {
				t.Errorf("it was sent %d times, want %d", server.requests[tc.op], tc.want)
			}
			if tc.op == "complete" && server.requests["abort"] != 1 {
				t.Errorf("it was aborted %d times", server.requests["abort"])
			}
		})
	}
}

// A store that cannot check the whole object still checks every part.
func TestUploadWithoutFullObjectChecksum(t *testing.T) {
	server := &partsServer{refuse: func(w http.ResponseWriter, op string, r *http.Request) bool {
		return op == "create" && r.Header.Get("X-Amz-Checksum-Type") != "" && refuseWith(w, http.StatusBadRequest, "InvalidRequest")
	}}
	object, err := server.open(t, S3Options{}).Put(t.Context(), "a", io.LimitReader(endless{}, 2*partSize), PutOptions{})
	if err != nil || object.Size != 2*partSize || object.CRC32C != "" {
		t.Fatalf("%+v, %v; want the object, without a checksum of the whole", object, err)
	}
	if server.header.Get("X-Amz-Checksum-Type") != "" || strings.Count(server.complete, "<ChecksumCRC32C>") != 2 {
		t.Errorf("completed by %v and %s", server.header, server.complete)
	}
}

func TestUploadTooLarge(t *testing.T) {
	server := &partsServer{}
	store := server.open(t, S3Options{})
	store.maxParts = 3
	_, err := store.Put(t.Context(), "a", endless{}, PutOptions{})
	if f, ok := errors.AsType[*waybill.Failure](err); !ok || f.Code != "storage.too_large" || f.Verdict != waybill.Permanent {
		t.Errorf("%v; want storage.too_large", err)
	}
	if server.requests["part"] != 3 || server.requests["abort"] != 1 || server.requests["complete"] != 0 {
		t.Errorf("requests: %v", server.requests)
	}
}

// The first cause is told, also when the abort fails too.
func TestUploadAbortFails(t *testing.T) {
	server := &partsServer{refuse: func(w http.ResponseWriter, op string, _ *http.Request) bool {
		switch op {
		case "part":
			return refuseWith(w, http.StatusForbidden, "QuotaExceeded")
		case "abort":
			return refuseWith(w, http.StatusForbidden, "AccessDenied")
		}
		return false
	}}
	_, err := server.open(t, S3Options{Attempts: 1}).Put(t.Context(), "a", endless{}, PutOptions{})
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok || f.Code != "storage.full" || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("%v; want storage.full, with a word about the parts that stay", err)
	}
}

// Temporary keys that end between two parts stop the delivery with the
// sentence that says so, and nothing of the object becomes visible.
func TestUploadWhoseKeysEndUnderWay(t *testing.T) {
	server := &partsServer{refuse: func(w http.ResponseWriter, op string, r *http.Request) bool {
		return op == "part" && r.URL.Query().Get("partNumber") > "2" && refuseWith(w, http.StatusBadRequest, "ExpiredToken")
	}}
	_, err := server.open(t, S3Options{}).Put(t.Context(), "a", io.LimitReader(endless{}, 6*partSize), PutOptions{})
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok || f.Verdict != waybill.Blocked || f.Code != "storage.expired_credentials" || !strings.Contains(f.Action, "renew it in the connector's access") {
		t.Errorf("%+v of %v", f, err)
	}
	if server.requests["complete"] != 0 || server.requests["abort"] != 1 {
		t.Errorf("requests: %v", server.requests)
	}
}

// An answer that names another checksum than what was sent is not believed.
func TestUploadCorrupted(t *testing.T) {
	server := &partsServer{refuse: func(w http.ResponseWriter, _ string, _ *http.Request) bool {
		w.Header().Set("X-Amz-Checksum-Crc32c", "AAAAAA==")
		return false
	}}
	_, err := server.open(t, S3Options{}).Put(t.Context(), "a", strings.NewReader("x"), PutOptions{})
	if f, ok := errors.AsType[*waybill.Failure](err); !ok || f.Code != "storage.corrupted" {
		t.Errorf("%v; want storage.corrupted", err)
	}
}

// Uploads that are fed in lockstep all come to their end, even if there is no
// memory but one part for each: this is how one pass writes several formats.
func TestUploadsInLockstep(t *testing.T) {
	server := &partsServer{}
	store := server.open(t, S3Options{Memory: NewPartMemory(0)})
	var writers []io.Writer
	var uploads sync.WaitGroup
	var pipes []*io.PipeWriter
	for i := range 3 {
		r, w := io.Pipe()
		writers, pipes = append(writers, w), append(pipes, w)
		uploads.Go(func() {
			object, err := store.Put(t.Context(), fmt.Sprint(i), r, PutOptions{})
			_ = r.CloseWithError(err) // so that a failed upload ends the writer too
			if err != nil || object.Size != 3*partSize {
				t.Errorf("upload %d: %+v, %v", i, object, err)
			}
		})
	}
	if _, err := io.Copy(io.MultiWriter(writers...), io.LimitReader(endless{}, 3*partSize)); err != nil {
		t.Error(err)
	}
	for _, w := range pipes {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	uploads.Wait()
}

// Memory is given back, and no upload takes more than its share.
func TestPartMemory(t *testing.T) {
	memory := NewPartMemory(5)
	a, b := memory.buffers(), memory.buffers()
	take := func(u *buffers, want int) (parts []*[partSize]byte) {
		for {
			ctx, cancel := context.WithCancel(t.Context())
			if len(parts) == want { // the next would have to wait
				cancel()
			}
			part, err := u.next(ctx)
			cancel()
			if err != nil {
				return parts
			}
			parts = append(parts, part)
		}
	}
	first := take(a, partsInFlight)
	if len(first) != partsInFlight {
		t.Errorf("one upload has %d parts, want %d", len(first), partsInFlight)
	}
	second := take(b, 3)
	if len(second) != 3 || len(memory.shared) != 5 {
		t.Errorf("the other has %d parts, %d are shared; want 3 and 5", len(second), len(memory.shared))
	}
	a.done(first[0])
	if again, err := a.next(t.Context()); err != nil || again != first[0] {
		t.Errorf("the part that is done is not used again: %v", err)
	}
	for _, part := range first {
		a.done(part)
	}
	a.release()
	if len(memory.shared) != 2 {
		t.Errorf("%d parts are shared after one upload is over, want 2", len(memory.shared))
	}
}
