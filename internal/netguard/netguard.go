package netguard

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// Options say what a Guard lets through. The zero Options let out https to
// public addresses.
type Options struct {
	// Allow are exceptions from the rules: addresses (10.0.0.0/8), or one
	// host:port whatever its address, or http://host:port to allow plain http
	// there as well. A metadata service is allowed only by an entry of its one
	// address, e.g. 169.254.169.254/32.
	Allow []string
	// RootCAs are the certificates to trust; nil: the system's.
	RootCAs *x509.CertPool
	// Resolver resolves names; nil: the system's.
	Resolver *net.Resolver
	// HeaderTimeout bounds the wait for an answer's header (default 1 min).
	HeaderTimeout time.Duration
	// MaxHeaderBytes bounds an answer's header (default 64 KiB).
	MaxHeaderBytes int64
}

// The times that a connection may take to come about.
const (
	dialTimeout = 10 * time.Second
	tlsTimeout  = 10 * time.Second
)

// Guard makes guarded connections. It is used from any number of goroutines.
type Guard struct {
	allowed   allowed
	resolver  *net.Resolver
	transport *http.Transport
}

var _ http.RoundTripper = (*guarded)(nil)

// New returns a Guard. Its error is a [waybill.Problems] about the field allow.
func New(opts Options) (*Guard, error) {
	a, err := parseAllow(opts.Allow)
	if err != nil {
		return nil, err
	}
	g := &Guard{allowed: a, resolver: opts.Resolver}
	g.transport = &http.Transport{
		Proxy:                  nil, // see the package's comment
		DialContext:            g.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: opts.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  cmp.Or(opts.HeaderTimeout, time.Minute),
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    32, // a delivery uploads up to 12 parts at once, and each connection more is a handshake
		MaxResponseHeaderBytes: cmp.Or(opts.MaxHeaderBytes, 64<<10),
		DisableCompression:     true, // who asks for gzip unpacks it, under its own limits
		ForceAttemptHTTP2:      true,
	}
	return g, nil
}

// Close closes idle connections.
func (g *Guard) Close() error {
	g.transport.CloseIdleConnections()
	return nil
}

// Client returns a client for libraries that want one. Its errors hold the
// request's URL, query included, as net/http writes it; who can, uses
// [Guard.Do]. The rules hold under whatever redirect policy and whatever
// wrapping round tripper a library adds: they are in its innermost transport.
func (g *Guard) Client() *http.Client {
	return &http.Client{Transport: &guarded{g}, CheckRedirect: follow(nil)}
}

// Do sends a request and follows redirects. The body of the answer has no time
// limit but the request's context. Errors are a [waybill.Failure] without a
// stage whose code begins with "net.", or the context's error; no text of
// theirs holds the query of a URL.
func (g *Guard) Do(req *http.Request) (*http.Response, error) { return g.Follow(req, nil) }

// Follow is Do with a say in redirects: may is asked about each target, and
// what it returns ends the request.
func (g *Guard) Follow(req *http.Request, may func(*url.URL) error) (*http.Response, error) {
	client := &http.Client{Transport: &guarded{g}, CheckRedirect: follow(may)}
	resp, err := client.Do(req)
	if err != nil {
		return nil, failure(req.Context(), req.URL.Host, err)
	}
	return resp, nil
}

// DialContext connects to a host:port over TCP, as the rules allow.
func (g *Guard) DialContext(ctx context.Context, network, hostPort string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Resolver: g.resolver}
	if !g.allowed.host(hostPort) {
		d.ControlContext = func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return g.check(hostPort, network, address)
		}
	}
	return d.DialContext(ctx, network, hostPort)
}

// check is asked with the very address that is about to be connected to.
func (g *Guard) check(hostPort, network, address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || (network != "tcp4" && network != "tcp6") {
		return refusedAddress(&Refusal{Rule: RuleReserved, Host: hostPort, Address: at.Addr()})
	}
	rule := forbidden(at.Addr())
	if rule == "" || g.allowed.address(at.Addr(), rule) {
		return nil
	}
	return refusedAddress(&Refusal{Rule: rule, Host: hostPort, Address: at.Addr()})
}
