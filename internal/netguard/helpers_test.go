package netguard

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/waybillhq/waybill"
)

// names is a DNS server on loopback: each name has answers that are given in
// turn, the last one for ever.
type names struct {
	mu      sync.Mutex
	answers map[string][]string
	asked   int
}

// resolver starts the server.
func (n *names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		for b := make([]byte, 1500); ; {
			size, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if reply, err := n.reply(b[:size]); err == nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// lookups is how often an IPv4 address was asked for.
func (n *names) lookups() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

func (n *names) reply(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	name := strings.TrimSuffix(q.Name.String(), ".")
	n.mu.Lock()
	defer n.mu.Unlock()
	answers, known := n.answers[name]
	switch {
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		n.asked++
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(answers[0]).As4()},
		}}
		n.answers[name] = answers[min(1, len(answers)-1):]
	}
	return m.Pack()
}

// server is an https server on loopback that counts the connections it gets.
type server struct {
	*httptest.Server
	connections atomic.Int64
}

func serve(t *testing.T, handler http.HandlerFunc) *server {
	t.Helper()
	return serveOver(t, true, handler)
}

func serveOver(t *testing.T, http2 bool, handler http.HandlerFunc) *server {
	t.Helper()
	s := &server{Server: httptest.NewUnstartedServer(handler)}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *server) addr() string { return s.Listener.Addr().String() }

func (s *server) port() string { _, port, _ := net.SplitHostPort(s.addr()); return port }

func (s *server) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func guard(t *testing.T, opts Options) *Guard {
	t.Helper()
	g, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func request(t *testing.T, method, uri string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, uri, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// get returns the text at a URL.
func get(t *testing.T, g *Guard, uri string) (string, error) {
	t.Helper()
	resp, err := g.Do(request(t, http.MethodGet, uri, nil))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func wantFailure(t *testing.T, err error, verdict waybill.Verdict, code, part string) {
	t.Helper()
	f, ok := err.(*waybill.Failure)
	if !ok || f.Verdict != verdict || f.Code != code || f.Stage != "" || !strings.Contains(f.Action, part) {
		t.Errorf("error is %T %+v, want %s %s with %q", err, err, verdict, code, part)
	}
}

func wantRule(t *testing.T, err error, rule Rule) {
	t.Helper()
	wantFailure(t, err, waybill.Blocked, "net.address_refused", "network.allow")
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Rule != rule {
		t.Errorf("refused by %+v, want %s", r, rule)
	}
}
