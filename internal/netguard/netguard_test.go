package netguard

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

func TestLoopbackIsRefusedUnlessAllowed(t *testing.T) {
	s := serve(t, hello)
	dns := &names{answers: map[string][]string{"www.example.com": {"127.0.0.1"}}}
	opts := Options{RootCAs: s.pool(), Resolver: dns.resolver(t)}
	byName := "https://www.example.com:" + s.port()
	for _, uri := range []string{s.URL, byName, "https://[::ffff:127.0.0.1]:" + s.port()} {
		_, err := get(t, guard(t, opts), uri)
		wantRule(t, err, RuleLoopback)
	}
	if n := s.connections.Load(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}
	for allow, uri := range map[string]string{
		"127.0.0.0/8": s.URL, "127.0.0.1/32": byName, s.addr(): s.URL, "WWW.example.com:" + s.port(): byName,
	} {
		opts.Allow = []string{allow}
		if text, err := get(t, guard(t, opts), uri); err != nil || text != "hello" {
			t.Errorf("%s with %s allowed: %q, %v", uri, allow, text, err)
		}
	}
	opts.Allow = []string{s.addr(), "www.example.com:443"} // another name, another port
	_, err := get(t, guard(t, opts), byName)
	wantRule(t, err, RuleLoopback)
}

// Who looks the name up first is told a public address, and who connects
// afterwards a private one.
func TestRebinding(t *testing.T) {
	s := serve(t, hello)
	for address, rule := range map[string]Rule{
		"127.0.0.1": RuleLoopback, "10.0.0.7": RulePrivate, "169.254.169.254": RuleMetadata, "100.64.0.1": RuleCarrierGrade, "0.0.0.0": RuleUnspecified,
	} {
		t.Run(address, func(t *testing.T) {
			dns := &names{answers: map[string][]string{"www.example.com": {"93.184.216.34", address}}}
			resolver := dns.resolver(t)
			first, err := resolver.LookupNetIP(t.Context(), "ip4", "www.example.com")
			if err != nil || len(first) != 1 || forbidden(first[0]) != "" {
				t.Fatalf("the first answer is %v, %v", first, err)
			}
			_, err = get(t, guard(t, Options{RootCAs: s.pool(), Resolver: resolver}), "https://www.example.com:"+s.port())
			wantRule(t, err, rule)
			if asked := dns.lookups(); asked != 2 {
				t.Errorf("%d lookups", asked)
			}
		})
	}
	if n := s.connections.Load(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}
}

func TestAddressesAsWritten(t *testing.T) {
	g := guard(t, Options{Resolver: (&names{}).resolver(t)})
	for host, rule := range map[string]Rule{
		"127.0.0.1": RuleLoopback, "[::1]": RuleLoopback, "[::ffff:7f00:1]": RuleLoopback, "10.1.2.3": RulePrivate, "[fd00:ec2::254]": RuleMetadata,
		"169.254.169.254": RuleMetadata, "[64:ff9b::a9fe:a9fe]": RuleMetadata, "[2002:7f00:1::]": RuleTransition, "255.255.255.255": RuleBroadcast,
		"localhost": RuleLoopback, "0.0.0.0": RuleUnspecified, "[::]": RuleUnspecified,
	} {
		_, err := get(t, g, "https://"+host+"/latest/meta-data?token=hunter2")
		wantRule(t, err, rule)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the query is shown: %v", err)
		}
	}
	for _, host := range []string{"2130706433", "0x7f000001", "127.1", "017700000001"} { // a resolver may take them for addresses; ours does not
		if _, err := get(t, g, "https://"+host+"/"); err == nil {
			t.Errorf("%s was reached", host)
		}
	}
}

func TestOnlyHTTPSWithoutCredentials(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(hello))
	t.Cleanup(plain.Close)
	host := strings.TrimPrefix(plain.URL, "http://")
	_, err := get(t, guard(t, Options{Allow: []string{"127.0.0.0/8", host}}), plain.URL)
	wantFailure(t, err, waybill.Blocked, "net.scheme_refused", "use https")
	if text, err := get(t, guard(t, Options{Allow: []string{"http://" + host}}), plain.URL); err != nil || text != "hello" {
		t.Errorf("plain http where it is allowed: %q, %v", text, err)
	}
	_, err = get(t, guard(t, Options{Allow: []string{host}}), "https://user:hunter2@"+host)
	wantFailure(t, err, waybill.Blocked, "net.credentials_in_url", "take them out")
	_, err = get(t, guard(t, Options{Allow: []string{host}}), "https://"+host)
	wantFailure(t, err, waybill.Blocked, "net.tls", "does not speak TLS")
	_, err = get(t, guard(t, Options{}), "ftp://example.com/x")
	wantFailure(t, err, waybill.Blocked, "net.scheme_refused", "use https")
}

func TestRedirectsAreCheckedLikeRequests(t *testing.T) {
	var target string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) })
	inner := serve(t, hello)
	g := guard(t, Options{RootCAs: s.pool(), Allow: []string{s.addr()}})
	for to, rule := range map[string]Rule{
		inner.URL + "/?sig=hunter2": RuleLoopback, "https://10.0.0.1/": RulePrivate, "https://169.254.169.254/latest": RuleMetadata,
		"https://169.254.1.1/": RuleLinkLocal, "https://[fe80::1]/": RuleLinkLocal, "https://[fc00::1]/": RulePrivate, "//[::1]/": RuleLoopback,
	} {
		target = to
		_, err := get(t, g, s.URL+"/?sig=hunter2")
		wantRule(t, err, rule)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a query is shown: %v", err)
		}
	}
	for to, code := range map[string]string{
		"http://" + s.addr(): "net.scheme_refused", "file:///etc/passwd": "net.scheme_refused", "https://user:hunter2@" + s.addr(): "net.credentials_in_url",
		"/again": "net.too_many_redirects",
	} {
		target = to
		_, err := get(t, g, s.URL)
		wantFailure(t, err, waybill.Blocked, code, "The server")
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret is shown: %v", err)
		}
	}
	target = "https://%zz?sig=hunter2"
	_, err := get(t, g, s.URL)
	wantFailure(t, err, waybill.Transient, "net.unreachable", "cannot be reached")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a query is shown: %v", err)
	}
	if n := inner.connections.Load(); n != 0 {
		t.Errorf("%d connections reached the inner server", n)
	}
}

func TestRedirectsAreCounted(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if left := strings.TrimPrefix(r.URL.Path, "/"); left != "" {
			http.Redirect(w, r, "/"+left[1:], http.StatusTemporaryRedirect)
		} else {
			hello(w, r)
		}
	})
	g := guard(t, Options{RootCAs: s.pool(), Allow: []string{s.addr()}})
	if text, err := get(t, g, s.URL+"/xxx"); err != nil || text != "hello" {
		t.Errorf("three redirects: %q, %v", text, err)
	}
	_, err := get(t, g, s.URL+"/xxxx")
	wantFailure(t, err, waybill.Blocked, "net.too_many_redirects", "more than three times")

	lax := g.Client()
	lax.CheckRedirect = func(*http.Request, []*http.Request) error { return nil } // a library's own policy
	resp, err := lax.Do(request(t, http.MethodGet, s.URL+"/xxxx", nil))
	if err == nil {
		resp.Body.Close()
	}
	if f, ok := errors.AsType[*waybill.Failure](err); !ok || f.Code != "net.too_many_redirects" {
		t.Errorf("another client's policy wins: %v", err)
	}
}

// adder is a library's round tripper that adds a credential to whatever passes.
type adder struct{ next http.RoundTripper }

func (a adder) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer hunter2")
	return a.next.RoundTrip(req)
}

func TestCredentialsStayWithTheirOrigin(t *testing.T) {
	var seen []http.Header
	var home *server
	away := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header)
		if r.URL.Path == "/back" {
			http.Redirect(w, r, home.URL+"/end", http.StatusFound)
		}
	})
	home = serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header)
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		}
	})
	pool := home.pool()
	pool.AddCert(away.Certificate())
	g := guard(t, Options{RootCAs: pool, Allow: []string{home.addr(), away.addr()}})
	secret := []string{"Authorization", "Cookie", "X-Api-Key", "X-Waybill-Signature", "Proxy-Authorization", "X-Amz-Security-Token"}
	send := func(client interface {
		Do(*http.Request) (*http.Response, error)
	}, to string,
	) {
		t.Helper()
		seen = nil
		req := request(t, http.MethodGet, home.URL+"/?sig=hunter2&to="+url.QueryEscape(to), nil)
		for _, name := range secret {
			req.Header.Set(name, "hunter2")
		}
		req.Header.Set("Range", "bytes=1-")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	clean := func(h http.Header) bool {
		return !slices.ContainsFunc(append(secret, "Referer"), func(name string) bool { return h.Get(name) != "" }) && h.Get("Range") == "bytes=1-"
	}

	for name, client := range map[string]interface {
		Do(*http.Request) (*http.Response, error)
	}{"Guard": g, "Client": g.Client(), "a library around it": &http.Client{Transport: adder{g.Client().Transport}}} {
		send(client, away.URL+"/end")
		if len(seen) != 2 || seen[0].Get("X-Api-Key") != "hunter2" || !clean(seen[1]) {
			t.Errorf("%s: another origin got %v", name, seen)
		}
		send(client, away.URL+"/back")
		if len(seen) != 3 || !clean(seen[1]) || !clean(seen[2]) {
			t.Errorf("%s: there and back got %v", name, seen)
		}
		send(client, "/end")
		if len(seen) != 2 || seen[1].Get("X-Api-Key") != "hunter2" || seen[1].Get("Authorization") == "" || client == g && seen[1].Get("Referer") != "" {
			t.Errorf("%s: the same origin got %v", name, seen)
		}
	}

	resp, err := g.Do(request(t, http.MethodPost, home.URL+"/?to="+url.QueryEscape(away.URL), strings.NewReader("body")))
	if err == nil {
		resp.Body.Close()
	}
	wantFailure(t, err, waybill.Blocked, "net.redirect_refused", "what is sent to it")
}

func TestTheCallerHasASayInRedirects(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/there?x", http.StatusFound)
		}
	})
	g := guard(t, Options{RootCAs: s.pool(), Allow: []string{s.addr()}})
	own := waybill.Failf(waybill.Permanent, "own", "Own sentence.", "own")
	var asked []string
	_, err := g.Follow(request(t, http.MethodGet, s.URL, nil), func(u *url.URL) error {
		asked = append(asked, u.RequestURI())
		return own
	})
	if err != own || !slices.Equal(asked, []string{"/there?x"}) {
		t.Errorf("asked about %q, got %v", asked, err)
	}
}

// A proxy would resolve the name itself, behind the check.
func TestProxiesOfTheEnvironmentAreIgnored(t *testing.T) {
	// net/http reads the variables once in a process: before them, nothing
	// else may have asked.
	const alone = "NETGUARD_TEST_ALONE"
	if os.Getenv(alone) == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxiesOfTheEnvironmentAreIgnored$", "-test.count=1")
		child.Env = append(os.Environ(), alone+"=1")
		if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	s, proxy := serve(t, hello), serve(t, hello)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	dns := &names{answers: map[string][]string{"www.example.com": {"127.0.0.1"}}} // net/http takes loopback itself past proxies
	g := guard(t, Options{RootCAs: s.pool(), Resolver: dns.resolver(t), Allow: []string{"127.0.0.1/32"}})
	if text, err := get(t, g, "https://www.example.com:"+s.port()); err != nil || text != "hello" || proxy.connections.Load() != 0 {
		t.Errorf("%q, %v, %d connections to the proxy", text, err, proxy.connections.Load())
	}
}

func TestNoAnswer(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) { testNoAnswer(t, http2) })
	}
}

func testNoAnswer(t *testing.T, http2 bool) {
	s := serveOver(t, http2, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/huge":
			for range 100 {
				w.Header().Add("X-Huge", strings.Repeat("x", 1<<10))
			}
		case "/silent":
			<-r.Context().Done()
		case "/cut":
			panic(http.ErrAbortHandler)
		}
	})
	dns := &names{answers: map[string][]string{}}
	opts := Options{RootCAs: s.pool(), Allow: []string{"127.0.0.0/8"}, Resolver: dns.resolver(t)}
	patient := guard(t, opts)
	opts.HeaderTimeout = 20 * time.Millisecond
	impatient := guard(t, opts)
	opts.RootCAs = x509.NewCertPool()
	distrustful := guard(t, opts)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for _, c := range []struct {
		guard   *Guard
		uri     string
		verdict waybill.Verdict
		code    string
	}{
		{patient, s.URL + "/huge?hunter2", waybill.Blocked, "net.header_too_large"},
		{impatient, s.URL + "/silent?hunter2", waybill.Transient, "net.timeout"},
		{patient, s.URL + "/cut?hunter2", waybill.Transient, "net.unreachable"},
		{patient, "https://none.example.com/?hunter2", waybill.Transient, "net.unknown_host"},
		{patient, "https://" + closed.Addr().String() + "/?hunter2", waybill.Transient, "net.unreachable"},
		{patient, "https://localhost:" + s.port() + "/?hunter2", waybill.Blocked, "net.tls"}, // not a name of the certificate
		{distrustful, s.URL + "/?hunter2", waybill.Blocked, "net.tls"},
	} {
		_, err := get(t, c.guard, c.uri)
		wantFailure(t, err, c.verdict, c.code, "The server")
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a query is shown: %v", err)
		}
	}
}

func TestTheContextEndsARequest(t *testing.T) {
	started := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	})
	g := guard(t, Options{RootCAs: s.pool(), Allow: []string{s.addr()}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	resp, err := g.Do(request(t, http.MethodGet, s.URL+"/?hunter2", nil).WithContext(ctx))
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error is %v", err)
	}
}
