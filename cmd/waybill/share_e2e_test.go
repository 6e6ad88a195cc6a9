package main_test

import (
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

type profile struct {
	Endpoint, BearerToken string
	ExpirationTime        time.Time
}

func (f *fleet) profile(t *testing.T, args ...string) (p profile) {
	t.Helper()
	if err := json.Unmarshal([]byte(f.ok(t, append([]string{"connector", "profile", "acme-tables"}, args...)...)), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// read asks the server as the profile's holder.
func (p profile) read(t *testing.T, method, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.Endpoint+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.BearerToken)
	w, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, w.Body); err != nil {
		t.Fatal(err)
	}
	return w.StatusCode, b.String()
}

func TestACustomerReadsTheirTablesWithAnyClient(t *testing.T) {
	var backend atomic.Pointer[url.URL]                                                        // none yet
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // what ends TLS elsewhere
		if to := backend.Load(); to != nil {
			httputil.NewSingleHostReverseProxy(to).ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(gate.Close)
	f := newFleet(t, gate.URL)
	tables := filepath.Join(f.dir, "tables")
	if err := os.Mkdir(tables, 0o755); err != nil {
		t.Fatal(err)
	}
	connector := f.write(t, "tables.yaml", "id: acme-tables\nteam: "+team+"\nkind: deltasharing\nworkflows: [wf_contributions]\n")
	if _, stderr, err := f.cli(t, "connector", "apply", "-f", connector); err == nil || !strings.Contains(stderr, "deltasharing") {
		t.Errorf("a connector that nothing serves was taken: %v %s", err, stderr)
	}
	if _, stderr, err := f.cli(t, "share", "--listen", "127.0.0.1:0"); err == nil || !strings.Contains(stderr, "the section sharing") {
		t.Errorf("a server without settings: %v %s", err, stderr)
	}
	settings, err := os.ReadFile(filepath.Join(f.dir, "waybill.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, "waybill.yaml", string(settings)+"sharing: {url: \""+gate.URL+"/delta\", storage: \"file://"+tables+"\"}\n")

	f.ok(t, "connector", "apply", "-f", connector)
	if _, stderr, err := f.cli(t, "connector", "check", "acme-tables"); err == nil || !strings.Contains(stderr, "checks failed") {
		t.Errorf("a server that is not there passes the check: %v %s", err, stderr)
	}
	share := f.start(t, "share", "--metrics", "127.0.0.1:0")
	backend.Store(&url.URL{Scheme: "http", Host: share.addr})
	if out := f.ok(t, "connector", "check", "acme-tables"); !strings.Contains(out, "ok      reach the Delta Sharing server") || strings.Contains(out, "failed") {
		t.Errorf("check says\n%s", out)
	}
	f.start(t, "scheduler")
	f.start(t, "worker", "--queues", "delta=2")
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, 2)...)...)
	f.await(t, waybill.StateComplete, 2, time.Minute)

	p := f.profile(t)
	if want := gate.URL + "/delta/"; p.Endpoint != want || time.Until(p.ExpirationTime) < 89*24*time.Hour {
		t.Errorf("profile %+v", p)
	}
	if status, body := p.read(t, http.MethodGet, "shares/acme-tables/all-tables"); status != http.StatusOK ||
		!strings.Contains(body, `"WF_CONTRIBUTIONS__LATEST"`) || !strings.Contains(body, `"WORKFLOW_RUNS"`) {
		t.Errorf("%d %s", status, body)
	}
	status, body := p.read(t, http.MethodPost, "shares/acme-tables/schemas/kadoa/tables/WF_CONTRIBUTIONS__LATEST/query")
	var line struct{ File struct{ URL string } }
	for text := range strings.Lines(body) {
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
	}
	if status != http.StatusOK || strings.Count(body, `{"file":`) != 2 {
		t.Fatalf("%d %s", status, body)
	}
	if status, file := get(t, line.File.URL); status != http.StatusOK || !strings.HasPrefix(file, "PAR1") {
		t.Errorf("%s: %d", line.File.URL, status)
	}
	if text := f.ok(t, "connector", "sql", "acme-tables"); !strings.Contains(text, `"#acme-tables.kadoa.WORKFLOW_RUNS"`) {
		t.Errorf("the customer's side:\n%s", text)
	}

	// A profile is shown once; a new one lives beside it for the overlap, and all end at once.
	if _, stderr, err := f.cli(t, "connector", "profile", "acme-tables"); err == nil || !strings.Contains(stderr, "--rotate") {
		t.Errorf("shown twice: %v %s", err, stderr)
	}
	next := f.profile(t, "--rotate", "--overlap", "1h")
	for _, p := range []profile{p, next} {
		if status, body := p.read(t, http.MethodGet, "shares"); status != http.StatusOK {
			t.Errorf("during the overlap: %d %s", status, body)
		}
	}
	f.ok(t, "connector", "profile", "acme-tables", "--revoke")
	for _, p := range []profile{p, next} {
		if status, _ := p.read(t, http.MethodGet, "shares"); status != http.StatusUnauthorized {
			t.Errorf("after the revocation: %d", status)
		}
	}
	if status, _ := get(t, line.File.URL); status != http.StatusForbidden {
		t.Errorf("a file's URL after the revocation: %d", status)
	}
	// What is kept, and what is logged, is of no use to who finds it.
	secret := strings.TrimPrefix(p.BearerToken, "acme-tables.")
	for _, where := range []string{filepath.Join(f.dir, "own"), tables} {
		wantNowhere(t, where, secret)
	}
	if strings.Contains(share.log.String(), secret) {
		t.Error("the token is in the log")
	}
}

// wantNowhere fails if a file of the folder holds the text.
func wantNowhere(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), text) {
			t.Errorf("%s holds the token", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
