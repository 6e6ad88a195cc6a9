// Package platform plays the platform whose results are delivered, for tests
// and the sandbox: its workflows, their run history and the data of their runs,
// over its public HTTP API. It refuses what the real one refuses, pages as the
// real one pages, and answers what it does not know with an error that a test
// sees.
//
// https://docs.kadoa.com/api-reference
package platform

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// Key is the API key that the platform takes, in the header x-api-key.
const Key = "tk-waybill-platform-key"

// Options are what differs between platforms. The zero Options are one that
// tells the time.
type Options struct {
	Now func() time.Time // the platform's clock; time.Now if nil
}

// Request is one call as the platform saw it. It holds no key.
type Request struct {
	Method, Path, Query string
	Status              int // 0: the connection was cut
}

// Server is one platform.
type Server struct {
	URL string

	http *httptest.Server
	now  func() time.Time

	mu         sync.Mutex
	workflows  map[string]*workflow
	events     []Event      // in the order in which they were told
	told       map[int]bool // by place in events; nil: they are told as often as they are asked for
	pageSize   int          // of the activity log; 0: as asked for
	faults     []*Fault
	log        []Request
	unexpected []string
}

// New starts a platform without workflows.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{now: o.Now, workflows: map[string]*workflow{}}
	s.http = httptest.NewServer(s.routes())
	s.URL = s.http.URL
	return s
}

// Close stops it.
func (s *Server) Close() { s.http.Close() }

// Log returns the calls so far.
func (s *Server) Log() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Unexpected lists what was asked for that this platform does not play: a test
// that leaves any there should fail.
func (s *Server) Unexpected() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unexpected)
}

// failure is an answer that is an error.
type failure struct {
	Status  int    `json:"-"`
	Message string `json:"message"`

	retryAfter string
}

func fail(status int, message string) *failure { return &failure{Status: status, Message: message} }

// handler answers one call with the lock held. Its answer is sent as JSON; one
// that is a [stream] writes itself, without the lock.
type handler func(r *http.Request) (any, *failure)

type stream func(w io.Writer) error

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /v4/workflows/{workflow}":         s.getWorkflow,
		"GET /v4/workflows/{workflow}/history": s.history,
		"GET /v4/workflows/{workflow}/data":    s.data,
		"GET /v4/activity/{$}":                 s.activity,
	} {
		mux.HandleFunc(pattern, s.serve(h))
	}
	mux.HandleFunc("/", s.serve(s.unknown))
	return mux
}

func (s *Server) unknown(r *http.Request) (any, *failure) {
	s.unexpected = append(s.unexpected, r.Method+" "+r.URL.Path)
	return nil, fail(http.StatusNotFound, "Cannot "+r.Method+" "+r.URL.Path)
}

// serve is what every call passes: the faults, who asks, the log.
func (s *Server) serve(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		entry := Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
		s.mu.Lock()
		fault := s.fault(entry)
		s.mu.Unlock()
		if fault != nil && fault.Do != nil {
			fault.Do() // without the lock: it changes what is there while somebody reads
		}
		s.mu.Lock()
		answer, refusal := any(nil), fault.refusal()
		if refusal == nil && r.Header.Get("X-Api-Key") != Key {
			refusal = fail(http.StatusUnauthorized, "Invalid API key")
		}
		if refusal == nil {
			answer, refusal = h(r)
		}
		if !fault.cuts() {
			entry.Status = http.StatusOK
		}
		if refusal != nil {
			entry.Status, answer = refusal.Status, refusal
		}
		s.log = append(s.log, entry)
		s.mu.Unlock()
		if refusal != nil && refusal.retryAfter != "" {
			w.Header().Set("Retry-After", refusal.retryAfter)
		}
		reply(w, r, entry.Status, answer, fault)
	}
}

// reply sends an answer, compressed where that is asked for.
func reply(w http.ResponseWriter, r *http.Request, status int, answer any, fault *Fault) {
	out := io.Writer(w)
	if fault.cuts() {
		out = &cutter{w: w, left: fault.CutAfter}
		status = http.StatusOK
	}
	w.Header().Set("Content-Type", "application/json")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(out)
		defer z.Close()
		out = z
	}
	w.WriteHeader(status)
	write, ok := answer.(stream)
	switch {
	case fault != nil && fault.Garbage != "":
		_, _ = io.WriteString(out, fault.Garbage)
	case ok:
		_ = write(out)
	default:
		_ = json.NewEncoder(out).Encode(answer)
	}
	if fault.cuts() {
		panic(http.ErrAbortHandler) // however short the answer was
	}
}

// cutter breaks the connection behind so many bytes.
type cutter struct {
	w    http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.w.Write(p)
	}
	_, _ = c.w.Write(p[:c.left])
	_ = http.NewResponseController(c.w).Flush()
	panic(http.ErrAbortHandler)
}
