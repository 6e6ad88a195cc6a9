package source

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/netguard"
)

func TestAllowedURLs(t *testing.T) {
	asked := ""
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { asked = r.RequestURI; _, _ = io.WriteString(w, records) })
	host := s.Listener.Addr().String()
	s.Allow = []string{s.Server.URL + "/v1/{teamId}/", s.Server.URL + "/open"}
	for uri, allowed := range map[string]bool{
		"/v1/team-1/run.jsonl":                      true,
		"/v1/team-1/deep/er/":                       true,
		"/v1/team-1/a;v=1?x=/../y":                  true, // a query is no path
		"/v1/team-1/100%25.jsonl":                   true,
		"/v1/team-1/%C3%BC.jsonl":                   true,
		"/open/run.jsonl":                           true,
		"/openly/run.jsonl":                         false,
		"/v1/team-10/run.jsonl":                     false,
		"/v1/team-2/run.jsonl":                      false,
		"/v1/TEAM-1/run.jsonl":                      false,
		"/V1/team-1/run.jsonl":                      false,
		"/v1/team-1":                                false,
		"/v1/{teamId}/run.jsonl":                    false,
		"/v1/te\u0430m-1/run.jsonl":                 false, // a Cyrillic letter
		"/v1/team-1/../team-2/run.jsonl":            false,
		"/v1/team-1/%2e%2e/team-2/run.jsonl":        false,
		"/v1/team-1/%2E./team-2/run.jsonl":          false,
		"/v1/team-1/%252e%252e/team-2/run.jsonl":    false,
		"/v1/team-1/%25252e%25252e/team-2/r.jsonl":  false,
		"/v1/team-1/..%2fteam-2/run.jsonl":          false,
		"/v1/team-1/x%2f..%2f..%2fteam-2/run.jsonl": false,
		"/v1/team-1/x%252f..%252fteam-2%25zz":       false,
		"/v1/team-1/..%5cteam-2/run.jsonl":          false,
		`/v1/team-1/..\team-2/run.jsonl`:            false,
		"/v1/team-1/..;/team-2/run.jsonl":           false,
		"/v1/team-1/..;x=1/team-2/run.jsonl":        false,
		"/v1/team-1/.../run.jsonl":                  false,
		"/v1/team-1/./run.jsonl":                    false,
		"/v1/team-1//run.jsonl":                     false,
		"/v1//team-1/run.jsonl":                     false,
		"//v1/team-1/run.jsonl":                     false,
		"/v1/team-2/..%2fteam-1/run.jsonl":          false,
		"/v1/team-1/\uff0e\uff0e/team-2/run.jsonl":  false, // full-width dots
		"/v1/team-1/\u2025/team-2/run.jsonl":        false, // one character of two dots
		"/v1/team-1/..\uff0fteam-2/run.jsonl":       false, // a full-width slash
		"/v1/team-1/%c0%ae%c0%ae/team-2/run.jsonl":  false, // overlong UTF-8
		"/v1/team-1/a%00b":                          false,
		"/v1/team-1/a%0d%0aX: y":                    false,
		"/v1/team-1/run.jsonl#x":                    false,
		"/":                                         false,
		"":                                          false,
	} {
		asked = ""
		_, err := read(t, s.Opener, waybill.Source{URI: s.Server.URL + uri}, "")
		if (asked != "") != allowed || (err == nil) != allowed {
			t.Errorf("%s: asked for %q, want allowed %t: %v", uri, asked, allowed, err)
		}
		if !allowed {
			wantFailure(t, err, waybill.Permanent, "source.not_allowed", "may not be read")
		}
	}
	before := s.requests.Load()
	for _, uri := range []string{
		"https://user:hunter2@" + host + "/open/x", "http://" + host + "/open/x", "https://127.0.0.1/open/x", "https://" + host + "@evil.example/open/x",
		"https://evil.example/" + s.Server.URL + "/open/x", "https://127.0.0.1.evil.example/open/x", "https:" + host + "/open/x", "https:///open/x",
		"https://\uff11\uff12\uff17.0.0.1/open/x", "ftp://" + host + "/open/x",
	} {
		_, err := read(t, s.Opener, waybill.Source{URI: uri}, "")
		wantFailure(t, err, waybill.Permanent, "source.not_allowed", "may not be read")
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("credentials are shown: %v", err)
		}
	}
	_, err := s.Open(t.Context(), "", s.source("/open/x"), "")
	wantFailure(t, err, waybill.Permanent, "source.not_allowed", "its team's id")
	s.Web = nil
	_, err = read(t, s.Opener, s.source("/open/x"), "")
	wantFailure(t, err, waybill.Permanent, "source.not_allowed", "reads no https sources")
	if s.requests.Load() != before {
		t.Error("the server was asked")
	}
}

func TestForbiddenAddresses(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, records) })
	_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
	s.Web = guard(t, netguard.Options{})
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254", "[fd00:ec2::254]"} {
		s.Allow = []string{"https://" + host + ":" + port + "/"}
		_, err := read(t, s.Opener, waybill.Source{URI: "https://" + host + ":" + port + "/run.jsonl?sig=hunter2"}, "")
		wantFailure(t, err, waybill.Blocked, "source.address_refused", "network.allow")
		if _, typed := errors.AsType[*netguard.Refusal](err); !typed || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if s.requests.Load() != 0 {
		t.Error("the server was asked")
	}
}

func TestRedirects(t *testing.T) {
	var to string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/end") {
			_, _ = io.WriteString(w, records)
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	})
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, records) })
	s.Allow = append(s.Allow, "https://10.0.0.1/", "https://169.254.169.254/", "https://[::1]/", other.Server.URL+"/open/")
	for target, want := range map[string]struct {
		verdict waybill.Verdict
		code    string
	}{
		"/open/end?sig=hunter2":          {},
		"/team-1/end":                    {},
		"/team-2/end":                    {waybill.Permanent, "source.redirect_refused"},
		"/elsewhere/end":                 {waybill.Permanent, "source.redirect_refused"},
		"/open/%2e%2e/team-2/end":        {waybill.Permanent, "source.redirect_refused"},
		"https://evil.example/open/end":  {waybill.Permanent, "source.redirect_refused"},
		"http://127.0.0.1/open/end":      {waybill.Permanent, "source.redirect_refused"},
		other.Server.URL + "/open/end":   {waybill.Blocked, "source.address_refused"}, // loopback, and allowed as a prefix only
		"https://10.0.0.1/open/end":      {waybill.Blocked, "source.address_refused"},
		"https://169.254.169.254/latest": {waybill.Blocked, "source.address_refused"},
		"https://[::1]/open/end":         {waybill.Blocked, "source.address_refused"},
		"/open/again":                    {waybill.Blocked, "source.too_many_redirects"},
	} {
		to = target
		text, err := read(t, s.Opener, s.source("/open/start?sig=hunter2"), "")
		if want.code == "" {
			if err != nil || text != records {
				t.Errorf("%s: %q, %v", target, text, err)
			}
			continue
		}
		wantFailure(t, err, want.verdict, want.code, "The server")
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a query is shown: %v", err)
		}
	}
	if other.requests.Load() != 0 {
		t.Error("the other server was asked")
	}
}

func TestTheKeyIsForThePlatformAlone(t *testing.T) {
	var got []string
	note := func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("X-Api-Key"))
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, records)
	}
	platform, other := serve(t, note), serve(t, note)
	pool := x509.NewCertPool()
	pool.AddCert(platform.Certificate())
	o := platform.Opener
	o.Web = guard(t, netguard.Options{RootCAs: pool, Allow: []string{"127.0.0.0/8"}})
	o.Allow = []string{platform.Server.URL + "/", other.Server.URL + "/"}
	calls := 0
	o.Platform = Platform{URL: platform.Server.URL + "/v4", Key: func(context.Context) (string, error) { calls++; return fmt.Sprint("key-", calls), nil }}
	for uri, want := range map[string]string{
		platform.Server.URL + "/v4/workflows/w/data?runId=r":                          "[key-1]",
		platform.Server.URL + "/v40/x":                                                "[]",
		platform.Server.URL + "/x":                                                    "[]",
		other.Server.URL + "/v4/x":                                                    "[]",
		platform.Server.URL + "/v4/x?to=" + url.QueryEscape(other.Server.URL+"/v4/x"): "[key-1 ]",
		platform.Server.URL + "/v4/x?to=/v4/y":                                        "[key-1 key-1]",
		other.Server.URL + "/v4/x?to=" + url.QueryEscape(platform.Server.URL+"/v4/x"): "[ ]",
		strings.Replace(platform.Server.URL, "https://", "HTTPS://", 1) + "/v4/upper": "[key-1]",
	} {
		got, calls = nil, 0
		if text, err := read(t, o, waybill.Source{URI: uri}, ""); err != nil || text != records {
			t.Errorf("%s: %q, %v", uri, text, err)
		}
		if fmt.Sprint(got) != want && (want != "[]" || fmt.Sprint(got) != "[]") {
			t.Errorf("%s: the servers were shown %q, want %s", uri, got, want)
		}
	}
	for name, key := range map[string]func(context.Context) (string, error){
		"source.bad_key": func(context.Context) (string, error) { return "hunter2\nX: y", nil },
		"secret.unavailable": func(context.Context) (string, error) {
			return "", waybill.Failf(waybill.Blocked, "secret.unavailable", "Set it.", "not set")
		},
	} {
		got, o.Platform.Key = nil, key
		_, err := read(t, o, waybill.Source{URI: platform.Server.URL + "/v4/x"}, "")
		wantFailure(t, err, waybill.Blocked, name, "et")
		if len(got) != 0 || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: shown %q, %v", name, got, err)
		}
	}
	denied := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	denied.Platform = Platform{URL: denied.Server.URL, Key: func(context.Context) (string, error) { return "k", nil }}
	_, err := read(t, denied.Opener, denied.source("/open/x"), "")
	wantFailure(t, err, waybill.Blocked, "source.access_denied", "check platform.apiKey")
}
