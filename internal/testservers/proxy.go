package testservers

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// ProxyServer is a toxiproxy-server process in front of one server: a TCP
// proxy whose connections a test can cut, limit and delay.
type ProxyServer struct {
	Addr string // host:port to connect to in place of the upstream

	api string // http://host:port/proxies/name, https://github.com/Shopify/toxiproxy#http-api
}

// Proxy starts a proxy to upstream (host:port) that passes everything on.
func Proxy(t testing.TB, upstream string) *ProxyServer {
	t.Helper()
	path, err := pinnedProgram("toxiproxy-server")
	if err != nil {
		t.Fatal(err)
	}
	name := uniqueName() // no other proxy answers to it, should one have taken the port
	dir := t.TempDir()
	config := filepath.Join(dir, "proxies.json")
	writeJSON(t, config, []map[string]any{{"name": name, "listen": "127.0.0.1:0", "upstream": upstream, "enabled": true}})
	s := &ProxyServer{}
	_, _, err = onFreePort(func(port string) (*process, error) {
		s.api = "http://" + net.JoinHostPort("127.0.0.1", port) + "/proxies/" + name
		return start(t, command{
			path: path, dir: dir,
			args:  []string{"-host", "127.0.0.1", "-port", port, "-config", config},
			ready: func(ctx context.Context, _ int) error { return httpAnswers(ctx, s.api) },
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = s.state(t).Listen
	return s
}

// Cut closes every connection and refuses new ones until [ProxyServer.Restore].
func (s *ProxyServer) Cut(t testing.TB) {
	t.Helper()
	s.call(t, http.MethodPost, s.api, map[string]any{"enabled": false}, nil)
}

// LimitData closes each connection once it has carried that many bytes towards
// the upstream.
func (s *ProxyServer) LimitData(t testing.TB, bytes int64) {
	t.Helper()
	s.addToxic(t, toxic{Name: "limit", Type: "limit_data", Stream: "upstream", Attributes: map[string]int64{"bytes": bytes}})
}

// Latency delays everything that comes from the upstream by that many milliseconds.
func (s *ProxyServer) Latency(t testing.TB, ms int) {
	t.Helper()
	s.addToxic(t, toxic{Name: "latency", Type: "latency", Stream: "downstream", Attributes: map[string]int64{"latency": int64(ms)}})
}

// Silence swallows everything in both directions, and closes no connection, as
// a network that is cut does, until [ProxyServer.Restore].
func (s *ProxyServer) Silence(t testing.TB) {
	t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		s.addToxic(t, toxic{Name: "silence-" + stream, Type: "timeout", Stream: stream, Attributes: map[string]int64{"timeout": 0}})
	}
}

// Restore ends every fault; the proxy is where it was and passes everything on.
func (s *ProxyServer) Restore(t testing.TB) {
	t.Helper()
	for _, x := range s.state(t).Toxics {
		s.call(t, http.MethodDelete, s.api+"/toxics/"+x.Name, nil, nil)
	}
	s.call(t, http.MethodPost, s.api, map[string]any{"enabled": true}, nil)
}

type toxic struct {
	Name       string           `json:"name"`
	Type       string           `json:"type"`
	Stream     string           `json:"stream"`
	Attributes map[string]int64 `json:"attributes"`
}

type proxyState struct {
	Listen string  `json:"listen"`
	Toxics []toxic `json:"toxics"`
}

func (s *ProxyServer) state(t testing.TB) (p proxyState) {
	t.Helper()
	s.call(t, http.MethodGet, s.api, nil, &p)
	return p
}

// addToxic adds a fault, in place of an earlier one of the same kind.
func (s *ProxyServer) addToxic(t testing.TB, x toxic) {
	t.Helper()
	for _, old := range s.state(t).Toxics {
		if old.Name == x.Name {
			s.call(t, http.MethodDelete, s.api+"/toxics/"+x.Name, nil, nil)
		}
	}
	s.call(t, http.MethodPost, s.api+"/toxics", x, nil)
}

// call sends body as JSON and decodes the answer into reply, unless it is nil.
func (s *ProxyServer) call(t testing.TB, method, url string, body, reply any) {
	t.Helper()
	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(method, url, bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("toxiproxy: %s %s: %s: %s (%v)", method, url, resp.Status, text, err)
	}
	if reply == nil {
		return
	}
	if err := json.Unmarshal(text, reply); err != nil {
		t.Fatal(err)
	}
}

func writeJSON(t testing.TB, path string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
