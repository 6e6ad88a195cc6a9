//go:build !race

package main

// The race detector sees the whole system at work in the first test of the
// sandbox; these run it three times more, without.

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestARunOfTheUsersIsDeliveredToo(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("mine.jsonl", `{"a":1}`+"\n")
	file := write("mine.run.json", `{"teamId":"mine","workflowId":"wf","jobId":"j","state":"FINISHED","finishedAt":"2025-01-15T10:30:00Z","rowCount":1,
		"source":{"uri":"mine.jsonl"},"schema":{"fields":[{"name":"a","dataType":"NUMBER"}]}}`)
	var out bytes.Buffer
	if err := run(t.Context(), once(dir, "--activity", "0s", "-f", file), &out, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if got := readFile(t, filepath.Join(dir, "bucket/kadoa/mine/wf/2025-01-15T10-30-00Z-j"), "data.csv"); !strings.Contains(string(got), "1") {
		t.Errorf("CSV %q", got)
	}

	write("mine.jsonl", `{"a":1}`+"\n"+`{"a":`)
	out.Reset()
	err := run(t.Context(), once(filepath.Join(dir, "second"), "--activity", "0s", "-f", file), &out, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "4 of 20 deliveries are not complete") || !strings.Contains(out.String(), "records.malformed") {
		t.Errorf("a run that cannot be delivered: %v\n%s", err, out.String())
	}
}

// written is told when a text was written to it.
type written struct {
	text  string
	found chan string
	all   strings.Builder
}

func (w *written) Write(p []byte) (int, error) {
	w.all.Write(p)
	if _, rest, ok := strings.Cut(w.all.String(), w.text); ok && strings.HasSuffix(rest, "\n") {
		select {
		case w.found <- w.all.String():
		default:
		}
	}
	return len(p), nil
}

func TestTheSandboxPrintsATokenThatOpensThePages(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	out, done := &written{text: "Ctrl-C", found: make(chan string, 1)}, make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"--dir", t.TempDir(), "--listen", "127.0.0.1:0", "--share", "127.0.0.1:0", "--past", "1"}, out, io.Discard)
	}()
	select {
	case text := <-out.found:
		m := regexp.MustCompile(`Pages +(http://\S+/) +log in with the token +(\S+)`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("it printed\n%s", text)
		}
		jar, _ := cookiejar.New(nil)
		client := &http.Client{Jar: jar}
		resp, err := client.PostForm(m[1]+"login", url.Values{"token": {m[2]}})
		for err == nil && resp.StatusCode == http.StatusServiceUnavailable { // a busy machine: the page says to load it again
			resp, err = client.Get(m[1])
		}
		if err != nil {
			t.Fatal(err)
		}
		page, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK || !bytes.Contains(page, []byte("wf_movies")) {
			t.Errorf("after the login: %d\n%s", resp.StatusCode, page)
		}
	case err := <-done:
		t.Fatalf("it ended: %v", err)
	}
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
